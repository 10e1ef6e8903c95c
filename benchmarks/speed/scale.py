"""Time and peak memory of the work before training, by the size of the corpus."""

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.architecture import MAX_LENGTH
from benchmarks.speed.rows import Row
from benchmarks.speed.stages import BATCH, DEPTH, run_stage, write_raw_csv

WORKS = {
    "prepare": "raw CSV to corpus",
    "split": "the split",
    "count": "character n-grams, one to three characters",
    "linear": f"a linear classifier, all levels to the {DEPTH}",
    "encode": f"texts to token ids, length {MAX_LENGTH}",
    "loader": f"one pass of the data loader, batches of {BATCH}",
}
MEMORY_LIMIT = 1_500_000_000  # bytes of its own that a stage may hold
_PROPORTION = 1.2  # times the seconds for each row that a larger size may take
_STEADY = 90_000  # rows; below, what a stage does once weighs too much to compare with
_LARGE = 500_000  # rows; a file that large is measured once
_MOST = {"linear": 150_000}  # rows: it holds all of its training documents, and takes minutes beyond


def scale_rows(sizes: Sequence[int], repeats: int) -> Iterator[Row]:
    """A row for each stage, over raw files of so many rows, ascending; disk of 8 KB for each row is needed."""
    found = [measure(rows, repeats if rows < _LARGE else 1) for rows in sizes]
    for stage in WORKS:
        yield scale_row(stage, [one[stage] for one in found if stage in one])


def measure(rows: int, repeats: int) -> dict[str, dict[str, Any]]:
    """By stage what :func:`run_stage` gives for a file of so many rows: median seconds, the largest peaks."""
    with tempfile.TemporaryDirectory() as name:
        written, found = write_raw_csv(Path(name), rows), {}
        for stage in WORKS:
            if rows > _MOST.get(stage, rows):
                continue
            runs = [run_stage(stage, Path(name)) for _ in range(1 if stage in _MOST else repeats)]
            took = {key: median(run[key] for run in runs) for key in ("seconds", "cpu_seconds")}
            peaks = {key: max(run[key] for run in runs) for key in ("peak_bytes", "peak_own_bytes")}
            rate = runs[0]["items"] / took["seconds"]
            found[stage] = {"rows": written, **runs[0], **took, "per_second": rate, **peaks, "repeats": len(runs)}
        return found


def scale_row(stage: str, sizes: list[dict[str, Any]]) -> Row:
    """The rate at the largest size beside that at the smallest steady one; the ratio is the lowest of a larger size."""
    steady = next((one for one in sizes[:-1] if one["rows"] >= _STEADY), sizes[0])
    larger = sizes[sizes.index(steady) + 1 :] or [steady]
    return Row(
        work=f"{WORKS[stage]}, {sizes[-1]['rows']:,} rows",
        unit=f"{sizes[-1]['unit']}/s",
        ours=sizes[-1]["per_second"],
        peer=steady["per_second"],
        peer_name=f"at {steady['rows']:,} rows",
        ratio=min(one["per_second"] for one in larger) / steady["per_second"],
        target=round(1 / _PROPORTION, 2),
        agrees=max(one["peak_own_bytes"] for one in sizes) <= MEMORY_LIMIT,
        repeats=min(one["repeats"] for one in sizes),
        facts={"stage": stage, "sizes": sizes},
    )
