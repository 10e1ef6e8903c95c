import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from patent_hier.errors import ConfigError, DataError
from patent_hier.evaluation.selective import (
    NEVER,
    TARGETS,
    Answers,
    Thresholds,
    area_under_risk_coverage,
    at_least,
    choose_threshold,
    choose_thresholds,
    decided,
    measure,
    measure_by_label,
    risk_coverage,
)
from tests.trees import FIVE, classes_of, network, probabilities, tree_of

ROWS = st.lists(st.tuples(st.sampled_from([0.1, 0.3, 0.5, 0.7, 0.9, 1.0]), st.booleans()), min_size=1, max_size=60)
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


@given(ROWS, st.sampled_from([0.5, 0.8, 0.95]))
def test_threshold_against_a_plain_search(rows, target):
    confidence, hits = (np.array(column) for column in zip(*rows, strict=True))
    found = choose_threshold(confidence, hits, target)

    def is_enough(threshold):
        own = hits[confidence >= threshold]
        return (~own).sum() + 1 <= (1 - target) * (len(own) + 1) + 1e-9

    good = [value for value in set(confidence.tolist()) if is_enough(value)]
    assert found == (min(good) if good else NEVER)


def test_a_few_lucky_answers_open_nothing():
    confidence = np.linspace(0.5, 1, 30)
    assert choose_threshold(confidence, np.ones(30, bool), 0.95) == 0.5
    assert choose_threshold(confidence[:18], np.ones(18, bool), 0.95) == NEVER
    assert choose_threshold(np.zeros(0), np.zeros(0, bool), 0.5) == NEVER


@pytest.mark.parametrize("target", [0.8, 0.9, 0.95])
@pytest.mark.parametrize("n_levels", [2, 3])
def test_what_is_asked_for_is_reached_on_other_documents(target, n_levels):
    """The mean over forty samples, as the correction promises; and one alone is near."""
    reached = {level: [] for level in LEVELS[:n_levels]}
    for seed in range(40):
        (thresholds,) = choose_thresholds(drawn(1500, seed, n_levels, 0.1), [target])
        result = measure(drawn(3000, 1000 + seed, n_levels, 0.1), thresholds)
        for level, own in result.levels.items():
            if own.accuracy is not None and own.accuracy.n_documents >= 100:
                reached[level].append(own.accuracy.value)
    deepest, *above = list(reached.values())[::-1]
    assert target - 0.005 <= np.mean(deepest) <= target + 0.02  # above that it answers too rarely
    assert min(deepest) > target - 0.05
    for values in above:
        assert not values or np.mean(values) >= target - 0.01


def test_a_levels_threshold_is_of_documents_that_no_deeper_level_answers():
    """Ten documents get a class; among the twenty others too few sections are right, among all thirty enough."""
    named, section_hits = np.arange(30) < 10, np.arange(30) < 19
    own = answers(np.stack([np.full(30, 0.8), np.where(named, 0.9, 0.1)], 1), np.stack([section_hits, named], 1))
    assert choose_thresholds(own, [0.5]) == [Thresholds(0.5, {"section": NEVER, "class": 0.9})]
    assert choose_threshold(own.confidence[:, 0], section_hits, 0.5) == 0.8


def test_documents_without_a_label_choose_no_threshold_of_that_level():
    """Twenty sure documents end above the class: no error there, and no support; the section's threshold has them."""
    targets = [["A", None]] * 20 + [["A", "A01"]] * 20
    hits = [[True, False]] * 20 + [[True, True]] * 20
    own = answers([[0.9, 0.9]] * 20 + [[0.8, 0.7]] * 20, hits, targets)
    (chosen,) = choose_thresholds(own, [0.9])
    assert chosen.levels == {"section": NEVER, "class": 0.7}  # all are answered at the class
    reached = measure(own, chosen)
    assert (reached.levels["class"].coverage, reached.levels["class"].accuracy.n_documents) == (1.0, 20)
    assert reached.levels["section"].accuracy is None


def test_higher_targets_answer_less():
    own = drawn(2000, 5, 3)
    chosen = choose_thresholds(own)
    assert [one.target for one in chosen] == list(TARGETS)
    assert [tuple(one.levels) for one in chosen] == [LEVELS] * len(TARGETS)
    assert all(a.levels["subclass"] <= b.levels["subclass"] for a, b in itertools.pairwise(chosen))
    coverage = [measure(own, one).levels["subclass"].coverage for one in chosen]
    assert coverage == sorted(coverage, reverse=True)


@given(st.integers(0, 200), st.tuples(*[st.floats(0, 1)] * 3))
def test_shares_add_up(seed, limits):
    own = drawn(50, seed, 3, 0.2)
    thresholds = Thresholds(0.9, dict(zip(LEVELS, limits, strict=True)))
    reached = measure(own, thresholds)
    assert sum(level.coverage for level in reached.levels.values()) + reached.undecided == pytest.approx(1)
    for row, place in enumerate(decided(own.confidence, thresholds)):
        open_ = [k for k in range(3) if own.confidence[row, k] >= limits[k]]
        assert place == max(open_, default=-1)
    parts = measure_by_label(own, thresholds)
    assert sum(part.n_documents for part in parts.values()) == 50
    for level in LEVELS:
        named = sum(p.levels[level].accuracy.n_documents for p in parts.values() if p.levels[level].accuracy)
        assert named == (reached.levels[level].accuracy.n_documents if reached.levels[level].accuracy else 0)


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
        with pytest.raises(ConfigError, match=r"out of range; give a fraction above 0 and up to 0\.9"):
            at_least(chosen, wrong)


def test_risk_and_coverage_by_hand():
    confidence, hits = np.array([0.9, 0.8, 0.7, 0.6]), np.array([True, False, True, False])
    assert risk_coverage(confidence, hits) == [(0.25, 0.0), (0.5, 0.5), (0.75, pytest.approx(1 / 3)), (1.0, 0.5)]
    assert area_under_risk_coverage(confidence, hits) == pytest.approx((0 + 0.5 + 1 / 3 + 0.5) / 4)
    assert len(risk_coverage(np.linspace(0, 1, 1000), np.ones(1000, bool), points=50)) == 50
