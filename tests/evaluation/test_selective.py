import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from patent_hier.errors import ConfigError, DataError
from patent_hier.evaluation.selective import (
    Answers,
    Thresholds,
    area_under_risk_coverage,
    at_least,
    decided,
    measure,
    measure_by_label,
    risk_coverage,
)
from tests.trees import FIVE, classes_of, network, probabilities, tree_of

LEVELS = ("section", "class", "subclass")


def drawn(n, seed, n_levels=2, early=0.0):
    """Documents whose confidence is right: hits are drawn with it. Some of them have no label at the last level."""
    rng = np.random.default_rng(seed)
    confidence = np.stack([rng.beta(6 - 2 * place, 1, n) for place in range(n_levels)], axis=1)
    hits = rng.random((n, n_levels)) < confidence
    targets = np.stack([rng.choice(list("ABC"), n).astype(object) for _ in range(n_levels)], axis=1)
    ends = rng.random(n) < early
    targets[ends, -1], hits[ends, -1] = None, False
    return Answers(LEVELS[:n_levels], confidence, hits, targets)


def answers(confidence, hits, targets=None):
    hits = np.array(hits, bool)
    targets = np.full(hits.shape, "A", object) if targets is None else np.array(targets, object)
    return Answers(LEVELS[: hits.shape[1]], np.array(confidence, float), hits, targets)


@given(st.integers(0, 200), st.tuples(*[st.floats(0, 1)] * 3))
def test_shares_add_up(seed, limits):
    own = drawn(50, seed, 3, 0.2)
    thresholds = Thresholds(0.9, dict(zip(LEVELS, limits, strict=True)))
    reached = measure(own, thresholds)
    assert sum(level.coverage for level in reached.levels.values()) == pytest.approx(reached.answered.coverage)
    assert reached.answered.coverage + reached.undecided == pytest.approx(1)
    for row, place in enumerate(decided(own.confidence, np.array(limits))):
        open_ = [k for k in range(3) if own.confidence[row, k] >= limits[k]]
        assert place == max(open_, default=-1)
    scores = [level.accuracy for level in reached.levels.values() if level.accuracy]
    if scores:
        right = sum(score.value * score.n_documents for score in scores)
        assert reached.answered.accuracy.n_documents == sum(score.n_documents for score in scores)
        assert reached.answered.accuracy.value * reached.answered.accuracy.n_documents == pytest.approx(right)
    parts = measure_by_label(own, thresholds)
    assert sum(part.n_documents for part in parts.values()) == 50
    for level in LEVELS:
        named = sum(p.levels[level].accuracy.n_documents for p in parts.values() if p.levels[level].accuracy)
        assert named == (reached.levels[level].accuracy.n_documents if reached.levels[level].accuracy else 0)


def test_coverage_and_accuracy_by_hand():
    """Two classes, one right; a section, wrong; one without a class, answered there; one without answer."""
    hits = [[True, True], [True, False], [False, False], [True, False], [True, True]]
    targets = [["A", "A01"], ["A", "A21"], ["B", "B01"], ["A", None], ["A", "A01"]]
    own = answers([[0.9, 0.9], [0.9, 0.8], [0.7, 0.1], [0.9, 0.9], [0.2, 0.1]], hits, targets)
    reached = measure(own, Thresholds(0.9, {"section": 0.7, "class": 0.8}))
    assert (reached.levels["class"].coverage, reached.levels["class"].accuracy.value) == (0.6, 0.5)
    assert (reached.levels["section"].coverage, reached.levels["section"].accuracy.value) == (0.2, 0.0)
    assert (reached.answered.coverage, reached.undecided) == (0.8, 0.2)
    assert (reached.answered.accuracy.value, reached.answered.accuracy.n_documents) == (1 / 3, 3)
    nothing = measure(own, Thresholds(0.9, {"section": 1.0, "class": 1.0}))
    assert (nothing.answered.coverage, nothing.answered.accuracy) == (0.0, None)


def test_answers_by_hand():
    tree = classes_of(A="01 23", B="60")
    joint = probabilities(tree, [[0.6, 0.4, 0.3, 0.3, 0.4], [0.7, 0.3, 0.2, 0.5, 0.3]]).log_prob
    own = Answers.of(network("flat", tree, joint, [("A", "A01"), ("A", "A99")], flat=True))
    assert own.confidence == pytest.approx(np.array([[0.6, 0.4], [0.7, 0.5]]))
    assert own.hits.tolist() == [[True, False], [True, False]]  # the likeliest class need not be in the section
    assert own.labelled(1).tolist() == [True, True]
    deep = network("x", tree_of(FIVE), np.zeros((1, 19), np.float32), [FIVE[3]])
    assert Answers.of(deep).targets.tolist() == [["A", "A61", None, None, None]]
    assert Answers.of(deep).hits[0, 2:].tolist() == [False] * 3
    with pytest.raises(DataError, match="no documents"):
        Answers.of(deep.take(np.array([], int)))


def test_known_targets():
    chosen = [Thresholds(0.8, {"class": 0.1}), Thresholds(0.9, {"class": 0.2})]
    assert at_least(chosen, 0.8).target == 0.8
    assert at_least(chosen, 0.81).target == 0.9
    assert at_least(chosen, 0.01).target == 0.8
    for wrong in (0.0, -1, 0.91, 2, float("nan")):
        with pytest.raises(ConfigError, match=r"out of range; use a fraction above 0 and up to 0\.9"):
            at_least(chosen, wrong)


def test_risk_and_coverage_by_hand():
    confidence, hits = np.array([0.9, 0.8, 0.7, 0.6]), np.array([True, False, True, False])
    assert risk_coverage(confidence, hits) == [(0.25, 0.0), (0.5, 0.5), (0.75, pytest.approx(1 / 3)), (1.0, 0.5)]
    assert area_under_risk_coverage(confidence, hits) == pytest.approx((0 + 0.5 + 1 / 3 + 0.5) / 4)
    assert len(risk_coverage(np.linspace(0, 1, 1000), np.ones(1000, bool), points=50)) == 50
