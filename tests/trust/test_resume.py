"""SIGKILL at random moments, the same command again: the weights, scores and history of a run that nobody disturbed."""

import json
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from tests.commands import TINY_OF
from tests.trust.killing import Killer, leftovers, results

pytestmark = [pytest.mark.trust, pytest.mark.timeout(900)]

_MANY, _FEW = 20, 5
_LONGER = ("trainer.max_epochs=6", "trainer.patience=2", "trainer.checkpoint_minutes=0", "trainer.batch_size=16")
_SLOW_START = {"bertcnn, two processes": 0.4}  # share of the time in which nothing is trained yet
VARIANTS: dict[str, tuple[str, int, tuple[str, ...]]] = {
    "bertcnn": ("bertcnn", _MANY, ()),
    "textcnn": ("textcnn", _MANY, ()),
    "rnn": ("rnn", _MANY, ()),
    "bert": ("bert", _FEW, ()),
    "bertcnn, token head": ("bertcnn", _FEW, ("model.head=token",)),
    "bertcnn, frozen encoder": ("bertcnn", _FEW, ("encoder.freeze=true",)),
    "bertcnn, R-Drop and section loss": ("bertcnn", _FEW, ("trainer.r_drop=1.0", "trainer.section_loss=0.5")),
    "bertcnn, two passes": ("bertcnn", _FEW, ("trainer.accumulate=2", "trainer.class_weights=true")),
    "bertcnn, bf16": ("bertcnn", _FEW, ("trainer.precision=bf16-mixed",)),
    "bertcnn, two processes": (
        "bertcnn",
        _FEW,
        ("trainer.devices=2", "trainer.max_epochs=20", "trainer.patience=null"),
    ),
    "textcnn, characters": ("textcnn", _FEW, ("features=chars",)),
    "rnn, GRU with attention": ("rnn", _FEW, ("model.cell=gru", "model.pooling=attention")),
    "rnn, constant rate": ("rnn", _FEW, ("optimizer.schedule=constant", "optimizer.name=adam")),
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_killed_at_random(variant: str, tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    model, kills, settings = VARIANTS[variant]
    random = Random(variant)  # which moments, not a secret
    killer = Killer(tmp_path / "log")
    shared = [f"model={model}", "level=flat", *TINY_OF.get(model, TINY_OF["bertcnn"]), *_LONGER, *settings]
    shared += [f"cache_dir={tmp_path}/cache"]
    first = killer.run(["run", *shared, f"runs_dir={tmp_path}/inputs"])  # makes the inputs; the next has the time
    took = killer.run(["run", *shared, f"runs_dir={tmp_path}/undisturbed"])
    assert first
    assert took
    usual = results(tmp_path / "undisturbed")
    assert any(name.endswith("model.safetensors") for name in usual)
    assert results(tmp_path / "inputs") == usual  # two runs of one configuration give identical files
    killed = resumed = different = attempt = 0
    earliest = _SLOW_START.get(variant, 0.1)
    while killed < kills:
        attempt += 1
        runs = tmp_path / f"runs-{attempt}"
        words = ["run", *shared, f"runs_dir={runs}"]
        while killed < kills and killer.run(words, random.uniform(earliest, 1.0) * took) is None:
            killed += 1
        killer.run(words)
        different += results(runs) != usual
        (metrics,) = runs.glob("*/flat-*/metrics.json")
        resumed += len(json.loads(metrics.read_text("utf-8"))["training"]["resumed"])
        assert leftovers(runs) == []
    record_property("cases", f"{killed} kills of {variant}, {resumed} of them in training")
    record_property("losses", different)
    assert different == 0
    assert resumed >= killed / 4  # else this test would say little
