"""A check from its beginning to its last line."""

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

_LAST_RESORT = 30  # seconds behind its time after which a check that hangs is ended, its record as it is
_REHEARSAL = "gpu-rehearsal"  # apart, since the plan reads the records of the check


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
        clock: The time that all have.
        folder: Of the record, not there yet; None for one by the time, among the usual ones.
        hier: Settings of ``level=hier``, and the words that they are made of.
        paper: The paper's experiment by level.

    Raises:
        ConfigError: If the size needs a GPU and there is none, or the folder holds something else.
        ProcessError: At the end, if a step has failed.
    """
    if size != "tiny" and not torch.cuda.is_available():
        raise ConfigError(
            f"--size {size} needs a GPU, and PyTorch sees no CUDA device; run it where there is one, or rehearse it "
            "here: --size tiny"
        )
    settings, words = hier
    usual = Path(settings.runs_dir) / (_REHEARSAL if size == "tiny" else GPU_CHECK)
    place = folder or usual / f"{datetime.now(UTC):%Y%m%dT%H%M%S}"
    refuse_foreign(place, KIND)
    if (place / MANIFEST).exists():
        raise ConfigError(f"--output {place} holds a record already; name another folder")
    amounts, path = AMOUNTS[size], settings.data.path
    if path is None:
        words, data = [f"data.rows={amounts.hier_rows}", *words], "the demo corpus, for no other was given"
    else:
        data = f"{settings.data.name}, {Path(path).name}"
    runs, texts = Path(settings.runs_dir), made_up(amounts.texts)
    check = Check(amounts, clock, paper=paper, words=words, data=data, runs=runs, **texts)
    device = torch.cuda.get_device_name() if check.on_gpu else "cpu"
    note = "A rehearsal: its figures say nothing of a GPU." if size == "tiny" else f"level=hier reads {data}."
    say(f"gpu check, size {size}, on {device}; {note}")
    facts = {"size": size, "device": device, "note": note, "data": data}

    def keep(so_far: Sequence[Outcome]) -> None:
        write(check, place, facts, so_far)
        gc.collect()  # a trainer and its network hold each other, and the card's memory with them
        if check.on_gpu:
            torch.cuda.empty_cache()

    last, stderr = max(1.0, clock.left) + _LAST_RESORT, sys.__stderr__
    assert stderr is not None  # it is None in programs without a console only
    faulthandler.dump_traceback_later(last, exit=True, file=stderr)  # a kernel hears no signal
    outcomes = run_steps(STEPS, check, clock, keep, say)
    faulthandler.cancel_dump_traceback_later()
    say(f"gpu check: {summary(outcomes)}; {place / 'record.md'}")
    if failed := [one.name for one in outcomes if one.status == FAILED]:
        raise ProcessError(f"{len(failed)} of {len(outcomes)} steps failed: {', '.join(failed)}; {place} says why")
