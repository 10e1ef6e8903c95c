import numpy as np
import pytest
from scipy.special import log_softmax
from sklearn.linear_model import LogisticRegression

from patent_hier.errors import ArtifactError, ConfigError
from patent_hier.evaluation import pooling
from patent_hier.evaluation.deriving import NodeScores
from patent_hier.evaluation.pooling import FLOOR, PRIOR_DEVIATION, fit_weights, pool


def scores(labels, probabilities):
    with np.errstate(divide="ignore"):
        return NodeScores(tuple(labels), np.log(np.array(probabilities)).astype(np.float32))


def synthetic(n=4000, sharpness=(1.0, 2.0), labels=("A01", "A23"), seed=3):
    """Members that see the logits of the truth with noise of their own; the second is twice as sure as it may be."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=(n, len(labels)))
    draws = (np.exp(log_softmax(2 * truth, axis=1)).cumsum(axis=1) < rng.random((n, 1))).sum(axis=1)
    members = [
        NodeScores(labels, log_softmax(s * (truth + rng.normal(size=truth.shape)), axis=1).astype(np.float32))
        for s in sharpness
    ]
    return members, np.array(labels, object)[draws]


# --- the pool


def test_probabilities_to_the_power_of_the_weights_are_multiplied():
    one, two = scores(("A", "B"), [[0.8, 0.2], [0.5, 0.5]]), scores(("A", "B"), [[0.4, 0.6], [0.1, 0.9]])
    pooled = pool([one, two], [2.0, 0.5])
    products = np.array([[0.8**2 * 0.4**0.5, 0.2**2 * 0.6**0.5], [0.5**2 * 0.1**0.5, 0.5**2 * 0.9**0.5]])
    assert pooled.labels == ("A", "B")
    assert pooled.log_prob.dtype == np.float32
    assert np.exp(pooled.log_prob) == pytest.approx(products / products.sum(axis=1, keepdims=True))


def test_an_unknown_label_has_the_floor_and_labels_are_sorted():
    one, two = scores(("B", "A"), [[0.3, 0.7]]), scores(("C", "A"), [[0.9, 0.1]])
    pooled = pool([one, two], [1, 1])
    products = np.array([0.7 * 0.1, 0.3 * 1e-6, 1e-6 * 0.9])
    assert pooled.labels == ("A", "B", "C")
    assert np.exp(pooled.log_prob[0]) == pytest.approx(products / products.sum(), rel=1e-5)


def test_probability_0_is_no_veto():
    sure, other = scores(("A", "B"), [[0.0, 1.0]]), scores(("A", "B"), [[1 - 1e-9, 1e-9]])
    products = np.array([1e-6 * (1 - 1e-9), 1.0 * 1e-6])  # both are raised to the floor
    assert np.exp(pool([sure, other], [1, 1]).log_prob[0]) == pytest.approx(products / products.sum(), rel=1e-5)
    assert np.log(1e-6) == FLOOR


def test_weights_0_make_all_labels_equal_and_one_member_stays_itself():
    one, two = scores(("A", "B"), [[0.8, 0.2]]), scores(("B", "C"), [[0.4, 0.6]])
    assert np.exp(pool([one, two], [0, 0]).log_prob) == pytest.approx(np.full((1, 3), 1 / 3))
    assert pool([one], [1]).log_prob == pytest.approx(one.log_prob, abs=1e-6)


def test_many_documents_are_taken_in_pieces(monkeypatch):
    members, targets = synthetic(n=50, labels=("A", "B", "C"))
    whole, weights = pool(members, [0.7, 0.4]).log_prob, fit_weights(members, targets)
    monkeypatch.setattr(pooling, "_CHUNK", 7)
    assert np.array_equal(pool(members, [0.7, 0.4]).log_prob, whole)
    assert fit_weights(members, targets) == pytest.approx(weights, abs=1e-6)


def test_what_cannot_be_pooled_is_refused():
    one, two = scores(("A",), [[1.0]]), scores(("A",), [[1.0], [1.0]])
    with pytest.raises(ConfigError, match="at least one member"):
        pool([], [])
    with pytest.raises(ArtifactError, match=r"scored \[1, 2\] documents"):
        pool([one, two], [1, 1])
    for weights in ([1.0], [1.0, -0.1], [1.0, float("nan")], [1.0, float("inf")]):
        with pytest.raises(ConfigError, match=r"weights .* for 2 members"):
            pool([one, one], weights)
    with pytest.raises(ArtifactError, match="2 targets for 1 scored documents"):
        fit_weights([one], np.array(["A", "A"], object))


# --- the weights


def test_two_labels_are_a_logistic_regression():
    members, targets = synthetic()
    odds = np.stack([m.log_prob[:, 1] - m.log_prob[:, 0] for m in members], axis=1).astype(np.float64)
    reference = LogisticRegression(C=np.inf, fit_intercept=False, tol=1e-10).fit(odds, targets == "A23")
    weights = fit_weights(members, targets)
    assert weights == pytest.approx(reference.coef_[0], abs=2e-3)  # the prior around 1/2 is all that differs
    assert weights[0] == pytest.approx(2 * weights[1], rel=0.15)  # the second member is twice as sure


def objective(members, targets, weights):
    """The documented function by the plain formula; every member knows every label."""
    codes = np.array([members[0].labels.index(target) for target in targets])
    pooled = sum(w * np.maximum(m.log_prob.astype(np.float64), FLOOR) for w, m in zip(weights, members, strict=True))
    own = log_softmax(pooled, axis=1)[np.arange(len(codes)), codes]
    prior = ((np.asarray(weights) - 1 / len(members)) ** 2).sum() / (2 * len(codes) * PRIOR_DEVIATION**2)
    return -own.mean() + prior


@pytest.mark.parametrize("n", [20, 2000])
def test_the_weights_are_the_minimum(n):
    members, targets = synthetic(n, sharpness=(0.5, 1.0, 3.0), labels=("A", "B", "C", "D"))
    weights = fit_weights(members, targets)
    best = objective(members, targets, weights)
    for step in (1e-3, 1e-2, 0.3):
        for m in range(3):
            for sign in (1, -1):
                moved = weights + sign * step * np.eye(3)[m]
                if moved.min() >= 0:
                    assert objective(members, targets, moved) > best - 1e-12
    assert np.array_equal(fit_weights(members, targets), weights)


def test_a_misleading_member_gets_0():
    (good, other), targets = synthetic(sharpness=(1.0, 1.0))
    liar = NodeScores(other.labels, other.log_prob[:, ::-1].copy())
    weights = fit_weights([good, liar], targets)
    assert weights[1] == 0
    assert weights[0] == pytest.approx(fit_weights([good], targets)[0], abs=2e-3)


def test_members_that_say_the_same_share_their_weight():
    (member,), targets = synthetic(sharpness=(1.0,))
    weights = fit_weights([member, member], targets)
    assert weights[0] == pytest.approx(weights[1], abs=1e-5)
    assert weights.sum() == pytest.approx(fit_weights([member], targets)[0], abs=2e-3)


def test_documents_whose_target_nobody_knows_are_left_out():
    members, targets = synthetic(200)
    weights = fit_weights(members, targets)
    longer = [NodeScores(m.labels, np.vstack([m.log_prob, m.log_prob[:50]])) for m in members]
    unknown = np.array(["Z99", None] * 25, object)
    assert fit_weights(longer, np.concatenate([targets, unknown])) == pytest.approx(weights, abs=1e-9)


def test_without_documents_the_weights_are_equal():
    members, _ = synthetic(4)
    assert fit_weights(members, np.array([None, "Z99", None, None], object)).tolist() == [0.5, 0.5]
    assert fit_weights([scores(("A",), [[1.0]])] * 4, np.array(["A"], object)) == pytest.approx(np.full(4, 0.25))
