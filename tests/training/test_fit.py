import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from patent_hier.data.label_text import LabelTexts
from patent_hier.data.splits import CALIBRATION, TEST, TRAIN, VAL
from patent_hier.features.ngram_store import JoinedNgrams, NgramReader, NgramStore
from patent_hier.features.token_store import JoinedTokens, TokenStore
from patent_hier.features.wordpiece import WordPieceReader
from patent_hier.features.words import WordReader
from patent_hier.models.network_spec import NetworkSpec
from patent_hier.models.rnn import Rnn
from patent_hier.models.textcnn import TextCnn
from patent_hier.settings import (
    BertCnnSettings,
    LinearSettings,
    NaiveBayesSettings,
    NeighboursSettings,
    RnnSettings,
    Settings,
    TextCnnSettings,
)
from patent_hier.training.fit import fit_node as fit_view
from patent_hier.training.fitted import Fitted
from patent_hier.training.node_data import CorpusView
from patent_hier.training.node_views import view_of
from tests.conftest import class_labels
from tests.training import toys
from tests.training.toys import Toy

WORDS = tuple(chr(0x4E00 + number) for number in range(70))
VECTORS = np.random.default_rng(2).normal(size=(len(WORDS) + 2, 8)).astype(np.float32)
TEXTCNN, RNN = TextCnnSettings(kernel_sizes=[1, 2], num_filters=8, dropout=0.3), RnnSettings(hidden_size=8, dropout=0.3)
BERTCNN = BertCnnSettings(num_last_layers=2, num_filters=4)
LINEAR, BAYES = LinearSettings(ngram_sizes=[1, 1]), NaiveBayesSettings(ngram_sizes=[1, 1])
KNN = NeighboursSettings(ngram_sizes=[1, 1], num_neighbours=3)
NETWORKS: dict[Any, Any] = {TextCnnSettings: TextCnn, RnnSettings: Rnn}
KINDS = {"TextCnn": TEXTCNN, "Rnn": RNN, "LinearClassifier": LINEAR, "NaiveBayesClassifier": BAYES}
KINDS["NeighboursClassifier"] = KNN


def texts() -> tuple[list[str], np.ndarray]:
    """150 texts of four classes: three of the four characters that only the class uses, among noise."""
    rng = np.random.default_rng(8)
    classes = rng.permutation(np.repeat(["A01", "A23", "A61", "C07"], [60, 40, 30, 20]))
    made = []
    for name in classes:
        own = 8 * ["A01", "A23", "A61", "C07"].index(name) + rng.integers(0, 4, 3)
        made.append("".join(WORDS[i] for i in rng.permutation([*own, *rng.integers(32, 70, rng.integers(1, 12))])))
    return made, classes.astype(object)


TEXTS, CLASSES = texts()
IN_A = np.array([name[0] == "A" for name in CLASSES])
PARTS = np.tile(np.array([TRAIN, TRAIN, TRAIN, VAL, TEST, TRAIN, CALIBRATION, VAL, TRAIN, TEST], np.int8), 15)
READER, NGRAM_READER = WordReader(WORDS, "chars", 30), NgramReader(tuple(sorted(WORDS)), (1, 1))


def corpus_of(reader: Any, model: Any = None) -> CorpusView[Any]:
    """The texts as a reader gives them, and the network that reads them."""
    store, vectors = reader.encode(TEXTS), torch.from_numpy(VECTORS)
    spec = NetworkSpec(reader, lambda labels: NETWORKS[type(model)](vectors, labels, model)) if model else None
    return CorpusView(store, store, class_labels(CLASSES), PARTS, spec=spec)


@pytest.fixture(scope="module")
def ngrams() -> CorpusView[NgramStore]:
    return corpus_of(NGRAM_READER)


def settings(model: Any, node: str = "A", **trainer: Any) -> Settings:
    short = {"max_epochs": 12, "patience": None, "batch_size": 8}
    return toys.settings(node, model=model, optimizer={"lr": 2e-2}, **{**short, **trainer})


def fit_node(corpus: CorpusView[Any], model: Any, node: str = "A", **trainer: Any) -> Fitted:
    return fit_view(corpus, settings(model, node, **trainer))


def fit_words(model: Any, *node: str, **trainer: Any) -> Fitted:
    return fit_node(corpus_of(READER, model), model, *node, **trainer)


def on(toy: Toy, model: Any) -> CorpusView[TokenStore]:
    """The toy corpus with the network that reads it."""
    return replace(toy.corpus, spec=toy.spec(settings(model)))


@pytest.mark.parametrize("model", ["textcnn", "linear", "bertcnn"])
def test_one_class_is_constant_whatever_the_model(ngrams: CorpusView[NgramStore], toy: Toy, model: str) -> None:
    corpus, chosen = {
        "textcnn": (corpus_of(READER, TEXTCNN), TEXTCNN),
        "linear": (ngrams, LinearSettings()),
        "bertcnn": (on(toy, BERTCNN), BERTCNN),
    }[model]
    fitted = fit_node(corpus, chosen, "C")
    classifier = fitted.classifier
    assert (classifier.node, classifier.tree.labels("class"), fitted.history) == ("C", ("C07",), [])
    assert (classifier.settings, classifier.model, classifier.reader) == (None, None, None)
    assert fitted.facts == {"constant": True, "train_documents": len(view_of(corpus, "C").train)}
    assert classifier.log_prob(corpus.store, np.arange(4)).tolist() == [[0.0]] * 4


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_learns(ngrams: CorpusView[NgramStore], kind: str) -> None:
    model = KINDS[kind]
    network = type(model) in NETWORKS
    corpus = corpus_of(READER, model) if network else ngrams
    fitted = fit_node(corpus, model)
    classifier = fitted.classifier
    assert classifier.tree.labels("class") == ("A01", "A23", "A61")
    assert (classifier.settings, type(classifier.model).__name__) == (model, kind)
    held_out = np.flatnonzero((PARTS == TEST) & IN_A)
    log_prob = classifier.log_prob(corpus.store, held_out)
    assert np.abs(np.exp(log_prob).sum(1) - 1).max() < 1e-5
    assert (classifier.tree.codes[log_prob.argmax(1)] == CLASSES[held_out]).mean() > (0.8 if network else 0.9)
    assert fitted.facts["train_documents"] == ((PARTS == TRAIN) & IN_A).sum()
    if network:
        assert classifier.reader == READER
        assert fitted.facts["epochs"] == len(fitted.history) == 12
    else:
        assert fitted.history == []


@pytest.mark.parametrize("model", [TEXTCNN, RNN], ids=["textcnn", "rnn"])
@pytest.mark.parametrize("tune", [True, False])
def test_vectors_are_tuned_or_not(model: Any, tune: bool) -> None:
    fitted = fit_words(replace(model, tune_vectors=tune), max_epochs=1)
    learned = toys.weights(fitted)["embedding.weight"].numpy()
    assert np.array_equal(learned, VECTORS) == (not tune)
    assert fitted.facts["parameters"] - fitted.facts["trainable_parameters"] == (0 if tune else VECTORS.size)


def test_bertcnn_is_fitted_through_the_same_door(toy: Toy) -> None:
    fitted = fit_node(on(toy, BERTCNN), BERTCNN, max_epochs=1)
    assert fitted.classifier.tree.labels("class") == ("A01", "A23")
    assert fitted.classifier.reader == WordPieceReader(toy.files, 32)


def test_checkpoints_are_gone_after_training(tmp_path: Path) -> None:
    fit_view(corpus_of(READER, TEXTCNN), settings(TEXTCNN, max_epochs=1), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_classical_model_reads_terms_of_its_nodes_training_documents_only(ngrams: CorpusView[NgramStore]) -> None:
    reader = fit_node(ngrams, BAYES).classifier.reader
    assert isinstance(reader, NgramReader)
    counts = ngrams.store.rows(np.flatnonzero((PARTS == TRAIN) & IN_A))
    frequent = np.flatnonzero((counts > 0).sum(0).A1 >= 2)
    assert reader.ngrams == tuple(ngrams.store.ngrams[column] for column in frequent)
    assert reader.ngram_sizes == (1, 1)
    assert len(reader.ngrams) < len(ngrams.store.ngrams)


@pytest.mark.parametrize("model", [LINEAR, BAYES, KNN], ids=["linear", "naive_bayes", "knn"])
def test_test_and_calibration_documents_do_not_matter(ngrams: CorpusView[NgramStore], model: Any) -> None:
    spoiled = CLASSES.copy()
    spoiled[np.isin(PARTS, (TEST, CALIBRATION))] = "A01"
    corpora = (ngrams, replace(ngrams, labels=class_labels(spoiled)))
    scores = [fit_node(corpus, model).classifier.log_prob(ngrams.store, np.arange(150)) for corpus in corpora]
    assert np.array_equal(scores[0], scores[1])


def test_classical_models_do_without_lightning(ngrams: CorpusView[NgramStore], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "patent_hier.training.neural", None)  # its import fails from here on
    assert fit_node(ngrams, LINEAR).facts["converged"]
    with pytest.raises(ImportError):
        fit_words(RNN)


# --- label texts


def with_titles(corpus: CorpusView[Any], reader: Any, classes: list[str], texts: list[str]) -> CorpusView[Any]:
    """The corpus with a text for each of some subclasses."""
    paths = np.array([[name[0], name, f"{name}X", None, None] for name in classes], object)
    titles = LabelTexts(tuple(texts), np.full(len(classes), "subclass", object), paths, {})
    joined = JoinedNgrams if isinstance(corpus.store, NgramStore) else JoinedTokens
    store = joined(corpus.store, reader.encode(texts))
    return replace(corpus, store=store, label_texts=titles, label_weights=(0.3,))


@pytest.mark.parametrize("model", [TEXTCNN, LINEAR], ids=["textcnn", "linear"])
def test_titles_teach(ngrams: CorpusView[NgramStore], model: Any) -> None:
    """A network in the single step of a batch that holds every document: what titles say decides where it goes."""
    network = model is TEXTCNN
    corpus, reader = (corpus_of(READER, model), READER) if network else (ngrams, NGRAM_READER)
    titles = with_titles(corpus, reader, ["A01", "A61", "H99"], [WORDS[50] * 5, WORDS[51] * 5, WORDS[52]])
    plain, titled = (fit_node(own, model, max_epochs=1, batch_size=1000) for own in (corpus, titles))
    facts = {"texts": 2, "levels": {"subclass": 2}, "of_unseen_labels": 0, "weight": 0.3}
    assert titled.facts["label_text"] == (facts if network else {**facts, "val_accuracy": None})
    assert titled.facts["train_documents"] == plain.facts["train_documents"]
    assert "label_text" not in plain.facts
    new = reader.encode([WORDS[51] * 5])
    a61 = [float(np.exp(one.classifier.log_prob(new, np.array([0]))[0, 2])) for one in (plain, titled)]
    assert a61[1] > a61[0]


def test_titles_of_a_bertcnn(toy: Toy) -> None:
    corpus = on(toy, BERTCNN)
    titled = with_titles(corpus, corpus.spec.reader, ["A01", "B60"], ["农业；林业", "一般车辆"])
    fitted = fit_node(titled, BERTCNN, "flat", max_epochs=1, batch_size=1000, section_loss=0.5)
    assert fitted.facts["label_text"]["texts"] == 2
    assert fitted.facts["epochs"] == 1
    assert np.isfinite(fitted.classifier.log_prob(toy.corpus.store, np.arange(20))).all()


def test_titles_dealt_out_are_read_in_one_epoch_of_so_many() -> None:
    corpus = with_titles(corpus_of(READER, TEXTCNN), READER, ["A01", "A61"], [WORDS[50] * 5, WORDS[51] * 5])
    plain, dealt = (fit_node(corpus, TEXTCNN, max_epochs=2, batch_size=1, text_turns=turns) for turns in (1, 2))
    n = plain.facts["train_documents"]
    assert [one.facts["documents_per_second"] * one.facts["seconds"] for one in (plain, dealt)] == [
        pytest.approx(2 * n + 4, rel=0.02), pytest.approx(2 * n + 2, rel=0.02)
    ]  # fmt: skip


def test_titles_of_a_constant_node_are_not_read() -> None:
    words = corpus_of(READER, TEXTCNN)
    facts = fit_node(with_titles(words, READER, ["C07", "C99"], [WORDS[50], WORDS[51]]), TEXTCNN, "C").facts
    assert facts["constant"]
    assert facts["label_text"] == {"texts": 0, "levels": {}, "of_unseen_labels": 1, "weight": None}
    assert facts["train_documents"] == len(view_of(words, "C").train)


@pytest.mark.parametrize(("node", "differs"), [("flat", True), ("A", False), ("root", False)])
def test_the_sections_loss_is_of_the_flat_node(node: str, differs: bool) -> None:
    one, other = (fit_words(TEXTCNN, node, max_epochs=1, **more) for more in ({}, {"section_loss": 2.0}))
    assert toys.equal(one, other) is not differs
