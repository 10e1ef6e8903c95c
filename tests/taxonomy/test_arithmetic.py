import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import log_softmax

from patent_hier.taxonomy.arithmetic import (
    _pieces,
    best_columns,
    best_path,
    conditional_log_prob,
    joint_log_prob,
    level_bounds,
    log_softmax_siblings,
    log_softmax_tree,
    sum_up,
    weighted_by_level,
)
from patent_hier.taxonomy.tree import NONE
from tests.trees import FIVE, children, classes_of, log_sum, random_joint, tree_of, trees

SEEDS = st.integers(0, 10**6)


def test_two_levels_by_hand():
    tree = classes_of(A="01 21", B="60")
    conditional = np.log(np.array([[0.25, 0.75, 0.4, 0.6, 1.0]]))
    joint = joint_log_prob(tree, conditional)
    assert np.exp(joint[0]) == pytest.approx([0.25, 0.75, 0.1, 0.15, 0.75])
    assert conditional_log_prob(tree, joint) == pytest.approx(conditional)
    assert np.exp(sum_up(tree, joint[:, tree.leaves])) == pytest.approx(np.exp(joint))
    assert best_path(tree, conditional).tolist() == [[1, 4]]  # B, though A's classes come first
    assert log_softmax_siblings(tree, conditional * 2) == pytest.approx(np.log([[0.1, 0.9, 16 / 52, 36 / 52, 1.0]]))


def test_five_levels_by_hand():
    """Subgroup A01B1/02 is 0.6 * 0.5 * 1 * 0.2 * 0.25; A61 and B60K end early, so deeper sums lack their shares."""
    tree = tree_of(FIVE)
    halves = np.log([0.6, 0.3, 0.1, 0.5, 0.5, 1, 1, 1, 1, 1, 0.2, 0.5, 0.3, 1, 0.75, 0.25, 1, 1, 1])
    joint = np.exp(joint_log_prob(tree, halves[None]))[0]
    assert joint[15] == pytest.approx(0.6 * 0.5 * 0.2 * 0.25)
    assert [joint[tree.span(level)].sum() for level in tree.levels] == pytest.approx([1, 1, 0.7, 0.4, 0.4])
    assert best_path(tree, halves[None]).tolist() == [[0, 3, 7, 11, 16]]
    ends_early = halves.copy()
    ends_early[3:5] = np.log([0.4, 0.6])
    assert best_path(tree, ends_early[None]).tolist() == [[0, 4, NONE, NONE, NONE]]
    leaves = np.log(np.array([[0.1, 0.2, 0.3, 0.15, 0.25]]))
    summed = np.exp(sum_up(tree, leaves))[0]
    assert summed[[0, 1, 2, 3, 4, 5, 7, 8, 10]] == pytest.approx([0.75, 0, 0.25, 0.75, 0, 0, 0.75, 0, 0.3])


@given(trees(), SEEDS)
def test_siblings_add_up_to_1_and_keep_their_order(tree, seed):
    logits = np.random.default_rng(seed).normal(0, 30, (3, len(tree)))
    conditional = log_softmax_siblings(tree, logits)
    for parent in range(NONE, len(tree)):
        if own := children(tree, parent):
            assert conditional[:, own] == pytest.approx(log_softmax(logits[:, own], axis=1))


@given(trees(), SEEDS)
def test_joint_probability_is_the_product_along_the_path(tree, seed):
    conditional = log_softmax_siblings(tree, np.random.default_rng(seed).normal(0, 3, (3, len(tree))))
    joint = joint_log_prob(tree, conditional)
    for label in range(len(tree)):
        total, above = np.zeros(3), label
        while above != NONE:
            total, above = total + conditional[:, above], tree.parents[above]
        assert joint[:, label] == pytest.approx(total)
    assert conditional_log_prob(tree, joint) == pytest.approx(conditional)
    assert np.exp(joint[:, tree.span(tree.levels[0])]).sum(axis=1) == pytest.approx(1)


@given(trees(early=False), SEEDS, st.booleans())
def test_where_no_path_ends_early_every_level_adds_up_to_1(tree, seed, flat):
    joint = random_joint(tree, 3, seed, flat)
    for level in tree.levels:
        assert np.exp(joint[:, tree.span(level)]).sum(axis=1) == pytest.approx(1, abs=1e-5)


@given(trees(), SEEDS)
def test_a_label_has_the_sum_of_the_leaves_below_it(tree, seed):
    rng = np.random.default_rng(seed)
    leaves = log_softmax(rng.normal(0, 40, (3, tree.leaves.stop - tree.leaves.start)), axis=1)
    leaves[rng.random(leaves.shape) < 0.3] = -np.inf
    joint = sum_up(tree, leaves)
    for label in range(len(tree)):
        level = tree.level_of(label)
        own = np.flatnonzero(tree.ancestors(level)[tree.leaves] == label)
        for row in range(3):
            assert joint[row, label] == pytest.approx(log_sum(leaves[row, own].tolist()))


@given(trees(), SEEDS)
def test_greedy_search_takes_the_first_best_child(tree, seed):
    scores = np.random.default_rng(seed).integers(0, 3, (4, len(tree))).astype(np.float32)  # with many ties
    for row, path in enumerate(best_path(tree, scores).tolist()):
        above, expected = NONE, []
        while own := children(tree, above):
            above = max(own, key=lambda i: (scores[row, i], -i))
            expected.append(above)
        assert path == expected + [NONE] * (len(tree.levels) - len(expected))


def test_below_probability_0_children_are_equal_and_one_of_them_is_still_first():
    tree = classes_of(A="01", B="01 02 03")
    joint = np.array([[0.0, -np.inf, 0.0, -np.inf, -np.inf, -np.inf]], np.float32)
    assert np.exp(conditional_log_prob(tree, joint))[0] == pytest.approx([1, 0, 1, 1 / 3, 1 / 3, 1 / 3])
    assert joint_log_prob(tree, conditional_log_prob(tree, joint)).tolist() == joint.tolist()
    everything = np.full((1, 6), -np.inf, np.float32)
    assert best_path(tree, everything).tolist() == [[0, 2]]


def test_rows_are_worked_on_some_at_a_time(monkeypatch):
    tree = tree_of(FIVE)
    logits = np.random.default_rng(0).normal(0, 3, (5, 19)).astype(np.float32)
    conditional = log_softmax_siblings(tree, logits)
    joint = joint_log_prob(tree, conditional)
    monkeypatch.setattr("patent_hier.taxonomy.arithmetic._CELLS", 40)  # two rows, and one at last
    assert [len(logits[rows]) for rows in _pieces(logits)] == [2, 2, 1]
    assert np.array_equal(log_softmax_siblings(tree, logits), conditional)
    assert np.array_equal(joint_log_prob(tree, conditional), joint)


@given(st.integers(1, 20), st.integers(1, 20) | st.integers(100, 1500), SEEDS)
def test_the_best_columns_fall_and_of_equals_the_first_is_first(k, size, seed):
    rng = np.random.default_rng(seed)
    scores = rng.integers(-3, rng.integers(0, 1000), (6, size)).astype(np.float32)  # with few ties or many
    scores[scores == -3] = -np.inf
    expected = [sorted(range(size), key=lambda i: (-row[i], i))[:k] for row in scores]
    assert best_columns(scores, k).tolist() == expected


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [0, 1, 5])
def test_dtype_and_documents_are_kept(dtype, n):
    tree = tree_of(FIVE)
    joint = random_joint(tree, n).astype(dtype)
    for found in (
        log_softmax_siblings(tree, joint),
        joint_log_prob(tree, joint),
        conditional_log_prob(tree, joint),
        sum_up(tree, joint[:, tree.leaves]),
    ):
        assert (found.dtype, found.shape) == (dtype, (n, 19))
    assert best_path(tree, joint).shape == (n, 5)


def by_paths(tree, scores):
    """Joint probabilities ``(n, n_labels)``, from every path by itself."""
    above = [{i} for i in range(len(tree))]
    for i, parent in enumerate(tree.parents.tolist()):
        above[i] |= above[parent] if parent >= 0 else set()
    ends = tree.ends.tolist()
    joint = np.zeros((len(scores), len(tree)))
    for row, own in enumerate(scores.astype(float)):
        chances = np.exp([own[list(above[end])].sum() for end in ends])
        for end, chance in zip(ends, chances / chances.sum(), strict=True):
            joint[row, list(above[end])] += chance
    return joint


@given(trees(), st.integers(0, 1000))
def test_probabilities_of_paths_are_those_of_the_sums_along_them(tree, seed):
    scores = np.random.default_rng(seed).normal(0, 2, (3, len(tree)))
    joint = joint_log_prob(tree, log_softmax_tree(tree.parents, scores))
    assert np.exp(joint) == pytest.approx(by_paths(tree, scores))


def test_a_label_whose_children_all_score_badly_loses_to_its_sibling():
    tree = tree_of([("A", "A01"), ("A", "A21"), ("B", "B60")])
    scores = np.array([[0.0, 0.0, -5.0, -5.0, 0.0]])
    local, whole = np.exp(log_softmax_siblings(tree, scores)), np.exp(log_softmax_tree(tree.parents, scores))
    assert local[0, :2] == pytest.approx([0.5, 0.5])
    assert whole[0, 0] == pytest.approx(2 * np.exp(-5) / (2 * np.exp(-5) + 1))
    assert whole[0, 2:] == pytest.approx([0.5, 0.5, 1.0])


@given(trees())
def test_levels_are_found_from_parents_alone(tree):
    assert level_bounds(tree.parents).tolist() == tree.bounds.tolist()


def test_each_level_has_weights_of_its_own():
    tree = tree_of([("A", "A01"), ("A", "A21")])
    one, two = np.array([[1, 2, 3]], np.float32), np.array([[10, 20, 30]], np.float32)
    total = weighted_by_level(tree.parents, [one, two], np.array([[1.0, 2.0], [0.5, 0.1]]))
    assert total == pytest.approx(np.array([[1 + 5, 4 + 2, 6 + 3]]))
    assert one.tolist() == [[1, 2, 3]]  # what was measured is left as it is
