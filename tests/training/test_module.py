from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from patent_hier.errors import ConfigError
from patent_hier.taxonomy.tree import LabelTree
from patent_hier.training.losses import disagreement
from patent_hier.training.module import PatentClassifier
from tests.training.toys import QUIET

TREE = LabelTree.from_paths([("A", "A01"), ("A", "A23"), ("B", "B60")], ("section", "class"))  # A B A01 A23 B60
pytestmark = pytest.mark.filterwarnings("ignore")  # Lightning's advice


def one_level(n: int) -> LabelTree:
    return LabelTree.from_paths([(f"A{i:02}",) for i in range(n)], ("class",), root="A")


class Echo(nn.Module):
    """Logits are rows of a table, chosen by the document's first id."""

    def __init__(self, table: Tensor) -> None:
        super().__init__()
        self.table = nn.Parameter(table.clone())

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        return self.table[input_ids[:, 0]]


class Restless(Echo):
    """Logits that follow from the row of the batch alone, as if each row had a dropout of its own."""

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        assert input_ids.shape == attention_mask.shape == (len(self.table), 1)
        return self.table


class Pair(Echo):
    """A second pass over the same documents reads other rows of the table, as with other dropout."""

    def __init__(self, table: Tensor, rows: list[int]) -> None:
        super().__init__(table)
        self.passes = torch.tensor([*rows, *(row + 5 for row in rows)])

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        return self.table[self.passes[: len(input_ids)]]


def task(network: nn.Module | Tensor, tree: LabelTree | None = None, **changes: Any) -> PatentClassifier:
    """Of one level with as many labels as the table has columns, unless a tree is given."""
    if isinstance(network, Tensor):
        network = Echo(network)
    assert isinstance(network, Echo)
    tree = tree or one_level(network.table.shape[1])
    return PatentClassifier("bertcnn", tree, network=network, **{"lr": 0.1, "total_steps": 10, **changes})


def batch_of(ids: list[int], paths: list[Any], **more: Tensor) -> dict[str, Tensor]:
    """A document's path may be given as its leaf, of one level."""
    target = torch.tensor([path if isinstance(path, list) else [path] for path in paths])[:, None]
    rows = torch.tensor(ids)[:, None]
    read = {"input_ids": rows, "attention_mask": torch.ones_like(rows)}
    return {**read, "target": target, "document": rows[:, 0], **more}


def loader(ids: list[int], paths: list[Any], batch_size: int) -> DataLoader[dict[str, Tensor]]:
    batch = batch_of(ids, paths)
    rows = [{key: value[i] for key, value in batch.items()} for i in range(len(ids))]
    return DataLoader(rows, batch_size)  # type: ignore[arg-type]  # a list is a data set


def fit(module: PatentClassifier, batches: Any, **options: Any) -> pl.Trainer:
    trainer = pl.Trainer(**QUIET, **options)
    trainer.fit(module, batches)
    return trainer


def validate(module: PatentClassifier, batches: Any) -> Mapping[str, float]:
    return pl.Trainer(**QUIET).validate(module, batches, verbose=False)[0]


IDS, TARGETS = [0, 0, 0, 0, 1, 1, 2, 2, 2, 0], [0, 0, 0, 1, 1, 0, 2, 0, 0, 0]


@pytest.mark.parametrize("batch_size", [1, 4, 10])
def test_validation_equals_a_hand_count(batch_size: int) -> None:
    table = torch.tensor([[2.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 2.0]])
    metrics = validate(task(table), loader(IDS, TARGETS, batch_size))
    assert metrics["val/accuracy"] == pytest.approx(0.6)  # right: 3 + 1 + 1 + 1 of 10; the macro average would differ
    expected = nn.functional.cross_entropy(table[IDS], torch.tensor(TARGETS)).item()
    assert metrics["val/loss"] == pytest.approx(expected, abs=1e-6)


LOGITS = torch.tensor([[1.0, 0.0, 0.0, 0.1, 9.0], [0.0, 1.0, 0.0, 0.1, 9.0]])  # answers: A A23, B B60


@pytest.mark.parametrize(("flat", "expected"), [(False, (0.75 + 2 / 3) / 2), (True, 2 / 3)])
def test_validation_of_several_levels_by_hand(flat: bool, expected: float) -> None:
    """The paper's cascade goes below its own section; a flat network takes the best class, and is judged by it."""
    module = task(LOGITS[:, 2:] if flat else LOGITS, TREE, flat=flat)
    metrics = validate(module, loader([0, 0, 1, 0], [[0, 3], [0, -1], [1, 4], [1, 4]], 4))
    assert metrics["val/accuracy"] == pytest.approx(expected)
    if not flat:
        assert metrics["val/accuracy/section"] == pytest.approx(0.75)
        assert metrics["val/accuracy/class"] == pytest.approx(2 / 3)  # of three documents that have a class


@pytest.mark.parametrize(("flat", "section"), [(False, 1.0), (True, 0.0), (True, 0.5)])
def test_validation_loss_does_not_depend_on_batches_with_label_weights(flat: bool, section: float) -> None:
    """Each level's mean is divided by its own labels' weights."""
    table = torch.randn(3, 3 if flat else 5, generator=torch.Generator().manual_seed(3))
    paths = [[[0, 2], [0, 3], [1, 4]][code] for code in TARGETS]
    options: dict[str, Any] = {"label_weights": [1.0, 5.0, 0.1, 2.0, 7.0], "level_weights": {"section": section}}
    module = task(table, TREE, flat=flat, **options)
    expected = module.training_step(batch_of(IDS, paths), 0).item()
    for size in (1, 3, 10):
        own = task(table, TREE, flat=flat, **options)
        assert validate(own, loader(IDS, paths, size))["val/loss"] == pytest.approx(expected)


def test_label_weights_enter_the_loss() -> None:
    table = torch.tensor([[1.0, 0.0], [0.0, 3.0]])
    log_prob = table.log_softmax(-1)
    expected = -(log_prob[0, 0] + log_prob[1, 0] + 5 * log_prob[1, 1]) / 7
    module = task(table, label_weights=torch.tensor([1.0, 5.0]))
    torch.testing.assert_close(module.training_step(batch_of([0, 1, 1], [0, 0, 1]), 0), expected)


def test_weights_of_documents_and_the_section_enter_the_loss() -> None:
    table = torch.tensor([[1.0, 0.0, 2.0], [0.0, 3.0, 1.0]])
    batch = batch_of([0, 1], [[0, 2], [1, 4]], weight=torch.tensor([1.0, 0.5]))
    module = task(table, TREE, flat=True, level_weights={"section": 2.0})
    p = table.softmax(-1)
    losses = -p[0, 0].log() - 2 * (p[0, 0] + p[0, 1]).log(), -3 * p[1, 2].log()
    torch.testing.assert_close(module.training_step(batch, 0), (losses[0] + 0.5 * losses[1]) / 2)


def test_r_drop_reads_twice_and_draws_the_answers_together() -> None:
    table = torch.tensor([[1.0, 0.0], [0.0, 3.0], [0.5, 0.0], [0.0, 1.0]])  # two passes over two documents
    batch = batch_of([0, 1], [0, 1], weight=torch.tensor([1.0, 0.5]))
    log_prob = table.log_softmax(-1)
    likelihood = -(log_prob[0, 0] + 0.5 * log_prob[1, 1] + log_prob[2, 0] + 0.5 * log_prob[3, 1]) / 4
    apart = disagreement(log_prob[:2], log_prob[2:], torch.tensor([1.0, 0.5]))
    assert apart > 0.01
    module = task(Restless(table), r_drop=3.0)
    torch.testing.assert_close(module.training_step(batch, 0), likelihood + 3 * apart)


def test_r_drop_changes_nothing_where_there_is_no_dropout() -> None:
    table, batch = torch.tensor([[1.0, 0.0], [0.0, 3.0]]), batch_of([0, 1, 1], [0, 0, 1])
    losses = [task(table, label_weights=[1.0, 5.0], r_drop=r_drop).training_step(batch, 0) for r_drop in (0.0, 5.0)]
    torch.testing.assert_close(*losses)


@pytest.mark.parametrize("r_drop", [0.0, 2.0])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize("shares", [[[0, 1, 2], [3, 4]], [[4], [0, 1, 2, 3]], [[0, 1, 2, 3, 4], []]])
def test_the_mean_over_ranks_is_that_of_the_whole_batch(
    r_drop: float, weighted: bool, flat: bool, shares: list[list[int]]
) -> None:
    """Shares of unequal size, and none at all: as one process, not as the mean of the ranks' means."""
    paths = torch.tensor([[0, 2], [0, 3], [0, 3], [1, 4], [0, 2]])[:, None]
    weights = torch.tensor([1.0, 1.0, 0.3, 1.0, 0.1])
    # both passes of R-Drop over 5 documents
    table = torch.randn(10, 3 if flat else 5, generator=torch.Generator().manual_seed(1))

    def gradient(rows: list[int], shares: int) -> Tensor:
        """Of one rank with some of the documents, or of one process with all of them."""
        own = rows or [0]
        network = Pair(table, own)
        label_weights = [1.0, 2.0, 1.0, 4.0, 0.5] if weighted else None
        options: dict[str, Any] = {"flat": flat, "label_weights": label_weights, "level_weights": {"section": 0.7}}
        module = task(network, TREE, r_drop=r_drop, shares=shares, **options)
        ids = torch.tensor(own)[:, None]
        batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "target": paths[own], "whole": paths}
        if weighted or not rows:
            batch["weight"] = weights[own] if rows else torch.zeros(1)
        module.training_step(batch, 0).backward()  # type: ignore[no-untyped-call]
        assert network.table.grad is not None
        return network.table.grad

    expected = gradient([0, 1, 2, 3, 4], 1)
    assert expected.abs().max() > 0.01
    torch.testing.assert_close(sum(gradient(rows, 2) for rows in shares) / 2, expected)


@pytest.mark.parametrize("total_steps", [8, None])
def test_the_rate_moves_with_each_step_over_those_that_the_trainer_plans(total_steps: int | None) -> None:
    rates: list[float] = []

    class Watch(pl.Callback):
        def on_train_batch_start(self, trainer: pl.Trainer, *_: object) -> None:
            rates.append(trainer.optimizers[0].param_groups[0]["lr"])

    module = task(torch.zeros(2, 2), lr=1.0, warmup=0.25, total_steps=total_steps)
    fit(module, loader([0, 1] * 4, [0, 1] * 4, 2), max_epochs=2, callbacks=[Watch()])
    assert rates == pytest.approx([1 / 2, 1, 1, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6])


def test_a_schedule_without_an_end_is_refused() -> None:
    with pytest.raises(
        ConfigError, match="schedule needs an end of training; give the trainer max_epochs or max_steps"
    ):
        fit(task(torch.zeros(2, 2), total_steps=None), loader([0, 1], [0, 1], 2), max_epochs=-1)


def test_an_epoch_that_max_steps_ends_has_its_loss() -> None:
    table = torch.tensor([[1.0, 0.0], [0.0, 3.0]])
    trainer = fit(task(table), loader([0, 1] * 4, [1, 1] * 4, 2), max_steps=1)
    log_prob = table.log_softmax(-1)
    assert trainer.callback_metrics["train/loss"].item() == pytest.approx(-(log_prob[0, 1] + log_prob[1, 1]).item() / 2)


@pytest.mark.parametrize("algorithm", [None, "norm", "value"])
def test_the_trainers_way_of_clipping_is_taken(algorithm: str | None, steps: list[Tensor]) -> None:
    batches = loader([0, 0, 0, 1], [0, 0, 0, 1], 4)  # gradients of 3/8 and 1/8
    fit(task(torch.zeros(2, 2)), batches, max_epochs=1, gradient_clip_val=0.1, gradient_clip_algorithm=algorithm)
    sizes = torch.tensor([1.0, 1.0] if algorithm == "value" else [3 / 20**0.5, 1 / 20**0.5])
    torch.testing.assert_close(steps, [0.1 * torch.stack([-sizes[0], sizes[0], sizes[1], -sizes[1]])])


def test_gradients_are_freed_after_each_step_and_not_between_passes() -> None:
    module = task(torch.zeros(2, 2))
    held: list[bool] = []
    module.network.register_forward_pre_hook(lambda network, _: held.append(network.table.grad is not None))
    fit(module, loader([0, 1] * 4, [0, 1] * 4, 2), max_epochs=2, accumulate_grad_batches=2)
    assert held == [False, True] * 4


# --- test and predict


@pytest.mark.parametrize("batch_size", [1, 3])
def test_scores_on_test_by_hand(batch_size: int) -> None:
    """A label that training has not seen, -2, counts as not found; a document without a class counts nowhere there."""
    batches = loader([0, 0, 1, 0], [[0, 2], [0, -2], [1, 4], [1, -1]], batch_size)
    (scores,) = pl.Trainer(**QUIET).test(task(LOGITS, TREE), batches, verbose=False)
    top = {"test/accuracy/section": 3 / 4, "test/accuracy/class": 1 / 3}
    top_3 = {"test/top_3_accuracy/section": 1.0, "test/top_3_accuracy/class": 2 / 3}
    f1 = {"test/hierarchical_f1": 2 * (4 / 8) * (4 / 7) / (4 / 8 + 4 / 7)}
    assert scores == pytest.approx({**top, **top_3, **f1})


def test_predictions_by_hand() -> None:
    logits = torch.tensor([[1.0, 0.0, 0.0, 2.0, 9.0], [0.0, 1.0, 0.0, 2.0, 9.0]])
    found = task(logits, TREE).eval().predict_step(batch_of([1, 0], [[-1, -1]] * 2), 0)
    assert found["document"].tolist() == [1, 0]
    assert TREE.names(found["label"].numpy()).tolist() == [["B", "B60"], ["A", "A23"]]
    first, child = torch.tensor([1.0, 0.0]).log_softmax(0)[0], torch.tensor([0.0, 2.0]).log_softmax(0)[1]
    expected = torch.stack([torch.stack([first, first]), torch.stack([first, first + child])])
    torch.testing.assert_close(found["log_prob"], expected)


# --- the average of the weights, with any trainer


def test_a_checkpoint_has_the_average_and_training_goes_on_from_the_weights(tmp_path: Path) -> None:
    class Save(pl.Callback):
        def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            trainer.save_checkpoint(tmp_path / "model.ckpt")

    batches = loader([0, 1] * 4, [0, 1] * 4, 2)
    averaged, plain = task(torch.zeros(2, 2), ema=0.9), task(torch.zeros(2, 2))
    fit(averaged, batches, max_epochs=2, callbacks=[Save()])
    fit(plain, batches, max_epochs=2)
    saved = torch.load(tmp_path / "model.ckpt", weights_only=True)
    kept, last = averaged.network.get_parameter("table"), plain.network.get_parameter("table")
    assert torch.equal(saved["state_dict"]["network.table"], kept)
    assert torch.equal(saved["current_model_state"]["network.table"], last)
    assert (kept - last).abs().max() > 0.01


def test_no_checkpoint_runs_code_wherever_it_lies(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def load(address: str, **options: Any) -> dict[str, Any]:
        asked.append((address, options["weights_only"]))
        raise ConnectionError

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", load)
    with pytest.raises(ConnectionError):
        PatentClassifier.load_from_checkpoint("http://localhost/model.ckpt")
    assert asked == [("http://localhost/model.ckpt", True)]


# --- arguments


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"model": "svm"}, r"^model=svm is unknown; choose one of bertcnn, bert, textcnn, rnn$"),
        ({"layers": 3}, r"^model=bertcnn has no setting layers; it has head, num_last_layers"),
        ({"dropout": 2.0}, r"^model\.dropout=2\.0 is out of range"),
        ({"model": "bert", "head": "token"}, r"^model=bert is the linear control"),
        ({"encoder": "demo", "num_last_layers": 9}, r"^model\.num_last_layers=9 is out of range"),
        ({"features": "folder"}, r"^model=bertcnn does not read features; give encoder=\.\.\. instead$"),
        ({"model": "rnn", "encoder": "small"}, r"^model=rnn does not read encoder; give features=\.\.\. instead$"),
        ({"model": "rnn"}, r"^model=rnn reads words; give features=data\.vectors"),
        ({"lr": -1.0}, r"^optimizer\.lr=-1\.0 is out of range"),
        ({"schedule": "cosine"}, r"^optimizer\.schedule=cosine is unknown"),
        ({"level_weights": {"subclass": 1.0}}, r"^level_weights=subclass is unknown; choose one of section, class$"),
        ({"label_weights": [1.0]}, r"^label_weights has shape \(1,\); give one for each of 5 labels$"),
        ({"r_drop": -1.0}, r"^r_drop=-1\.0 is out of range"),
        ({"label_smoothing": 1.0}, r"^label_smoothing=1\.0 is out of range"),
        ({"ema": 1.0}, r"^ema=1\.0 is out of range"),
        ({"layer_decay": 1.5}, r"^optimizer\.layer_decay=1\.5 is out of range"),
    ],
)
def test_unusable_arguments_are_refused_in_one_line(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason) as caught:
        PatentClassifier(**{"model": "bertcnn", "tree": TREE, **changes})
    assert "\n" not in str(caught.value)


def test_the_rate_is_that_of_the_encoder_unless_given() -> None:
    assert PatentClassifier("bert", TREE, encoder="demo").optimizer_settings.lr == 1e-3
    assert PatentClassifier("bert", TREE, encoder="demo", lr=0.5).optimizer_settings.lr == 0.5
