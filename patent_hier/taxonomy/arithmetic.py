"""Probabilities on a label tree, vectorised over documents and labels.

Rows are documents, columns the tree's ``n`` labels in its order. *Conditional* is ln P(label | parent), *joint* is
ln P(label | root): the sum of the conditionals along the path. Dimensions and dtypes of the input are kept.
"""

from collections.abc import Iterator
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from patent_hier.taxonomy.tree import NONE, LabelTree

Scores = TypeVar("Scores", NDArray[np.float32], NDArray[np.float64])
_CELLS = 1 << 20  # rows x labels at a time: what fits the processor's cache takes less than half the time


def log_softmax_siblings(tree: LabelTree, logits: Scores) -> Scores:
    """Normalise logits ``(rows, n)`` among the children of each parent: conditional log-probabilities."""
    starts, owners = _families(tree)
    conditional = np.empty_like(logits)
    for rows in _blocks(logits):
        shifted = logits[rows] - np.maximum.reduceat(logits[rows], starts, axis=1)[:, owners]
        sums = np.log(np.add.reduceat(np.exp(shifted), starts, axis=1))
        np.subtract(shifted, sums[:, owners], out=conditional[rows])
    return conditional


def joint_log_prob(tree: LabelTree, conditional: Scores) -> Scores:
    """From conditional to joint log-probabilities, ``(rows, n)``."""
    joint = conditional.copy()
    for rows in _blocks(joint):
        for own in map(tree.span, tree.levels[1:]):
            joint[rows, own] += joint[rows, tree.parents[own]]
    return joint


def conditional_log_prob(tree: LabelTree, joint: Scores) -> Scores:
    """From joint to conditional log-probabilities, ``(rows, n)``.

    Below a label of probability 0 the division says nothing: its children are equally probable.
    """
    conditional = joint.copy()
    for level in tree.levels[1:]:
        own = tree.span(level)
        above = joint[:, tree.parents[own]]
        siblings = np.diff(tree.child_bounds)[tree.parents[own] + 1]
        with np.errstate(invalid="ignore"):
            conditional[:, own] = np.where(np.isneginf(above), -np.log(siblings), joint[:, own] - above)
    return conditional


def sum_up(tree: LabelTree, leaves: Scores) -> Scores:
    """Joint log-probabilities ``(rows, n)`` from those of the deepest level, ``(rows, n_leaves)``.

    A label without a leaf below it has probability 0.
    """
    joint = np.full((len(leaves), len(tree)), -np.inf, leaves.dtype)
    joint[:, tree.leaves] = leaves
    starts, _ = _families(tree)
    for level in reversed(tree.levels[1:]):
        own = tree.span(level)
        inside = starts[(starts >= own.start) & (starts < own.stop)]
        joint[:, tree.parents[inside]] = _log_add(joint[:, own], inside - own.start)
    return joint


def _log_add(values: Scores, starts: NDArray[np.intp]) -> Scores:
    """The logarithm of sums over slices of the columns, ``(rows, n_slices)``."""
    highest = np.maximum.reduceat(values, starts, axis=1)
    safe = np.where(np.isneginf(highest), 0, highest).astype(values.dtype)
    ends = np.append(starts[1:], values.shape[1])
    shifted = values - np.repeat(safe, ends - starts, axis=1)
    with np.errstate(divide="ignore"):
        return np.log(np.add.reduceat(np.exp(shifted), starts, axis=1)) + safe


def _blocks(values: NDArray[Any]) -> Iterator[slice]:
    """Some rows at a time."""
    step = max(1, _CELLS // max(1, values.shape[1]))
    return (slice(start, start + step) for start in range(0, len(values), step))


def _families(tree: LabelTree) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Where each group of siblings begins, and to which of them each label belongs."""
    starts = np.unique(tree.child_bounds[:-1][np.diff(tree.child_bounds) > 0])
    owners = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(tree))))
    return starts, owners


def best_path(tree: LabelTree, conditional: Scores) -> NDArray[np.int32]:
    """Greedy search: the likeliest child of the root, its likeliest child, and so on, ``(rows, n_levels)``.

    :data:`NONE` below a label without children.
    """
    n_rows = len(conditional)
    path = np.full((n_rows, len(tree.levels)), NONE, np.int32)
    starts, owners = _families(tree)
    order = np.lexsort((np.arange(len(tree)), owners))
    assert (order == np.arange(len(tree))).all()  # families are slices
    best = _best_of_families(conditional, starts)  # (rows, n_families)
    family_of = np.full(len(tree) + 1, NONE, np.intp)  # by parent + 1
    family_of[tree.parents[starts] + 1] = np.arange(len(starts))
    above = np.full(n_rows, NONE, np.intp)
    for column in range(len(tree.levels)):
        family = np.where((above == NONE) & (column > 0), NONE, family_of[above + 1])
        known = family != NONE
        path[known, column] = best[np.flatnonzero(known), family[known]]
        above = path[:, column].astype(np.intp)
    return path


def _best_of_families(values: Scores, starts: NDArray[np.intp]) -> NDArray[np.int32]:
    """The first best label of each group of siblings, ``(rows, n_families)``."""
    ends = np.append(starts[1:], values.shape[1])
    highest = np.repeat(np.maximum.reduceat(values, starts, axis=1), ends - starts, axis=1)
    places = np.where(values == highest, np.arange(values.shape[1], dtype=np.int32), np.int32(values.shape[1]))
    return np.minimum.reduceat(places, starts, axis=1)
