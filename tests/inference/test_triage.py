import numpy as np
import pytest

from patent_hier.evaluation import error_model
from patent_hier.evaluation.error_model import ErrorModel, Fitted
from patent_hier.inference.answering import Question
from patent_hier.inference.classifier import HierarchicalClassifier
from patent_hier.inference.results import Decision, LabelPath, LabelScore, Prediction, Step
from patent_hier.inference.triage import REASONS, Labelled, Review, Triage, in_words
from patent_hier.pipeline.known_patents import find_known_patents, labelled_calibration

ASKED = Question(2)


@pytest.fixture
def few_are_enough(monkeypatch):
    """The tiny corpus has some twenty calibration documents."""
    monkeypatch.setattr(error_model, "LEAST_DOCUMENTS", 10)
    monkeypatch.setattr(error_model, "LEAST_OF_EACH", 2)
    monkeypatch.setattr(error_model, "_standard_error", lambda *given: -1.0)  # a model is always good enough


def loaded(made, *system):
    return HierarchicalClassifier.from_pretrained(made.result(*system))


def fitted(made, classifier):
    cache = made.folder / "cache"
    neighbours = find_known_patents(classifier.facts["data"], cache)
    return Triage.fit(classifier, labelled_calibration(classifier, cache), neighbours)


def some(made, count=40):
    return list(made.texts().values())[:count]


@pytest.mark.parametrize("system", [("linear", "hier"), ("combination", "flat"), ("combination", "hier")])
def test_a_fitted_order(made, few_are_enough, system):
    classifier = loaded(made, *system)
    triage = fitted(made, classifier)
    assert triage.note.startswith("an error model orders the documents")
    texts = some(made)
    documents, asked = classifier.documents(texts), classifier.ask(ASKED)
    predictions, reviews = triage.review(documents, asked)
    assert predictions == classifier.predict(texts, 2)
    assert all(0 <= one.error <= 1 and one.why in (None, *REASONS) for one in reviews)
    assert len({one.error for one in reviews}) > 20
    scores = classifier.score_documents(documents)
    again = fitted(made, classifier).review(documents, asked, scores)
    assert [one.error for one in again[1]] == pytest.approx([one.error for one in reviews], abs=1e-6)
    assert triage.review([], asked) == ([], [])


def test_members_of_a_combination_are_asked_once_and_pooled_as_before(made):
    classifier = loaded(made, "combination", "hier")
    documents, counted = classifier.documents(some(made, 5)), []
    scores, members = classifier.score_with_members(documents, progress=counted.append)
    assert sum(counted) == 5 * classifier.system.passes
    assert np.array_equal(scores.log_prob, classifier.score_documents(documents).log_prob)
    assert len(members) == 2
    for own, member in zip(members, (("linear", "hier"), ("textcnn", "flat")), strict=True):
        expected = loaded(made, *member).system
        whole = expected.whole(expected.log_prob(documents))
        assert own.tree == scores.tree == whole.tree
        assert own.log_prob == pytest.approx(whole.log_prob, abs=1e-3)
    assert loaded(made, "linear", "hier").score_with_members(documents)[1] == []


def test_predictions_beside_a_result_where_the_corpus_is_gone(made, few_are_enough):
    """The same documents, so the same number of them; texts are not known, so their signals are not used."""
    for system in (("linear", "hier"), ("combination", "flat")):
        classifier = loaded(made, *system)
        known = labelled_calibration(classifier, made.folder / "cache")
        triage = Triage.fit(classifier)
        assert f"cross-validated on {len(known.truth)} calibration documents" in triage.note
        _, reviews = triage.review(classifier.documents(some(made)), classifier.ask(ASKED))
        assert {one.why for one in reviews} <= {None, "close", "unsure", "path"}


def test_a_deep_system_that_is_never_right_is_ordered_by_confidence(made, few_are_enough):
    classifier = loaded(made.deep, "linear", "hier")
    of_predictions, of_texts = Triage.fit(classifier), fitted(made, classifier)
    assert "25 calibration documents with 25 wrong answers are too few" in of_predictions.note
    assert of_predictions.note == of_texts.note
    _, reviews = of_texts.review(classifier.documents(some(made)), classifier.ask(ASKED))
    assert len({one.error for one in reviews}) > 20


def test_predictions_and_texts_tell_the_same_of_a_dense_system(made, few_are_enough, monkeypatch):
    seen = []
    monkeypatch.setattr(
        "patent_hier.inference.triage.fit_or_fall_back",
        lambda *given: (seen.append(given), error_model.fit_or_fall_back(*given))[1],
    )
    classifier = loaded(made, "linear", "hier")
    Triage.fit(classifier)
    Triage.fit(classifier, labelled_calibration(classifier, made.folder / "cache"))
    (of_predictions, confidence, wrong, _), (of_texts, *others) = seen
    assert of_texts.keys() - of_predictions.keys() == {"characters"}
    assert others[0] == pytest.approx(confidence, abs=1e-5)
    assert np.array_equal(others[1], wrong)
    for name, values in of_predictions.items():
        assert of_texts[name] == pytest.approx(values, abs=1e-3), name


def test_plain_confidence_where_nothing_is_known(made, tmp_path):
    classifier = loaded(made, "linear", "hier")
    classifier.save_pretrained(tmp_path / "model")
    own = HierarchicalClassifier.from_pretrained(tmp_path / "model")
    triage = Triage.fit(own)
    assert triage.note.startswith("plain confidence orders the documents: the model has no calibration documents here")
    texts = some(made)
    predictions, reviews = triage.review(own.documents(texts), own.ask(ASKED))
    assert [one.error for one in reviews] == pytest.approx([1 - one.paths[0].probability for one in predictions])
    assert {one.why for one in reviews} <= {None, "close", "unsure"}
    assert [one.why is None for one in reviews] == [one.error <= 0.5 for one in reviews]
    few = Triage.fit(classifier, labelled_calibration(classifier, made.folder / "cache"))
    assert "are too few for an error model" in few.note


def test_blocked_places_count_in_the_signals_and_in_what_is_wrong(made, few_are_enough, tmp_path, monkeypatch):
    (tmp_path / "list.csv").write_text("code,reason\nG,x\nH,x\n", "utf-8")
    own = HierarchicalClassifier.from_pretrained(made.result("linear", "hier"), blocked=tmp_path / "list.csv")
    known, seen = labelled_calibration(own, made.folder / "cache"), []
    monkeypatch.setattr(
        "patent_hier.inference.triage.fit_or_fall_back",
        lambda *given: (seen.append(given), error_model.fit_or_fall_back(*given))[1],
    )
    for labelled in (known, None):
        predictions, _ = Triage.fit(own, labelled).review(own.documents(some(made)), own.ask(ASKED))
        assert not {"G", "H"} & {path.label[0] for one in predictions for path in one.paths}
    lost = np.array([label[0] in "GH" for label in known.truth])
    assert lost.any()
    for _, _, wrong, _ in seen:
        assert wrong[lost].all()
    assert np.array_equal(seen[0][2], seen[1][2])


def prediction(first, second=0.0, label="A01"):
    steps = (Step("section", "A", 1.0, 1.0), Step("class", label, first, first))
    path = LabelPath(label, first, steps)
    levels = {"section": (LabelScore("A", 1.0),), "class": (LabelScore(label, first), LabelScore("A21", second))}
    return Prediction(Decision("class", label, first, None, ""), (path,), levels, "v")


@pytest.mark.parametrize(
    ("review", "of", "words"),
    [
        (Review(0.6, "close"), prediction(0.41, 0.39), "two labels are close: A01 .41, A21 .39"),
        (Review(0.9, "unsure"), prediction(0.2, 0.05), "no label is likely: A01 .20, A21 .05"),
        (Review(0.1, None), prediction(1.0), ""),
        (Review(0.9, "members"), prediction(0.5), "the ensemble members disagree"),
        (Review(0.9, "characters"), prediction(0.5), "characters rarely seen in training"),
        (Review(0.9, "unlike"), prediction(0.5), "no known document is similar"),
    ],
)
def test_reasons_in_words(review, of, words):
    assert in_words(review, of) == words


def test_every_reason_has_words():
    assert all(in_words(Review(0.5, why), prediction(0.5, 0.4)) for why in REASONS)


def test_the_main_reason_is_what_adds_most_to_the_odds_of_an_error(made, monkeypatch):
    """Signals that say the same count together; where none speaks against an answer there is no reason."""
    classifier = loaded(made, "linear", "hier")
    names = ("confidence.class", "margin.class", "members", "characters")
    model = ErrorModel(names, np.zeros(4), np.ones(4), np.array([-1.0, -1.0, 1.0, 1.0]), 0.0)
    rows = [[-1, -1, 1.5, 0], [-1, 0, 1.5, 0], [0, 0, 1, 2], [3, 3, 0, -1]]
    signals = dict(zip(names, np.array(rows, float).T, strict=True))
    predictions = [prediction(0.3, 0.1)] * 4
    monkeypatch.setattr("patent_hier.inference.triage._gather", lambda *given, **more: (predictions, signals))
    _, reviews = Triage(classifier, Fitted(model, "")).review(["x"] * 4, classifier.ask(ASKED))
    assert [one.why for one in reviews] == ["unsure", "members", "characters", None]
    assert np.argsort([-one.error for one in reviews]).tolist() == [0, 2, 1, 3]
    assert reviews[0].error == pytest.approx(1 / (1 + np.exp(-3.5)))


def test_documents_without_a_label_at_the_deepest_level_are_not_fitted_to(made, few_are_enough):
    classifier = loaded(made, "linear", "hier")
    known = labelled_calibration(classifier, made.folder / "cache")
    truth = [None, *known.truth[1:]]
    note = Triage.fit(classifier, Labelled(known.documents, truth, known.groups)).note
    assert f"cross-validated on {len(truth) - 1} calibration" in note


def test_members_are_scored_anew_only_for_a_model_that_asks_for_them(made, monkeypatch):
    classifier = loaded(made, "combination", "flat")
    documents, asked = classifier.documents(some(made, 5)), classifier.ask(ASKED)
    scores, counted = classifier.score_documents(documents), []
    known = Triage(classifier, Fitted(ErrorModel(("confidence.class",), *np.ones((3, 1)), 0.0), ""))
    _, reviews = known.review(documents, asked, scores, counted.append)
    assert not counted
    assert len({one.error for one in reviews}) > 1
    by_members = Triage(classifier, Fitted(ErrorModel(("members",), *np.ones((3, 1)), 0.0), ""))
    by_members.review(documents, asked, scores, counted.append)
    assert sum(counted) == 5 * classifier.system.passes
