import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pytorch_lightning.callbacks import LearningRateMonitor, ModelCheckpoint, RichProgressBar
from pytorch_lightning.loggers import CSVLogger
from torch import Tensor, nn

from patent_hier.data.splits import CALIBRATION, TEST, TRAIN, VAL
from patent_hier.errors import ConfigError
from patent_hier.features.pretrained import EncoderFiles
from patent_hier.models.encoder import TextEncoder, load_encoder
from patent_hier.settings import TrainerSettings, planned_epochs
from patent_hier.training.batching import LengthGroupedBatches
from patent_hier.training.fitted import Fitted
from patent_hier.training.module import PatentClassifier
from patent_hier.training.neural import best_epoch
from patent_hier.training.observers import Observers
from tests.conftest import class_labels
from tests.training.toys import Toy, equal, settings, untimed, weights

WIDE = {"num_filters": 32, "pool_size": 2}


def accuracy(fitted: Fitted, toy: Toy, part: int) -> tuple[float, float]:
    """Share of documents of a part whose class a flat network finds; and that of the majority class."""
    tree, corpus = fitted.classifier.tree, toy.corpus
    indices = np.flatnonzero(corpus.parts == part)
    targets = corpus.labels.tree.codes[corpus.labels.main[indices, 1]]
    predicted = tree.codes[tree.leaves][fitted.classifier.log_prob(corpus.store, indices)[:, tree.leaves].argmax(1)]
    majority = max(np.unique(targets.astype(str), return_counts=True)[1]) / len(indices)
    return float((predicted == targets).mean()), float(majority)


@pytest.fixture(scope="module")
def learned(toy: Toy) -> Fitted:
    return toy.fit(settings("flat", max_epochs=15, patience=None, model=WIDE))


# --- it learns, and keeps the best epoch


def test_a_separable_corpus_is_learned(learned: Fitted, toy: Toy) -> None:
    assert learned.classifier.tree.labels("class") == ("A01", "A23", "B05", "B60", "C07")
    found, majority = accuracy(learned, toy, TEST)
    assert found > 0.9
    assert found > majority + 0.4
    losses = [epoch["train/loss"] for epoch in learned.history]
    assert losses[-1] < losses[0] / 3


def test_facts_and_history(learned: Fitted, toy: Toy) -> None:
    facts = learned.facts
    assert facts["train_documents"] == (toy.corpus.parts == TRAIN).sum()
    assert facts["val_documents"] == (toy.corpus.parts == VAL).sum()
    assert facts["epochs"] == len(learned.history) == 15
    assert [epoch["epoch"] for epoch in learned.history] == list(range(1, 16))
    assert all({"train/loss", "val/loss", "val/accuracy", "seconds"} <= set(epoch) for epoch in learned.history)
    assert facts["parameters"] == facts["trainable_parameters"] == sum(w.numel() for w in weights(learned).values())
    assert (facts["device"], facts["precision"], facts["threads"]) == ("cpu", "32-true", 1)
    assert isinstance(learned.classifier.model, nn.Module)
    assert not learned.classifier.model.training


def test_the_best_epochs_weights_are_returned(toy: Toy) -> None:
    """Validation calls everything by the largest class: right at first, ever more wrong the more is learned."""
    spoiled = toy.spoiled(VAL)
    fitted = spoiled.fit(settings("flat", max_epochs=10, patience=None))
    scores = [epoch["val/accuracy"] for epoch in fitted.history]
    assert scores[-1] < max(scores) - 0.3
    assert fitted.facts["best_epoch"] == scores.index(max(scores)) + 1
    assert accuracy(fitted, spoiled, VAL)[0] == pytest.approx(max(scores))


def test_the_last_epochs_weights_are_returned_if_asked_for(toy: Toy) -> None:
    chosen: Any = {"max_epochs": 4, "patience": None, "keep": "last", "model": {"dropout": 0.0}}
    fitted = toy.spoiled(VAL).fit(settings("flat", **chosen))
    assert fitted.facts["best_epoch"] < 4
    assert equal(fitted, toy.without_validation().fit(settings("flat", **chosen)))


def test_test_and_calibration_documents_do_not_matter(toy: Toy) -> None:
    assert equal(toy.fit(settings("flat")), toy.spoiled(TEST, CALIBRATION).fit(settings("flat")))


def test_best_epoch_is_the_first_of_equals() -> None:
    history = [{"epoch": i + 1, "val/accuracy": score} for i, score in enumerate((0.1, 0.5, 0.5, 0.2))]
    assert best_epoch(history) == 2
    assert best_epoch([{"epoch": 1.0, "train/loss": 0.3}]) is None


# --- the seed


def test_same_seed_same_weights(toy: Toy) -> None:
    dropout = {"encoder": {"dropout": 0.1}, "model": {"dropout": 0.2}}
    trained = []
    for seed in (1, 1, 2):
        torch.rand(seed)  # whatever was drawn before has no influence
        trained.append(toy.fit(settings(seed=seed, **dropout)))
    first, again, other = trained
    assert equal(first, again)
    assert untimed(first) == untimed(again)
    assert not equal(first, other)
    assert untimed(first) != untimed(other)


# --- the average of the weights


def test_the_average_of_the_weights_is_validated_and_kept(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    """By hand: behind n steps the average keeps min(decay, (1 + n) / (10 + n)) of itself."""
    averages: list[dict[str, Tensor]] = []

    def note(task: PatentClassifier, *arguments: Any) -> None:
        now = {name: weight.detach().clone() for name, weight in task.network.named_parameters()}
        n = len(averages)
        share = min(0.4, (1 + n) / (10 + n)) if n else 0.0
        averages.append(
            {name: share * averages[-1][name] + (1 - share) * now[name] if n else now[name] for name in now}
        )
        step(task, *arguments)

    step = PatentClassifier.on_train_batch_end
    monkeypatch.setattr(PatentClassifier, "on_train_batch_end", note)
    chosen = {"max_epochs": 2, "patience": None, "ema": 0.4}
    last = toy.fit(settings("flat", keep="last", **chosen))
    for name, value in averages[-1].items():
        torch.testing.assert_close(weights(last)[name], value, rtol=1e-4, atol=1e-6)
    best = toy.fit(settings("flat", **chosen))
    score = best.history[best.facts["best_epoch"] - 1]["val/accuracy"]
    assert accuracy(best, toy, VAL)[0] == pytest.approx(score)  # of the kept weights: the average's
    assert not equal(best, toy.fit(settings("flat", **{**chosen, "ema": 0.0})))


# --- a node without validation documents


def test_training_without_validation(toy: Toy, capsys: pytest.CaptureFixture[str]) -> None:
    fitted = toy.without_validation().fit(settings(max_epochs=3))
    assert fitted.facts["epochs"] == 3  # nothing can stop early
    assert (fitted.facts["val_documents"], fitted.facts["best_epoch"]) == (0, None)
    assert fitted.history[-1]["train/loss"] < fitted.history[0]["train/loss"]
    assert not any("val/accuracy" in epoch for epoch in fitted.history)
    assert (
        "no validation document under this node, so the weights of the last epoch are kept" in capsys.readouterr().out
    )


# --- how long


def test_planned_epochs() -> None:
    assert planned_epochs(TrainerSettings(max_epochs=5, min_steps=0), 3) == 5
    assert planned_epochs(TrainerSettings(max_epochs=5, min_steps=300), 100) == 5
    assert planned_epochs(TrainerSettings(max_epochs=5, min_steps=301), 50) == 7


STANDSTILL = {"lr": 1e-12, "warmup": 0.0}  # no epoch is better than the first


@pytest.mark.parametrize(
    ("least", "epochs", "changes"),  # the least in epochs and steps
    [((2, 4), 3, {"max_epochs": 1, "patience": None}), ((0, 0), 3, {"patience": 2}), ((3, 1), 4, {"patience": 1})],
    ids=["min_steps raise the epochs", "patience", "patience waits for min_steps and for the epoch's end"],
)
def test_how_long(toy: Toy, steps: list[Tensor], least: tuple[int, int], epochs: int, changes: dict[str, Any]) -> None:
    in_epoch = -(-len(toy.view("A").train) // 16)
    assert in_epoch > 4
    least_steps = least[0] * in_epoch + least[1]
    fitted = toy.fit(settings(**{"max_epochs": 9, "min_steps": least_steps, "optimizer": STANDSTILL, **changes}))
    assert fitted.facts["epochs"] == epochs
    assert len(steps) == epochs * in_epoch
    assert fitted.facts["best_epoch"] == 1


# --- the encoder


@pytest.mark.parametrize("freeze", [True, 1, False])
def test_a_pretrained_encoder_is_trained_with_its_dropout_or_frozen(
    toy: Toy, tiny_encoder_files: EncoderFiles, monkeypatch: pytest.MonkeyPatch, freeze: bool | int
) -> None:
    """transformers gives it in evaluation mode; a frozen one stays there."""
    modes: list[tuple[bool, bool]] = []

    def watch(self: TextEncoder, *arguments: Tensor) -> tuple[Tensor, ...]:
        if torch.is_grad_enabled():
            modes.append((self.training, self.network.training))
        return forward(self, *arguments)

    forward = TextEncoder.forward
    monkeypatch.setattr(TextEncoder, "forward", watch)
    chosen = settings(encoder={"freeze": freeze, "pretrained": True})
    fitted = replace(toy, files=tiny_encoder_files).fit(chosen)
    assert set(modes) == {(True, freeze is not True)}
    before = load_encoder(tiny_encoder_files, pretrained=True, frozen=False).state_dict()
    fixed = {name for name in before if freeze is True or (freeze and "encoder.layer.1" not in name)}
    for name, value in before.items():
        assert torch.equal(value, weights(fitted)[f"encoder.{name}"]) == (name in fixed)
    trainable = fitted.facts["parameters"] - sum(before[name].numel() for name in fixed)
    assert fitted.facts["trainable_parameters"] == trainable


def test_class_weights_change_the_training(toy: Toy) -> None:
    plain, weighted = (toy.fit(settings(class_weights=on)) for on in (False, True))
    assert not equal(plain, weighted)


@pytest.mark.skipif(torch.cuda.is_available(), reason="about a machine without CUDA")
def test_a_missing_gpu_is_named(toy: Toy) -> None:
    with pytest.raises(ConfigError, match=r"trainer\.accelerator=gpu"):
        toy.fit(settings(accelerator="gpu"))


def test_progress_is_a_line_per_epoch(toy: Toy, capsys: pytest.CaptureFixture[str]) -> None:
    toy.fit(settings("B", progress=True))
    first, *lines = capsys.readouterr().out.splitlines()
    assert first == "bertcnn B: training on cpu in 32-true"
    assert [line.split("  ")[:2] for line in lines] == [["bertcnn B", "epoch 1/2"], ["bertcnn B", "epoch 2/2"]]
    assert all("val/accuracy 0." in line or "val/accuracy 1." in line for line in lines)
    toy.fit(settings("B"))
    assert capsys.readouterr().out == ""


def test_further_epochs_for_the_least_steps_are_announced(toy: Toy, capsys: pytest.CaptureFixture[str]) -> None:
    toy.fit(settings("B", progress=True, max_epochs=1, min_steps=4, batch_size=4096))
    first, *lines = capsys.readouterr().out.splitlines()
    assert first.endswith("; 4 epochs instead of 1, to reach trainer.min_steps=4")
    assert len(lines) == 4


@pytest.mark.parametrize("seen", [True, False])
def test_a_network_of_all_levels_learns_each_of_them(toy: Toy, seen: bool) -> None:
    """With ``labels=all`` it learns further symbols too; whether a path is a main or a further one is chance."""
    labels, corpus = toy.corpus.labels, toy.corpus
    if not seen:  # every document of C07 has A23 as its further symbol
        classes = labels.tree.codes[labels.main[:, 1]]
        further = [["A23"] if name == "C07" else [] for name in classes]
        corpus = replace(corpus, labels=class_labels(classes, further), every_symbol=True)
    fitted = replace(toy, corpus=corpus).fit(settings("shared", max_epochs=15, patience=None, model=WIDE))
    tree = fitted.classifier.tree
    rows = np.flatnonzero((corpus.parts == TEST) & (labels.main[:, 1] == tree.find("class", ["C07"])[0]))
    log_prob = fitted.classifier.log_prob(corpus.store, rows)
    share = np.exp(log_prob[:, tree.find("class", ["C07"])[0]]).mean()
    assert share > 0.8 if seen else 0.25 < share < 0.7  # half of what it learns of them is A23
    assert {"val/accuracy", "val/accuracy/section", "val/accuracy/class"} <= set(fitted.history[0])
    assert fitted.history[-1]["val/accuracy/class"] > 0.6


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_learning_on_a_gpu(toy: Toy) -> None:
    fitted = toy.fit(settings("flat", max_epochs=15, patience=None, accelerator="gpu"))
    assert fitted.facts["device"] == "cuda:0"
    assert accuracy(fitted, toy, TEST)[0] > 0.9


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_gradients_are_clipped_by_their_norm(toy: Toy, steps: list[Tensor], precision: str) -> None:
    fitted = toy.fit(settings(precision=precision, gradient_clip=1e-3, max_epochs=1))
    assert fitted.facts["precision"] == precision
    assert [step.norm().item() for step in steps] == pytest.approx([1e-3] * len(steps), rel=0.01)
    assert len(steps) > 1


@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_training_is_no_success(toy: Toy, monkeypatch: pytest.MonkeyPatch, signal_number: int) -> None:
    def send(self: LengthGroupedBatches, epoch: int) -> None:
        self.epoch = epoch
        os.kill(os.getpid(), signal_number)

    monkeypatch.setattr(LengthGroupedBatches, "set_epoch", send)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where tests run in the background
    try:
        with pytest.raises(KeyboardInterrupt):
            toy.fit(settings())
    finally:
        signal.signal(signal.SIGINT, before)


def test_the_loss_of_an_epoch_is_the_mean_over_its_documents(toy: Toy) -> None:
    still = settings(max_epochs=1, batch_size=7, optimizer=STANDSTILL, model={"dropout": 0.0})
    view = toy.view("A")
    assert len(view.train) % 7  # the last batch is smaller, so that a mean of batches would be another
    fitted = toy.fit(still)
    log_prob = fitted.classifier.log_prob(view.store, view.train)
    expected = -log_prob[np.arange(len(view.train)), view.train_paths[:, 0]].mean()
    assert fitted.history[0]["train/loss"] == pytest.approx(expected, rel=1e-5)


def test_slurms_signals_are_left_alone(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a Slurm job, Lightning would answer SIGUSR1 with a checkpoint in the current folder and a new job."""
    job = {"NTASKS": 1, "JOB_NAME": "node", "JOB_ID": 7, "PROCID": 0, "LOCALID": 0, "NODEID": 0}
    for name, value in job.items():
        monkeypatch.setenv(f"SLURM_{name}", str(value))
    found: list[Any] = []

    def look(self: LengthGroupedBatches, epoch: int) -> None:
        self.epoch = epoch
        found.append(signal.getsignal(signal.SIGUSR1))

    monkeypatch.setattr(LengthGroupedBatches, "set_epoch", look)
    toy.fit(settings())
    assert set(found) == {signal.SIG_DFL}


def test_observers_watch_and_change_nothing(toy: Toy, tmp_path: Path) -> None:
    alone = toy.fit(settings())
    callbacks = [LearningRateMonitor("epoch"), RichProgressBar(), ModelCheckpoint()]

    def observe() -> Observers:
        return Observers([CSVLogger(tmp_path, "log")], callbacks, tmp_path)

    watched = toy.fit(settings(), observe=observe)
    assert equal(alone, watched)
    assert [set(epoch) for epoch in watched.history] == [set(epoch) for epoch in alone.history]  # no learning rate
    metrics = (tmp_path / "log" / "version_0" / "metrics.csv").read_text("utf-8")
    assert metrics.startswith("epoch,lr-AdamW/pg1,lr-AdamW/pg2,step,train/loss,val/accuracy,val/loss")
    assert list(tmp_path.rglob("*.ckpt"))  # below the folder of logs, not in the working folder


def test_a_callback_that_needs_a_logger_is_refused_in_one_line(toy: Toy) -> None:
    with pytest.raises(ConfigError, match=r"no logger\. Change logger=\.\.\. or callbacks=\.\.\.") as caught:
        toy.fit(settings(), observe=lambda: Observers(callbacks=[LearningRateMonitor()]))
    assert "\n" not in str(caught.value)
