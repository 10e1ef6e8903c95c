import signal
import time

import pytest

from benchmarks.gpu.steps import DONE, FAILED, SKIPPED, Clock, Found, Step, run_steps
from patent_hier.errors import ConfigError


def run(*steps, seconds=100.0):
    kept, said = [], []
    clock = Clock(seconds)
    outcomes = run_steps(steps, "context", clock, lambda so_far: kept.append(len(so_far)), said.append)
    return outcomes, kept, said


def works(context):
    assert context == "context"
    return Found({"number": 1}, "text")


def broken(_):
    raise ValueError("it\nbroke")


def refused(_):
    raise ConfigError("a=1 is wrong; take 2")


def test_one_that_fails_does_not_end_the_others():
    steps = [Step("a", "…", 1, broken), Step("b", "…", 1, refused), Step("c", "…", 1, works)]
    outcomes, kept, _ = run(*steps)
    assert [(one.status, one.reason) for one in outcomes] == [
        (FAILED, "ValueError: it broke"), (FAILED, "a=1 is wrong; take 2"), (DONE, "")
    ]  # fmt: skip
    assert kept == [1, 2, 3]  # written after every step
    assert outcomes[2].as_dict()["facts"] == {"number": 1}


def test_a_fault_keeps_its_facts():
    (outcome,), _, _ = run(Step("a", "…", 1, lambda _: Found({"apart": 2.0}, "", "too far apart")))
    assert (outcome.status, outcome.reason, outcome.found.facts) == (FAILED, "too far apart", {"apart": 2.0})


def test_what_would_not_fit_is_skipped_and_said_to_be():
    outcomes, kept, said = run(Step("long", "…", 60, broken), Step("short", "…", 1, works), seconds=30)
    assert [one.status for one in outcomes] == [SKIPPED, DONE]
    assert outcomes[0].reason == "too little time: about 60 s are needed, 30 s are left"
    assert kept == [1, 2]
    assert "skipped in 0.0 s: too little time" in said[0]


def test_what_hangs_is_broken_off_and_other_alarms_stay():
    before = signal.getsignal(signal.SIGALRM)
    timer = signal.getitimer(signal.ITIMER_REAL)[0]
    (outcome,), _, _ = run(Step("hangs", "…", 0.05, lambda _: time.sleep(20)))
    assert outcome.status == FAILED
    assert outcome.reason.startswith("stopped after 0 s")
    assert outcome.seconds < 5
    assert signal.getsignal(signal.SIGALRM) is before
    assert (signal.getitimer(signal.ITIMER_REAL)[0] > 0) == (timer > 0)  # pytest-timeout's


def test_ctrl_c_ends_all():
    def stopped(_):
        raise KeyboardInterrupt

    kept = []
    with pytest.raises(KeyboardInterrupt):
        run_steps([Step("a", "…", 1, works), Step("b", "…", 1, stopped)], "context", Clock(9), kept.append, print)
    assert len(kept) == 1
