"""Raw CSV → clean Parquet, beside pandas.

:func:`measure` runs both on the same generated file, each in fresh processes, in turn. The peer is what a good data
engineer writes with pandas for the same file: it reads only the columns it needs, skips and drops what is broken, cuts
the symbols into labels, cleans the texts, and drops repeated numbers. What it cannot do is counted: a quote that is
never closed swallows rows up to the next quote, and a row is short or long only where its fields show it.
"""

import json
import statistics
import sys
import tempfile
import time
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from patent_hier.bench.measuring import Measured, run_measured
from patent_hier.data.demo import write_demo_csv
from patent_hier.data.raw import PAPER_COLUMNS, RawFormat
from patent_hier.ipc import all_classes

LABELS = ("section", "ipc_class", "subclass", "main_group", "subgroup")
PEER_FILE = "peer.parquet"
SEED = 2017

_ROWS_PER_DOCUMENT = 1.096  # of the demo file: broken rows, designs and duplicates come on top
_TEXTS = 2  # rows of about 580 bytes
_PEER_COLUMNS = (
    "application_number", "application_date", "publication_number", "publication_date", "title", "symbols", "abstract",
    "applicant", "kind", "validity",
)  # fmt: skip
_PEER_SYMBOL = r"^([A-H][0-9]{2})([A-Z]) *([0-9]{1,4})(?:/([0-9]{2,6})|([0-9]{6}))"


def write_raw_csv(path: Path, rows: int, seed: int = SEED) -> int:
    """Write a raw file in GB18030 with the paper's 16 columns and all the broken rows of the demo corpus.

    Args:
        path: Where to write; an existing file is replaced.
        rows: About how many rows; their mean length is about 580 bytes.
        seed: Decides everything that is random.

    Returns:
        How many rows there are, as a careful reader counts them.

    Raises:
        ConfigError: If ``rows`` is too few for the demo's classes.
    """
    return write_demo_csv(path, round(rows / _ROWS_PER_DOCUMENT), seed, _TEXTS).rows


def ours(path: Path, folder: Path) -> Path:
    """Prepare a raw file as ``patent-hier prepare`` does.

    Args:
        path: The raw file.
        folder: An empty folder.

    Returns:
        The Parquet file.
    """
    from patent_hier.data.corpus import CORPUS_FILE, prepare
    from patent_hier.data.workers import choose_processes

    prepare(path, folder, RawFormat(), processes=choose_processes(path))
    return folder / CORPUS_FILE


def peer(path: Path, folder: Path) -> Path:
    """The same with pandas; arguments as in :func:`ours`."""
    import pandas as pd

    names = [PAPER_COLUMNS[name] for name in _PEER_COLUMNS]
    frame = pd.read_csv(
        path,
        encoding="gb18030",
        encoding_errors="replace",
        on_bad_lines="skip",
        dtype=str,
        na_filter=False,
        usecols=names,
    )
    frame = frame[names].set_axis(_PEER_COLUMNS, axis=1)
    symbols = frame["symbols"].str.normalize("NFKC").str.upper()
    parts = symbols.str.extract(_PEER_SYMBOL).set_axis(["ipc_class", "letter", "main", "sub", "fixed"], axis=1)
    is_good = parts["ipc_class"].isin(all_classes()) & (frame["validity"] != "") & (frame["abstract"] != "")
    is_good &= ~frame["abstract"].str.contains("\ufffd", regex=False)
    frame, parts, symbols = frame[is_good], parts[is_good], symbols[is_good]
    subclass = parts["ipc_class"] + parts["letter"]
    main = parts["main"].str.lstrip("0")
    sub = parts["sub"].fillna(parts["fixed"]).str.slice(0, 2)
    result = pd.DataFrame(
        {
            "document_id": frame["publication_number"],
            "text": _clean(frame["abstract"]),
            "title": _clean(frame["title"]),
            "section": parts["ipc_class"].str.slice(0, 1),
            "ipc_class": parts["ipc_class"],
            "subclass": subclass,
            "main_group": subclass + main + "/00",
            "subgroup": (subclass + main + "/" + sub).where(sub != "00"),
            "further_symbols": [field.split(";")[1:] for field in symbols],
            "applicant": frame["applicant"].str.rstrip(";； "),
            "application_date": pd.to_datetime(frame["application_date"], format="%Y.%m.%d", errors="coerce"),
            "publication_date": pd.to_datetime(frame["publication_date"], format="%Y.%m.%d", errors="coerce"),
            "kind": frame["kind"],
            "application_number": frame["application_number"],
        }
    )
    result = result[(result["text"] != "") & ~result["document_id"].duplicated()]
    result.to_parquet(folder / PEER_FILE, index=False)
    return folder / PEER_FILE


def _clean(texts: Iterable[str]) -> list[str]:
    """Faster than the same with pandas's own methods."""
    return [" ".join(unicodedata.normalize("NFC", text).split()) for text in texts]


def measure(rows: int = 200_000, repeats: int = 3, folder: Path | None = None) -> dict[str, Any]:
    """Run ours and the peer in turn on one generated file, each time in fresh processes.

    Args:
        rows: About how many rows the file has.
        repeats: How often each is run.
        folder: Where file and results lie meanwhile; None for the system's temporary folder.

    Returns:
        ``rows`` and ``bytes`` of the file; for ``ours`` and ``peer`` the medians ``seconds``, ``rows_per_second`` and
        ``peak_bytes`` (of all processes together), every single time in ``all_seconds``, and ``documents`` kept;
        ``ratio``, the median over the repeats of the peer's seconds by ours; ``memory_ratio``, our peak by the
        peer's; ``documents_of_both``, and of them those with ``same_labels`` and with ``same_text``. Seconds begin
        after the imports and end when the Parquet file is closed.

    Raises:
        DataError: If one of them fails.
    """
    with tempfile.TemporaryDirectory(dir=folder) as name:
        place = Path(name)
        source = place / "raw.csv"
        written = write_raw_csv(source, rows)
        runs: dict[str, list[Measured]] = {"ours": [], "peer": []}
        for number in range(repeats):
            for who, measured in runs.items():
                target = place / f"{who}-{number}"
                target.mkdir()
                measured.append(run_measured(__name__, [who, str(source), str(target)]))
        files = {who: Path(measured[0].report["file"]) for who, measured in runs.items()}
        seconds = {who: [run.report["seconds"] for run in measured] for who, measured in runs.items()}
        peaks = {who: statistics.median(run.peak_bytes for run in measured) for who, measured in runs.items()}
        return {
            "rows": written,
            "bytes": source.stat().st_size,
            **{
                who: {
                    "seconds": statistics.median(seconds[who]),
                    "all_seconds": seconds[who],
                    "rows_per_second": written / statistics.median(seconds[who]),
                    "peak_bytes": peaks[who],
                    "documents": pq.read_metadata(files[who]).num_rows,
                }
                for who in runs
            },
            "ratio": statistics.median(
                theirs / own for theirs, own in zip(seconds["peer"], seconds["ours"], strict=True)
            ),
            "memory_ratio": peaks["ours"] / peaks["peer"],
            **compare(files["ours"], files["peer"]),
        }


def compare(first: Path, second: Path) -> dict[str, int]:
    """How many documents two Parquet files have in common, by id, and for how many of them labels and text agree."""
    tables = [pq.read_table(file, columns=["document_id", "text", *LABELS]) for file in (first, second)]
    tables = [table.cast(pa.schema([(name, pa.string()) for name in table.column_names])) for table in tables]
    both = tables[0].join(tables[1], "document_id", join_type="inner", right_suffix="_of_second")
    columns = both.to_pydict()

    def agreeing(names: Iterable[str]) -> int:
        pairs = [(columns[name], columns[f"{name}_of_second"]) for name in names]
        return sum(all(one[row] == other[row] for one, other in pairs) for row in range(len(both)))

    return {
        "documents_of_both": len(both),
        "same_labels": agreeing(LABELS),
        "same_text": agreeing(["text"]),
    }


def main(arguments: list[str]) -> None:
    """Run ``ours`` or ``peer`` once and print what it took, as JSON: ``ours|peer FILE.csv FOLDER``."""
    who, path, folder = arguments
    run = {"ours": ours, "peer": peer}[who]
    # An import is no part of the work. Arrow imports pandas too, with the first array that it makes.
    import pandas as pd  # noqa: F401

    import patent_hier.data.corpus  # noqa: F401

    start = time.perf_counter()
    file = run(Path(path), Path(folder))
    print(json.dumps({"seconds": time.perf_counter() - start, "file": str(file)}))


if __name__ == "__main__":
    main(sys.argv[1:])
