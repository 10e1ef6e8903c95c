"""Time and peak memory of the work before training, by the size of the corpus.

Each stage runs in a process of its own on what the stage before has left on disk, so that its peak of memory is its
own: ``prepare`` (raw CSV to corpus), ``split``, ``encode`` (texts to token ids of length 200 by the package's encoder)
and ``loader`` (one pass of the data module over the training documents of the section model, token ids read from the
memory-mapped store). They call what a run calls.
"""

import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from patent_hier.bench.architecture import MAX_LENGTH
from patent_hier.bench.measuring import Measured, run_measured
from patent_hier.bench.prepare import ours, write_raw_csv
from patent_hier.bench.rows import Row

BATCH = 16  # documents
MEMORY_LIMIT = 1_500_000_000  # bytes of its own that a stage may hold
PROPORTION = 1.2  # times the seconds for each row that a larger size may take
STEADY = 90_000  # rows; below, what a stage does once weighs too much to compare with
WORKS = {
    "prepare": "raw CSV to corpus",
    "split": "the split",
    "encode": f"texts to token ids, length {MAX_LENGTH}",
    "loader": f"one pass of the data loader, batches of {BATCH}",
}
_MADE = {"prepare": "corpus", "split": "cache/splits", "encode": "cache/tokens"}  # by stage, in its size's folder
_LARGE = 500_000  # rows
_RAW = "raw.csv"


def scale_rows(sizes: Sequence[int], repeats: int, folder: Path | None = None) -> Iterator[Row]:
    """A row for each stage, over all sizes.

    Its figure is the rate at the largest size, beside that at the smallest of at least :data:`STEADY` rows; its ratio
    is the lowest rate of a larger size by the latter. It agrees if no size needed more memory than
    :data:`MEMORY_LIMIT`. Its fact ``sizes`` holds what :func:`measure` gives; ``cpu_ratio`` is the ratio by processor
    time, the one to look at where other work ran beside.

    Args:
        sizes: Rows of the raw files, ascending.
        repeats: How often each stage runs where there are fewer than half a million rows; larger sizes run once.
        folder: Where everything lies meanwhile; None for the system's temporary folder. The largest size needs about
            1.5 KB for each row.

    Raises:
        DataError: If a stage fails.
    """
    found = [measure(rows, repeats if rows < _LARGE else 1, folder) for rows in sizes]
    for stage in WORKS:
        yield _row(stage, [one[stage] for one in found])


def _row(stage: str, sizes: list[dict[str, Any]]) -> Row:
    steady = next((one for one in sizes if one["rows"] >= STEADY and one is not sizes[-1]), sizes[0])
    larger = sizes[sizes.index(steady) + 1 :] or [steady]
    cpu = min(_cpu_rate(one) for one in larger) / _cpu_rate(steady)
    return Row(
        work=f"{WORKS[stage]}, {sizes[-1]['rows']:,} rows",
        unit=f"{sizes[-1]['unit']}/s",
        ours=sizes[-1]["per_second"],
        peer=steady["per_second"],
        peer_name=f"at {steady['rows']:,} rows",
        ratio=min(one["per_second"] for one in larger) / steady["per_second"],
        target=round(1 / PROPORTION, 2),
        agrees=max(one["peak_own_bytes"] for one in sizes) <= MEMORY_LIMIT,
        repeats=min(one["repeats"] for one in sizes),
        facts={"stage": stage, "cpu_ratio": cpu, "memory_limit_bytes": MEMORY_LIMIT, "sizes": sizes},
    )


def _cpu_rate(one: dict[str, Any]) -> float:
    return float(one["items"] / one["cpu_seconds"])


def measure(rows: int, repeats: int, folder: Path | None = None) -> dict[str, dict[str, Any]]:
    """All stages at one size.

    Args:
        rows: About how many rows the generated file has.
        repeats: How often each stage runs; times are medians, peaks maxima.
        folder: See :func:`scale_rows`.

    Returns:
        By stage: ``rows`` of the file; ``items`` that the stage goes through and their ``unit``; ``seconds``, imports
        not counted; ``cpu_seconds`` of all processors; ``per_second``; ``peak_bytes`` and ``peak_own_bytes`` as in
        :class:`Measured`; ``repeats``; and what the stage tells of itself: bytes read and written, ``tokens``,
        seconds of opening.
    """
    with tempfile.TemporaryDirectory(dir=folder) as name:
        place = Path(name)
        written = write_raw_csv(place / _RAW, rows)
        return {stage: _stage(stage, place, written, repeats) for stage in WORKS}


def _stage(stage: str, place: Path, rows: int, repeats: int) -> dict[str, Any]:
    runs: list[Measured] = []
    for _ in range(repeats):
        if stage in _MADE:
            shutil.rmtree(place / _MADE[stage], ignore_errors=True)
        runs.append(run_measured(__name__, [stage, str(place)]))
    seconds = statistics.median(run.report["seconds"] for run in runs)
    return {
        "rows": rows,
        **runs[-1].report,
        "seconds": seconds,
        "cpu_seconds": statistics.median(run.report["cpu_seconds"] for run in runs),
        "per_second": runs[-1].report["items"] / seconds,
        "peak_bytes": max(run.peak_bytes for run in runs),
        "peak_own_bytes": max(run.peak_own_bytes for run in runs),
        "repeats": repeats,
    }


class _Clock:
    """Time since it was made: of the wall, and of the processors, which other work on the machine does not lengthen."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), self._processors()

    def read(self) -> dict[str, float]:
        """``seconds`` and ``cpu_seconds``; the latter of this process and its children that have ended."""
        return {"seconds": time.perf_counter() - self._wall, "cpu_seconds": self._processors() - self._cpu}

    @staticmethod
    def _processors() -> float:
        return time.process_time() + sum(os.times()[2:4])  # ours, and those of children


def _prepare(place: Path) -> dict[str, Any]:
    import pandas as pd  # noqa: F401  # Arrow imports it with the first array that it makes

    from patent_hier.data.corpus import Corpus

    folder = place / _MADE["prepare"]
    folder.mkdir()
    clock = _Clock()
    file = ours(place / _RAW, folder)
    took = clock.read()
    accounting = Corpus.open(folder).manifest["accounting"]
    read, written = (place / _RAW).stat().st_size, file.stat().st_size
    facts = {"documents": accounting["kept"], "bytes_read": read, "bytes_written": written}
    return {**took, "items": accounting["rows"], "unit": "rows", **facts}


def _split(place: Path) -> dict[str, Any]:
    from patent_hier.data.corpus import Corpus
    from patent_hier.pipeline.stages import ensure_split, split_plan
    from patent_hier.settings import SplitSettings

    corpus = Corpus.open(place / _MADE["prepare"])
    clock = _Clock()
    folder = ensure_split(corpus, split_plan(SplitSettings()), place / "cache")
    took = clock.read()
    return {**took, "items": corpus.size, "unit": "documents", "bytes_written": _bytes(folder)}


def _encode(place: Path) -> dict[str, Any]:
    from patent_hier.atomic import read_json
    from patent_hier.data.corpus import Corpus
    from patent_hier.features import wordpiece  # noqa: F401  # an import is no part of the work
    from patent_hier.features.pretrained import locate
    from patent_hier.pipeline.feature_stages import ensure_tokens
    from patent_hier.settings import EncoderSettings

    corpus = Corpus.open(place / _MADE["prepare"])
    files = locate(EncoderSettings("small", "patent_hier/small"), place / "cache")
    clock = _Clock()
    folder = ensure_tokens(corpus, files, MAX_LENGTH, place / "cache")
    took = clock.read()
    tokens = read_json(folder / "manifest.json")["tokens"]
    facts = {"tokens": tokens, "bytes_written": _bytes(folder)}
    return {**took, "items": corpus.size, "unit": "documents", **facts}


def _loader(place: Path) -> dict[str, Any]:
    from patent_hier.data.corpus import Corpus, shared_strings
    from patent_hier.features.token_store import TokenStore
    from patent_hier.pipeline.stages import load_parts
    from patent_hier.settings import ROOT
    from patent_hier.training.datamodule import PatentDataModule
    from patent_hier.training.node_data import CorpusView, NodeView

    corpus = Corpus.open(place / _MADE["prepare"])
    (split,), (tokens,) = (_finished(place / _MADE[stage]) for stage in ("split", "encode"))
    opening = _Clock()
    # As pipeline/node.py does it: the ids are read there too, for the predictions.
    parts = load_parts(corpus, split)
    columns = corpus.table(["document_id", "section", "ipc_class"])
    labels = [shared_strings(columns[name]) for name in ("section", "ipc_class")]
    view = NodeView.of(CorpusView(TokenStore.open(tokens), labels[0], labels[1], parts), ROOT)
    data = PatentDataModule(view, batch_size=BATCH, score_batch_size=64, pad_id=0, seed=1)
    opened = opening.read()["seconds"]
    clock = _Clock()
    read = sum(len(batch["target"]) for batch in data.train_dataloader())
    return {**clock.read(), "items": read, "unit": "documents", "open_seconds": opened}


def _finished(folder: Path) -> list[Path]:
    return [child for child in folder.iterdir() if child.is_dir() and not child.name.startswith(".")]


def _bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.iterdir())


_STAGES: dict[str, Callable[[Path], dict[str, Any]]] = {
    "prepare": _prepare,
    "split": _split,
    "encode": _encode,
    "loader": _loader,
}


def main(arguments: list[str]) -> None:
    """Run one stage in a size's folder and print what it took, as JSON: ``STAGE FOLDER``."""
    stage, folder = arguments
    print(json.dumps(_STAGES[stage](Path(folder))))


if __name__ == "__main__":
    main(sys.argv[1:])
