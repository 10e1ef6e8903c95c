"""Measure time and peak memory of the work before training, by the size of the corpus."""

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
MEMORY_LIMIT = 1_500_000_000  # upper limit in bytes of a stage's own memory
_PROPORTION = 1.2  # upper limit of the seconds per row at a larger size, as a multiple of those at the smaller size
_STEADY = 90_000  # rows; in smaller files, a stage's constant costs weigh too much for a comparison
_LARGE = 500_000  # rows; files from this size on are measured once
_MOST = {"linear": 150_000}  # rows; this stage holds all training documents in memory and takes minutes beyond


def scale_rows(sizes: Sequence[int], repeats: int) -> Iterator[Row]:
    """Yield a row for each stage, over raw files of these ascending sizes in rows; each row needs 8 KB of disk."""
    found = [measure(rows, repeats if rows < _LARGE else 1) for rows in sizes]
    for stage in WORKS:
        yield scale_row(stage, [one[stage] for one in found if stage in one])


def measure(rows: int, repeats: int) -> dict[str, dict[str, Any]]:
    """Run all stages on a file of about ``rows`` rows; return median seconds and the largest peaks of each."""
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
    """Compare the rates at the largest and the smallest steady size; the ratio is the lowest of all larger sizes."""
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
