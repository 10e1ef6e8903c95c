from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from patent_hier.data.labels import document_labels
from patent_hier.errors import ArtifactError
from patent_hier.evaluation.set_rule import SetRule
from tests.evaluation.sets import made_up, named, ranked
from tests.trees import network, tree_of

QUICK = settings(max_examples=40, deadline=None)


def micro_f1(made, sets):
    shared = sum(len(own & true) for own, true in zip(sets, made.sets, strict=True))
    return 2 * shared / (sum(map(len, sets)) + sum(map(len, made.sets)))


@QUICK
@given(st.integers(1, 12), st.sampled_from([2, 5, 30, 250]), st.booleans(), st.integers(0, 10**6))
def test_no_other_threshold_has_a_higher_micro_f1(n, n_labels, ties, seed):
    made = made_up(n, n_labels, seed, ties=ties)
    rule = SetRule.fit(made.network, made.labels)
    assert rule.documents == n
    (own,) = made.network.levels
    inside = rule.choose(own.level, np.array([list(scores.values()) for scores in made.log_prob], np.float32))
    sets = [{code for code, is_in in zip(made.codes, row, strict=True) if is_in} for row in inside]
    assert sets == [named(scores, rule.thresholds[own.level]) for scores in made.log_prob]
    best = [[(code, scores[code]) for code in ranked(scores)[:20]] for scores in made.log_prob]
    highest = max(
        micro_f1(made, [{row[0][0], *(code for code, value in row if value >= least)} for row in best])
        for least in {0.0, *(value for row in best for _, value in row)}
    )
    assert micro_f1(made, sets) == pytest.approx(highest)


def by_hand(rows, sets):
    """Probabilities of the labels A, B, C, and which of them documents have."""
    tree = tree_of([("A",), ("B",), ("C",)])
    main = [(own[0],) for own in sets]
    labels = document_labels(
        [np.array([own[0] for own in sets], object)], [[(code,) for code in own[1:]] for own in sets], tree.levels
    )
    return SetRule.fit(network("shared", tree, np.log(np.array(rows, np.float32)), main), labels)


def test_the_threshold_lies_half_way_between_the_last_label_and_the_next():
    """Second labels of .4 and .3 are right, one of .2 and all third ones are wrong."""
    rule = by_hand([[0.5, 0.4, 0.1], [0.6, 0.3, 0.1], [0.75, 0.2, 0.05]], ["AB", "AB", "A"])
    assert rule.thresholds["section"] == pytest.approx(np.sqrt(0.3 * 0.2))
    nothing = by_hand([[0.5, 0.4, 0.1], [0.6, 0.3, 0.1]], ["A", "A"])  # halfway to certainty
    assert nothing.thresholds["section"] == pytest.approx(np.sqrt(0.4))


def test_a_set_is_never_empty_and_holds_twenty_labels_at_most():
    rule = SetRule(9, {"class": 1.0, "subclass": 0.001})
    log_prob = np.log(np.array([[0.2, 0.4, 0.4], [0.0, 1.0, 0.0]], np.float32) + 1e-9)
    assert rule.choose("class", log_prob).tolist() == [
        [False, True, False],
        [False, True, False],
    ]  # of equals the first
    even = np.full((2, 50), np.log(1 / 50), np.float32)
    assert rule.choose("subclass", even).sum(axis=1).tolist() == [20, 20]


def test_documents_without_a_label_at_a_level_choose_nothing():
    tree = tree_of([("A", "A01"), ("A", "A02"), ("B", None)])
    rows = np.log(np.array([[0.6, 0.4, 0.5, 0.1], [0.6, 0.4, 0.35, 0.25]], np.float32))
    main, levels = [("A", "A01"), ("B", None)], tree.levels
    labels = document_labels([np.array(c, object) for c in zip(*main, strict=True)], [[], []], levels)
    rule = SetRule.fit(network("shared", tree, rows, main), labels)
    assert rule.thresholds["class"] == pytest.approx(np.sqrt(0.1))  # .25 is not asked


def test_a_rule_survives_json_and_anything_else_is_refused():
    rule = SetRule(351, {"section": 0.2, "class": 0.1})
    assert SetRule.from_dict(asdict(rule), ("section", "class")) == rule
    assert SetRule.from_dict(None, ("section",)) is None
    for content in (
        [],
        {"documents": 1},
        {"documents": 1, "thresholds": {"section": 0.2}},
        {"documents": 1, "thresholds": {"section": 0.2, "class": 0}},
        {"documents": 1, "thresholds": {"section": 0.2, "class": float("nan")}},
        {"documents": 1, "thresholds": {"section": 0.2, "class": "high"}},
        {"documents": None, "thresholds": {"section": 0.2, "class": 0.1}},
    ):
        with pytest.raises(ArtifactError, match=r"thresholds for label sets cannot be read .* export the model again"):
            SetRule.from_dict(content, ("section", "class"))
