"""Run a GPU check from start to end."""

import faulthandler
import gc
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import torch

from benchmarks.gpu.check import AMOUNTS, Check, made_up
from benchmarks.gpu.steps import FAILED, Clock, Outcome, run_steps
from benchmarks.gpu.suite import KIND, STEPS, summary, write
from benchmarks.plan.records import GPU_CHECK
from patent_hier.artifacts import MANIFEST, refuse_foreign
from patent_hier.errors import ConfigError, ProcessError
from patent_hier.progress import say
from patent_hier.settings import Settings

_LAST_RESORT = 30  # seconds after its time limit at which a check that hangs is ended; its record so far remains
_REHEARSAL = "gpu-rehearsal"  # a separate folder, because the plan reads the records of the check


def run_check(
    size: str,
    clock: Clock,
    folder: Path | None,
    hier: tuple[Settings, Sequence[str]],
    paper: Mapping[str, Settings],
) -> None:
    """Run all steps for which there is time, and record them.

    Args:
        size: A name in :data:`AMOUNTS`.
        clock: Clock of the whole check.
        folder: New folder for the record; None for one named after the time, in the usual folder.
        hier: Settings of ``level=hier``, and the overrides that give them.
        paper: Settings of the paper's experiment by level.

    Raises:
        ConfigError: If the size needs a GPU and there is none, or the folder has other content.
        ProcessError: At the end, if a step has failed.
    """
    if size != "tiny" and not torch.cuda.is_available():
        raise ConfigError(
            f"--size {size} needs a GPU, but PyTorch finds no CUDA device; use a machine with a GPU, or rehearse the "
            "check with --size tiny"
        )
    settings, words = hier
    usual = Path(settings.runs_dir) / (_REHEARSAL if size == "tiny" else GPU_CHECK)
    place = folder or usual / f"{datetime.now(UTC):%Y%m%dT%H%M%S}"
    refuse_foreign(place, KIND)
    if (place / MANIFEST).exists():
        raise ConfigError(f"--output {place} already has a record; use another folder")
    amounts, path = AMOUNTS[size], settings.data.path
    if path is None:
        words, data = [f"data.rows={amounts.hier_rows}", *words], "the demo corpus (no other was given)"
    else:
        data = f"{settings.data.name}, {Path(path).name}"
    runs, texts = Path(settings.runs_dir), made_up(amounts.texts)
    check = Check(amounts, clock, paper=paper, words=words, data=data, runs=runs, **texts)
    device = torch.cuda.get_device_name() if check.on_gpu else "cpu"
    note = "A rehearsal: its figures say nothing about a GPU." if size == "tiny" else f"level=hier reads {data}."
    say(f"gpu check, size {size}, on {device}; {note}")
    facts = {"size": size, "device": device, "note": note, "data": data}

    def keep(so_far: Sequence[Outcome]) -> None:
        write(check, place, facts, so_far)
        gc.collect()  # a trainer and its network reference each other, and hold the card's memory
        if check.on_gpu:
            torch.cuda.empty_cache()

    last, stderr = max(1.0, clock.left) + _LAST_RESORT, sys.__stderr__
    assert stderr is not None  # it is None only in programs without a console
    faulthandler.dump_traceback_later(last, exit=True, file=stderr)  # signals cannot interrupt a kernel
    outcomes = run_steps(STEPS, check, clock, keep, say)
    faulthandler.cancel_dump_traceback_later()
    say(f"gpu check: {summary(outcomes)}; {place / 'record.md'}")
    if failed := [one.name for one in outcomes if one.status == FAILED]:
        raise ProcessError(f"{len(failed)} of {len(outcomes)} steps failed: {', '.join(failed)}; see {place}")
