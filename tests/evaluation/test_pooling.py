import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import log_softmax
from sklearn.linear_model import LogisticRegression

from patent_hier.errors import ArtifactError, ConfigError
from patent_hier.evaluation import pooling
from patent_hier.evaluation.pooling import FLOOR, PRIOR_DEVIATION, fit_weights, pool
from patent_hier.evaluation.scores import TreeScores
from patent_hier.taxonomy.tree import NONE
from tests.trees import FIVE, children, classes_of, probabilities, random_joint, scores_of, tree_of, trees

AB, ABC, TWO = tree_of([("A",), ("B",)]), tree_of([("A",), ("B",), ("C",)]), classes_of(A="01 23", B="05")


def synthetic(n=4000, sharpness=(1.0, 2.0), n_labels=2, seed=3):
    """Members that see the logits of the truth with noise of their own; the second is twice as sure as it may be."""
    rng = np.random.default_rng(seed)
    tree = tree_of([(letter,) for letter in "ABCD"[:n_labels]])
    truth = rng.normal(size=(n, n_labels))
    draws = (np.exp(log_softmax(2 * truth, axis=1)).cumsum(axis=1) < rng.random((n, 1))).sum(axis=1)
    members = [
        TreeScores(tree, log_softmax(s * (truth + rng.normal(size=truth.shape)), axis=1).astype(np.float32))
        for s in sharpness
    ]
    return members, draws[:, None].astype(np.int32)


def fitted(members, paths):
    return fit_weights(members, pool(members, [1] * len(members)).tree, paths)


# --- the pool


def test_probabilities_to_the_power_of_the_weights_are_multiplied():
    one, two = probabilities(AB, [[0.8, 0.2], [0.5, 0.5]]), probabilities(AB, [[0.4, 0.6], [0.1, 0.9]])
    pooled = pool([one, two], [2.0, 0.5])
    products = np.array([[0.8**2 * 0.4**0.5, 0.2**2 * 0.6**0.5], [0.5**2 * 0.1**0.5, 0.5**2 * 0.9**0.5]])
    assert (pooled.tree, pooled.log_prob.dtype) == (AB, np.float32)
    assert np.exp(pooled.log_prob) == pytest.approx(products / products.sum(axis=1, keepdims=True))


def test_each_head_is_pooled_by_itself_and_a_flat_one_by_its_leaves():
    one, two = ([[0.5, 0.5, 0.1, 0.4, 0.5]], [[0.2, 0.8, 0.16, 0.04, 0.8]])
    pooled = np.exp(pool([probabilities(TWO, one), probabilities(TWO, two)], [1, 1]).log_prob)[0]
    section, local = np.array([0.5 * 0.2, 0.5 * 0.8]), np.array([0.2 * 0.8, 0.8 * 0.2])
    section, local = section / section.sum(), local / local.sum()
    assert pooled == pytest.approx([*section, *(section[0] * local), section[1]])
    pooled = np.exp(pool([probabilities(TWO, one, flat=True), probabilities(TWO, two, flat=True)], [1, 1]).log_prob)[0]
    leaves = np.array([0.1 * 0.16, 0.4 * 0.04, 0.5 * 0.8])
    leaves = leaves / leaves.sum()
    assert pooled == pytest.approx([leaves[0] + leaves[1], leaves[2], *leaves])


def test_an_unknown_label_has_the_floor():
    one, two = probabilities(AB, [[0.7, 0.3]]), probabilities(tree_of([("C",), ("A",)]), [[0.1, 0.9]])
    pooled = pool([one, two], [1, 1])
    products = np.array([0.7 * 0.1, 0.3 * 1e-6, 1e-6 * 0.9])
    assert pooled.tree == ABC
    assert np.exp(pooled.log_prob[0]) == pytest.approx(products / products.sum(), rel=1e-5)


def test_members_that_know_other_depths_and_labels_make_one_tree():
    """The second member ends at the subclass; below it the first decides alone, where both are floored alike."""
    deep, shallow = tree_of(FIVE), tree_of([path[:3] for path in (*FIVE, ("D", "D01", "D01B", None, None))])
    one, two = scores_of(deep, 3, 1), scores_of(shallow, 3, 2)
    pooled = pool([one, two], [1.0, 1.0])
    assert set(pooled.tree.codes) == set(deep.codes) | {"D", "D01", "D01B"}
    groups = ["A01B1/00", "A01B3/00", "A01B10/00"]
    own, theirs = (np.exp(s.log_prob[:, s.tree.find("main_group", groups)].astype(float)) for s in (pooled, one))
    assert own / own.sum(axis=1, keepdims=True) == pytest.approx(theirs / theirs.sum(axis=1, keepdims=True), rel=1e-4)


def test_probability_0_is_no_veto():
    sure, other = probabilities(AB, [[0.0, 1.0]]), probabilities(AB, [[1 - 1e-9, 1e-9]])
    products = np.array([1e-6 * (1 - 1e-9), 1.0 * 1e-6])  # both are raised to the floor
    assert np.exp(pool([sure, other], [1, 1]).log_prob[0]) == pytest.approx(products / products.sum(), rel=1e-5)
    assert np.log(1e-6) == FLOOR


@given(trees(), st.integers(0, 10**6), st.booleans())
def test_weights_0_make_siblings_equal_and_one_member_stays_itself(tree, seed, flat):
    scores = scores_of(tree, 3, seed, flat, spread=0.5)
    assert pool([scores], [1]).log_prob == pytest.approx(scores.log_prob, abs=1e-4)
    nothing = np.exp(pool([scores, scores], [0, 0]).log_prob.astype(float))
    for parent in [] if flat else range(NONE, len(tree)):
        if own := children(tree, parent):
            above = 1 if parent == NONE else nothing[:, parent]
            assert nothing[:, own] == pytest.approx(np.tile(above / len(own), (len(own), 1)).T if parent != NONE
                                                    else 1 / len(own))  # fmt: skip
    if flat:
        assert nothing[:, tree.leaves] == pytest.approx(1 / (tree.leaves.stop - tree.leaves.start))


def test_many_documents_are_taken_in_pieces(monkeypatch):
    members, paths = synthetic(n=50, n_labels=3)
    whole, weights = pool(members, [0.7, 0.4]).log_prob, fitted(members, paths)
    monkeypatch.setattr(pooling, "_CELLS", 21)
    assert np.array_equal(pool(members, [0.7, 0.4]).log_prob, whole)
    assert fitted(members, paths) == pytest.approx(weights, abs=1e-6)


def test_what_cannot_be_pooled_is_refused():
    one, two = probabilities(AB, [[0.5, 0.5]]), probabilities(AB, [[0.5, 0.5]] * 2)
    with pytest.raises(ConfigError, match="at least one member"):
        pool([], [])
    with pytest.raises(ArtifactError, match=r"different numbers of documents: \[1, 2\]"):
        pool([one, two], [1, 1])
    for weights in ([1.0], [1.0, -0.1], [1.0, float("nan")], [1.0, float("inf")]):
        with pytest.raises(ConfigError, match=r"weights .* do not fit 2 members"):
            pool([one, one], weights)
    with pytest.raises(ArtifactError, match="flat and hierarchical classifiers cannot be pooled"):
        pool([one, probabilities(AB, [[0.5, 0.5]], flat=True)], [1, 1])
    with pytest.raises(ArtifactError, match="2 targets for 1 documents"):
        fit_weights([one], AB, np.zeros((2, 1), np.int32))


# --- the weights


def test_two_labels_are_a_logistic_regression():
    members, paths = synthetic()
    odds = np.stack([m.log_prob[:, 1] - m.log_prob[:, 0] for m in members], axis=1).astype(np.float64)
    reference = LogisticRegression(C=np.inf, fit_intercept=False, tol=1e-10).fit(odds, paths[:, 0])
    weights = fitted(members, paths)
    assert weights == pytest.approx(reference.coef_[0], abs=2e-3)  # the prior around 1/2 is all that differs
    assert weights[0] == pytest.approx(2 * weights[1], rel=0.15)  # the second member is twice as sure


def objective(members, paths, weights):
    """The documented function: -log p of the true path, head by head, by the pool's own probabilities."""
    log_prob = pool(members, weights).log_prob.astype(np.float64)
    known = (paths != NONE).any(axis=1)
    deepest = np.array([path[path != NONE][-1] for path in paths[known]])
    prior = ((np.asarray(weights) - 1 / len(members)) ** 2).sum() / (2 * known.sum() * PRIOR_DEVIATION**2)
    return -log_prob[known][np.arange(known.sum()), deepest].mean() + prior


def on_a_tree(tree, n, seed=5, flat=False):
    """Members that lean towards paths, some of which end early."""
    rng = np.random.default_rng(seed)
    ends = rng.integers(tree.leaves.start, len(tree), n) if flat else rng.integers(0, len(tree), n)
    paths = tree.paths(ends.astype(np.int32))
    members = [TreeScores(tree, random_joint(tree, n, seed + k, flat, spread=1.0, lean=paths), flat) for k in range(3)]
    return members, paths


@pytest.mark.parametrize("flat", [True, False])
@pytest.mark.parametrize("n", [20, 300])
@pytest.mark.parametrize("paths", [[path[:2] for path in FIVE], FIVE], ids=["two levels", "five levels"])
def test_the_weights_are_the_minimum(paths, n, flat):
    members, true = on_a_tree(tree_of(paths), n, flat=flat)
    weights = fitted(members, true)
    best = objective(members, true, weights)
    assert weights.min() > 0.01
    for step in (1e-2, 0.3):
        for m in range(3):
            for sign in (1, -1):
                moved = weights + sign * step * np.eye(3)[m]
                if moved.min() >= 0:
                    assert objective(members, true, moved) > best
    assert np.array_equal(fitted(members, true), weights)


def test_a_misleading_member_gets_0():
    (good, other), paths = synthetic(sharpness=(1.0, 1.0))
    liar = TreeScores(other.tree, other.log_prob[:, ::-1].copy())
    weights = fitted([good, liar], paths)
    assert weights[1] == 0
    assert weights[0] == pytest.approx(fitted([good], paths)[0], abs=2e-3)


def test_members_that_say_the_same_share_their_weight():
    (member,), paths = synthetic(sharpness=(1.0,))
    weights = fitted([member, member], paths)
    assert weights[0] == pytest.approx(weights[1], abs=1e-5)
    assert weights.sum() == pytest.approx(fitted([member], paths)[0], abs=2e-3)


def test_documents_whose_labels_nobody_knows_are_left_out():
    members, paths = on_a_tree(tree_of(FIVE), 100)
    longer = [TreeScores(m.tree, np.vstack([m.log_prob, m.log_prob[:30]])) for m in members]
    unknown = np.full((30, 5), NONE, np.int32)
    assert fitted(longer, np.vstack([paths, unknown])) == pytest.approx(fitted(members, paths), abs=1e-6)


def test_without_documents_the_weights_are_equal():
    members, _ = synthetic(4)
    assert fitted(members, np.full((4, 1), NONE, np.int32)).tolist() == [0.5, 0.5]
    assert fitted([probabilities(tree_of([("A",)]), [[1.0]])] * 4, np.zeros((1, 1), np.int32)) == pytest.approx(
        [0.25] * 4
    )
