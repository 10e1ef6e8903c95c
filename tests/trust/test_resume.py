"""SIGKILL at random moments, the same command again: the weights, scores and history of a run that nobody disturbed."""

import contextlib
import json
import time
from pathlib import Path
from random import Random

import pytest

from tests.commands import TINY_OF
from tests.trust.faults import Told
from tests.trust.killing import Killer, leftovers, results

pytestmark = [pytest.mark.trust, pytest.mark.timeout(900)]

_MANY, _FEW = 20, 5
_LONGER = ("trainer.max_epochs=6", "trainer.patience=2", "trainer.checkpoint_minutes=0", "trainer.batch_size=16")
VARIANTS: dict[str, tuple[str, int, tuple[str, ...]]] = {
    "bertcnn": ("bertcnn", _MANY, ()),
    "textcnn": ("textcnn", _MANY, ()),
    "rnn": ("rnn", _MANY, ()),
    "bert": ("bert", _FEW, ()),
    "bertcnn, token head": ("bertcnn", _FEW, ("model.head=token",)),
    "bertcnn, frozen encoder": ("bertcnn", _FEW, ("encoder.freeze=true",)),
    "bertcnn, R-Drop and section loss": ("bertcnn", _FEW, ("trainer.r_drop=1.0", "trainer.section_loss=0.5")),
    "bertcnn, averaged weights of the last epoch": (
        "bertcnn",
        _FEW,
        ("trainer.ema=0.9", "trainer.keep=last", "trainer.label_smoothing=0.1", "model.pooling=attention"),
    ),
    "bertcnn, two passes": ("bertcnn", _FEW, ("trainer.accumulate=2", "trainer.class_weights=true")),
    "bertcnn, bf16": ("bertcnn", _FEW, ("trainer.precision=bf16-mixed",)),
    "bertcnn, two processes": (
        "bertcnn",
        _FEW,
        ("trainer.devices=2", "trainer.max_epochs=20", "trainer.patience=null"),
    ),
    "shared": ("bertcnn", _FEW, ("level=shared", "data.depth=subclass", "data.labels=all")),
    "textcnn, characters": ("textcnn", _FEW, ("features=chars",)),
    "rnn, GRU with attention": ("rnn", _FEW, ("model.cell=gru", "model.pooling=attention")),
    "rnn, constant rate": ("rnn", _FEW, ("optimizer.schedule=constant", "optimizer.name=adam")),
}


class Saving:
    """Whether a command has saved a state of training since now.

    Args:
        runs: Its ``runs_dir``.
    """

    def __init__(self, runs: Path) -> None:
        self._runs, self._start = runs, time.perf_counter()
        self._before = self._states()
        self.after = 0.0

    def __call__(self) -> bool:
        if self._states() <= self._before:
            return False
        self.after = time.perf_counter() - self._start
        return True

    def _states(self) -> set[tuple[str, int]]:
        found = set()
        for file in self._runs.glob("*/.state-*"):
            with contextlib.suppress(FileNotFoundError):  # a finished command removes it
                found.add((file.name, file.stat().st_ino))
        return found


@pytest.mark.parametrize("variant", VARIANTS)
def test_killed_at_random(variant: str, tmp_path: Path, told: Told) -> None:
    model, kills, settings = VARIANTS[variant]
    random = Random(variant)  # which moments, not a secret
    killer = Killer(tmp_path / "log")
    level = "shared" if "level=shared" in settings else "flat"
    shared = [f"model={model}", f"level={level}", *TINY_OF.get(model, TINY_OF["bertcnn"]), *_LONGER]
    shared += [word for word in settings if word != f"level={level}"]
    shared += [f"cache_dir={tmp_path}/cache"]
    assert killer.run(["run", *shared, f"runs_dir={tmp_path}/inputs"])  # makes the inputs; the next has the time
    begun = Saving(tmp_path / "undisturbed")
    took = killer.run(["run", *shared, f"runs_dir={tmp_path}/undisturbed"], 900, once=begun)
    assert took
    trained = took - begun.after
    usual = results(tmp_path / "undisturbed")
    assert any(name.endswith("model.safetensors") for name in usual)
    assert results(tmp_path / "inputs") == usual  # two runs of one configuration give identical files
    killed = resumed = different = attempt = 0
    while killed < kills:
        attempt += 1
        runs = tmp_path / f"runs-{attempt}"
        words = ["run", *shared, f"runs_dir={runs}"]
        while killed < kills:
            if killed % 2:  # at any moment, or at any moment of training, which the machine's other work may delay
                ended = killer.run(words, random.uniform(0.1, 1.0) * took)
            else:
                ended = killer.run(words, random.uniform(0.0, 1.0) * trained, once=Saving(runs))
            if ended is not None:
                break
            killed += 1
        killer.run(words)
        different += results(runs) != usual
        (metrics,) = runs.glob(f"*/{level}-*/metrics.json")
        resumed += len(json.loads(metrics.read_text("utf-8"))["training"]["resumed"])
        assert leftovers(runs) == []
    told(f"{killed} kills of {variant}, {resumed} of them in training", different)
    assert resumed >= killed / 4  # else this test would say little
