"""Full disks, limits, read-only folders, kills while anything is written, clocks that jump: old results stay."""

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.commands import command
from tests.trust.faults import Told, digests, flat_run, in_child, is_one_line
from tests.trust.killing import Killer, leftovers, results, without

pytestmark = [pytest.mark.trust, pytest.mark.timeout(900)]

MODELS = ("bertcnn", "textcnn", "linear")  # flat, from an empty folder: corpus, split, caches, result
OTHERS = ("hier", "report", "audit", "combine", "predict", "pretrain")  # the first and the last from an empty folder
_CLOCKS = ("seconds", "documents_per_second", "score_seconds", "combine_seconds", "peak_memory_bytes", "resumed")
_CLOCKS += ("tokens_per_second", "bytes", "sha256", "fingerprint")  # the last: of files with clocks in them
_TEXTS = (".json", ".md", ".yaml", ".html")
_DATE = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00|\d\d\d\d-\d\d-\d\d \d\d:\d\d(:\d\d)?( UTC)?|"
    r"[\d.]+ minutes, [\d,]+ tokens/s"
)
_PRETRAIN = ("architecture.hidden_size=16", "architecture.num_hidden_layers=2", "architecture.num_attention_heads=2")
_PRETRAIN += ("architecture.intermediate_size=32", "max_steps=6", "steps_per_round=2", "seq_len=16", "batch_size=4")
_PRETRAIN += ("held_out=0.1", "num_threads=1", "accelerator=cpu")


def _hier(model: str, place: Path) -> list[str]:
    return [word if word != "level=flat" else "level=hier" for word in flat_run(model, place)]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Finished results of three models, and a file to classify."""
    place = tmp_path_factory.mktemp("world")
    for words in (_hier("linear", place), _hier("naive_bayes", place), flat_run("textcnn", place)):
        assert command(*words).status == 0
    shutil.copy(next((place / "cache" / "demo").glob("*.csv")), place / "incoming.csv")
    return place


def _begin(what: str, world: Path, place: Path) -> list[str]:
    """Make the place of a command, in which all lies that it writes, most of it in ``out``; the command's words."""
    where = ("data.rows=400", f"runs_dir={place}/runs", f"cache_dir={place}/cache")
    if what in (*MODELS, "hier", "pretrain"):
        place.mkdir()
        if what == "pretrain":
            return ["pretrain", *_PRETRAIN, *where]
        return flat_run(what, place) if what in MODELS else _hier("linear", place)
    shutil.copytree(world, place)
    members = [str(next((place / "runs").glob(f"{model}/result-hier-*"))) for model in ("linear", "naive_bayes")]
    if what == "combine":
        return ["combine", *members, "--runs-dir", f"{place}/runs", "--cache-dir", f"{place}/cache"]
    if what == "predict":
        return ["predict", members[0], f"{place}/incoming.csv", "--output", f"{place}/out.csv", "--overwrite"]
    return [what, "--output", f"{place}/out", *where]


def _content(place: Path) -> dict[str, Any]:
    """All files of a place but the caches: texts without dates, JSON without clocks, of others the digest."""
    found: dict[str, Any] = {}
    for name, digest in digests(place).items():
        if name.startswith("cache/"):
            continue
        suffix = Path(name).suffix
        text = _DATE.sub("DATE", (place / name).read_text("utf-8")) if suffix in _TEXTS else ""
        found[name] = without(_CLOCKS, json.loads(text)) if suffix == ".json" else text or digest
    return found


@pytest.mark.parametrize(("what", "kills"), [*((model, 30) for model in MODELS), *((what, 10) for what in OTHERS)])
def test_killed(what: str, kills: int, world: Path, tmp_path: Path, told: Told) -> None:
    random = Random(what)
    killer = Killer(tmp_path / "log")
    place = tmp_path / "place"  # always the same, since some outputs name it
    usual: dict[str, Any] = {}
    took = 0.0
    for _ in range(2):
        took = killer.run(_begin(what, world, place)) or 0.0
        usual = usual or _content(place)
        assert _content(place) == usual  # two runs give the same
        shutil.rmtree(place)
    killed = different = 0
    while killed < kills:
        words = _begin(what, world, place)
        before: dict[str, str] = {}
        while killed < kills and killer.run(words, random.uniform(0.02, 0.9 if what in MODELS else 1.0) * took) is None:
            killed += 1
            now, there = _content(place), digests(place)
            different += any(now[name] != usual.get(name) for name in now)  # nothing is half there
            if what in MODELS:
                finished = {name: digest for name, digest in before.items() if not name.endswith("digests.json")}
                different += {name: there.get(name) for name in finished} != finished  # what was finished stays
            before = there
        killer.run(words)
        different += _content(place) != usual
        assert leftovers(place) == []
        shutil.rmtree(place)
    told(f"{killed} kills of {what}", different)


@pytest.mark.parametrize("model", MODELS)
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
                in_child(flat_run(model, tmp_path, *more), limit)
                different += {name: value for name, value in digests(tmp_path / "runs").items() if name in old} != old
                tried += 1
    assert command(*flat_run(model, tmp_path, "seed=2")).status == 0
    assert command(*flat_run(model, tmp_path)).status == 0
    assert {name: value for name, value in results(tmp_path / "runs").items() if name in good} == good
    assert leftovers(tmp_path) == []
    told(f"{tried} commands ({model}) under a limit on the size of files", different)


@pytest.mark.parametrize("what", OTHERS)
def test_a_limit_over_its_own_output(what: str, world: Path, tmp_path: Path, told: Told) -> None:
    place = tmp_path / "place"
    words = _begin(what, world, place)
    assert command(*words).status == 0
    old, usual = digests(place), _content(place)
    tried = refused = different = 0
    for limit in (0, 100, 1000, 5000, 20_000, 100_000):
        refused += in_child(words, limit) != 0
        tried += 1
        now = digests(place)
        different += {name: now.get(name) for name in old} != old and _content(place) != usual
    assert command(*words).status == 0
    different += _content(place) != usual
    assert leftovers(place) == []
    told(f"{tried} times {what} over its own output under a limit, {refused} of them refused", different)


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
@pytest.mark.parametrize("model", MODELS)
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
        done = command("aggregate", *flat_run("linear", disk)[1:])  # the result exists: there is nothing to write
        assert (done.status, done.err) == (0, "")
        for words in (
            flat_run("linear", disk),
            flat_run("linear", disk, "seed=2"),
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
        assert "already finished" in done.out
        assert "rebuilt" not in done.out
        assert digests(tmp_path / "runs") == old
    own = tmp_path / "own.csv"
    shutil.copy2(next((tmp_path / "cache" / "demo").glob("*.csv")), own)
    words = ["prepare", "data=cnipa", f"data.path={own}", f"cache_dir={tmp_path}/cache"]
    first, facts = command(*words), own.stat()
    own.write_bytes(own.read_bytes().replace("方法".encode("gb18030"), "装置".encode("gb18030")))
    os.utime(own, ns=(facts.st_atime_ns, facts.st_mtime_ns))  # of equal size, and as old as before
    assert own.stat().st_size == facts.st_size
    second = command(*words)
    tried += 1
    assert first.status == second.status == 0
    assert len(list((tmp_path / "cache" / "corpora").glob("cnipa*"))) == 2
    told(f"{tried} jumps of the clock and of files' times")
