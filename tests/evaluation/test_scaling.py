import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import log_softmax

from patent_hier.evaluation.scaling import IDENTITY, Heads, Scaling, fit_scaling


def sampled(distort, n=4000, k=5, seed=0):
    """Scores that were distorted, and targets drawn from what they should be."""
    rng = np.random.default_rng(seed)
    log_prob = log_softmax(rng.normal(0, 2, (n, k)), axis=1)
    target = np.array([rng.choice(k, p=row) for row in np.exp(log_prob)])
    return Heads(log_softmax(distort(log_prob), axis=1), target, np.arange(n))


def test_what_it_does_by_hand():
    p = np.array([0.6, 0.3, 0.1])
    found = np.exp(Scaling(2.0, -0.5)(np.log(p)))
    assert found == pytest.approx((p * np.sqrt(1 - p)) ** 0.5)
    assert np.exp(Scaling(2.0)(np.log(p))) == pytest.approx(np.sqrt(p))
    assert IDENTITY(np.log(p)) == pytest.approx(np.log(p))


def test_a_sure_label_and_impossible_ones_have_logits():
    found = Scaling(1.0, -0.5)(np.array([0.0, 1e-9, -np.inf]))
    assert found.tolist() == [np.log(1e-4) / 2, pytest.approx(np.log(1e-4) / 2), -np.inf]


@given(st.lists(st.floats(1e-9, 1), min_size=2, max_size=6), st.floats(0.1, 10), st.floats(-0.95, 3))
def test_the_order_of_siblings_stays(weights, temperature, shape):
    log_prob = np.log(np.array(weights) / sum(weights))
    scaled = Scaling(temperature, shape)(log_prob)
    order = np.argsort(log_prob, kind="stable")
    assert (np.diff(scaled[order]) >= -1e-12).all()


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_the_temperature_that_was_applied_is_found(temperature):
    found = fit_scaling([sampled(Scaling(1 / temperature))], shaped=False)
    assert found.temperature == pytest.approx(temperature, rel=0.08)
    assert found.shape == 0


def test_the_shape_that_is_needed_is_found():
    """High probabilities are too high, but low ones are in proportion: no temperature corrects that."""
    own = sampled(Scaling(1.0, 0.6))
    found = fit_scaling([own])
    assert found.shape < -0.2
    best = fit_scaling([own], shaped=False)
    right = sampled(IDENTITY).losses(IDENTITY).mean()
    assert own.losses(found).mean() - right < 0.1 * (own.losses(best).mean() - right)


def loss(own, scaling, centre=IDENTITY):
    away = np.log(scaling.temperature / centre.temperature) ** 2 + (scaling.shape - centre.shape) ** 2
    return away / (2 * 0.2**2) + own.losses(scaling).sum()


@given(st.integers(0, 50), st.sampled_from([0.3, 1.0, 4.0]), st.booleans())
def test_no_other_one_is_better(seed, true, shaped):
    own, centre = sampled(Scaling(true, -0.2), n=60, seed=seed), Scaling(1.2, 0.1)
    best = fit_scaling([own], shaped=shaped, centre=centre)
    for other in np.geomspace(0.06, 19, 9):
        for shape in (-0.9, 0.0, 1.0) if shaped else (centre.shape,):
            assert loss(own, best, centre) <= loss(own, Scaling(other, shape), centre) + 1e-3


def test_few_documents_move_it_little():
    few, many = (fit_scaling([sampled(Scaling(1 / 3), n=n)], shaped=False).temperature for n in (30, 4000))
    assert 1 < few < 2 < many
    assert fit_scaling([], centre=Scaling(2.0, 0.3)) == Scaling(2.0, 0.3)


def test_several_networks_are_fitted_together_and_padding_does_not_compete():
    one, other = sampled(Scaling(0.5), n=300), sampled(Scaling(0.5), n=300, seed=1)
    padded = np.full((300, 9), -np.inf)
    padded[:, :5] = other.log_prob
    joined = Heads(np.concatenate([one.log_prob, other.log_prob]), np.concatenate([one.target, other.target]), one.rows)
    found = fit_scaling([one, Heads(padded, other.target, other.rows)])
    assert found == pytest.approx(fit_scaling([joined]), abs=1e-3)
