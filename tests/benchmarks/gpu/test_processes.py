import sys
import time
from types import SimpleNamespace

from benchmarks.gpu.commands import Ended, run_process
from benchmarks.gpu.processes import gpu_tests, nine_networks
from benchmarks.gpu.steps import Clock


def check(ended, *, on_gpu=False, **more):
    asked = []
    facts = {"clock": Clock(100), "logs": {}, "amounts": SimpleNamespace(hier=("a.b=1",)), "words": ["data=x"]}
    return SimpleNamespace(
        **facts, data="x", on_gpu=on_gpu, asked=asked, run=lambda *words: asked.append(words) or ended, **more
    )


def test_tests_are_counted():
    one = check(Ended(0, "sss [100%]\n3 skipped, 81 deselected in 1.27s\n"))
    found = gpu_tests(one)
    assert (found.facts["passed"], found.facts["skipped"], found.fault) == (0, 3, "")
    (words, _), = one.asked  # fmt: skip
    assert "tests/training/test_neural.py" in words
    assert "tests/test_conf.py" not in words  # only files that have such a test are imported
    assert one.logs["tests.log"].startswith("sss")


def test_on_a_gpu_they_must_not_be_skipped():
    assert gpu_tests(check(Ended(0, "4 passed in 2s"), on_gpu=True)).fault == ""
    assert "1 were skipped" in gpu_tests(check(Ended(0, "3 passed, 1 skipped in 2s"), on_gpu=True)).fault
    failed = gpu_tests(check(Ended(1, "E\n1 failed, 3 passed in 2s"), on_gpu=True))
    assert failed.facts["failed"] == 1
    assert "status 1" in failed.fault


def test_a_run_that_did_not_end_in_time_says_so():
    one = check(Ended(None, "half\n"))
    found = nine_networks(one)
    assert found.fault == "run.py was stopped at its time limit; 0 networks were finished"
    assert one.asked[0][0][2:] == ["level=hier", "encoder=demo", "a.b=1", "data=x", one.asked[0][0][-1]]


def test_processes_end_in_time():
    assert run_process([sys.executable, "-c", "print('x'); raise SystemExit(3)"], 60) == (3, "x\n")
    start = time.monotonic()
    program = "import subprocess, sys, time; print('y', flush=True); subprocess.run(['sleep', '60'])"
    assert run_process([sys.executable, "-c", program], 1) == (None, "y\n")
    assert time.monotonic() - start < 30
