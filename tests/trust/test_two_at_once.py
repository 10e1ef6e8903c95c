"""Two runs of one configuration at the same time: one works, the other waits and says so, the result is whole."""

import multiprocessing
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.commands import TINY
from tests.trust.faults import Told
from tests.trust.killing import Killer, leftovers, results

pytestmark = [pytest.mark.trust, pytest.mark.timeout(600)]

_LONGER = ("trainer.max_epochs=8", "trainer.patience=null", "trainer.batch_size=8")


def _together(killer: Killer, commands: Sequence[Sequence[str]], logs: Sequence[Path]) -> list[int | None]:
    """Exit statuses of commands that begin in one moment."""
    context = killer.context
    gate = context.Barrier(len(commands))
    processes = [
        context.Process(target=_behind, args=(gate, list(words), log))
        for words, log in zip(commands, logs, strict=True)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    return [process.exitcode for process in processes]


def _behind(gate: "multiprocessing.synchronize.Barrier", words: list[str], log: Path) -> None:
    from tests.trust.killing import run_command

    gate.wait()
    run_command(words, log)


@pytest.mark.parametrize("level", ["flat", "hier"])
def test_one_works_the_other_waits(level: str, tmp_path: Path, told: Told) -> None:
    settings = ["model=bertcnn", f"level={level}", *TINY, *(_LONGER if level == "flat" else ())]
    alone = Killer(tmp_path / "alone.log")
    words = ["run", *settings, f"runs_dir={tmp_path}/alone", f"cache_dir={tmp_path}/cache-alone"]
    assert alone.run(words)
    different = waited = 0
    for attempt in range(3):
        runs, cache = tmp_path / f"runs-{attempt}", tmp_path / f"cache-{attempt}"
        logs = [tmp_path / f"{attempt}-{number}.log" for number in range(3)]
        words = ["run", *settings, f"runs_dir={runs}", f"cache_dir={cache}"]
        assert _together(alone, [words] * 3, logs) == [0, 0, 0]
        texts = [log.read_text("utf-8") for log in logs]
        waited += sum("waiting for another process that is working on" in text for text in texts)
        trained = sum(text.count(": test accuracy ") for text in texts)
        finished = len(list(runs.glob("bertcnn/[!.r]*-*/metrics.json"))) + len(list(runs.glob("bertcnn/root-*")))
        different += results(runs) != results(tmp_path / "alone")
        assert trained == finished  # each node once, by whichever
        assert leftovers(runs) == []
    told(f"3 times three commands of one configuration ({level}), {waited} of 9 waited", different)
    assert waited >= 3


def test_one_is_killed_while_others_wait(tmp_path: Path, told: Told) -> None:
    """The lock is the kernel's: it ends with the process, and one of those that wait goes on from its state."""
    killer = Killer(tmp_path / "log")
    settings = ["run", "model=bertcnn", "level=flat", *TINY, *_LONGER, "trainer.checkpoint_minutes=0"]
    settings += [f"cache_dir={tmp_path}/cache"]
    took = killer.run([*settings, f"runs_dir={tmp_path}/alone"])
    took = killer.run([*settings, f"runs_dir={tmp_path}/again"])
    assert took
    words = [*settings, f"runs_dir={tmp_path}/runs"]
    first = killer.start(words, tmp_path / "first")
    time.sleep(0.4 * took)
    others = [killer.start(words, tmp_path / f"other-{number}") for number in range(2)]
    time.sleep(0.2 * took)
    first.kill()
    for other in others:
        other.join()
        assert other.exitcode == 0
    same = results(tmp_path / "runs") == results(tmp_path / "alone")
    told("1 of three commands killed while two waited for it", not same)
    assert leftovers(tmp_path / "runs") == []
