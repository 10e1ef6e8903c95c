import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from patent_hier.evaluation import level_scores
from patent_hier.evaluation.scores import TreeScores
from patent_hier.evaluation.signals import joined, member_signals, prediction_signals, score_signals
from tests.trees import classes_of, network, probabilities, random_tree, scores_of, trees

TREE = classes_of(A="01 21", B="60")
SURE = [0.9, 0.1, 0.8, 0.1, 0.1]  # sections, then classes
TORN = [0.6, 0.4, 0.3, 0.3, 0.4]  # the likeliest class is not in the likeliest section


def test_signals_of_one_system():
    signals = score_signals(probabilities(TREE, [SURE, TORN]))
    assert signals["confidence.section"] == pytest.approx([math.log(9), math.log(1.5)], abs=1e-5)
    assert signals["confidence.class"] == pytest.approx([math.log(4), math.log(2 / 3)], abs=1e-5)
    assert signals["margin.section"] == pytest.approx([math.log(9), math.log(1.5)], abs=1e-5)
    assert signals["margin.class"] == pytest.approx([math.log(8), math.log(4 / 3)], abs=1e-5)
    entropy = [-sum(p * math.log(p) for p in own[2:]) for own in (SURE, TORN)]
    assert signals["entropy.class"] == pytest.approx(entropy, abs=1e-5)
    assert signals["path"].tolist() == [0.0, 1.0]


def test_certainty_and_single_labels_have_finite_signals():
    signals = score_signals(probabilities(classes_of(A="01"), [[1, 1]]))
    assert all(np.isfinite(values).all() for values in signals.values())
    assert signals["confidence.section"] == signals["margin.class"] == [20.0]
    assert signals["entropy.class"] == [0.0]
    zero = score_signals(probabilities(TREE, [[1, 0, 1, 0, 0]]))
    assert all(np.isfinite(values).all() for values in zero.values())


def predicted(scores):
    return network("shared", scores.tree, scores.log_prob, [(None,) * len(scores.tree.levels)] * len(scores))


@given(trees(), st.integers(0, 10**6))
def test_predictions_tell_the_same(tree, seed):
    scores = scores_of(tree, 5, seed)
    of_scores, of_predictions = score_signals(scores), prediction_signals(predicted(scores))
    assert of_scores.keys() == of_predictions.keys()
    for name, values in of_scores.items():
        assert of_predictions[name] == pytest.approx(values, abs=1e-6), name


def test_predictions_of_the_best_labels_tell_the_same_but_for_entropies(monkeypatch):
    scores = scores_of(random_tree(5, n_levels=4, early=False), 20, 3)
    sizes = {level: len(scores.tree.labels(level)) for level in scores.tree.levels}
    assert sizes["main_group"] > 6
    monkeypatch.setattr(level_scores, "DENSE_LABELS", 6)
    monkeypatch.setattr(level_scores, "KEPT", 3)
    of_scores, of_predictions = score_signals(scores), prediction_signals(predicted(scores))
    lost = {f"entropy.{level}" for level, size in sizes.items() if size > 6}
    assert of_scores.keys() - of_predictions.keys() == lost
    for name, values in of_predictions.items():
        assert values == pytest.approx(of_scores[name], abs=1e-6), name


def test_members_that_agree_and_that_do_not():
    own = probabilities(TREE, [SURE, SURE])
    other = probabilities(TREE, [SURE, [0, 1, 0, 0, 1]])
    certain = probabilities(TREE, [SURE, [1, 0, 1, 0, 0]])
    signals = member_signals(own, [certain, other])
    assert signals["members"].tolist() == [0.0, 0.5]
    assert signals["divergence.section"] == pytest.approx([0, math.log(2)], abs=1e-6)
    assert signals["divergence.class"] == pytest.approx([0, math.log(2)], abs=1e-6)


def test_members_with_other_labels():
    """Members have labels at other positions; labels that are unknown to the system or blocked do not count."""
    own = probabilities(TREE, [SURE])
    fewer = probabilities(classes_of(A="01"), [[1, 1]])
    more = probabilities(classes_of(A="01 21 23", H="01", B="60"), [[0.5, 0.25, 0.25, 0.1, 0.1, 0.3, 0.25, 0.25]])
    assert more.tree.codes.tolist()[:3] == ["A", "B", "H"]
    signals = member_signals(own, [fewer, more])
    assert signals["members"].tolist() == [0.5]  # the second one's likeliest label here is B60
    kept = np.array([True, True, True, True, False])
    assert member_signals(own, [fewer, more], kept)["members"].tolist() == [0.0]


def test_members_that_do_not_reach_the_deepest_level():
    own = probabilities(TREE, [SURE])
    above = TreeScores(own.tree.to_depth("section"), np.log(np.array([[0.2, 0.8]], np.float32)))
    signals = member_signals(own, [above, own])
    assert signals.keys() == {"members", "divergence.section"}
    assert signals["members"].tolist() == [0.5]


def test_joining():
    parts = [{"a": np.array([1.0])}, {"a": np.array([2.0, 3.0])}]
    assert joined(parts)["a"].tolist() == [1, 2, 3]
