from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.sparse import vstack
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import MultinomialNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.svm import LinearSVC

from patent_hier.data.context import SEPARATOR, join_context
from patent_hier.errors import ConfigError, DataError
from patent_hier.features.ngram_counting import count_corpus
from patent_hier.features.ngram_store import NgramReader, NgramStore
from patent_hier.models.classical import LinearClassifier
from patent_hier.models.ngram_features import tf_idf
from patent_hier.settings import LinearSettings, NaiveBayesSettings, NeighboursSettings, NgramSettings
from patent_hier.taxonomy.tree import NONE, LabelTree
from patent_hier.training import classical, solvers
from patent_hier.training.classical import fit_ngrams
from patent_hier.training.node_data import LabelShare, NodeView
from patent_hier.training.solvers import fit_temperature

SVM, LOGISTIC = LinearSettings(), LinearSettings(name="logistic", classifier="logistic", c=10.0)
BAYES, KNN = NaiveBayesSettings(name="naive_bayes"), NeighboursSettings(name="knn", num_neighbours=7)
ALL = [SVM, LOGISTIC, BAYES, KNN]
NAMES = ["svm", "logistic", "naive_bayes", "knn"]
FACTS = {
    *("train_documents", "val_documents", "seconds", "documents_per_second", "parameters", "terms"),
    *("temperature", "temperature_fitted", "solver", "converged", "threads", "device", "precision"),
}


Rows = NDArray[np.intp]
Model = tuple[Any, Rows, dict[str, Any]]  # with the n-grams that it has kept, and the facts


@dataclass(frozen=True)
class Toy:
    """Texts of 5 labels that overlap, and their counts with a vocabulary of the training documents of all labels."""

    texts: list[str]
    codes: NDArray[np.int64]
    train: Rows
    val: Rows
    test: Rows
    store: NgramStore

    def view(
        self, num_labels: int = 5, val: Rows | None = None, titles: Rows | None = None, weights: tuple[float, ...] = ()
    ) -> NodeView[NgramStore]:
        """A node of one level; documents of the first labels alone, and others that stand for titles."""
        train = self.train[self.codes[self.train] < num_labels]
        val = self.val[self.codes[self.val] < num_labels] if val is None else val
        share = None
        if titles is not None:
            train, share = np.concatenate([train, titles]), LabelShare(len(titles), weights)
        tree = LabelTree.from_paths([(f"A{code:02}",) for code in range(num_labels)], ("class",), root="A")
        paths, none = self.codes.astype(np.int32)[:, None], np.empty(0, np.intp)
        further = np.empty((0, 1), np.int32)
        parts = (train, paths[train], further, none, val, paths[val], self.test, paths[self.test], none)
        return NodeView("A", self.store, tree, False, *parts, share)

    def fit(self, settings: NgramSettings, num_labels: int = 5, seed: int = 0, val: Rows | None = None) -> Model:
        return fit_ngrams(self.view(num_labels, val), settings, seed)


def make_texts(n: int, seed: int) -> tuple[list[str], NDArray[np.int64]]:
    rng = np.random.default_rng(seed)
    codes = np.concatenate([np.arange(5), rng.choice(5, n - 5, p=[0.4, 0.25, 0.15, 0.1, 0.1])])
    texts = []
    for code in codes:
        common, own = rng.integers(0, 150, 25), 30 * code + rng.integers(0, 30, 8)
        letters = rng.permutation(np.concatenate([common, own]))
        texts.append("".join(chr(0x4E00 + letter) for letter in letters))
    return texts, codes


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Toy:
    texts, codes = make_texts(420, 1)
    train, val, test = np.split(np.arange(420), [200, 270])
    folder = tmp_path_factory.mktemp("toy")
    count_corpus(lambda: [texts], np.arange(420) < 200, NgramSettings(), folder)
    return Toy(texts, codes.astype(np.int64), train, val, test, NgramStore.open(folder))


def reference(settings: NgramSettings) -> Pipeline:
    models = {
        "svm": LinearSVC(C=1.0, random_state=0, tol=1e-8, max_iter=100_000),
        "logistic": LogisticRegression(C=10.0, tol=1e-8, max_iter=10_000),
        "naive_bayes": MultinomialNB(alpha=0.01),
        "knn": KNeighborsClassifier(7, weights=lambda distance: 1 - distance, metric="cosine", algorithm="brute"),
    }
    tf_idf = TfidfVectorizer(analyzer="char", ngram_range=(1, 3), min_df=2, sublinear_tf=True)
    return make_pipeline(tf_idf, models[NAMES[ALL.index(settings)]])


@pytest.mark.parametrize("num_labels", [2, 5])
@pytest.mark.parametrize("settings", ALL, ids=NAMES)
def test_predicts_as_scikit_learn(toy: Toy, settings: NgramSettings, num_labels: int) -> None:
    model, kept, facts = toy.fit(settings, num_labels)
    train = toy.train[toy.codes[toy.train] < num_labels]
    expected = reference(settings).fit([toy.texts[i] for i in train], toy.codes[train])
    assert tuple(toy.store.ngrams[i] for i in kept) == tuple(expected[0].get_feature_names_out())
    held_out = np.concatenate([toy.val, toy.test])
    texts = [toy.texts[i] for i in held_out]
    log_prob = model.log_prob(toy.store.rows(held_out)[:, kept])
    assert log_prob.shape == (220, num_labels)
    assert np.array_equal(log_prob.argmax(1), expected.predict(texts))
    assert facts["converged"]
    if settings in (LOGISTIC, BAYES):
        assert np.abs(np.exp(log_prob) - expected.predict_proba(texts)).max() < (5e-3 if settings == LOGISTIC else 1e-5)


def test_scores_of_the_support_vector_machine(toy: Toy) -> None:
    model, kept, _ = toy.fit(SVM)
    expected = reference(SVM).fit([toy.texts[i] for i in toy.train], toy.codes[toy.train])
    scores = model.scores(toy.store.rows(toy.test)[:, kept])
    assert np.abs(scores - expected.decision_function([toy.texts[i] for i in toy.test])).max() < 1e-3


@pytest.mark.parametrize("settings", ALL, ids=NAMES)
def test_facts(toy: Toy, settings: NgramSettings) -> None:
    model, kept, facts = toy.fit(settings)
    assert facts.keys() == FACTS
    assert (facts["train_documents"], facts["val_documents"], facts["terms"]) == (200, 70, len(kept))
    assert (facts["device"], facts["precision"], facts["threads"]) == ("cpu", "float32", 1)
    weights = toy.store.rows(toy.train)[:, kept].nnz if settings is KNN else 5 * len(kept) + 5
    assert facts["parameters"] == model.num_parameters == weights
    assert facts["temperature_fitted"] == (settings is SVM)
    assert (facts["temperature"] is None) == (settings in (BAYES, KNN))
    if settings is LOGISTIC:
        assert facts["temperature"] == 1.0


def test_the_temperature_is_the_best_on_val(toy: Toy) -> None:
    model, kept, facts = toy.fit(SVM)
    counts = toy.store.rows(toy.val)[:, kept]
    rows = np.arange(len(toy.val))

    def loss(temperature: float) -> float:
        other = LinearClassifier(model.idf, model.weights, model.bias, temperature)
        return -float(other.log_prob(counts)[rows, toy.codes[toy.val]].mean())

    best = loss(facts["temperature"])
    assert facts["temperature"] == model.temperature
    assert best < loss(1.0) - 0.05
    assert best <= min(loss(facts["temperature"] * factor) for factor in (0.8, 0.95, 1.05, 1.2))


def test_too_little_for_a_temperature(toy: Toy) -> None:
    for n, fitted in ((0, False), (9, False), (10, True)):
        model, _, facts = toy.fit(SVM, val=toy.val[:n])
        assert facts["temperature_fitted"] is fitted
        assert (model.temperature == 1.0) is not fitted


def test_temperature_by_hand_and_its_bounds() -> None:
    scores = np.array([[1.0, 0.0]] * 4)
    # three of four right: the best probability is 3/4, so the logits differ by ln 3
    assert fit_temperature(scores, np.array([0, 0, 0, 1])) == pytest.approx(1 / np.log(3), rel=1e-4)
    # all right: the loss falls to what rounds to 0, anywhere below
    assert np.exp(-5) <= fit_temperature(scores, np.zeros(4, np.int64)) < 0.03
    assert fit_temperature(scores, np.ones(4, np.int64)) == pytest.approx(np.exp(3), rel=1e-3)


@pytest.mark.parametrize("settings", ALL, ids=NAMES)
def test_held_out_texts_have_no_influence(toy: Toy, settings: NgramSettings, tmp_path: Path) -> None:
    texts = toy.texts[:270] + make_texts(150, 9)[0]
    count_corpus(lambda: [texts], np.arange(420) < 200, NgramSettings(), tmp_path)
    other = Toy(texts, toy.codes, toy.train, toy.val, toy.test, NgramStore.open(tmp_path))
    (model, kept, _), (second, kept_second, _) = toy.fit(settings), other.fit(settings)
    assert np.array_equal(kept, kept_second)
    for name, values in model.arrays().items():
        assert np.array_equal(values, second.arrays()[name]), name


@pytest.mark.parametrize("settings", ALL, ids=NAMES)
def test_saved_model_and_reader_predict_the_same(toy: Toy, settings: NgramSettings, tmp_path: Path) -> None:
    model, kept, _ = toy.fit(settings)
    model.save(tmp_path)
    NgramReader(tuple(toy.store.ngrams[i] for i in kept), (1, 3)).save(tmp_path)
    fresh = NgramReader.load(tmp_path).encode([*(toy.texts[i] for i in toy.test), "", "abc"])
    log_prob = type(model).load(tmp_path).log_prob(fresh.matrix)
    assert np.array_equal(log_prob[:-2], model.log_prob(toy.store.rows(toy.test)[:, kept]))
    assert np.isfinite(log_prob).all()


@pytest.mark.parametrize("settings", [SVM, LOGISTIC], ids=NAMES[:2])
def test_a_solver_that_did_not_converge_is_told(
    toy: Toy, settings: NgramSettings, monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
) -> None:
    monkeypatch.setattr(solvers, "_SVM_ITERATIONS", 1)
    monkeypatch.setitem(solvers._LBFGS, "max_iter", 1)
    assert toy.fit(settings)[2]["converged"] is False
    assert not recwarn.list


def test_logistic_regression_of_many_weights(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    model, kept, facts = toy.fit(LOGISTIC)
    assert facts["solver"] == "lbfgs"
    monkeypatch.setattr(solvers, "_LBFGS_WEIGHTS", 0)
    monkeypatch.setitem(solvers._SAGA, "tol", 1e-5)
    monkeypatch.setitem(solvers._SAGA, "max_iter", 5000)
    second, _, facts = toy.fit(LOGISTIC)
    assert (facts["solver"], facts["converged"]) == ("saga", True)
    counts = toy.store.rows(toy.test)[:, kept]
    assert np.abs(np.exp(model.log_prob(counts)) - np.exp(second.log_prob(counts))).max() < 5e-3
    assert not np.array_equal(toy.fit(LOGISTIC, seed=1)[0].weights, second.weights)
    assert np.array_equal(toy.fit(LOGISTIC)[0].weights, second.weights)


def test_refusals(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        DataError, match=r"occurs in at least 201 of the node's 200 training documents; lower model\.min_doc"
    ):
        toy.fit(LinearSettings(min_documents=201))
    with pytest.raises(ConfigError, match="does not read character n-grams"):
        toy.fit(NgramSettings(name="other"))
    monkeypatch.setattr(classical, "_MOST_BYTES", 1e3)
    with pytest.raises(ConfigError, match=r"level=flat with 5 labels and \d+ n-grams needs 0 GB of weights; use lev"):
        fit_ngrams(replace(toy.view(), flat=True), SVM, 0)


# --- several symbols, several heads


def two_symbols(toy: Toy) -> NodeView[NgramStore]:
    """The first 50 training documents have a second label, the one behind their first."""
    first = toy.view()
    further = (first.train_paths[:50] + 1) % 5
    return replace(first, further=further.astype(np.int32), further_owners=np.arange(50))


def test_symbols_share_a_documents_weight_as_in_scikit_learn(toy: Toy) -> None:
    view = two_symbols(toy)
    model, kept, _ = fit_ngrams(view, BAYES, 0)
    rows = np.concatenate([np.arange(200), np.arange(50)])
    codes = np.concatenate([view.train_paths[:, 0], view.further[:, 0]])
    features = tf_idf(toy.store.rows(view.train[rows])[:, kept], model.idf)
    weights = np.where(rows < 50, 0.5, 1.0)
    expected = MultinomialNB(alpha=0.01).fit(features, codes, sample_weight=weights)
    held_out = toy.store.rows(toy.test)[:, kept]
    found = np.exp(model.log_prob(held_out))
    assert np.abs(found - expected.predict_proba(tf_idf(held_out, model.idf))).max() < 1e-4
    assert np.abs(found - np.exp(toy.fit(BAYES)[0].log_prob(held_out))).max() > 0.01


def test_a_neighbour_of_several_symbols_shares_its_vote(toy: Toy) -> None:
    view = two_symbols(toy)
    model, kept, _ = fit_ngrams(view, KNN, 0)
    one, own_kept, _ = toy.fit(KNN)
    assert np.array_equal(kept, own_kept)
    features = tf_idf(toy.store.rows(view.train)[:, kept], model.idf)
    held_out = toy.store.rows(toy.test)[:, kept]
    similarity = (tf_idf(held_out, model.idf) @ features.T).toarray()
    votes = np.zeros((len(held_out.indptr) - 1, 5))
    for row, own in enumerate(similarity):
        for document in np.argsort(-own, kind="stable")[:7]:
            labels = [view.train_paths[document, 0]] + ([view.further[document, 0]] if document < 50 else [])
            for label in labels:
                votes[row, label] += own[document] / len(labels)
    expected = (votes + 1 / 5) / (votes.sum(axis=1, keepdims=True) + 1)
    found = np.exp(model.log_prob(held_out))
    clear = np.diff(np.sort(-similarity, axis=1)[:, 6:8]).ravel() > 1e-6  # else two compete for the seventh place
    assert clear.sum() > 50
    assert np.abs(found - expected)[clear].max() < 1e-6
    assert np.abs(found - np.exp(one.log_prob(held_out))).max() > 0.01


def test_a_flat_neighbour_votes_for_its_deepest_labels_alone(toy: Toy) -> None:
    """A main symbol that ends above has no share; the further one has the whole vote."""
    tree = LabelTree.from_paths([("A", "A01"), ("B", "B01"), ("C", None)], ("section", "class"))
    paths = np.array([[0, 3], [2, NONE], [1, 4]], np.int32)
    flat = replace(
        toy.view(),
        tree=tree,
        flat=True,
        train=toy.train[:3],
        train_paths=paths,
        further=np.array([[1, 4]], np.int32),
        further_owners=np.array([1]),
        val=toy.val[:0],
        val_paths=paths[:0],
    )
    model, kept, _ = fit_ngrams(flat, replace(KNN, min_documents=1, num_neighbours=1), 0)
    found = np.exp(model.log_prob(toy.store.rows(toy.train[:3])[:, kept]))
    assert found == pytest.approx(np.array([[1.5, 0.5], [0.5, 1.5], [0.5, 1.5]]) / 2, abs=1e-6)


@pytest.mark.parametrize("settings", [LOGISTIC, BAYES], ids=["logistic", "naive_bayes"])
def test_a_head_among_many_is_the_one_that_is_fitted_alone(toy: Toy, settings: NgramSettings) -> None:
    """Labels 0 to 2 stand below A, 3 below B, which needs no head, and 4 below C."""
    tree = LabelTree.from_paths([("ABC"[max(0, code - 2)], f"A{code:02}") for code in range(5)], ("section", "class"))
    view = toy.view()
    paths = {name: tree.paths(3 + getattr(view, name)[:, 0]) for name in ("train_paths", "val_paths")}
    shared = replace(view, node="shared", tree=tree, further=np.empty((0, 2), np.int32), **paths)
    model, kept, facts = fit_ngrams(shared, settings, 0)
    alone, kept_alone, _ = toy.fit(settings, num_labels=3)
    found = model.log_prob(toy.store.rows(toy.test)[:, kept])
    assert np.allclose(found[:, 3:6], alone.log_prob(toy.store.rows(toy.test)[:, kept_alone]), atol=1e-6)
    assert (found[:, 6:] == 0).all()  # certain, given their parents
    assert np.abs(np.exp(found[:, :3]).sum(1) - 1).max() < 1e-5
    assert facts["heads"] == 2


# --- label texts: here documents of the test part stand for titles


def fit_with_titles(toy: Toy, settings: NgramSettings, *weights: float, val: Rows | None = None) -> Model:
    return fit_ngrams(toy.view(val=val, titles=toy.test, weights=weights), settings, 0)


@pytest.mark.parametrize("settings", ALL[:3], ids=NAMES[:3])
def test_weighs_titles_as_scikit_learn(toy: Toy, settings: NgramSettings) -> None:
    model, kept, facts = fit_with_titles(toy, settings, 0.5)
    plain, kept_plain, _ = toy.fit(settings)
    assert np.array_equal(kept, kept_plain)  # titles bring no n-grams
    assert np.array_equal(model.arrays()["idf"], plain.arrays()["idf"])
    assert (facts["train_documents"], facts["label_text"]) == (200, {"weight": 0.5, "val_accuracy": None})
    tf_idf, solver = (step for _, step in reference(settings).steps)
    features = tf_idf.fit_transform([toy.texts[i] for i in toy.train])
    titles = tf_idf.transform([toy.texts[i] for i in toy.test])
    codes = toy.codes[np.concatenate([toy.train, toy.test])]
    solver.fit(vstack([features, titles]), codes, sample_weight=[1.0] * 200 + [0.5] * len(toy.test))
    texts, log_prob = [toy.texts[i] for i in toy.val], model.log_prob(toy.store.rows(toy.val)[:, kept])
    assert np.array_equal(log_prob.argmax(1), solver.predict(tf_idf.transform(texts)))
    if settings is BAYES:
        assert np.abs(np.exp(log_prob) - solver.predict_proba(tf_idf.transform(texts))).max() < 1e-5
    before = plain.log_prob(toy.store.rows(toy.val)[:, kept])
    assert np.abs(log_prob - before).max() > 0.1


@pytest.mark.parametrize("settings", [SVM, BAYES], ids=["svm", "naive_bayes"])
def test_the_weight_of_titles_is_the_best_on_val(toy: Toy, settings: NgramSettings) -> None:
    weights = (0.01, 0.3, 1.0)
    model, _, facts = fit_with_titles(toy, settings, *weights)
    single = {weight: fit_with_titles(toy, settings, weight) for weight in weights}
    accuracies = {
        str(weight): float((one.log_prob(toy.store.rows(toy.val)[:, kept]).argmax(1) == toy.codes[toy.val]).mean())
        for weight, (one, kept, _) in single.items()
    }
    assert facts["label_text"]["val_accuracy"] == accuracies
    assert len(set(accuracies.values())) > 1
    best = max(weights, key=lambda weight: accuracies[str(weight)])  # the first, so the smallest, of equals
    assert facts["label_text"]["weight"] == best
    for name, values in single[best][0].arrays().items():
        assert np.array_equal(values, model.arrays()[name]), name


def test_without_val_the_weight_of_titles_is_the_default(toy: Toy) -> None:
    model, _, facts = fit_with_titles(toy, BAYES, 0.1, 0.3, 1.0, val=toy.val[:0])
    assert facts["label_text"] == {"weight": 0.3, "val_accuracy": None}
    expected = fit_with_titles(toy, BAYES, 0.3)[0]
    assert np.array_equal(model.arrays()["weights"], expected.arrays()["weights"])


def test_titles_have_a_weight_or_are_refused(toy: Toy) -> None:
    with pytest.raises(ConfigError, match=r"model=knn does not support document weights; use data\.label_text=null"):
        fit_with_titles(toy, KNN, 1.0)


@pytest.fixture(scope="module")
def told(toy: Toy, tmp_path_factory: pytest.TempPathFactory) -> Toy:
    """The same texts, of which most name an applicant that tells half of the labels."""
    names = ["甲公司", "乙公司", "丙大学", "丁集团", "戊工厂"]
    fields = [names[code] if number % 4 else None for number, code in enumerate(toy.codes)]
    documents = [join_context(text, {"applicant": own}) for text, own in zip(toy.texts, fields, strict=True)]
    folder = tmp_path_factory.mktemp("told")
    count_corpus(lambda: [documents], np.arange(420) < 200, NgramSettings(), folder)
    return replace(toy, texts=documents, store=NgramStore.open(folder))


@pytest.mark.parametrize("settings", ALL, ids=NAMES)
def test_context_helps_where_it_is_there_and_its_weight_is_chosen_on_val(
    toy: Toy, told: Toy, settings: NgramSettings, tmp_path: Path
) -> None:
    def right(own: Toy, model: Any, kept: Rows) -> NDArray[np.bool_]:
        log_prob = model.log_prob(own.store.rows(own.test)[:, kept])
        return np.asarray(log_prob.argmax(1) == own.codes[own.test])

    model, kept, facts = told.fit(settings)
    named = told.test % 4 > 0
    without, kept_without, _ = toy.fit(settings)
    assert right(told, model, kept)[named].mean() > right(toy, without, kept_without)[named].mean()
    said = facts["context"]["val_accuracy"]
    chosen = facts["context"]["weight"]
    assert said[str(chosen)] == max(said.values())
    assert model.context.weight == chosen
    assert {own.startswith(SEPARATOR) for own in np.array(told.store.ngrams)[kept][: model.context.start]} == {False}
    alone, _, fixed = told.fit(replace(settings, context_weight=chosen))
    assert fixed["context"] == {"weight": chosen, "val_accuracy": None}
    counts = told.store.rows(told.test)[:, kept]
    assert np.array_equal(alone.log_prob(counts), model.log_prob(counts))
    model.save(tmp_path)
    assert np.array_equal(type(model).load(tmp_path).log_prob(counts), model.log_prob(counts))


def test_without_val_the_usual_weight_is_taken(told: Toy) -> None:
    _, _, facts = told.fit(BAYES, val=np.empty(0, np.intp))
    assert facts["context"] == {"weight": 0.3, "val_accuracy": None}
