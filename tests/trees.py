"""Label trees and scores on them, by hand and at random; everything here is written as plainly as possible."""

import numpy as np
from hypothesis import strategies as st

from patent_hier.evaluation.contract import NetworkPredictions
from patent_hier.evaluation.level_scores import score_levels
from patent_hier.evaluation.scores import TreeScores
from patent_hier.taxonomy.symbols import IPC_LEVELS
from patent_hier.taxonomy.tree import NONE, LabelTree

# Main groups in the order of their numbers, "stops here" leaves, symbols that end early, parents of one child.
FIVE = (
    ("B", "B60", "B60K", None, None),
    ("A", "A01", "A01B", "A01B10/00", "A01B10/00"),
    ("A", "A01", "A01B", "A01B3/00", "A01B3/00"),
    ("A", "A61", None, None, None),
    ("A", "A01", "A01B", "A01B1/00", "A01B1/02"),
    ("A", "A01", "A01B", "A01B1/00", "A01B1/00"),
    ("H", "H01", "H01L", "H01L21/00", "H01L21/02"),
)


def tree_of(paths, levels=IPC_LEVELS, **facts):
    rows = [tuple(path) for path in paths]
    return LabelTree.from_paths(rows, levels[: len(rows[0])], **facts)


def classes_of(**classes):
    """Two levels: ``classes_of(A="01 21", B="60")``."""
    return tree_of([(section, section + number) for section, own in classes.items() for number in own.split()])


def random_tree(seed, n_levels=3, early=True):
    """One to three children for each label; some paths end early, some leaves repeat the code above them."""
    rng = np.random.default_rng(seed)
    rows = []

    def grow(path):
        if len(path) == n_levels or (early and path and rng.random() < 0.15):
            rows.append(path + (None,) * (n_levels - len(path)))
            return
        stops_here = len(path) == n_levels - 1 and n_levels > 1 and rng.random() < 0.3
        for k in range(rng.integers(1, 4)):
            above = path[-1] if path else ""
            grow((*path, above if stops_here and not k else above + "ABC"[k]))

    grow(())
    return tree_of(rows, IPC_LEVELS)


def trees(early=True, least_levels=1):
    return st.builds(
        random_tree, st.integers(0, 10**6), st.integers(least_levels, 4), st.just(early) if not early else st.booleans()
    )


def children(tree, parent):
    return [i for i, above in enumerate(tree.parents.tolist()) if above == parent]


def log_sum(values):
    """The logarithm of a sum of exponentials; minus infinity for nothing."""
    highest = max(values, default=-np.inf)
    return -np.inf if np.isneginf(highest) else float(highest + np.log(sum(np.exp(v - highest) for v in values)))


def random_joint(tree, n, seed=0, flat=False, spread=2.0, lean=None):
    """Joint log-probabilities ``(n, n_labels)`` float32; ``lean`` are positions ``(n, n_levels)`` to lean towards."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, spread, (n, len(tree)))
    if lean is not None:
        rows, _ = np.nonzero(lean != NONE)
        logits[rows, lean[lean != NONE]] += 1.5
    joint = np.zeros((n, len(tree)))
    for row in range(n):
        if flat:
            leaves = range(tree.leaves.start, tree.leaves.stop)
            total = log_sum([logits[row, i] for i in leaves])
            for i in reversed(range(len(tree))):
                joint[row, i] = logits[row, i] - total if i in leaves else log_sum(joint[row, children(tree, i)])
        else:
            for parent in range(NONE, len(tree)):
                own = children(tree, parent)
                total = log_sum(logits[row, own])
                joint[row, own] = logits[row, own] - total + (joint[row, parent] if parent != NONE else 0)
    return joint.astype(np.float32)


def scores_of(tree, n=4, seed=0, flat=False, **how):
    return TreeScores(tree, random_joint(tree, n, seed, flat, **how), flat)


def probabilities(tree, rows, flat=False):
    """Scores by hand: for each document the joint probability of each label, in the tree's order."""
    with np.errstate(divide="ignore"):
        return TreeScores(tree, np.log(np.array(rows)).astype(np.float32), flat)


def network(node, tree, joint, targets, parts=None, flat=False):
    """Predictions as a network writes them; ``targets`` are paths of codes, one for each document."""
    n = len(joint)
    columns = [np.array(column, object) for column in zip(*targets, strict=True)]
    ids = np.array([f"CN{i}" for i in range(n)], object)
    parts = np.full(n, "test", object) if parts is None else np.array(parts, object)
    return NetworkPredictions(node, tree, ids, parts, tuple(score_levels(tree, joint, columns)), flat)
