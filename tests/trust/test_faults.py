"""Full disks, limits, read-only folders, kills while anything is written, clocks that jump: old results stay."""

import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from tests.commands import command
from tests.trust.faults import Told, digests, flat_run, in_child, is_one_line
from tests.trust.killing import Killer, leftovers, results

pytestmark = [pytest.mark.trust, pytest.mark.timeout(900)]

_MODELS = ("bertcnn", "textcnn", "linear")
_KILLS = 30


@pytest.mark.parametrize("model", _MODELS)
def test_a_limit_on_the_size_of_files(model: str, tmp_path: Path, told: Told) -> None:
    assert command(*flat_run(model, tmp_path)).status == 0
    old = digests(tmp_path / "runs")
    good = results(tmp_path / "runs")
    tried = different = 0
    for limit in (0, 100, 1000, 3000, 10_000, 30_000, 100_000, 300_000):
        for more in ([], ["seed=2"]):  # the finished run; and another one, with caches that are there
            for cold in (False, True):
                if cold:
                    shutil.rmtree(tmp_path / "cache", ignore_errors=True)
                status, err = in_child(flat_run(model, tmp_path, *more), limit)
                assert status in (0, 1)
                assert is_one_line(err) if status else err == "", err
                different += {name: value for name, value in digests(tmp_path / "runs").items() if name in old} != old
                tried += 1
    assert command(*flat_run(model, tmp_path, "seed=2")).status == 0
    assert command(*flat_run(model, tmp_path)).status == 0
    assert {name: value for name, value in results(tmp_path / "runs").items() if name in good} == good
    assert leftovers(tmp_path) == []
    told(f"{tried} commands ({model}) under a limit on the size of files", different)


@contextlib.contextmanager
def _small_disk(folder: Path, kilobytes: int) -> Iterator[None]:
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", folder], capture_output=True)
    if done.returncode:
        pytest.skip("only root may mount a small disk")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


@pytest.mark.skipif(sys.platform != "linux", reason="tmpfs")
@pytest.mark.parametrize("model", _MODELS)
def test_a_full_disk(model: str, tmp_path: Path, told: Told) -> None:
    killer = Killer(tmp_path / "log")
    killer.run(flat_run(model, tmp_path))
    usual = results(tmp_path / "runs")
    tried = full = different = 0
    for kilobytes in (100, 300, 500, 800, 1200, 1600, 2000, 2500, 3000, 4000, 6000):
        disk = tmp_path / "disk"
        with _small_disk(disk, kilobytes):
            done = command(*flat_run(model, disk))
            tried += 1
            full += done.status
            assert is_one_line(done.err) if done.status else done.err == "", done.err
            before = digests(disk / "runs")
            again = command(*flat_run(model, disk))
            different += {name: digests(disk / "runs").get(name) for name in before} != before
            assert again.status == done.status
            subprocess.run(["mount", "-o", "remount,size=40m", disk], check=True)
            last = command(*flat_run(model, disk))
            assert (last.status, last.err) == (0, "")
            different += results(disk / "runs") != usual
            assert leftovers(disk) == []
        disk.rmdir()
    told(f"{tried} disks for {model}, {full} of them full, each then enlarged", different)
    assert 2 <= full < tried


@pytest.mark.skipif(sys.platform != "linux", reason="tmpfs")
def test_a_read_only_folder(tmp_path: Path, told: Told) -> None:
    disk = tmp_path / "disk"
    tried = 0
    with _small_disk(disk, 40_000):
        assert command(*flat_run("linear", disk)).status == 0
        old = digests(disk)
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        for words in (
            flat_run("linear", disk),
            flat_run("linear", disk, "seed=2"),
            ["aggregate", *flat_run("linear", disk)[1:]],
            ["report", f"runs_dir={disk}/runs", f"cache_dir={disk}/cache", "data.rows=400"],
            ["prepare", "data.rows=500", f"cache_dir={disk}/cache"],
        ):
            done = command(*words)
            tried += 1
            assert done.status == 1
            assert is_one_line(done.err), done.err
            assert "read-only" in done.err.lower()
        assert digests(disk) == old
        subprocess.run(["mount", "-o", "remount,rw", disk], check=True)
        assert command(*flat_run("linear", disk, "seed=2")).status == 0
    told(f"{tried} commands on a read-only disk")


@pytest.mark.parametrize("model", _MODELS)
def test_kills_while_everything_is_made(model: str, tmp_path: Path, told: Told) -> None:
    """Corpus, split, caches, result: from nothing, killed again and again, until it is there."""
    random = Random(model)
    killer = Killer(tmp_path / "log")
    took = killer.run(flat_run(model, tmp_path / "good"))
    took = killer.run(flat_run(model, tmp_path / "again"))
    assert took
    usual = results(tmp_path / "good" / "runs")
    killed = different = attempt = 0
    while killed < _KILLS:
        attempt += 1
        place = tmp_path / f"place-{attempt}"
        before: dict[str, str] = {}
        while killed < _KILLS and killer.run(flat_run(model, place), random.uniform(0.02, 0.9) * took) is None:
            killed += 1
            now = digests(place) if place.exists() else {}
            finished = {name: digest for name, digest in before.items() if not name.endswith("digests.json")}
            different += {name: now.get(name) for name in finished} != finished  # what was finished stays
            before = now
        killer.run(flat_run(model, place))
        different += results(place / "runs") != usual
        assert leftovers(place) == []
        shutil.rmtree(place)
    told(f"{killed} kills from an empty folder to the result of {model}", different)


def test_clocks_that_jump(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: Told) -> None:
    """Nothing is made again or taken for something else because of a time, of the clock or of a file."""
    assert command(*flat_run("linear", tmp_path)).status == 0
    old = digests(tmp_path / "runs")
    tried = 0
    for days in (-10_000, -1, 1, 10_000):
        for file in tmp_path.rglob("*"):
            os.utime(file, (time.time() + 86_400 * days,) * 2)
        with monkeypatch.context() as patched:
            now = time.time()
            patched.setattr(time, "time", lambda now=now, days=days: now - 86_400 * days)
            done = command(*flat_run("linear", tmp_path))
        tried += 1
        assert (done.status, done.err) == (0, "")
        assert "finished before" in done.out
        assert "made again" not in done.out
        assert digests(tmp_path / "runs") == old
    raw = next((tmp_path / "cache" / "demo").glob("*.csv"))
    own = tmp_path / "own.csv"
    shutil.copy2(raw, own)
    words = ["prepare", "data=cnipa", f"data.path={own}", f"cache_dir={tmp_path}/cache"]
    first = command(*words)
    facts = own.stat()
    content = own.read_bytes()
    own.write_bytes(content.replace("方法".encode("gb18030"), "装置".encode("gb18030")))
    os.utime(own, ns=(facts.st_atime_ns, facts.st_mtime_ns))  # of equal size, and as old as before
    assert own.stat().st_size == facts.st_size
    second = command(*words)
    tried += 1
    assert first.status == second.status == 0
    assert len([path for path in (tmp_path / "cache" / "corpora").iterdir() if path.name.startswith("cnipa")]) == 2
    told(f"{tried} jumps of the clock and of files' times")
