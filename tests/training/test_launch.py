"""Processes that are started and fail; how a node is trained in them is in test_ddp.py."""

import os
import signal
import sys
import time
from pathlib import Path

import pytest
import torch
import torch.distributed as dist

from patent_hier.errors import ConfigError, ProcessError
from patent_hier.training.launch import join_group, launch
from patent_hier.training.ranks import Ranks


class StrangeError(Exception):
    """One that the program does not know."""


def add_up(ranks: Ranks, folder: Path) -> None:
    print(f"I am {ranks.rank}")
    join_group(ranks, on_gpu=False)
    total = torch.tensor([float(ranks.rank + 1)])
    dist.all_reduce(total)
    (folder / f"total-{ranks.rank}").write_text(str(total.item()))


def fail(ranks: Ranks, kind: str) -> None:
    """The last rank fails while the others wait for it; without it they would do so for half an hour."""
    join_group(ranks, on_gpu=False)
    dist.barrier()
    if ranks.rank == ranks.size - 1:
        if kind == "config":
            raise ConfigError("optimizer.lr=9 is too high; lower it")
        if kind == "strange":
            raise StrangeError("something broke")
        if kind == "disk":
            raise OSError(28, "No space left on device", "/full/disk")
        if kind == "exit":
            sys.exit(3)
        os.kill(os.getpid(), signal.SIGKILL)
    dist.barrier()


def sleep(ranks: Ranks, folder: Path) -> None:
    (folder / f"pid-{ranks.rank}").write_text(str(os.getpid()))
    time.sleep(600)


def test_processes_find_each_other_and_only_rank_0_prints(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    launch(add_up, 2, tmp_path, tmp_path)
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == {"total-0": "3.0", "total-1": "3.0"}
    assert capfd.readouterr() == ("I am 0\n", "")
    assert "RANK" not in os.environ


def count_threads(ranks: Ranks, folder: Path) -> None:
    (folder / f"threads-{ranks.rank}").write_text(str(torch.get_num_threads()))


@pytest.mark.slow
def test_processes_share_the_threads_of_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "2")  # of one process, on a machine of two cores or more
    launch(count_threads, 2, tmp_path, tmp_path)
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == {"threads-0": "1", "threads-1": "1"}


@pytest.mark.parametrize(
    ("kind", "name", "message"),
    [
        ("config", "ConfigError", r"optimizer\.lr=9 is too high; lower it"),
        ("kill", "ProcessError", r"process 1 of 2 was killed by SIGKILL"),
        pytest.param("strange", "StrangeError", "something broke", marks=pytest.mark.slow),
        pytest.param("disk", "OSError", "No space left", marks=pytest.mark.slow),
        pytest.param("exit", "ProcessError", "process 1 of 2 exited with status 3", marks=pytest.mark.slow),
    ],
)
def test_one_failure_ends_all_and_is_told_as_it_was(
    kind: str, name: str, message: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(Exception, match=message) as caught:
        launch(fail, 2, tmp_path, kind)
    error = caught.value
    assert type(error).__name__ == name
    assert isinstance(error, ConfigError) == (kind == "config")
    assert isinstance(error, ProcessError) == (kind in ("kill", "exit"))
    assert getattr(error, "filename", None) == ("/full/disk" if kind == "disk" else None)
    if kind != "kill":
        assert "test_launch.py" in error.__notes__[0]  # the traceback, for PATENT_HIER_DEBUG=1
    assert "Traceback" not in capfd.readouterr().err


def test_an_interruption_ends_all(tmp_path: Path) -> None:
    def interrupt(number: int, frame: object) -> None:
        if len(list(tmp_path.glob("pid-*"))) == 2:
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.2, 0.2)
    try:
        with pytest.raises(KeyboardInterrupt):
            launch(sleep, 2, tmp_path, tmp_path)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    for file in tmp_path.glob("pid-*"):
        with pytest.raises(ProcessLookupError):
            os.kill(int(file.read_text()), 0)
