import numpy as np
import pytest
from scipy.optimize import approx_fprime

from patent_hier.evaluation import path_weights
from patent_hier.evaluation.path_weights import Candidates, fit_path_weights
from patent_hier.taxonomy.arithmetic import joint_log_prob, log_softmax_tree, weighted_by_level
from tests.trees import random_tree, tree_of

TRUE = np.array([[1.5, 0.5], [0.2, 1.0]])  # kinds x levels


def drawn(tree, weights, n=4000, seed=1):
    """Draw scores, and true paths with the probabilities that the weights give to these scores."""
    rng = np.random.default_rng(seed)
    measured = [rng.normal(size=(n, len(tree))).astype(np.float32) for _ in weights]
    joint = joint_log_prob(tree, log_softmax_tree(tree.parents, weighted_by_level(tree.parents, measured, weights)))
    chances = np.exp(joint[:, tree.ends].astype(float)).cumsum(axis=1)
    ends = tree.ends[(chances < rng.random((n, 1)) * chances[:, -1:]).sum(axis=1)]
    return measured, tree.paths(ends.astype(np.int32))


def wide(n_classes=12, n_leaves=25):
    return tree_of([(f"A{i:02}", f"A{i:02}{k:02}") for i in range(n_classes) for k in range(n_leaves)])


def fitted(tree, measured, paths, start, seed=0, **options):
    candidates = Candidates.choose(tree, measured, start, paths, np.random.default_rng(seed))
    return fit_path_weights(candidates, start, options.get("deviation", 10.0), options.get("least", 0.0))


def test_the_weights_that_made_the_data_are_found():
    tree = wide(4, 5)
    measured, paths = drawn(tree, TRUE)
    assert fitted(tree, measured, paths, np.ones((2, 2))) == pytest.approx(TRUE, abs=0.12)


def test_drawn_leaves_stand_for_all_others(monkeypatch):
    tree = wide()
    measured, paths = drawn(tree, TRUE, n=1500)
    exact = fitted(tree, measured, paths, np.ones((2, 2)))  # 300 leaves would be all of them
    monkeypatch.setattr(path_weights, "LIKELIEST", 20)
    monkeypatch.setattr(path_weights, "DRAWN", 60)
    sampled = [fitted(tree, measured, paths, np.ones((2, 2)), seed) for seed in range(5)]
    assert np.mean(sampled, axis=0) == pytest.approx(exact, abs=0.08)
    monkeypatch.setattr(path_weights, "DRAWN", 1)  # the likeliest and the true leaf nearly alone: biased
    alone = fitted(tree, measured, paths, np.ones((2, 2)))
    assert np.abs(alone - exact).max() > 0.15


def test_few_documents_stay_near_the_start_and_bounds_are_kept():
    tree = wide(4, 5)
    measured, paths = drawn(tree, TRUE, n=30)
    start = np.ones((2, 2))
    near = fitted(tree, measured, paths, start, deviation=0.01)
    assert near == pytest.approx(start, abs=0.01)
    against = [-own for own in measured]
    assert fitted(tree, against, paths, start).min() == 0
    assert fitted(tree, against, paths, start, least=-np.inf).min() < -0.1


def test_a_label_outside_the_tree_decides_at_the_levels_above_only():
    tree = wide(4, 5)
    measured, paths = drawn(tree, TRUE, n=2000)
    known = fitted(tree, measured, paths, np.ones((2, 2)))
    cut = paths.copy()
    cut[::2, 1] = -1
    assert fitted(tree, measured, cut, np.ones((2, 2))) == pytest.approx(known, abs=0.2)
    nothing = np.full_like(paths, -1)
    assert fitted(tree, measured, nothing, np.ones((2, 2))).tolist() == [[1, 1], [1, 1]]


@pytest.mark.parametrize("seed", range(4))
def test_paths_that_end_early_are_candidates(seed):
    tree = random_tree(seed, 3)
    n_levels = len(tree.levels)
    measured, paths = drawn(tree, np.ones((1, n_levels)), n=50)
    candidates = Candidates.choose(tree, measured, np.ones((1, n_levels)), paths, np.random.default_rng(0))
    deepest = (paths >= 0).sum(axis=1) - 1
    assert candidates.under[np.arange(50), :, deepest].any(axis=1).all()
    assert not candidates.under[paths[:, None, :].repeat(candidates.under.shape[1], 1) < 0].any()


def test_the_slope_is_the_losss(monkeypatch):
    tree = wide(3, 4)
    measured, paths = drawn(tree, TRUE, n=40)
    found = {}

    def minimize(loss, start, **options):
        found["loss"] = loss
        raise StopIteration

    monkeypatch.setattr(path_weights, "minimize", minimize)
    with pytest.raises(StopIteration):
        fitted(tree, measured, paths, np.ones((2, 2)))
    at = np.array([0.4, 1.2, 0.9, 0.1])
    numeric = approx_fprime(at, lambda weights: found["loss"](weights)[0], 1e-6)
    assert found["loss"](at)[1] == pytest.approx(numeric, abs=1e-4)
