import numpy as np
import pytest

from patent_hier.errors import ArtifactError
from patent_hier.evaluation.path_pool import PathPool
from patent_hier.evaluation.path_weights import NOVELTY
from patent_hier.evaluation.pooling import fit_weights, pool
from patent_hier.evaluation.scores import TreeScores
from patent_hier.taxonomy.arithmetic import joint_log_prob, log_softmax_siblings
from patent_hier.taxonomy.tree import LabelTree
from tests.trees import tree_of

DEEP = tree_of([(f"A{i}", f"A{i}{k}", f"A{i}{k}{m}") for i in range(3) for k in range(3) for m in range(3)])


def member(tree, truth, clear, seed):
    """Scores that see the true path, at each level as clearly as ``clear`` says."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(len(truth), len(tree))).astype(np.float32)
    for level, strength in enumerate(clear):
        known = np.flatnonzero(truth[:, level] >= 0)
        logits[known, truth[known, level]] += strength
    return TreeScores(tree, joint_log_prob(tree, log_softmax_siblings(tree, logits)))


def paths_of(tree, n, seed=0):
    leaves = np.random.default_rng(seed).choice(tree.ends, n).astype(np.int32)
    return tree.paths(leaves)


def likelihood(scores, paths):
    return float(scores.log_prob[np.arange(len(paths)), paths.max(axis=1)].mean())


def test_each_member_is_heard_at_the_levels_that_it_knows():
    paths = paths_of(DEEP, 3000)
    above, below = member(DEEP, paths, (3, 0, 0), 1), member(DEEP, paths, (0, 0, 3), 2)
    found = PathPool.fit([[above, below]], DEEP, paths)
    assert found.weights[0, 0] > 0.6 > 0.3 > found.weights[1, 0]
    assert found.weights[1, 2] > 0.6 > 0.3 > found.weights[0, 2]
    heads = pool([above, below], fit_weights([above, below], DEEP, paths))
    assert likelihood(found([above, below], DEEP), paths) > likelihood(heads, paths) + 0.1


def test_one_level_is_the_pool_of_one_head():
    tree = tree_of([(letter,) for letter in "ABCD"])
    paths = paths_of(tree, 2000)
    members = [member(tree, paths, (2,), 1), member(tree, paths, (1,), 2)]
    found = PathPool.fit([members], tree, paths)
    weights = fit_weights(members, tree, paths)
    assert found.weights[:, 0] == pytest.approx(weights, abs=1e-3)
    assert found(members, tree).log_prob == pytest.approx(pool(members, weights).log_prob, abs=1e-2)


def test_chunks_change_nothing_but_the_draw():
    paths = paths_of(DEEP, 400)
    members = [member(DEEP, paths, (1, 2, 1), 1), member(DEEP, paths, (2, 1, 1), 2)]
    chunks = [[own.take(rows) for own in members] for rows in (slice(0, 150), slice(150, 400))]
    whole, parts = PathPool.fit([members], DEEP, paths), PathPool.fit(chunks, DEEP, paths)
    assert parts.weights == pytest.approx(whole.weights, abs=1e-6)  # 27 leaves: none is drawn


def test_a_label_that_one_member_alone_knows_can_be_answered():
    known = tree_of([("A", "A01"), ("B", "B60")])
    tree = LabelTree.union([known, tree_of([("A", "A01"), ("A", "A21"), ("B", "B60")])])
    paths = paths_of(tree, 3000)
    inside = np.stack([known.find(level, tree.names(paths[:, i])) for i, level in enumerate(tree.levels)], axis=1)
    members = [member(known, inside, (2, 2), 1), member(tree, paths, (2, 2), 2)]
    found = PathPool.fit([members], tree, paths)
    pooled = found(members, tree)
    new = int(tree.find("class", ["A21"])[0])
    true = paths[:, 1] == new
    share = np.exp(pooled.log_prob[:, new].astype(float))
    odds = PathPool(found.weights, found.unknown - NOVELTY)(members, tree).log_prob[:, new]
    assert np.exp(odds.astype(float)).mean() == pytest.approx(true.mean(), abs=0.02)  # what the documents say
    assert share.mean() > true.mean() + 0.01  # and the benefit of the doubt
    assert share[true].mean() > 0.6
    assert np.exp(pooled.log_prob[:, tree.leaves].astype(float)).sum(axis=1) == pytest.approx(1, abs=1e-5)


def test_a_member_of_other_labels_is_refused():
    paths = paths_of(DEEP, 10)
    own = member(DEEP, paths, (1, 1, 1), 1)
    smaller = tree_of([("A0", "A00", "A000"), ("A1", "A10", "A100")])
    with pytest.raises(ArtifactError, match="combine the members again"):
        PathPool(np.ones((1, 3)), np.zeros(3))([own], smaller)
