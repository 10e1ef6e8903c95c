import subprocess
import sys
import time
from pathlib import Path

import pytest

from patent_hier.bench.measuring import run_measured, tree_memory
from patent_hier.errors import DataError

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
    alone = run_measured(module, [str(size), "0"])
    with_two_more = run_measured(module, [str(size), "2"])
    assert alone.report == {"seconds": 1.5}
    assert size < alone.peak_bytes < 2 * size
    assert 3 * size < with_two_more.peak_bytes < 6 * size


def test_a_failure_shows_its_last_words(module: str) -> None:
    with pytest.raises(DataError, match=r"held x 0 failed: .*invalid literal for int\(\).*run it by itself"):
        run_measured(module, ["x", "0"])


def test_a_process_that_has_ended_holds_nothing() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        time.sleep(0.1)
        assert tree_memory(process.pid).own > 1 << 20
    assert tree_memory(process.pid) == (0, 0)
