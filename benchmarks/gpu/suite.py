"""Steps of the check, the most valuable first, with their expected seconds; and the record of the check."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.gpu.check import Check
from benchmarks.gpu.hours import hours
from benchmarks.gpu.losses import compiled_losses, losses
from benchmarks.gpu.machine import machine
from benchmarks.gpu.pretraining import pretraining
from benchmarks.gpu.processes import gpu_tests, nine_networks
from benchmarks.gpu.resume import resume
from benchmarks.gpu.scoring import scoring
from benchmarks.gpu.steps import DONE, FAILED, SKIPPED, Outcome, Step
from benchmarks.gpu.training import compiled_steps, training_steps
from benchmarks.speed.record import write_record

KIND = "gpu-check"  # of the manifest
# Estimated seconds on one H200: not measured there yet. On a CPU at tiny size, each step takes a few seconds at most.
STEPS = (
    Step("machine", "facts about the machine", 5, machine),
    Step("training", "training steps compared with Hugging Face's Trainer", 30, training_steps),
    Step("losses", "losses in bf16 compared with fp32, with each kind of attention", 55, losses),
    Step("resume", "training that is stopped and resumed", 40, resume),
    Step("scoring", "scoring abstracts and titles", 35, scoring),
    Step("hours", "projected hours of the paper's experiment", 5, hours),
    Step("tests", "the tests that are marked gpu", 50, gpu_tests),
    Step("compiled", "training steps with a compiled encoder", 75, compiled_steps),
    Step("pretraining", "tokens per second of pre-training", 70, pretraining),
    Step("hier", "level=hier through run.py, with an encoder with random weights", 110, nine_networks),
    Step("compiled losses", "losses with a compiled encoder", 45, compiled_losses),
)


def write(check: Check, folder: Path, facts: Mapping[str, Any], outcomes: Sequence[Outcome]) -> None:
    """Write the record of all steps so far, in the format of ``speed`` with ``record.json`` and ``record.md``."""
    told = finite({**facts, "steps": [outcome.as_dict() for outcome in outcomes]})
    files = {
        "record.json": json.dumps(told, ensure_ascii=False, indent=2, allow_nan=False) + "\n",
        "record.md": markdown(facts, outcomes),
        **check.logs,
    }
    rows = [replace(row, facts=finite(row.facts)) for row in check.rows]
    write_record(rows, folder, {**facts, "kind": KIND}, files)


def finite(value: Any) -> Any:
    """Return the value with None for NaN and infinity, which JSON lacks, so that one step cannot spoil the record."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: finite(one) for key, one in value.items()}
    return [finite(one) for one in value] if isinstance(value, list | tuple) else value


def markdown(facts: Mapping[str, Any], outcomes: Sequence[Outcome]) -> str:
    """Format the record as Markdown."""
    lines = [f"# GPU check, size {facts['size']}", "", f"Device: {facts['device']}. {facts['note']}", ""]
    lines += ["| step | what | result | seconds |", "| --- | --- | --- | --- |"]
    for one in outcomes:
        result = f"{one.status}: {one.reason}" if one.reason else one.status
        lines.append(f"| {one.name} | {one.what} | {result.replace('|', '/')} | {one.seconds:.1f} |")
    for one in outcomes:
        if one.found.text:
            lines += ["", f"## {one.name}", "", one.found.text.rstrip()]
    return "\n".join(lines) + "\n"


def summary(outcomes: Sequence[Outcome]) -> str:
    """Return one line with the numbers of steps that are done, failed and skipped, and the names of the latter two."""
    names = {status: [one.name for one in outcomes if one.status == status] for status in (DONE, FAILED, SKIPPED)}
    which = {status: f" ({', '.join(own)})" if own and status != DONE else "" for status, own in names.items()}
    return ", ".join(f"{len(own)} {status}{which[status]}" for status, own in names.items())
