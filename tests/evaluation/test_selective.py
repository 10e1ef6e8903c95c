import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from patent_hier.errors import ConfigError, DataError
from patent_hier.evaluation.decoding import Tree
from patent_hier.evaluation.deriving import NodeScores
from patent_hier.evaluation.selective import (
    NEVER,
    TARGETS,
    Answers,
    Thresholds,
    area_under_risk_coverage,
    at_least,
    choose_threshold,
    choose_thresholds,
    measure,
    measure_by_section,
    risk_coverage,
)
from patent_hier.settings import FLAT

ROWS = st.lists(st.tuples(st.sampled_from([0.1, 0.3, 0.5, 0.7, 0.9, 1.0]), st.booleans()), min_size=1, max_size=60)


def drawn(n, seed):
    """Documents whose confidence is right: hits are drawn with it."""
    rng = np.random.default_rng(seed)
    class_confidence, section_confidence = rng.beta(3, 1, n), rng.beta(6, 1, n)
    sections = rng.choice(list("ABC"), n)
    hits = rng.random(n) < class_confidence
    return Answers(class_confidence, hits, section_confidence, rng.random(n) < section_confidence, sections, sections)


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
def test_what_is_asked_for_is_reached_on_other_documents(target):
    """The mean over forty samples, as the correction promises; and one alone is near."""
    reached = {"class": [], "section": []}
    for seed in range(40):
        (thresholds,) = choose_thresholds(drawn(1500, seed), [target])
        result = measure(drawn(3000, 1000 + seed), thresholds)
        for level in reached:
            score = getattr(result, f"{level}_accuracy")
            if score is not None and score.n_documents >= 100:
                reached[level].append(score.value)
    assert np.mean(reached["class"]) >= target - 0.005
    assert np.mean(reached["class"]) <= target + 0.02  # else it answers too rarely
    assert min(reached["class"]) > target - 0.05
    if reached["section"]:
        assert np.mean(reached["section"]) >= target - 0.01


def test_the_sections_threshold_is_of_documents_without_a_class():
    """Ten documents get a class; among the twenty others too few sections are right, among all thirty enough."""
    named = np.arange(30) < 10
    section_hits = np.arange(30) < 19
    nothing = np.full(30, "")
    answers = Answers(np.where(named, 0.9, 0.1), named, np.full(30, 0.8), section_hits, nothing, nothing)
    assert choose_thresholds(answers, [0.5]) == [Thresholds(0.5, 0.9, NEVER)]
    assert choose_threshold(answers.section_confidence, section_hits, 0.5) == 0.8


def test_higher_targets_answer_less():
    answers = drawn(2000, 5)
    chosen = choose_thresholds(answers)
    assert [one.target for one in chosen] == list(TARGETS)
    assert all(a.ipc_class <= b.ipc_class for a, b in itertools.pairwise(chosen))
    coverage = [measure(answers, one).class_coverage for one in chosen]
    assert coverage == sorted(coverage, reverse=True)


@given(st.integers(0, 200), st.floats(0, 1), st.floats(0, 1))
def test_shares_add_up(seed, ipc_class, section):
    answers = drawn(50, seed)
    thresholds = Thresholds(0.9, ipc_class, section)
    reached = measure(answers, thresholds)
    assert reached.class_coverage + reached.section_coverage + reached.undecided == pytest.approx(1)
    parts = measure_by_section(answers, thresholds)
    assert sum(part.n_documents for part in parts.values()) == 50
    named = sum(part.class_accuracy.n_documents for part in parts.values() if part.class_accuracy)
    assert named == (reached.class_accuracy.n_documents if reached.class_accuracy else 0)
    assert named == round(reached.class_coverage * 50)


def test_answers_by_hand():
    flat = NodeScores(("A01", "A23", "B60"), np.log(np.array([[0.3, 0.3, 0.4], [0.2, 0.5, 0.3]], np.float32)))
    answers = Answers.of(Tree.of({FLAT: flat}), np.array(["A", "A"]), np.array(["B60", "A23"]))
    assert answers.class_confidence == pytest.approx([0.4, 0.5])
    assert answers.section_confidence == pytest.approx([0.6, 0.7])
    assert answers.class_hits.tolist() == [True, True]
    assert answers.section_hits.tolist() == [True, True]  # the likeliest section, not the likeliest class's
    with pytest.raises(DataError, match="no documents"):
        Answers.of(Tree.of({FLAT: NodeScores(("A01",), np.zeros((0, 1), np.float32))}), np.array([]), np.array([]))


def test_known_targets():
    chosen = [Thresholds(0.8, 0.1, 0.1), Thresholds(0.9, 0.2, 0.2)]
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
