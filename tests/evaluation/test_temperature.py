import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import log_softmax

from patent_hier.evaluation.deriving import NodeScores
from patent_hier.evaluation.temperature import MIN_DOCUMENTS, fit_temperature, scale, scale_nodes


def sampled(true_temperature, n=4000, k=5, seed=0):
    """Scores that are too certain by a factor, and targets drawn from what they should be."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (n, k))
    probability = np.exp(log_softmax(logits, axis=1))
    targets = np.array([rng.choice(k, p=row) for row in probability])
    return log_softmax(logits * true_temperature, axis=1), targets


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_the_temperature_that_was_applied_is_found(temperature):
    assert fit_temperature(*sampled(temperature)) == pytest.approx(temperature, rel=0.08)


def loss(log_prob, targets, temperature):
    likelihood = scale(log_prob, temperature)[np.arange(len(targets)), targets].sum()
    return np.log(temperature) ** 2 / (2 * 0.2**2) - likelihood


@given(st.integers(0, 50), st.sampled_from([0.3, 1.0, 4.0]))
def test_no_other_temperature_is_better(seed, true):
    log_prob, targets = sampled(true, n=60, seed=seed)
    best = fit_temperature(log_prob, targets)
    own = loss(log_prob, targets, best)
    for other in np.geomspace(0.06, 19, 15):
        assert own <= loss(log_prob, targets, other) + 1e-3


@given(st.integers(0, 50), st.floats(0.05, 20))
def test_scaling_keeps_order_and_sum(seed, temperature):
    log_prob, _ = sampled(1.0, n=10, seed=seed)
    scaled = scale(log_prob, temperature)
    assert np.exp(scaled.astype(float)).sum(axis=1) == pytest.approx(1, abs=1e-5)
    order = np.argsort(-log_prob, axis=1)
    assert (np.diff(np.take_along_axis(scaled, order, axis=1), axis=1) <= 1e-6).all()


def test_few_documents_move_it_little():
    few, many = (fit_temperature(*sampled(3.0, n=n)) for n in (30, 4000))
    assert 1 < few < 2 < many


def test_impossible_labels_stay_impossible():
    scaled = scale(np.array([[0.0, -np.inf], [np.log(0.5), np.log(0.5)]]), 3.0)
    assert scaled[0].tolist() == [0.0, -np.inf]
    assert np.exp(scaled[1]) == pytest.approx([0.5, 0.5])


def test_targets_that_say_nothing_are_left_out():
    log_prob, targets = sampled(2.0)
    strange = np.concatenate([targets, [-1, -2, 0]])
    more = np.concatenate([log_prob, np.full((2, 5), np.log(0.2)), [[-np.inf, 0, -np.inf, -np.inf, -np.inf]]])
    assert fit_temperature(more, strange) == fit_temperature(log_prob, targets)


def test_few_documents_and_single_labels_keep_1():
    log_prob, targets = sampled(3.0, n=MIN_DOCUMENTS - 1)
    assert fit_temperature(log_prob, targets) == 1.0
    assert fit_temperature(np.zeros((100, 1)), np.zeros(100, np.intp)) == 1.0


def test_nodes_have_their_own():
    own = NodeScores(("A", "B"), np.log(np.array([[0.9, 0.1]], np.float32)))
    scaled = scale_nodes({"root": own, "flat": own}, {"root": 2.0})
    assert np.array_equal(scaled["flat"].log_prob, own.log_prob)
    assert np.exp(scaled["root"].log_prob) == pytest.approx(np.array([[0.75, 0.25]]))
