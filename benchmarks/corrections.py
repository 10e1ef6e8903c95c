"""Measure how much corrections help, with a stream of documents and a system that learns at intervals.

    python -m benchmarks.corrections FOLDER RAW.csv [--rows 500] [--steps 4] [--passes 4] [overrides of run]

The system is trained on 70 % of the applicants of RAW.csv (data=gazette by default). Documents of the other applicants
arrive in the order of their application dates. The system answers, an examiner gives the true symbol, and after each
``--rows`` documents the system learns. It is compared with a system that never learns and with one that is retrained on
all documents so far. All are scored on the next documents and on the same test part. FOLDER stores the files, runs and
cache; its ``corrections.json`` has the table, with the seconds of each whole command.
"""

import csv
import hashlib
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from patent_hier.cli.overrides import parsed
from patent_hier.data.raw import PAPER_COLUMNS
from patent_hier.data.splits import load
from patent_hier.reading.encodings import GB18030
from patent_hier.reading.rows import Options
from patent_hier.reading.tables import open_table

_TRAINED = 0.7  # share of the applicants that are trained on
_PERSON = "个人"  # marks natural persons; each such document counts as an applicant of its own
_ACCURACY = re.compile(r"([a-z_]+) ([0-9.]+) %")
Table = list[dict[str, str]]


def main(words: Sequence[str]) -> None:
    """Run the experiment and print its table."""
    options = parsed(words, "folder raw overrides*", rows=500, steps=4, passes=4, weight=1.0)
    folder: Path = options.folder
    folder.mkdir(parents=True, exist_ok=True)
    names, base, stream = _divide(options.raw, options.rows * (options.steps + 1))
    _write(folder / "base.csv", names, base)
    run = _Runs(folder, options)
    first, seconds = run.train("base.csv", "split=applicant")
    parts = _parts(folder)
    systems = {"no learning": first, "learn": first, "retrain": first}
    lines: list[dict[str, Any]] = []
    for step in range(options.steps + 1):
        done, following = stream[: step * options.rows], stream[step * options.rows : (step + 1) * options.rows]
        took = {"no learning": 0.0, "learn": 0.0, "retrain": seconds}
        if step:
            _write(folder / f"feedback-{step}.csv", names, done[-options.rows :])
            systems["learn"], took["learn"] = run.learn(systems["learn"], folder / f"feedback-{step}.csv")
            _write(folder / f"all-{step}.csv", names, [*base, *done])
            _write_parts(folder / f"parts-{step}.csv", parts, done)
            systems["retrain"], took["retrain"] = run.train(
                f"all-{step}.csv", "split=file", f"split.path={folder / f'parts-{step}.csv'}", "split.unlisted=drop"
            )
        _write(folder / f"next-{step}.csv", names, following)
        for name, result in systems.items():
            scores = {"test": _test(result), "next": run.score(result, folder / f"next-{step}.csv")}
            line = {"after": step * options.rows, "system": name, "seconds": round(took[name], 1), **scores}
            lines.append(line)
            print(json.dumps(line, ensure_ascii=False), flush=True)
    (folder / "corrections.json").write_text(json.dumps(lines, ensure_ascii=False, indent=1) + "\n", "utf-8")


class _Runs:
    """Runner of the suite's commands, each in its own process."""

    def __init__(self, folder: Path, options: Any) -> None:
        self._folder = folder
        self._options = options
        self._where = [f"runs_dir={folder / 'runs'}", f"cache_dir={folder / 'cache'}"]

    def train(self, raw: str, *words: str) -> tuple[Path, float]:
        """Train from scratch; return the result's folder and the seconds."""
        own = ["data=gazette", *self._options.overrides, f"data.path={self._folder / raw}", *words, *self._where]
        return self._result("run", *own)

    def learn(self, result: Path, feedback: Path) -> tuple[Path, float]:
        """Learn from feedback; return the new result's folder and the seconds."""
        options = ["--passes", str(self._options.passes), "--weight", str(self._options.weight), "--force"]
        return self._result("learn", str(result), str(feedback), *options)

    def score(self, result: Path, documents: Path) -> dict[str, float]:
        """Return the accuracy of the most likely path by level."""
        output = self._folder / "predicted.csv"
        out = self._run("predict", str(result), str(documents), "--output", str(output), "--overwrite")
        (line,) = (line for line in out.splitlines() if line.startswith("right answers by level"))
        return {level: float(value) for level, value in _ACCURACY.findall(line.partition("interval: ")[2])}

    def _result(self, *words: str) -> tuple[Path, float]:
        start = time.perf_counter()
        out = self._run(*words)
        (line,) = (line for line in out.splitlines() if line.startswith("saved in ") and "/result-" in line)
        return Path(line.removeprefix("saved in ")), time.perf_counter() - start

    def _run(self, *words: str) -> str:
        command = [sys.executable, "-m", "patent_hier", *words]
        return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout  # noqa: S603 - ours


def _test(result: Path) -> dict[str, float]:
    levels = json.loads((result / "result.json").read_text("utf-8"))["levels"]
    return {level: round(100 * own["top_1"]["value"], 2) for level, own in levels.items() if own.get("top_1")}


def _divide(raw: Path, wanted: int) -> tuple[list[str], Table, Table]:
    """Return the header, the training documents, and the stream: documents spread evenly over time, in order."""
    with open_table(raw, Options(accept=lambda names: (), encoding=GB18030, guess=True)) as table:
        names = list(table.names)
        rows = [dict(zip(names, fields, strict=False)) for block in table.rows() for fields in block.fields if fields]
    day, number, symbols = (PAPER_COLUMNS[name] for name in ("application_date", "publication_number", "symbols"))
    rows = [row for row in rows if row[symbols][:1].isalpha()]  # designs have no IPC symbol
    base = [row for row in rows if _draw(row) < _TRAINED]
    others = sorted((row for row in rows if _draw(row) >= _TRAINED), key=lambda row: (row[day], row[number]))
    return names, base, [others[place * len(others) // wanted] for place in range(wanted)]


def _draw(row: dict[str, str]) -> float:
    applicant = row[PAPER_COLUMNS["applicant"]].strip()
    name = row[PAPER_COLUMNS["publication_number"]] if applicant in ("", _PERSON) else applicant
    return int(hashlib.sha256(name.encode()).hexdigest()[:8], 16) / 2**32


def _write(path: Path, names: Sequence[str], rows: Iterable[dict[str, str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(rows)


def _parts(folder: Path) -> dict[str, str]:
    (split,) = (folder / "cache" / "splits").glob("applicant-*")
    ids, codes = load(split)
    names = ("train", "val", "calibration", "test")
    return {str(name): names[code] for name, code in zip(ids.to_pylist(), codes.tolist(), strict=True)}


def _write_parts(path: Path, parts: dict[str, str], done: Table) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["公开号", "part"])
        writer.writerows(parts.items())
        writer.writerows([row[PAPER_COLUMNS["publication_number"]], "train"] for row in done)


if __name__ == "__main__":
    main(sys.argv[1:])
