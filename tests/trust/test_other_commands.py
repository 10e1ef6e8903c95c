"""What is made after a model, or without one: killed, and under a limit on the size of files."""

import json
import re
import shutil
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.commands import TINY_OF, command
from tests.trust.faults import Told, digests, in_child, is_one_line
from tests.trust.killing import Killer, leftovers, without

pytestmark = [pytest.mark.trust, pytest.mark.timeout(900)]

_KILLS = 10
_LIMITS = (0, 100, 1000, 5000, 20_000, 100_000)  # bytes
_DATA = ("data.rows=400",)
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


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Finished results of three models, and a file to classify."""
    place = tmp_path_factory.mktemp("world")
    for model in ("linear", "naive_bayes"):
        assert command(*_run(model, place)).status == 0
    assert command(*_run("textcnn", place, "level=flat")).status == 0
    shutil.copy(next((place / "cache" / "demo").glob("*.csv")), place / "incoming.csv")
    return place


def _run(model: str, place: Path, level: str = "level=hier") -> list[str]:
    return ["run", f"model={model}", level, *TINY_OF[model], f"runs_dir={place}/runs", f"cache_dir={place}/cache"]


def _result(place: Path, model: str) -> Path:
    return next((place / "runs").glob(f"{model}*/result-hier-*"))


def _words(what: str, place: Path) -> list[str]:
    """The words of a command; all that it writes is in the place, most of it in ``out``."""
    where = (f"runs_dir={place}/runs", f"cache_dir={place}/cache")
    if what == "run":
        return _run("linear", place)
    if what == "combine":
        members = [str(_result(place, model)) for model in ("linear", "naive_bayes")]
        return ["combine", *members, "--runs-dir", f"{place}/runs", "--cache-dir", f"{place}/cache"]
    if what == "predict":
        file = ("--output", f"{place}/out.csv", "--overwrite")
        return ["predict", str(_result(place, "linear")), f"{place}/incoming.csv", *file]
    if what == "pretrain":
        return ["pretrain", *_PRETRAIN, *_DATA, *where]
    return [what, "--output", f"{place}/out", *_DATA, *where]


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


def _copy(world: Path, place: Path, what: str) -> Path:
    if what in ("run", "pretrain"):
        place.mkdir()
    else:
        shutil.copytree(world, place)
    return place


WHAT = ("run", "report", "audit", "combine", "predict", "pretrain")


@pytest.mark.parametrize("what", WHAT)
def test_killed(what: str, world: Path, tmp_path: Path, told: Told) -> None:
    random = Random(what)
    killer = Killer(tmp_path / "log")
    place = tmp_path / "place"  # always the same, since some outputs name it
    usual: dict[str, Any] = {}
    took = 0.0
    for _ in range(2):
        took = killer.run(_words(what, _copy(world, place, what))) or 0.0
        usual = usual or _content(place)
        assert _content(place) == usual  # two runs give the same
        shutil.rmtree(place)
    killed = different = 0
    while killed < _KILLS:
        _copy(world, place, what)
        while killed < _KILLS and killer.run(_words(what, place), random.uniform(0.05, 1.0) * took) is None:
            killed += 1
            now = _content(place)
            whole = {name for name in now if name in usual and now[name] == usual[name]}
            different += bool(now.keys() - whole)  # nothing is half there
        killer.run(_words(what, place))
        different += _content(place) != usual
        assert leftovers(place) == []
        shutil.rmtree(place)
    told(f"{killed} kills of {what}", different)


@pytest.mark.parametrize("what", WHAT)
def test_a_limit_on_the_size_of_files(what: str, world: Path, tmp_path: Path, told: Told) -> None:
    place = _copy(world, tmp_path / "place", what)
    assert command(*_words(what, place)).status == 0
    old, usual = digests(place), _content(place)
    tried = refused = different = 0
    for limit in _LIMITS:
        status, err = in_child(_words(what, place), limit)
        tried += 1
        refused += status != 0
        assert status in (0, 1)
        assert is_one_line(err) if status else err == "", err
        now = digests(place)
        different += {name: now.get(name) for name in old} != old and _content(place) != usual
    assert command(*_words(what, place)).status == 0
    different += _content(place) != usual
    assert leftovers(place) == []
    told(f"{tried} times {what} over its own output under a limit, {refused} of them refused", different)
