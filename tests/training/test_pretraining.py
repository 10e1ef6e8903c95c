import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from patent_hier.errors import ArtifactError, ConfigError
from patent_hier.features.packing import PackedText
from patent_hier.models.masked_language import MaskedLanguageModel, masked_loss, new_network
from patent_hier.settings import OptimizerSettings
from patent_hier.settings.pretraining import ArchitectureSettings, PretrainSettings
from patent_hier.training import pretraining as module
from patent_hier.training.masking import MaskedRows, SpecialIds
from patent_hier.training.pretraining import STATE_FILE, Pretrained, pretrain_network
from tests.training.toys import equal, weights

SIZES = ArchitectureSettings(16, 2, 2, 32, 16, 0.1)
SPECIAL = SpecialIds(2, 3, 4, 30)
OPTIMIZER = OptimizerSettings(lr=1e-2, warmup=0.1)
TOKENS = np.tile(np.arange(5, 25), 60)  # twenty, again and again


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Lightning ignores Ctrl-C after the first one, for the rest of the process."""
    before = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, before)


def settings(**changes: Any) -> PretrainSettings:
    """Four rounds of three steps."""
    sizes = {"max_steps": 12, "steps_per_round": 3, "seq_len": 16, "batch_size": 4, "held_out_tokens": 128}
    return PretrainSettings("x", **{**sizes, "optimizer": OPTIMIZER, "num_threads": 1, "accelerator": "cpu", **changes})


def text(ids: NDArray[np.int64] = TOKENS, batch_size: int = 4) -> MaskedRows:
    packed = PackedText(ids.astype("<u2"), np.ones(len(ids), np.bool_))
    return MaskedRows(packed, SPECIAL, 16, batch_size, 0.15, True, 1)


def build(on_gpu: bool, sizes: ArchitectureSettings = SIZES) -> MaskedLanguageModel:
    assert not on_gpu
    return new_network(sizes, 30, on_gpu)


def train(folder: Path, given: PretrainSettings, say: Callable[[str], None] = lambda line: None) -> Pretrained:
    return pretrain_network(build, text(), text(), given, folder, say)


def stop_at(line: int, error: BaseException) -> Callable[[str], None]:
    """Takes the lines of a run; at one of them it ends the run."""
    lines: list[str] = []

    def say(text: str) -> None:
        lines.append(text)
        if len(lines) == line:
            raise error

    return say


class Clock:
    """A second passes at each training step, a hundred while the held-out text is scored."""

    def __init__(self) -> None:
        self.now = 1000.0

    def perf_counter(self) -> float:
        return self.now

    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        self.now += 1 if torch.is_grad_enabled() else 100
        return masked_loss(logits, targets)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    monkeypatch.setattr(module, "masked_loss", clock.loss)
    return clock


def test_it_learns(tmp_path: Path) -> None:
    runs = text(np.repeat(np.tile(np.arange(5, 25), 6), 15), 16)  # a hidden token is one of the row's two
    given = settings(max_steps=100, steps_per_round=50, batch_size=16, held_out_tokens=2048)
    sizes = ArchitectureSettings(32, 1, 2, 64, 16, 0.1)
    result = pretrain_network(lambda on_gpu: build(on_gpu, sizes), runs, runs, given, tmp_path, lambda line: None)
    first, last = result.history[0], result.history[-1]
    assert first["dev/loss"] == pytest.approx(np.log(30), abs=0.3)  # knows nothing
    assert last["dev/loss"] < first["dev/loss"] - 1.2
    assert last["train/loss"] < first["dev/loss"] - 1.2
    assert last["dev/accuracy"] > 0.2  # chance: 0.05
    facts = {"steps": 100, "tokens": 100 * 16 * 16, "passes": 14.22, "device": "cpu", "precision": "32-true"}
    assert facts.items() <= result.facts.items()
    assert result.facts["parameters"] == sum(weight.numel() for weight in result.model.parameters())


@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize("error", [RuntimeError("killed"), KeyboardInterrupt()], ids=["killed", "ctrl-c"])
def test_an_interrupted_run_goes_on_as_if_nothing_had_been(
    tmp_path: Path, clock: Clock, dropout: float, error: BaseException
) -> None:
    given = settings(dropout=dropout)
    whole = train(tmp_path / "whole", given)
    assert [row["step"] for row in whole.history] == [0, 3, 6, 9, 12]
    with pytest.raises(type(error)):
        train(tmp_path / "parts", given, stop_at(4, error))  # 0, 3, 6; the state of 9 is never written
    assert [file.name for file in (tmp_path / "parts").iterdir()] == [STATE_FILE]
    said: list[str] = []
    parts = train(tmp_path / "parts", given, said.append)
    assert said[0] == "continuing after step 6"
    assert [line.split("  ")[0] for line in said[1:]] == ["step 9", "step 12"]
    assert equal(whole, parts)
    assert parts.history == whole.history  # seconds too: by this clock a step takes one
    assert [row["seconds"] for row in parts.history] == [0, 3, 6, 9, 12]
    assert parts.facts == whole.facts
    assert not equal(whole, train(tmp_path / "other", replace(given, seed=2)))


def test_dropout_is_that_of_pretraining(tmp_path: Path) -> None:
    assert not equal(train(tmp_path / "with", settings(dropout=0.3)), train(tmp_path / "without", settings()))
    assert equal(train(tmp_path / "one", settings(dropout=0.3)), train(tmp_path / "two", settings(dropout=0.3)))


def test_a_last_shorter_round_is_scored_too(tmp_path: Path) -> None:
    result = train(tmp_path, settings(max_steps=8))
    assert [row["step"] for row in result.history] == [0, 3, 6, 8]
    assert [row["tokens"] for row in result.history] == [0, 192, 384, 512]
    assert all({"train/loss", "dev/loss", "dev/accuracy", "lr"} <= row.keys() for row in result.history[1:])
    assert result.facts["steps"] == 8
    # Linear: 8 steps, the first 0.8 of them warm up; the last step begins at 7/8.
    rates = [1e-2 * (1 - done / 8) / 0.9 for done in (2, 5, 7)]
    assert [row["lr"] for row in result.history[1:]] == pytest.approx(rates)
    assert equal(result, train(tmp_path / "in one round", settings(max_steps=8, steps_per_round=100)))


def test_time_ends_it_and_the_schedule(tmp_path: Path, clock: Clock) -> None:
    given = settings(max_steps=None, max_time=10.5 / 60)
    whole = train(tmp_path / "whole", given)
    assert [row["step"] for row in whole.history] == [0, 3, 6, 9, 11]
    assert [row["seconds"] for row in whole.history] == [0, 3, 6, 9, 11]  # scoring is no training
    assert whole.facts["tokens_per_second"] == 64.0
    assert whole.history[-1]["lr"] == pytest.approx(1e-2 * (1 - 10 / 10.5) / 0.9)
    with pytest.raises(RuntimeError):
        train(tmp_path / "parts", given, stop_at(4, RuntimeError("killed")))
    clock.now += 10_000  # the interruption
    parts = train(tmp_path / "parts", given)
    assert parts.history == whole.history
    assert equal(whole, parts)


@pytest.mark.parametrize(("steps", "seconds", "expected"), [(7, 100, 7), (100, 4.5, 5)])
def test_whichever_ends_first(tmp_path: Path, clock: Clock, steps: int, seconds: float, expected: int) -> None:
    result = train(tmp_path, settings(max_steps=steps, max_time=seconds / 60))
    assert result.facts["steps"] == expected


def test_lines_tell_what_is_left(tmp_path: Path, clock: Clock) -> None:
    said: list[str] = []
    train(tmp_path, settings(), said.append)
    assert said[0].startswith("step 0  0.00 M tokens  dev loss ")
    assert "left" not in said[0]
    lasting = [f"{seconds} s, about {12 - seconds} s left" for seconds in (3, 6, 9, 12)]
    assert [line.split("  ")[-1] for line in said[1:]] == lasting
    said.clear()
    train(tmp_path / "quiet", settings(progress=False), said.append)
    assert said == []


def test_a_loss_that_is_no_number_is_refused(tmp_path: Path) -> None:
    given = settings(optimizer=replace(OPTIMIZER, lr=1e30))
    with pytest.raises(ConfigError, match=r"diverged.*lower optimizer\.lr=1e\+30") as caught:
        train(tmp_path, given)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []  # it would only go on from there


@pytest.mark.parametrize("clip", [1e-3, None])
def test_gradients_are_clipped_by_their_norm(tmp_path: Path, steps: list[Tensor], clip: float | None) -> None:
    train(tmp_path, settings(gradient_clip=clip))
    norms = [step.norm().item() for step in steps]
    assert len(norms) == 12
    assert norms == pytest.approx([1e-3] * 12, rel=0.01) if clip else min(norms) > 0.01


def test_mixed_precision(tmp_path: Path) -> None:
    result = train(tmp_path, settings(precision="bf16-mixed"))
    assert result.facts["precision"] == "bf16-mixed"
    assert {value.dtype for value in weights(result).values()} == {torch.float32}
    plain = train(tmp_path / "plain", settings())
    assert not equal(result, plain)
    assert result.history[-1]["dev/loss"] == pytest.approx(plain.history[-1]["dev/loss"], abs=0.05)


def test_a_damaged_state_is_named(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError):
        train(tmp_path, settings(), stop_at(3, RuntimeError("killed")))
    state = tmp_path / STATE_FILE
    content = state.read_bytes()
    for damaged in (content[: len(content) // 2], b"", b"no state"):
        state.write_bytes(damaged)
        with pytest.raises(ArtifactError, match=f"{state} cannot be read; delete it") as caught:
            train(tmp_path, settings())
        assert "\n" not in str(caught.value)


def test_no_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match="accelerator=gpu, but PyTorch sees no CUDA device"):
        train(tmp_path, settings(accelerator="gpu"))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_on_a_gpu(tmp_path: Path) -> None:
    def build(on_gpu: bool) -> MaskedLanguageModel:
        assert on_gpu
        return new_network(SIZES, 30, on_gpu)

    given = settings(accelerator="gpu", max_steps=60, steps_per_round=30)
    result = pretrain_network(build, text(), text(), given, tmp_path, lambda line: None)
    assert result.history[-1]["dev/loss"] < result.history[0]["dev/loss"] - 0.1
    assert {value.device.type for value in weights(result).values()} == {"cpu"}
