"""Records of the bench with made-up figures."""

from pathlib import Path

from patent_hier.artifacts import seal
from patent_hier.atomic import write_json


def stage_row(stage, rate, rows=2_770_000, own=600e6):
    documents = rows * 9 // 10
    items = rows if stage == "prepare" else documents
    size = {
        "rows": rows, "items": items, "documents": documents, "per_second": rate, "peak_own_bytes": own,
        "bytes_read": 600 * rows, "bytes_written": 300 * documents,
    }  # fmt: skip
    return {"work": stage, "facts": {"stage": stage, "sizes": [{"rows": 10, "per_second": 1.0}, size]}}


def speed_row(work, ours, **facts):
    return {"work": work, "ours": ours, "facts": {"documents": 10, "tokens": 1900, **facts}}


STAGES = [stage_row("prepare", 50_000.0), *(stage_row(name, 100_000.0) for name in ("split", "encode", "loader"))]
STEPS = [
    speed_row("training step, base size, batches of 16", 1.5, device="cpu", precision="32-true"),
    speed_row("training step, demo size, batches of 16", 100.0, device="cpu", precision="32-true"),
]
SCORES = [speed_row("scoring abstracts, base size", 5.0), speed_row("scoring abstracts, demo size", 500.0)]
ALL = [*STAGES, *STEPS, *SCORES]


def write_record(folder: Path, rows, date="2026-01-01") -> Path:
    folder.mkdir(parents=True)
    write_json(folder / "bench.json", rows)
    seal(folder, {"kind": "bench", "environment": {"date": date, "cpus": 2, "git_commit": "0123456789"}})
    return folder
