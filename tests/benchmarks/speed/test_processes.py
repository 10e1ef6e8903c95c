from pathlib import Path

import pytest

from benchmarks.speed.processes import run_measured
from patent_hier.errors import ProcessError

MODULE = """
import json, subprocess, sys, time

size, depth = int(sys.argv[1]), int(sys.argv[2])
held = b"x" * size
if depth:
    subprocess.run([sys.executable, "-m", "held", str(size), str(depth - 1)], stdout=subprocess.DEVNULL, check=True)
time.sleep(0.3)
print("a line that says nothing")
print(json.dumps({"seconds": 1.5}))
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "held.py").write_text(MODULE, "utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return "held"


def test_the_memory_of_all_descendants_counts(module: str) -> None:
    size = 50 << 20
    alone, with_two_more = (run_measured(module, str(size), depth) for depth in ("0", "2"))
    assert alone["seconds"] == 1.5
    assert size < alone["peak_own_bytes"] < alone["peak_bytes"] < 2 * size
    assert 3 * size < with_two_more["peak_bytes"] < 6 * size


def test_a_failure_is_named(module: str) -> None:
    with pytest.raises(ProcessError, match="-m held x 0 failed"):
        run_measured(module, "x", "0")
