import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from patent_hier.data.label_text import LabelTexts
from patent_hier.data.splits import CALIBRATION, TEST, TRAIN, VAL
from patent_hier.features.pretrained import EncoderFiles
from patent_hier.features.terms import JoinedTerms, TermReader, TermStore
from patent_hier.features.token_store import JoinedTokens, TokenStore
from patent_hier.features.wordpiece import WordPieceReader
from patent_hier.features.words import WordReader
from patent_hier.models.blueprint import Blueprint, bertcnn_blueprint
from patent_hier.models.rnn import Rnn
from patent_hier.models.textcnn import TextCnn
from patent_hier.settings import (
    BertCnnSettings,
    LinearSettings,
    NaiveBayesSettings,
    NeighboursSettings,
    OptimizerSettings,
    RnnSettings,
    Settings,
    TermSettings,
    TextCnnSettings,
    TrainerSettings,
)
from patent_hier.training.fit import fit_node as fit_view
from patent_hier.training.fitted import Fitted
from patent_hier.training.node_data import CorpusView, NodeView
from tests.conftest import class_labels, tiny_encoder_settings

WORDS = tuple(chr(0x4E00 + number) for number in range(70))
VECTORS = np.random.default_rng(2).normal(size=(len(WORDS) + 2, 8)).astype(np.float32)
NETWORKS: dict[str, TextCnnSettings | RnnSettings] = {
    "textcnn": TextCnnSettings(kernel_sizes=[1, 2], num_filters=8, dropout=0.3),
    "rnn": RnnSettings(hidden_size=8, dropout=0.3),
}
CLASSICAL_SETTINGS: dict[str, TermSettings] = {
    "linear": LinearSettings(ngram_sizes=[1, 1]),
    "naive_bayes": NaiveBayesSettings(ngram_sizes=[1, 1]),
    "knn": NeighboursSettings(ngram_sizes=[1, 1], num_neighbours=3),
}


def fit_node(corpus: CorpusView[Any], plan: Blueprint | None, chosen: Settings, state: Path | None = None) -> Fitted:
    return fit_view(replace(corpus, blueprint=plan), chosen, state)


def predicted(fitted: Fitted, store: TokenStore | TermStore, rows: NDArray[np.intp]) -> NDArray[np.object_]:
    """The labels that a node of one level answers with."""
    return fitted.classifier.tree.codes[fitted.classifier.log_prob(store, rows).argmax(1)]


@pytest.fixture(autouse=True)
def one_thread_as_before() -> Iterator[None]:
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


CLASSES_OF = {"linear": "LinearClassifier", "naive_bayes": "NaiveBayesClassifier", "knn": "NeighboursClassifier"}


def texts() -> tuple[list[str], NDArray[np.object_]]:
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
READER = WordReader(WORDS, "chars", 30)


@pytest.fixture(scope="module")
def words() -> CorpusView[TokenStore]:
    store = READER.encode(TEXTS)
    return CorpusView(store, store, class_labels(CLASSES), PARTS)


@pytest.fixture(scope="module")
def terms() -> CorpusView[TermStore]:
    store = TermReader(tuple(sorted(WORDS)), (1, 1)).encode(TEXTS)
    return CorpusView(store, store, class_labels(CLASSES), PARTS)


def blueprint(model: str) -> Blueprint:
    vectors, settings = torch.from_numpy(VECTORS), NETWORKS[model]
    if isinstance(settings, TextCnnSettings):
        return Blueprint(READER, lambda labels: TextCnn(vectors, labels, settings))
    return Blueprint(READER, lambda labels: Rnn(vectors, labels, settings))


def settings(model: Any, node: str = "A", seed: int = 1, **trainer: Any) -> Settings:
    short: dict[str, Any] = {
        "max_epochs": 12,
        "min_steps": 0,
        "num_threads": 1,
        "accelerator": "cpu",
        "progress": False,
    }
    return Settings(
        encoder=tiny_encoder_settings(),
        model=model,
        optimizer=OptimizerSettings(lr=2e-2),
        trainer=TrainerSettings(**{**short, "patience": None, "batch_size": 8, **trainer}),
        node=node,
        seed=seed,
    )


# --- a node with one class


@pytest.mark.parametrize("model", ["textcnn", "linear", "bertcnn"])
def test_one_class_is_constant_whatever_the_model(
    words: CorpusView[TokenStore], terms: CorpusView[TermStore], demo_files: EncoderFiles, model: str
) -> None:
    plans: dict[str, tuple[CorpusView[Any], Blueprint | None, Any]] = {
        "textcnn": (words, blueprint("textcnn"), NETWORKS["textcnn"]),
        "linear": (terms, None, LinearSettings()),
        "bertcnn": (
            words,
            bertcnn_blueprint(demo_files, tiny_encoder_settings(), BertCnnSettings()),
            BertCnnSettings(),
        ),
    }
    corpus, plan, chosen = plans[model]
    fitted = fit_node(corpus, plan, settings(chosen, "C"))
    classifier = fitted.classifier
    assert (classifier.node, classifier.tree.labels("class"), fitted.history) == ("C", ("C07",), [])
    assert (classifier.settings, classifier.model, classifier.reader) == (None, None, None)
    assert fitted.facts == {"constant": True, "train_documents": len(NodeView.of(corpus, "C").train)}
    assert classifier.log_prob(corpus.store, np.arange(4)).tolist() == [[0.0]] * 4


# --- networks


@pytest.mark.parametrize("model", NETWORKS)
def test_a_network_on_words_learns(words: CorpusView[TokenStore], model: str) -> None:
    fitted = fit_node(words, blueprint(model), settings(NETWORKS[model]))
    classifier = fitted.classifier
    assert classifier.tree.labels("class") == ("A01", "A23", "A61")
    assert (classifier.settings, classifier.reader) == (NETWORKS[model], READER)
    chosen = np.flatnonzero((PARTS == TEST) & IN_A)
    assert (predicted(fitted, words.store, chosen) == CLASSES[chosen]).mean() > 0.8
    assert fitted.facts["epochs"] == len(fitted.history) == 12
    assert fitted.facts["train_documents"] == ((PARTS == TRAIN) & IN_A).sum()


@pytest.mark.parametrize("model", NETWORKS)
def test_same_seed_same_scores(words: CorpusView[TokenStore], model: str) -> None:
    everything = np.arange(len(TEXTS))
    scores = []
    for seed in (1, 1, 2):
        torch.rand(seed)  # whatever was drawn before has no influence
        fitted = fit_node(words, blueprint(model), settings(NETWORKS[model], seed=seed, max_epochs=2))
        scores.append(fitted.classifier.log_prob(words.store, everything))
    assert np.array_equal(scores[0], scores[1])
    assert not np.array_equal(scores[0], scores[2])


@pytest.mark.parametrize("model", NETWORKS)
@pytest.mark.parametrize("tune", [True, False])
def test_vectors_are_tuned_or_not(words: CorpusView[TokenStore], model: str, tune: bool) -> None:
    chosen = replace(NETWORKS[model], tune_vectors=tune)
    vectors = torch.from_numpy(VECTORS)
    network = TextCnn if isinstance(chosen, TextCnnSettings) else Rnn
    plan = Blueprint(READER, lambda labels: network(vectors, labels, chosen))  # type: ignore[arg-type]  # as chosen
    fitted = fit_node(words, plan, settings(chosen, max_epochs=1))
    assert isinstance(fitted.classifier.model, torch.nn.Module)
    learned = fitted.classifier.model.get_parameter("embedding.weight").detach().numpy()
    assert np.array_equal(learned, VECTORS) == (not tune)
    assert fitted.facts["parameters"] - fitted.facts["trainable_parameters"] == (0 if tune else VECTORS.size)


def test_bertcnn_is_fitted_through_the_same_door(toy_corpus: CorpusView[TokenStore], demo_files: EncoderFiles) -> None:
    model = BertCnnSettings(num_last_layers=2, num_filters=4)
    plan = bertcnn_blueprint(demo_files, tiny_encoder_settings(), model)
    fitted = fit_node(toy_corpus, plan, settings(model, max_epochs=1))
    assert fitted.classifier.tree.labels("class") == ("A01", "A23")
    assert fitted.classifier.reader == WordPieceReader(demo_files, 32)


def test_checkpoints_are_gone_after_training(words: CorpusView[TokenStore], tmp_path: Path) -> None:
    fit_node(words, blueprint("textcnn"), settings(NETWORKS["textcnn"], max_epochs=1), tmp_path)
    assert list(tmp_path.iterdir()) == []


# --- classical models


@pytest.mark.parametrize("model", CLASSICAL_SETTINGS)
def test_a_classical_model_learns(terms: CorpusView[TermStore], model: str) -> None:
    chosen = CLASSICAL_SETTINGS[model]
    fitted = fit_node(terms, None, settings(chosen))
    classifier = fitted.classifier
    assert classifier.tree.labels("class") == ("A01", "A23", "A61")
    assert (classifier.settings, fitted.history) == (chosen, [])
    assert type(classifier.model).__name__ == CLASSES_OF[model]
    held_out = np.flatnonzero((PARTS == TEST) & IN_A)
    log_prob = classifier.log_prob(terms.store, held_out)
    assert np.abs(np.exp(log_prob).sum(1) - 1).max() < 1e-5
    assert (predicted(fitted, terms.store, held_out) == CLASSES[held_out]).mean() > 0.9
    assert fitted.facts["train_documents"] == ((PARTS == TRAIN) & IN_A).sum()


def test_a_classical_model_reads_terms_of_its_nodes_training_documents_only(terms: CorpusView[TermStore]) -> None:
    reader = fit_node(terms, None, settings(CLASSICAL_SETTINGS["naive_bayes"])).classifier.reader
    assert isinstance(reader, TermReader)
    counts = terms.store.rows(np.flatnonzero((PARTS == TRAIN) & IN_A))
    frequent = np.flatnonzero((counts > 0).sum(0).A1 >= 2)
    assert reader.terms == tuple(terms.store.terms[column] for column in frequent)
    assert reader.ngram_sizes == (1, 1)
    assert len(reader.terms) < len(terms.store.terms)


@pytest.mark.parametrize("model", CLASSICAL_SETTINGS)
def test_test_and_calibration_documents_do_not_matter(terms: CorpusView[TermStore], model: str) -> None:
    spoiled = CLASSES.copy()
    spoiled[np.isin(PARTS, (TEST, CALIBRATION))] = "A01"
    scores = [
        fit_node(corpus, None, settings(CLASSICAL_SETTINGS[model])).classifier.log_prob(terms.store, np.arange(150))
        for corpus in (terms, replace(terms, labels=class_labels(spoiled)))
    ]
    assert np.array_equal(scores[0], scores[1])


def test_classical_models_do_without_lightning(
    terms: CorpusView[TermStore], words: CorpusView[TokenStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "patent_hier.training.neural", None)  # its import fails from here on
    assert fit_node(terms, None, settings(CLASSICAL_SETTINGS["linear"])).facts["converged"]
    with pytest.raises(ImportError):
        fit_node(words, blueprint("rnn"), settings(NETWORKS["rnn"]))


# --- label texts


def label_texts(classes: list[str], texts: list[str]) -> LabelTexts:
    paths = np.array([[name[0], name, f"{name}X", None, None] for name in classes], object)
    return LabelTexts(tuple(texts), np.full(len(classes), "subclass", object), paths, {})


def rare_corpus() -> tuple[CorpusView[TermStore], TermReader]:
    """Two classes of 20 documents and one of a single document; 戊 and 己 stand in documents of both, alike."""
    texts = ["甲戊", "甲己", "乙戊", "乙己"] * 10 + ["丙", "戊己"]
    classes = np.array(["A01", "A01", "A23", "A23"] * 10 + ["A61", "A61"], object)
    parts = np.array([TRAIN] * 41 + [TEST], np.int8)
    reader = TermReader(("丙", "乙", "己", "戊", "甲"), (1, 1))
    store = reader.encode(texts)
    return CorpusView(store, store, class_labels(classes), parts), reader


def test_a_class_with_one_document_gains_from_its_title() -> None:
    corpus, reader = rare_corpus()
    titles = label_texts(["A61"], ["戊己"])
    titled = replace(
        corpus,
        store=JoinedTerms(corpus.store, reader.encode(list(titles.texts))),
        label_texts=titles,
        label_weights=(1.0,),
    )
    linear = settings(LinearSettings(ngram_sizes=[1, 1]))
    without, with_title = fit_node(corpus, None, linear), fit_node(titled, None, linear)
    last = np.array([41])
    a61 = [float(np.exp(fitted.classifier.log_prob(corpus.store, last)[0, 2])) for fitted in (without, with_title)]
    assert with_title.classifier.log_prob(corpus.store, last).argmax() == 2
    assert without.classifier.log_prob(corpus.store, last).argmax() != 2
    assert a61[1] > a61[0] + 0.1
    assert with_title.facts["label_text"] == {
        "texts": 1, "levels": {"subclass": 1}, "of_unseen_labels": 0, "weight": 1.0, "val_accuracy": None,
    }  # fmt: skip
    assert "label_text" not in without.facts
    assert with_title.facts["train_documents"] == without.facts["train_documents"] == 41


def with_titles(corpus: CorpusView[TokenStore], plan: Blueprint, texts: LabelTexts) -> CorpusView[TokenStore]:
    store = JoinedTokens(corpus.store, plan.reader.encode(list(texts.texts)))
    return replace(corpus, store=store, label_texts=texts, label_weights=(0.3,))


def test_titles_teach_a_network(words: CorpusView[TokenStore]) -> None:
    """The single step of a batch that holds every document: what titles say decides which way it goes."""
    plan, chosen = blueprint("textcnn"), settings(NETWORKS["textcnn"], max_epochs=1, batch_size=1000)
    titles = with_titles(words, plan, label_texts(["A01", "A61", "H99"], [WORDS[50] * 5, WORDS[51] * 5, WORDS[52]]))
    plain, titled = fit_node(words, plan, chosen), fit_node(titles, plan, chosen)
    assert titled.facts["label_text"] == {"texts": 2, "levels": {"subclass": 2}, "of_unseen_labels": 0, "weight": 0.3}
    assert titled.facts["train_documents"] == plain.facts["train_documents"]
    assert "label_text" not in plain.facts
    new = READER.encode([WORDS[51] * 5])
    a61 = [float(np.exp(one.classifier.log_prob(new, np.array([0]))[0, 2])) for one in (plain, titled)]
    assert a61[1] > a61[0]


def test_titles_of_a_bertcnn(toy_corpus: CorpusView[TokenStore], demo_files: EncoderFiles) -> None:
    model = BertCnnSettings(num_last_layers=2, num_filters=4)
    plan = bertcnn_blueprint(demo_files, tiny_encoder_settings(), model)
    titled = with_titles(toy_corpus, plan, label_texts(["A01", "B60"], ["农业；林业", "一般车辆"]))
    fitted = fit_node(titled, plan, settings(model, "flat", max_epochs=1, batch_size=1000, section_loss=0.5))
    assert fitted.facts["label_text"]["texts"] == 2
    assert fitted.facts["epochs"] == 1
    assert np.isfinite(fitted.classifier.log_prob(toy_corpus.store, np.arange(20))).all()


def test_titles_of_a_constant_node_are_not_read(words: CorpusView[TokenStore]) -> None:
    plan = blueprint("textcnn")
    titled = with_titles(words, plan, label_texts(["C07", "C99"], [WORDS[50], WORDS[51]]))
    facts = fit_node(titled, plan, settings(NETWORKS["textcnn"], "C")).facts
    assert facts["constant"]
    assert facts["label_text"] == {"texts": 0, "levels": {}, "of_unseen_labels": 1, "weight": None}
    assert facts["train_documents"] == len(NodeView.of(words, "C").train)


# --- the section's loss


def test_the_sections_loss_is_of_the_flat_node(words: CorpusView[TokenStore]) -> None:
    everything = np.arange(len(TEXTS))
    for node, differs in (("flat", True), ("A", False), ("root", False)):
        scores = [
            fit_node(words, blueprint("textcnn"), settings(NETWORKS["textcnn"], node, max_epochs=1, **changes))
            .classifier.log_prob(words.store, everything)
            for changes in ({}, {"section_loss": 2.0})
        ]  # fmt: skip
        assert np.array_equal(*scores) is not differs, node
