"""Training that was killed comes to the result of training that was not, bit for bit."""

import csv
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import LearningRateMonitor
from pytorch_lightning.loggers import CSVLogger
from torch import Tensor

from patent_hier.settings import BF16, FP32, Settings
from patent_hier.training import resume as module
from patent_hier.training.fitted import Fitted
from patent_hier.training.module import PatentClassifier
from patent_hier.training.observers import Observe, Observers
from patent_hier.training.ranks import ALONE, Ranks
from patent_hier.training.resume import StateCheckpoint, find_state
from tests.damage import cut, flip
from tests.training.toys import Toy, equal, settings, untimed


class KilledError(Exception):
    """Stands for SIGKILL: nothing after it runs but the test."""


@dataclass
class Training:
    """Runs of one configuration, with dropout and early stopping.

    Attributes:
        state: The file that they share.
        passes: Forward passes of all runs so far.
    """

    toy: Toy
    state: Path
    chosen: Settings
    passes: int = 0
    observe: Observe = Observers

    def run(self, killed_at: int | None = None, state: Path | None = None, **trainer: Any) -> Fitted:
        """Run, and be killed in a forward pass, counted from 1."""
        chosen = replace(self.chosen, trainer=replace(self.chosen.trainer, **trainer))
        step, first = PatentClassifier.training_step, self.passes

        def counted(task: PatentClassifier, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
            self.passes += 1
            if self.passes - first == killed_at:
                raise KilledError
            return step(task, batch, batch_idx)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(PatentClassifier, "training_step", counted)
            return self.toy.fit(chosen, state or self.state, observe=self.observe)

    def killed(self, at: int, **trainer: Any) -> None:
        with pytest.raises(KilledError):
            self.run(at, **trainer)

    def undisturbed(self) -> Fitted:
        return self.run(state=self.state.with_name("undisturbed"))


@pytest.fixture
def training(request: pytest.FixtureRequest, toy: Toy, tmp_path: Path) -> Training:
    """Of two or three epochs of four batches; a parameter is a node, its passes over a batch, and more settings."""
    node, accumulate, *more = getattr(request, "param", ("flat", None))
    short = {
        **dict(more),
        "max_epochs": 3,
        "patience": 1,
        "batch_size": 40,
        "checkpoint_minutes": 0,
        "accumulate": accumulate,
    }
    return Training(toy, tmp_path / "state", settings(node, model={"dropout": 0.3, "pooling": "cls"}, **short))


def same(one: Fitted, other: Fitted) -> bool:
    return equal(one, other) and untimed(one) == untimed(other)


@pytest.mark.parametrize(
    ("training", "stride"),
    [
        (("shared", 1), 3),
        *(
            pytest.param(training, stride, marks=pytest.mark.slow)
            for training, stride in ((("flat", 1), 1), (("flat", 2), 5), (("flat", 1, ("ema", 0.5)), 3))
        ),
    ],
    indirect=["training"],
)
def test_wherever_it_is_killed_the_result_is_the_same(training: Training, stride: int) -> None:
    """In every batch of its epochs, the first and the last of an epoch among them; in some of the passes over one."""
    usual = training.undisturbed()
    kills = range(1, training.passes + 1, stride)
    assert training.passes >= 2 * 4 * (training.chosen.trainer.accumulate or 1)
    where = set()
    for killed_at in kills:
        training.state.unlink(missing_ok=True)
        training.killed(killed_at)
        resumed = training.run()
        where.update((place["epoch"], place["batch"]) for place in resumed.facts["resumed"])
        assert same(usual, resumed), killed_at
    assert len(where) == len(kills)


def test_killed_again_and_again(training: Training) -> None:
    usual = training.undisturbed()
    for _ in range(4):
        training.killed(3)  # two batches further each time
    resumed = training.run()
    assert same(usual, resumed)
    assert len(resumed.facts["resumed"]) == 4
    assert resumed.history[-1]["seconds"] > 0


def test_a_run_that_goes_on_has_a_log_of_its_own_and_the_same_result(training: Training, tmp_path: Path) -> None:
    usual = training.undisturbed()

    def observe() -> Observers:
        return Observers([CSVLogger(tmp_path, "log")], [LearningRateMonitor("epoch")], tmp_path)

    training.observe = observe
    training.killed(6)  # in the second epoch
    assert same(usual, training.run())
    logs = [
        [(int(row["epoch"]), int(row["step"])) for row in csv.DictReader(file.open()) if row["val/loss"]]
        for file in sorted((tmp_path / "log").glob("version_*/metrics.csv"))
    ]
    assert [len(rows) for rows in logs] == [1, len(usual.history) - 1]  # the second goes on where the first broke off
    steps = logs[0][0][1] + 1
    assert logs[0] + logs[1] == [(epoch, steps * (epoch + 1) - 1) for epoch in range(len(usual.history))]


@pytest.mark.parametrize("training", [("flat", 1), ("flat", 1, ("ema", 0.5), ("keep", "last"))], indirect=True)
def test_killed_after_training_nothing_is_trained_again(training: Training) -> None:
    first = training.run()  # its caller would write the result now, and remove the state
    passes = training.passes
    again = training.run()
    assert training.passes == passes
    assert same(first, again)


def test_a_run_that_keeps_no_state_leaves_no_file(training: Training) -> None:
    training.run(checkpoint_minutes=None)
    training.run(checkpoint_minutes=60.0)
    assert not training.state.exists()


def test_the_state_is_saved_once_in_its_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three batches a minute, and a state every minute."""
    now = 1000.0
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now))
    saved: list[int] = []
    trainer: Any = SimpleNamespace(save_checkpoint=lambda path: saved.append(batch))
    keeper = StateCheckpoint(tmp_path / "state", 1.0, 1, Ranks(0, 1, 1), None)
    for batch in range(10):
        keeper.on_train_batch_start(trainer, pl.LightningModule(), None, batch)
        now += 20
    assert saved == [3, 6, 9]


@pytest.mark.parametrize("damage", [flip, cut, lambda file: file.write_bytes(b"not a state")])
def test_a_damaged_state_is_told_and_not_used(
    training: Training, damage: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    usual = training.undisturbed()
    training.killed(5)
    damage(training.state)
    capsys.readouterr()
    resumed = training.run()
    assert resumed.facts["resumed"] == []
    assert same(usual, resumed)
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(f"bertcnn flat: training starts over: state {training.state} cannot be read")


def test_a_state_of_other_passes_or_ranks_is_not_used(training: Training, capsys: pytest.CaptureFixture[str]) -> None:
    training.killed(5, accumulate=2)
    said: list[str] = []
    assert find_state(training.state, Ranks(0, 2, 2), FP32, said.append) is None
    assert "was saved with 1 device(s), not 2" in said[0]
    capsys.readouterr()
    assert training.run(accumulate=1).facts["resumed"] == []
    assert "trainer.accumulate=2, not 1" in capsys.readouterr().out


def test_passes_that_memory_asked_for_are_kept(training: Training) -> None:
    """A run that had to begin with two passes goes on with two, not with the one that does not fit."""
    training.killed(5, accumulate=2)
    resumed = training.run()  # accumulate=null
    assert resumed.facts["accumulate"] == 2
    assert resumed.facts["resumed"] == [{"epoch": 0, "batch": 2}]


def test_several_ranks_save_when_the_first_of_them_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are asked every few batches only: a question is a message to all."""
    clock, asked = [100.0], []
    monkeypatch.setattr(module.time, "monotonic", lambda: clock[0])
    keeper = StateCheckpoint(tmp_path / "state", 1.0, 2, Ranks(1, 2, 2), None)

    def broadcast(due: bool) -> int:
        asked.append(due)
        return 1  # whatever this rank thinks

    trainer: Any = SimpleNamespace(strategy=SimpleNamespace(broadcast=broadcast))
    every = 2 * module._ASKED_EVERY
    assert [keeper._is_due(trainer, batch) for batch in (2, every - 2, every + 2)] == [False] * 3
    assert (keeper._is_due(trainer, every), asked) == (True, [False])
    for clock[0] in (159.9, 160.0, 161.0):
        keeper._is_due(trainer, 3 * every)
    assert asked == [False, False, True, True]


@pytest.mark.parametrize("devices", [1, 4])
def test_a_state_of_more_or_of_fewer_devices_is_not_used(tmp_path: Path, devices: int) -> None:
    position = module.Position(0, 1, 1, devices, FP32, [[]] * devices, [], False)
    torch.save({module._KEY: {"made_by": module._versions(), "position": asdict(position)}}, tmp_path / "state")
    said: list[str] = []
    assert find_state(tmp_path / "state", Ranks(0, 2, 2), FP32, said.append) is None
    assert f"was saved with {devices} device(s), not 2" in said[0]
    assert find_state(tmp_path / "state", Ranks(0, devices, devices), FP32, said.append) == position


def test_a_state_of_another_precision_is_not_used(tmp_path: Path) -> None:
    """``auto`` may mean another one on another machine, or by a newer version."""
    position = module.Position(0, 1, 1, 1, BF16, [[]], [], False)
    torch.save({module._KEY: {"made_by": module._versions(), "position": asdict(position)}}, tmp_path / "state")
    said: list[str] = []
    assert find_state(tmp_path / "state", ALONE, FP32, said.append) is None
    assert "was saved with trainer.precision=bf16-mixed, not 32-true" in said[0]
    assert find_state(tmp_path / "state", ALONE, BF16, said.append) == position


@pytest.mark.parametrize("rank", [0, 1])
def test_only_the_first_rank_tidies_up(tmp_path: Path, rank: int) -> None:
    (tmp_path / ".partial-state-abc").touch()
    assert find_state(tmp_path / "state", Ranks(rank, 2, 2), FP32, print) is None
    assert (tmp_path / ".partial-state-abc").exists() == (rank == 1)
