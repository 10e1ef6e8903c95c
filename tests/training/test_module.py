from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from patent_hier.cli.compose import compose_settings
from patent_hier.errors import ConfigError
from patent_hier.settings import OptimizerSettings
from patent_hier.training.losses import disagreement
from patent_hier.training.module import (
    PatentClassificationTask,
    Schedule,
    build_optimizer,
    clip_gradients,
    inverse_frequency_weights,
)


def factors(total: int, **changes: object) -> list[float]:
    schedule = Schedule(OptimizerSettings(**changes), total)  # type: ignore[arg-type]  # values of many types
    return [schedule(step) for step in range(total + 2)]


def test_linear_schedule_warms_up_and_falls_to_zero() -> None:
    found = factors(10, warmup=0.2)
    assert found == pytest.approx([0.5, 1.0, 1.0, 7 / 8, 6 / 8, 5 / 8, 4 / 8, 3 / 8, 2 / 8, 1 / 8, 0.0, 0.0])


def test_constant_schedule() -> None:
    assert factors(4, warmup=0.0, schedule="constant") == [1.0] * 6
    assert factors(4, warmup=0.5, schedule="constant") == [0.5, 1.0, 1.0, 1.0, 1.0, 1.0]


@pytest.mark.parametrize("warmup", [0.0, 0.1, 1.0])
def test_no_step_that_is_made_has_a_rate_of_zero(warmup: float) -> None:
    for total in (1, 2, 7):
        assert all(0 < factor <= 1 for factor in factors(total, warmup=warmup)[:total])


def test_no_decay_on_vectors_and_no_frozen_weights() -> None:
    network = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.Linear(4, 2))
    network[2].requires_grad_(False)
    decayed, plain = build_optimizer(network, OptimizerSettings(lr=0.1, weight_decay=0.3)).param_groups
    assert (decayed["weight_decay"], plain["weight_decay"]) == (0.3, 0.0)
    assert [tuple(weight.shape) for weight in decayed["params"]] == [(4, 3)]
    assert [tuple(weight.shape) for weight in plain["params"]] == [(4,), (4,), (4,)]


def test_optimizer_by_name() -> None:
    network = nn.Linear(2, 2)
    assert type(build_optimizer(network, OptimizerSettings("adam", lr=0.1))) is torch.optim.Adam
    assert type(build_optimizer(network, OptimizerSettings("adamw", lr=0.1))) is torch.optim.AdamW


def test_the_papers_experiment_uses_plain_adam_at_a_constant_rate() -> None:
    settings = compose_settings(["experiment=paper"])
    optimizer = build_optimizer(nn.Linear(2, 2), settings.optimizer)
    assert type(optimizer) is torch.optim.Adam
    assert {group["lr"] for group in optimizer.param_groups} == {2e-5}
    assert {group["weight_decay"] for group in optimizer.param_groups} == {0.0}
    schedule = Schedule(settings.optimizer, 100)
    assert {schedule(step) for step in range(100)} == {1.0}


def test_inverse_frequency_weights() -> None:
    codes = np.array([0, 0, 0, 2])
    weights = inverse_frequency_weights(codes, 3)
    assert weights.tolist() == pytest.approx([4 / 9, 4 / 3, 4 / 3])
    balanced = inverse_frequency_weights(np.array([0, 0, 0, 1]), 2)
    assert balanced[[0, 0, 0, 1]].mean().item() == pytest.approx(1.0)


class Echo(nn.Module):
    """Logits are rows of a table, chosen by the document's first id."""

    def __init__(self, table: Tensor) -> None:
        super().__init__()
        self.table = nn.Parameter(table)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        return self.table[input_ids[:, 0]]


def loader(ids: list[int], targets: list[int], batch_size: int) -> DataLoader[dict[str, Tensor]]:
    rows = [
        {"input_ids": torch.tensor([i]), "attention_mask": torch.tensor([1]), "target": torch.tensor(t)}
        for i, t in zip(ids, targets, strict=True)
    ]
    return DataLoader(rows, batch_size)  # type: ignore[arg-type]  # a list is a data set


def validate(task: PatentClassificationTask, batches: Any) -> Mapping[str, float]:
    trainer = pl.Trainer(
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_checkpointing=False,
        enable_model_summary=False,
    )
    return trainer.validate(task, batches, verbose=False)[0]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("batch_size", [1, 4, 10])
def test_validation_equals_a_hand_count(batch_size: int) -> None:
    table = torch.tensor([[2.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 2.0]])
    ids = [0, 0, 0, 0, 1, 1, 2, 2, 2, 0]
    targets = [0, 0, 0, 1, 1, 0, 2, 0, 0, 0]  # right: 3 + 1 + 1 + 1 of 10; the macro average would differ
    task = PatentClassificationTask(Echo(table), 3, OptimizerSettings(lr=0.1), 10)
    metrics = validate(task, loader(ids, targets, batch_size))
    assert metrics["val/accuracy"] == pytest.approx(0.6)
    expected = nn.functional.cross_entropy(table[ids], torch.tensor(targets)).item()
    assert metrics["val/loss"] == pytest.approx(expected, abs=1e-6)


def test_class_weights_enter_the_loss() -> None:
    table = torch.tensor([[1.0, 0.0], [0.0, 3.0]])
    batch = next(iter(loader([0, 1, 1], [0, 0, 1], 3)))
    weights = torch.tensor([1.0, 5.0])
    task = PatentClassificationTask(Echo(table), 2, OptimizerSettings(lr=0.1), 10, weights)
    task.log = lambda *_, **__: None  # type: ignore[method-assign]  # there is no trainer to log to
    log_prob = table.log_softmax(-1)
    expected = -(log_prob[0, 0] + log_prob[1, 0] + 5 * log_prob[1, 1]) / 7
    torch.testing.assert_close(task.training_step(batch, 0), expected)


def test_weights_of_documents_and_the_section_enter_the_loss() -> None:
    table = torch.tensor([[1.0, 0.0, 2.0], [0.0, 3.0, 1.0]])
    batch = {**next(iter(loader([0, 1], [0, 2], 2))), "weight": torch.tensor([1.0, 0.5])}
    together = torch.tensor([[True, True, False], [True, True, False], [False, False, True]])
    task = PatentClassificationTask(Echo(table), 3, OptimizerSettings(lr=0.1), 10, None, 2.0, together)
    task.log = lambda *_, **__: None  # type: ignore[method-assign]  # there is no trainer to log to
    p = table.softmax(-1)
    losses = -p[0, 0].log() - 2 * (p[0, 0] + p[0, 1]).log(), -3 * p[1, 2].log()
    torch.testing.assert_close(task.training_step(batch, 0), (losses[0] + 0.5 * losses[1]) / 2)


class Restless(nn.Module):
    """Logits that follow from the row of the batch alone, as if each row had a dropout of its own."""

    def __init__(self, table: Tensor) -> None:
        super().__init__()
        self.table = nn.Parameter(table)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        assert input_ids.shape == attention_mask.shape == (len(self.table), 1)
        return self.table


def test_r_drop_reads_twice_and_draws_the_answers_together() -> None:
    table = torch.tensor([[1.0, 0.0], [0.0, 3.0], [0.5, 0.0], [0.0, 1.0]])  # two passes over two documents
    batch = {**next(iter(loader([0, 1], [0, 1], 2))), "weight": torch.tensor([1.0, 0.5])}
    task = PatentClassificationTask(Restless(table), 2, OptimizerSettings(lr=0.1), 10, r_drop=3.0)
    task.log = lambda *_, **__: None  # type: ignore[method-assign]  # there is no trainer to log to
    log_prob = table.log_softmax(-1)
    likelihood = -(log_prob[0, 0] + 0.5 * log_prob[1, 1] + log_prob[2, 0] + 0.5 * log_prob[3, 1]) / 4
    apart = disagreement(table[:2], table[2:], torch.tensor([1.0, 0.5]))
    assert apart > 0.01
    torch.testing.assert_close(task.training_step(batch, 0), likelihood + 3 * apart)


def test_r_drop_changes_nothing_where_there_is_no_dropout() -> None:
    batch = next(iter(loader([0, 1, 1], [0, 0, 1], 3)))
    losses = []
    for r_drop in (0.0, 5.0):
        network = Echo(torch.tensor([[1.0, 0.0], [0.0, 3.0]]))
        task = PatentClassificationTask(
            network, 2, OptimizerSettings(lr=0.1), 10, torch.tensor([1.0, 5.0]), r_drop=r_drop
        )
        task.log = lambda *_, **__: None  # type: ignore[method-assign]  # there is no trainer to log to
        losses.append(task.training_step(batch, 0))
    torch.testing.assert_close(*losses)


@pytest.mark.parametrize("r_drop", [0.0, 2.0])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("shares", [[[0, 1, 2], [3, 4]], [[4], [0, 1, 2, 3]], [[0, 1, 2, 3, 4], []]])
def test_the_mean_over_ranks_is_that_of_the_whole_batch(r_drop: float, weighted: bool, shares: list[list[int]]) -> None:
    """Shares of unequal size, and none at all: as one process, not as the mean of the ranks' means."""
    targets, weights = torch.tensor([0, 1, 1, 2, 0]), torch.tensor([1.0, 1.0, 0.3, 1.0, 0.1])
    table = torch.randn(10, 3, generator=torch.Generator().manual_seed(1))  # both passes of R-Drop over 5 documents
    together = torch.tensor([[True, True, False], [True, True, False], [False, False, True]])

    def gradient(rows: list[int], shares: int) -> Tensor:
        """Of one rank with some of the documents, or of one process with all of them."""
        own = rows or [0]
        class_weights = torch.tensor([1.0, 4.0, 0.5]) if weighted else None
        network = Pair(table, own)
        task = PatentClassificationTask(
            network, 3, OptimizerSettings(lr=0.1), 1, class_weights, 0.7, together, r_drop, shares
        )
        task.log = lambda *_, **__: None  # type: ignore[method-assign]  # there is no trainer to log to
        ids = torch.tensor(own)[:, None]
        batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "target": targets[own], "whole": targets}
        if weighted or not rows:
            batch["weight"] = weights[own] if rows else torch.zeros(1)
        task.training_step(batch, 0).backward()  # type: ignore[no-untyped-call]
        assert network.table.grad is not None
        return network.table.grad

    expected = gradient([0, 1, 2, 3, 4], 1)
    assert expected.abs().max() > 0.01
    torch.testing.assert_close(sum(gradient(rows, 2) for rows in shares) / 2, expected)


class Pair(nn.Module):
    """Logits are rows of a table; a second pass over the same documents reads other rows, as with other dropout."""

    def __init__(self, table: Tensor, rows: list[int]) -> None:
        super().__init__()
        self.table = nn.Parameter(table.clone())
        self.passes = torch.tensor([*rows, *(row + 5 for row in rows)])

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        return self.table[self.passes[: len(input_ids)]]


@pytest.mark.filterwarnings("ignore")
def test_validation_loss_does_not_depend_on_batches_with_class_weights() -> None:
    found = []
    for batch_size in (1, 3, 10):
        task = PatentClassificationTask(
            Echo(torch.eye(3)), 3, OptimizerSettings(lr=0.1), 1, torch.tensor([1.0, 5.0, 0.1])
        )
        batches = loader([0, 0, 0, 0, 1, 1, 2, 2, 2, 0], [0, 0, 0, 1, 1, 0, 2, 0, 0, 0], batch_size)
        found.append(validate(task, batches)["val/loss"])
    assert found == pytest.approx([found[0]] * 3)


@pytest.mark.filterwarnings("ignore")
def test_the_rate_moves_with_each_step() -> None:
    rates: list[float] = []

    class Watch(pl.Callback):
        def on_train_batch_start(self, trainer: pl.Trainer, *_: object) -> None:
            rates.append(trainer.optimizers[0].param_groups[0]["lr"])

    task = PatentClassificationTask(Echo(torch.zeros(2, 2)), 2, OptimizerSettings(lr=1.0, warmup=0.25), 8)
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=2,
        logger=False,
        enable_progress_bar=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        callbacks=[Watch()],
    )
    trainer.fit(task, loader([0, 1] * 4, [0, 1] * 4, 2))
    assert rates == pytest.approx([1 / 2, 1, 1, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6])


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("algorithm", [None, "norm", "value"])
def test_the_trainers_way_of_clipping_is_taken(algorithm: str | None, steps: list[Tensor]) -> None:
    task = PatentClassificationTask(Echo(torch.zeros(2, 2)), 2, OptimizerSettings(lr=1.0), 1)
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=1,
        gradient_clip_val=0.1,
        gradient_clip_algorithm=algorithm,
        logger=False,
        enable_progress_bar=False,
        enable_checkpointing=False,
        enable_model_summary=False,
    )
    trainer.fit(task, loader([0, 0, 0, 1], [0, 0, 0, 1], 4))  # gradients of 3/8 and 1/8
    largest = 0.1 if algorithm == "value" else 0.1 * 3 / 20**0.5
    smallest = 0.1 if algorithm == "value" else 0.1 / 20**0.5
    expected = torch.tensor([-largest, largest, smallest, -smallest])
    torch.testing.assert_close(steps, [expected])


def test_other_ways_of_clipping_are_refused() -> None:
    network = nn.Linear(1, 1)
    clip_gradients(network, None, "norm")
    with pytest.raises(ConfigError, match=r"^gradients cannot be clipped by 'sign'; choose 'norm' or 'value'$"):
        clip_gradients(network, 1.0, "sign")


@pytest.mark.filterwarnings("ignore")
def test_gradients_are_freed_after_each_step_and_not_between_passes() -> None:
    task = PatentClassificationTask(Echo(torch.zeros(2, 2)), 2, OptimizerSettings(lr=1.0), 2)
    held: list[bool] = []
    task.network.register_forward_pre_hook(lambda network, _: held.append(network.table.grad is not None))
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=2,
        accumulate_grad_batches=2,
        logger=False,
        enable_progress_bar=False,
        enable_checkpointing=False,
        enable_model_summary=False,
    )
    trainer.fit(task, loader([0, 1] * 4, [0, 1] * 4, 2))
    assert held == [False, True] * 4
