import os
import signal
from collections.abc import Iterator
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
from patent_hier.features.token_store import TokenStore
from patent_hier.models.blueprint import bertcnn_blueprint
from patent_hier.models.encoder import TextEncoder, load_encoder
from patent_hier.settings import (
    BertCnnSettings,
    EncoderSettings,
    OptimizerSettings,
    Settings,
    TrainerSettings,
    planned_epochs,
)
from patent_hier.training.batching import LengthGroupedBatches
from patent_hier.training.fitted import Fitted
from patent_hier.training.neural import best_epoch, fit_network
from patent_hier.training.node_data import CorpusView, NodeView
from patent_hier.training.observers import Observers
from tests.conftest import class_labels, tiny_encoder_settings


@pytest.fixture(autouse=True)
def one_thread_as_before() -> Iterator[None]:
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def settings(
    node: str = "A",
    *,
    seed: int = 1,
    encoder: dict[str, Any] | None = None,
    model: dict[str, Any] | None = None,
    optimizer: dict[str, Any] | None = None,
    **trainer: Any,
) -> Settings:
    short = {"max_epochs": 2, "min_steps": 0, "num_threads": 1, "accelerator": "cpu", "progress": False}
    small = {"num_last_layers": 2, "num_filters": 8, "pooling": "mean"}
    return Settings(
        encoder=tiny_encoder_settings(**(encoder or {})),
        model=BertCnnSettings(**{**small, **(model or {})}),
        optimizer=OptimizerSettings(**{"lr": 3e-3, **(optimizer or {})}),
        trainer=TrainerSettings(**{**short, **trainer}),
        node=node,
        seed=seed,
    )


def fit(corpus: CorpusView[TokenStore], files: EncoderFiles, chosen: Settings) -> Fitted:
    blueprint = bertcnn_blueprint(files, chosen.encoder, chosen.model)
    return fit_network(NodeView.of(corpus, chosen.node), blueprint, chosen)


def weights(fitted: Fitted) -> dict[str, Tensor]:
    assert isinstance(fitted.classifier.model, nn.Module)
    return fitted.classifier.model.state_dict()


def equal(a: Fitted, b: Fitted) -> bool:
    return all(torch.equal(value, weights(b)[name]) for name, value in weights(a).items())


def without_time(history: list[dict[str, float]]) -> list[dict[str, float]]:
    return [{key: value for key, value in epoch.items() if key != "seconds"} for epoch in history]


def accuracy(fitted: Fitted, corpus: CorpusView[TokenStore], part: int) -> tuple[float, float]:
    """Share of documents of a part whose class a flat network finds; and that of the majority class."""
    tree, indices = fitted.classifier.tree, np.flatnonzero(corpus.parts == part)
    targets = corpus.labels.tree.codes[corpus.labels.main[indices, 1]]
    predicted = tree.codes[tree.leaves][fitted.classifier.log_prob(corpus.store, indices)[:, tree.leaves].argmax(1)]
    majority = max(np.unique(targets.astype(str), return_counts=True)[1]) / len(indices)
    return float((predicted == targets).mean()), float(majority)


def spoiled(corpus: CorpusView[TokenStore], *parts: int) -> CorpusView[TokenStore]:
    """With the largest class as the label of every document of some parts."""
    classes = corpus.labels.tree.codes[corpus.labels.main[:, 1]].copy()
    classes[np.isin(corpus.parts, parts)] = "A01"
    return replace(corpus, labels=class_labels(classes))


@pytest.fixture(scope="module")
def learned(toy_corpus: CorpusView[TokenStore], demo_files: EncoderFiles) -> Fitted:
    wide = {"num_filters": 32, "pool_size": 2}
    return fit(toy_corpus, demo_files, settings("flat", max_epochs=15, patience=None, model=wide))


# --- it learns, and keeps the best epoch


def test_a_separable_corpus_is_learned(learned: Fitted, toy_corpus: CorpusView[TokenStore]) -> None:
    assert learned.classifier.tree.labels("class") == ("A01", "A23", "B05", "B60", "C07")
    found, majority = accuracy(learned, toy_corpus, TEST)
    assert found > 0.9
    assert found > majority + 0.4
    losses = [epoch["train/loss"] for epoch in learned.history]
    assert losses[-1] < losses[0] / 3


def test_facts_and_history(learned: Fitted, toy_corpus: CorpusView[TokenStore]) -> None:
    facts = learned.facts
    assert facts["train_documents"] == (toy_corpus.parts == TRAIN).sum()
    assert facts["val_documents"] == (toy_corpus.parts == VAL).sum()
    assert facts["epochs"] == len(learned.history) == 15
    assert [epoch["epoch"] for epoch in learned.history] == list(range(1, 16))
    assert all({"train/loss", "val/loss", "val/accuracy", "seconds"} <= set(epoch) for epoch in learned.history)
    assert facts["parameters"] == facts["trainable_parameters"] == sum(w.numel() for w in weights(learned).values())
    assert (facts["device"], facts["precision"], facts["threads"]) == ("cpu", "32-true", 1)
    assert isinstance(learned.classifier.model, nn.Module)
    assert not learned.classifier.model.training


def test_the_best_epochs_weights_are_returned(toy_corpus: CorpusView[TokenStore], demo_files: EncoderFiles) -> None:
    """Validation calls everything by the largest class: right at first, ever more wrong the more is learned."""
    corpus = spoiled(toy_corpus, VAL)
    fitted = fit(corpus, demo_files, settings("flat", max_epochs=10, patience=None))
    scores = [epoch["val/accuracy"] for epoch in fitted.history]
    assert scores[-1] < max(scores) - 0.3
    assert fitted.facts["best_epoch"] == scores.index(max(scores)) + 1
    assert accuracy(fitted, corpus, VAL)[0] == pytest.approx(max(scores))


def test_test_and_calibration_documents_do_not_matter(
    toy_corpus: CorpusView[TokenStore], demo_files: EncoderFiles
) -> None:
    other = spoiled(toy_corpus, TEST, CALIBRATION)
    a, b = (fit(corpus, demo_files, settings("flat")) for corpus in (toy_corpus, other))
    assert equal(a, b)


@pytest.mark.parametrize("freeze", [False, True])
def test_a_pretrained_encoder_is_trained_with_its_dropout(
    toy_corpus: CorpusView[TokenStore], tiny_encoder_files: EncoderFiles, monkeypatch: pytest.MonkeyPatch, freeze: bool
) -> None:
    """transformers gives it in evaluation mode; a frozen one stays there."""
    modes: list[tuple[bool, bool]] = []

    def watch(self: TextEncoder, *arguments: Tensor) -> tuple[Tensor, ...]:
        if torch.is_grad_enabled():
            modes.append((self.training, self.network.training))
        return forward(self, *arguments)

    forward = TextEncoder.forward
    monkeypatch.setattr(TextEncoder, "forward", watch)
    chosen = settings(model={"num_last_layers": 1})
    encoder = EncoderSettings("tiny", str(tiny_encoder_files.folder), freeze=freeze, max_length=32)
    blueprint = bertcnn_blueprint(tiny_encoder_files, encoder, chosen.model)
    fit_network(NodeView.of(toy_corpus, "A"), blueprint, chosen)
    assert set(modes) == {(True, not freeze)}


def test_best_epoch_is_the_first_of_equals() -> None:
    history = [{"epoch": i + 1, "val/accuracy": score} for i, score in enumerate((0.1, 0.5, 0.5, 0.2))]
    assert best_epoch(history) == 2
    assert best_epoch([{"epoch": 1.0, "train/loss": 0.3}]) is None


# --- the seed


def test_same_seed_same_weights(toy_corpus: CorpusView[TokenStore], demo_files: EncoderFiles) -> None:
    dropout = {"encoder": {"dropout": 0.1}, "model": {"dropout": 0.2}}
    first, again, other = (fit(toy_corpus, demo_files, settings(seed=s, **dropout)) for s in (1, 1, 2))
    assert equal(first, again)
    assert without_time(first.history) == without_time(again.history)
    assert not equal(first, other)
    assert without_time(first.history) != without_time(other.history)


# --- a node without validation documents


def test_training_without_validation(toy_corpus: CorpusView[TokenStore], demo_files: EncoderFiles) -> None:
    parts = np.where(toy_corpus.parts == VAL, TEST, toy_corpus.parts).astype(np.int8)
    corpus = replace(toy_corpus, parts=parts)
    fitted = fit(corpus, demo_files, settings(max_epochs=3))
    assert fitted.facts["epochs"] == 3  # nothing can stop early
    assert (fitted.facts["val_documents"], fitted.facts["best_epoch"]) == (0, None)
    assert fitted.history[-1]["train/loss"] < fitted.history[0]["train/loss"]
    assert not any("val/accuracy" in epoch for epoch in fitted.history)


# --- how long


def test_planned_epochs() -> None:
    assert planned_epochs(TrainerSettings(max_epochs=5, min_steps=0), 3) == 5
    assert planned_epochs(TrainerSettings(max_epochs=5, min_steps=300), 100) == 5
    assert planned_epochs(TrainerSettings(max_epochs=5, min_steps=301), 50) == 7


def steps_per_epoch(corpus: CorpusView[TokenStore], node: str) -> int:
    return -(-len(NodeView.of(corpus, node).train) // 16)


def test_min_steps_raise_the_epochs(toy_corpus: CorpusView[TokenStore], demo_files: EncoderFiles) -> None:
    steps = steps_per_epoch(toy_corpus, "A")
    fitted = fit(toy_corpus, demo_files, settings(max_epochs=1, min_steps=3 * steps - 1, patience=None))
    assert fitted.facts["epochs"] == 3


STANDSTILL = {"lr": 1e-12, "warmup": 0.0}  # no epoch is better than the first


def test_patience(toy_corpus: CorpusView[TokenStore], demo_files: EncoderFiles) -> None:
    fitted = fit(toy_corpus, demo_files, settings(max_epochs=9, patience=2, optimizer=STANDSTILL))
    assert fitted.facts["epochs"] == 3
    assert fitted.facts["best_epoch"] == 1


def test_patience_waits_for_min_steps_and_for_the_epochs_end(
    toy_corpus: CorpusView[TokenStore], demo_files: EncoderFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    from patent_hier.training.module import PatentClassifier

    made: list[int] = []
    step = PatentClassifier.training_step

    def counted(self: PatentClassifier, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        made.append(batch_idx)
        return step(self, batch, batch_idx)

    monkeypatch.setattr(PatentClassifier, "training_step", counted)
    steps = steps_per_epoch(toy_corpus, "A")
    assert steps > 2
    fitted = fit(
        toy_corpus, demo_files, settings(max_epochs=9, patience=1, min_steps=3 * steps + 1, optimizer=STANDSTILL)
    )
    assert len(made) == 4 * steps  # two epochs without a better score would do, but for min_steps
    assert fitted.facts["epochs"] == 4


# --- the encoder


@pytest.mark.parametrize("freeze", [True, False])
def test_freeze(toy_corpus: CorpusView[TokenStore], tiny_encoder_files: EncoderFiles, freeze: bool) -> None:
    chosen = settings(encoder={"freeze": freeze, "pretrained": True})
    fitted = fit(toy_corpus, tiny_encoder_files, chosen)
    before = load_encoder(tiny_encoder_files, pretrained=True, frozen=False).state_dict()
    unchanged = [torch.equal(value, weights(fitted)[f"encoder.{name}"]) for name, value in before.items()]
    assert all(unchanged) == freeze
    assert any(unchanged) == freeze
    in_encoder = sum(value.numel() for value in before.values())
    trainable = fitted.facts["parameters"] - (in_encoder if freeze else 0)
    assert fitted.facts["trainable_parameters"] == trainable


def test_class_weights_change_the_training(toy_corpus: CorpusView[TokenStore], demo_files: EncoderFiles) -> None:
    plain, weighted = (fit(toy_corpus, demo_files, settings(class_weights=on)) for on in (False, True))
    assert not equal(plain, weighted)


def test_wrong_settings_are_one_line(toy_corpus: CorpusView[TokenStore], demo_files: EncoderFiles) -> None:
    with pytest.raises(ConfigError, match=r"model\.num_last_layers=3 .*1 to 2"):
        fit(toy_corpus, demo_files, settings(model={"num_last_layers": 3}))


@pytest.mark.skipif(torch.cuda.is_available(), reason="about a machine without CUDA")
def test_a_missing_gpu_is_named(toy_corpus: CorpusView[TokenStore], demo_files: EncoderFiles) -> None:
    with pytest.raises(ConfigError, match=r"trainer\.accelerator=gpu"):
        fit(toy_corpus, demo_files, settings(accelerator="gpu"))


def test_progress_is_a_line_per_epoch(
    toy_corpus: CorpusView[TokenStore], demo_files: EncoderFiles, capsys: pytest.CaptureFixture[str]
) -> None:
    fit(toy_corpus, demo_files, settings("B", progress=True))
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[:2] for line in lines] == [["bertcnn B", "epoch 1/2"], ["bertcnn B", "epoch 2/2"]]
    assert all("val/accuracy 0." in line or "val/accuracy 1." in line for line in lines)
    fit(toy_corpus, demo_files, settings("B"))
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("seen", [True, False])
def test_a_network_of_all_levels_learns_each_of_them(
    toy_corpus: CorpusView[TokenStore], demo_files: EncoderFiles, seen: bool
) -> None:
    """With ``labels=all`` it learns further symbols too; whether a path is a main or a further one is chance."""
    labels = toy_corpus.labels
    if not seen:  # every document of C07 has A23 as its further symbol
        classes = labels.tree.codes[labels.main[:, 1]]
        further = [["A23"] if name == "C07" else [] for name in classes]
        toy_corpus = replace(toy_corpus, labels=class_labels(classes, further), every_symbol=True)
    wide = {"num_filters": 32, "pool_size": 2}
    fitted = fit(toy_corpus, demo_files, settings("shared", max_epochs=15, patience=None, model=wide))
    tree = fitted.classifier.tree
    rows = np.flatnonzero((toy_corpus.parts == TEST) & (labels.main[:, 1] == tree.find("class", ["C07"])[0]))
    log_prob = fitted.classifier.log_prob(toy_corpus.store, rows)
    share = np.exp(log_prob[:, tree.find("class", ["C07"])[0]]).mean()
    assert share > 0.8 if seen else 0.25 < share < 0.7  # half of what it learns of them is A23
    assert {"val/accuracy", "val/accuracy/section", "val/accuracy/class"} <= set(fitted.history[0])
    assert fitted.history[-1]["val/accuracy/class"] > 0.6


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_learning_on_a_gpu(toy_corpus: CorpusView[TokenStore], demo_files: EncoderFiles) -> None:
    fitted = fit(toy_corpus, demo_files, settings("flat", max_epochs=15, patience=None, accelerator="gpu"))
    assert fitted.facts["device"] == "cuda:0"
    assert accuracy(fitted, toy_corpus, TEST)[0] > 0.9


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_gradients_are_clipped_by_their_norm(
    toy_corpus: CorpusView[TokenStore], demo_files: EncoderFiles, steps: list[Tensor], precision: str
) -> None:
    fitted = fit(toy_corpus, demo_files, settings(precision=precision, gradient_clip=1e-3, max_epochs=1))
    assert fitted.facts["precision"] == precision
    assert [step.norm().item() for step in steps] == pytest.approx([1e-3] * len(steps), rel=0.01)
    assert len(steps) > 1


@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_training_is_no_success(
    toy_corpus: CorpusView[TokenStore], demo_files: EncoderFiles, monkeypatch: pytest.MonkeyPatch, signal_number: int
) -> None:
    def send(self: LengthGroupedBatches, epoch: int) -> None:
        self.epoch = epoch
        os.kill(os.getpid(), signal_number)

    monkeypatch.setattr(LengthGroupedBatches, "set_epoch", send)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where tests run in the background
    try:
        with pytest.raises(KeyboardInterrupt):
            fit(toy_corpus, demo_files, settings())
    finally:
        signal.signal(signal.SIGINT, before)


def test_the_loss_of_an_epoch_is_the_mean_over_its_documents(
    toy_corpus: CorpusView[TokenStore], demo_files: EncoderFiles
) -> None:
    still = settings(max_epochs=1, batch_size=7, optimizer=STANDSTILL, model={"dropout": 0.0})
    view = NodeView.of(toy_corpus, "A")
    assert len(view.train) % 7  # the last batch is smaller, so that a mean of batches would be another
    fitted = fit(toy_corpus, demo_files, still)
    log_prob = fitted.classifier.log_prob(view.store, view.train)
    expected = -log_prob[np.arange(len(view.train)), view.train_paths[:, 0]].mean()
    assert fitted.history[0]["train/loss"] == pytest.approx(expected, rel=1e-5)


def test_slurms_signals_are_left_alone(
    toy_corpus: CorpusView[TokenStore], demo_files: EncoderFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a Slurm job, Lightning would answer SIGUSR1 with a checkpoint in the current folder and a new job."""
    job = {"NTASKS": 1, "JOB_NAME": "node", "JOB_ID": 7, "PROCID": 0, "LOCALID": 0, "NODEID": 0}
    for name, value in job.items():
        monkeypatch.setenv(f"SLURM_{name}", str(value))
    found: list[Any] = []

    def look(self: LengthGroupedBatches, epoch: int) -> None:
        self.epoch = epoch
        found.append(signal.getsignal(signal.SIGUSR1))

    monkeypatch.setattr(LengthGroupedBatches, "set_epoch", look)
    fit(toy_corpus, demo_files, settings())
    assert set(found) == {signal.SIG_DFL}


def test_observers_watch_and_change_nothing(
    toy_corpus: CorpusView[TokenStore], demo_files: EncoderFiles, tmp_path: Path
) -> None:
    chosen = settings()
    alone = fit(toy_corpus, demo_files, chosen)
    callbacks = [LearningRateMonitor("epoch"), RichProgressBar(), ModelCheckpoint()]

    def observe() -> Observers:
        return Observers([CSVLogger(tmp_path, "log")], callbacks, tmp_path)

    blueprint = bertcnn_blueprint(demo_files, chosen.encoder, chosen.model)
    watched = fit_network(NodeView.of(toy_corpus, "A"), blueprint, chosen, observe=observe)
    assert all(torch.equal(value, weights(watched)[name]) for name, value in weights(alone).items())
    assert [set(epoch) for epoch in watched.history] == [set(epoch) for epoch in alone.history]  # no learning rate
    metrics = (tmp_path / "log" / "version_0" / "metrics.csv").read_text("utf-8")
    assert metrics.startswith("epoch,lr-AdamW/pg1,lr-AdamW/pg2,step,train/loss,val/accuracy,val/loss")
    assert list(tmp_path.rglob("*.ckpt"))  # below the folder of logs, not in the working folder


def test_a_callback_that_needs_a_logger_is_refused_in_one_line(
    toy_corpus: CorpusView[TokenStore], demo_files: EncoderFiles
) -> None:
    chosen = settings()
    blueprint = bertcnn_blueprint(demo_files, chosen.encoder, chosen.model)
    view = NodeView.of(toy_corpus, "A")
    with pytest.raises(ConfigError, match=r"no logger\. Change logger=\.\.\. or callbacks=\.\.\.") as caught:
        fit_network(view, blueprint, chosen, observe=lambda: Observers(callbacks=[LearningRateMonitor()]))
    assert "\n" not in str(caught.value)
