"""Compare arithmetic on a label tree of the IPC's size with a plain loop over its parents."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax

from benchmarks.speed.rows import Row, in_turn, rate_row
from patent_hier.taxonomy.arithmetic import joint_log_prob, log_softmax_siblings
from patent_hier.taxonomy.symbols import IPC_LEVELS
from patent_hier.taxonomy.tree import NONE, LabelTree

IPC_SIZES = (8, 130, 650, 7_500, 68_700)  # approximate number of labels at each level
_TOLERANCE = 1e-3  # of log-probabilities


def make_tree(labels: Sequence[int], seed: int = 0) -> LabelTree:
    """Generate a tree with these numbers of labels by level; each label has children, as unevenly as in the IPC."""
    rng = np.random.default_rng(seed)
    codes, parents, start = [f"1:{i}" for i in range(labels[0])], [np.full(labels[0], NONE)], 0
    for depth, (above, size) in enumerate(pairwise(labels), 2):
        shares = rng.pareto(1.5, above) + 0.2
        extra = rng.choice(above, size - above, p=shares / shares.sum())
        parents.append(np.sort(np.concatenate([np.arange(above), extra])) + start)
        codes += [f"{depth}:{i}" for i in range(size)]
        start += above
    return LabelTree(
        IPC_LEVELS[: len(labels)], np.array(codes, object), np.concatenate(parents).astype(np.int32), edition="made up"
    )


def tree_row(tree: LabelTree, documents: int, repeats: int) -> Row:
    """Measure from the logits of all labels to joint log-probabilities, compared with a loop over parents."""
    logits = np.random.default_rng(0).normal(0, 3, (documents, len(tree))).astype(np.float32)

    def ours() -> NDArray[np.float32]:
        return joint_log_prob(tree, log_softmax_siblings(tree, logits))

    def peer() -> NDArray[np.float32]:
        return _by_parent(tree, logits)

    difference = float(np.abs(ours() - peer()).max())
    rounds = in_turn(ours, peer, repeats=repeats, warm_up=0)  # both have already run once
    facts = {"documents": documents, "labels": len(tree), "largest_difference": difference}
    work = f"label tree: log-softmax within siblings and sums along the paths, {len(tree):,} labels"
    rest = {"target": 2.0, "agrees": difference <= _TOLERANCE, "facts": facts}
    return rate_row(work, "documents", documents, rounds, "a loop over parents", **rest)


def _by_parent(tree: LabelTree, logits: NDArray[np.float32]) -> NDArray[np.float32]:
    joint = np.empty_like(logits)
    for parent in range(NONE, len(tree)):
        own = tree.children(parent)
        if own.stop > own.start:
            joint[:, own] = log_softmax(logits[:, own], axis=1) + (0 if parent == NONE else joint[:, parent, None])
    return joint
