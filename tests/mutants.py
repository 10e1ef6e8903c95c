"""Plant small faults in the core, one at a time, and count how many the tests notice: ``make mutants``.

Cosmic Ray finds the places (another operator, comparison, number, constant or condition); a fixed sample of them is
tried in a copy of the checkout, each against the tests that mirror its file. A mutant that no test notices survives: it
is printed with its line, to be explained or to get a test (docs/mutants.md). Half an hour; no part of ``make test``.
"""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from attrs import evolve
from cosmic_ray.commands.init import _all_work_items
from cosmic_ray.mutating import mutate_and_test
from cosmic_ray.work_item import MutationSpec, TestOutcome

ROOT = Path(__file__).resolve().parents[1]
SEED = 17
# Module -> the tests that must notice: its mirrored file, and where one promise is tested elsewhere, that one too.
MODULES: dict[str, tuple[str, ...]] = {
    "taxonomy/tree.py": ("taxonomy/test_tree.py",),
    "taxonomy/paths.py": ("taxonomy/test_tree.py",),
    "taxonomy/arithmetic.py": ("taxonomy/test_arithmetic.py",),
    "data/labels.py": ("data/test_labels.py",),
    "data/assigning.py": ("data/test_splits.py",),
    "data/splits.py": ("data/test_splits.py", "data/test_split_dates.py"),
    "models/heads.py": ("models/test_heads.py",),
    "models/tree_softmax.py": ("models/test_tree_softmax.py",),
    "models/term_heads.py": ("models/test_term_heads.py",),
    "training/losses.py": ("training/test_losses.py",),
    "training/node_views.py": ("training/test_node_views.py",),
    "training/resume.py": ("training/test_resume.py",),
    "evaluation/metrics.py": ("evaluation/test_metrics.py",),
    "evaluation/contract.py": ("evaluation/test_contract.py",),
    "evaluation/system.py": ("evaluation/test_system.py",),
    "evaluation/scores.py": ("evaluation/test_scores.py",),
    "evaluation/aggregate.py": ("evaluation/test_aggregate.py",),
    "evaluation/decoding.py": ("evaluation/test_decoding.py",),
    "evaluation/scaling.py": ("evaluation/test_scaling.py",),
    "evaluation/recalibration.py": ("evaluation/test_recalibration.py",),
    "evaluation/selective.py": ("evaluation/test_selective.py",),
    "evaluation/guarantee.py": ("evaluation/test_guarantee.py",),
    "evaluation/pooling.py": ("evaluation/test_pooling.py",),
    "atomic.py": ("test_artifacts.py",),
    "artifacts.py": ("test_artifacts.py",),
}
# They change annotations, decorators of dataclasses and the like, which no test can notice, or compare numbers by
# identity, which of small ones is the same.
_IDLE_OPERATORS = ("BitOr", "RemoveDecorator", "ExceptionReplacer", "VariableReplacer", "VariableInserter", "AddNot")
_IDLE_ENDINGS = ("_Is", "_IsNot")
_LONGER = 10  # times as long as without a fault: a mutant that runs longer counts as noticed, and is named
# Likewise amounts of memory in work at a time, numbers of formats, and whether a file is mapped: results are equal.
_IDLE_LINES = ("@", "from ", "import ", "raise ", "def ", '"""', "_CELLS = ", "_CHUNK = ", "STATE_VERSION = ")


def mutations(module: str) -> list[MutationSpec]:
    """All mutations of a module that change what it does, in a fixed order."""
    path = ROOT / "patent_hier" / module
    lines = path.read_text("utf-8").splitlines()
    found = (mutation for item in _all_work_items([path], {}) for mutation in item.mutations)
    return [own for own in found if not _is_idle(own, lines)]


def _is_idle(mutation: MutationSpec, lines: list[str]) -> bool:
    line = lines[mutation.start_pos[0] - 1].strip()
    name = mutation.operator_name
    idle = any(part in name for part in _IDLE_OPERATORS) or name.endswith(_IDLE_ENDINGS)
    return idle or line.startswith(_IDLE_LINES) or "mmap=" in line


def sample(size: int) -> Iterator[tuple[str, MutationSpec]]:
    """A fixed sample, the same number of every module as far as it has so many."""
    generator = random.Random(SEED)
    for module in MODULES:
        own = mutations(module)
        yield from ((module, one) for one in generator.sample(own, min(len(own), -(-size // len(MODULES)))))


def copy_of_checkout(folder: Path) -> Path:
    """A copy in which files are changed; results, caches and environments stay behind."""
    ignored = shutil.ignore_patterns(".git", ".venv", "runs", "cache", "local", "__pycache__", ".*_cache")
    return Path(shutil.copytree(ROOT, folder / "checkout", ignore=ignored))


def command_for(module: str) -> str:
    """The tests of a module."""
    tests = " ".join(f"tests/{name}" for name in MODULES[module])
    return f"{sys.executable} -m pytest -x -q -p no:cacheprovider -p no:xdist {tests}"


def seconds_without_fault(module: str) -> float:
    """How long its tests take; they must pass."""
    start = time.perf_counter()
    subprocess.run(command_for(module).split(), check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def outcome_of(module: str, mutation: MutationSpec, timeout: float) -> tuple[str, list[str]]:
    """What the tests make of a mutant in this folder: ``noticed``, ``too slow`` or ``SURVIVED``; its changed lines."""
    here = evolve(mutation, module_path=Path("patent_hier") / module)
    result = mutate_and_test([here], command_for(module), timeout)
    lines = (result.diff or "").splitlines()
    changed = [line for line in lines if line[:1] in "+-" and line[:3] not in ("+++", "---")]
    if result.test_outcome is TestOutcome.SURVIVED:
        return "SURVIVED", changed
    return "too slow" if result.output == "timeout" else "noticed", changed


def main() -> int:
    """Try the sample; print survivors and the share that was noticed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=220)
    parser.add_argument("--only", help="modules whose path contains this")
    parser.add_argument("--output", type=Path, help="survivors as JSON")
    words = parser.parse_args()
    output = words.output and words.output.absolute()
    chosen = [(module, one) for module, one in sample(words.size) if not words.only or words.only in module]
    counts: dict[str, Counter[str]] = {}
    survivors = []
    with tempfile.TemporaryDirectory() as scratch:
        os.chdir(copy_of_checkout(Path(scratch)))
        os.environ |= {"PYTHONPATH": str(Path.cwd()), "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
        for number, (module, mutation) in enumerate(chosen, 1):
            if module not in counts:
                counts[module] = Counter()
                timeout = _LONGER * seconds_without_fault(module)
            outcome, changed = outcome_of(module, mutation, timeout)
            counts[module][outcome] += 1
            place = f"{module}:{mutation.start_pos[0]} {mutation.operator_name.rpartition('/')[2]}"
            print(f"{number}/{len(chosen)} {outcome} {place}", flush=True)
            if outcome == "SURVIVED":
                print("   " + "\n   ".join(changed), flush=True)
                survivors.append({"place": place, "diff": changed})
    for module, own in counts.items():
        print(f"{module:<28} noticed {own.total() - own['SURVIVED']} of {own.total()}, {own['too slow']} by their time")
    noticed = len(chosen) - len(survivors)
    print(f"noticed {noticed} of {len(chosen)}: {noticed / max(1, len(chosen)):.1%}")
    if output:
        output.write_text(json.dumps(survivors, indent=2), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
