"""Run commands of the checkout as a user would: the tests that need a GPU, and the nine networks."""

import re
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.gpu.commands import CHECKOUT, Ended
from benchmarks.gpu.steps import Found
from patent_hier.atomic import read_json

if TYPE_CHECKING:
    from benchmarks.gpu.check import Check

_COUNTS = re.compile(r"(\d+) (passed|failed|errors?|skipped|deselected)")
_MARGIN = 3.0  # seconds by which a process is stopped before its step, to distinguish the two


def gpu_tests(check: "Check") -> Found:
    """Run the tests that are marked ``gpu``: on a card all must pass, without one all are skipped."""
    files = sorted(
        file.relative_to(CHECKOUT).as_posix()
        for file in (CHECKOUT / "tests").rglob("test_*.py")
        if "@pytest.mark.gpu" in file.read_text("utf-8")
    )
    words = ("-m", "pytest", "-m", "gpu", "-p", "no:cacheprovider", "--durations=0", *files)
    ended = check.run([sys.executable, *words], check.clock.step_left - _MARGIN)
    check.logs["tests.log"] = ended.output
    counts = {kind.removesuffix("s"): int(count) for count, kind in _COUNTS.findall(_last_line(ended.output))}
    facts = {"files": files, "passed": 0, "failed": 0, "skipped": 0, **counts, "status": ended.status}
    fault = "" if ended.status == 0 else _fault("pytest", ended)
    if check.on_gpu and not fault and (facts["skipped"] or not facts["passed"]):
        fault = f"{facts['passed']} tests passed and {facts['skipped']} were skipped on a machine with a GPU"
    said = f"{facts['passed']} passed, {facts['failed']} failed, {facts['skipped']} skipped; tests.log has the output."
    return Found(facts, said, fault)


def nine_networks(check: "Check") -> Found:
    """Run ``level=hier`` through ``run.py``, with an encoder with random weights, and return its table."""
    with tempfile.TemporaryDirectory() as name:
        words = ["level=hier", "encoder=demo", *check.amounts.hier, *check.words, f"runs_dir='{name}'"]
        ended = check.run([sys.executable, "run.py", *words], check.clock.step_left - _MARGIN)
        check.logs["hier.log"] = ended.output
        networks = {file.parent.name.partition("-")[0]: read_json(file) for file in Path(name).glob("*/*/metrics.json")}
        found = next(Path(name).glob("*/result-*/result.md"), None)
        table = "" if found is None else _first_tables(found.read_text("utf-8"))
    rates = {node: one["training"].get("documents_per_second") for node, one in sorted(networks.items())}
    facts = {
        "corpus": check.data,
        "words": words[:-1],
        "status": ended.status,
        "networks": sorted(networks),
        "documents_per_second": rates,
    }
    fault = "" if ended.status == 0 else f"{_fault('run.py', ended)} {len(networks)} networks were finished"
    said = f"Corpus: {check.data}. Random weights and a few epochs: the table shows that it runs, not how good it is."
    return Found(facts, f"{said}\n\n{table}".strip(), fault)


def _first_tables(text: str) -> str:
    """Return a result's tables in the paper's layout and by level; the other tables are long."""
    return "\n\n".join(text.split("\n\n")[:4])


def _last_line(output: str) -> str:
    return next((line for line in reversed(output.splitlines()) if line.strip()), "")


def _fault(name: str, ended: Ended) -> str:
    if ended.status is None:
        return f"{name} was stopped at its time limit;"
    return f"{name} ended with status {ended.status}; the end of its output: {_last_line(ended.output)[:200]};"
