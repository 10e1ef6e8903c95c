"""Probabilities on a label tree, vectorised over documents and labels.

Rows are documents; columns are the tree's ``n`` labels, in the tree's order. *Conditional* means ln P(label | parent).
*Joint* means ln P(label | root), the sum of the conditionals along the path. Outputs keep the dtype of the input.
"""

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from patent_hier.taxonomy.tree import NONE, LabelTree, Positions

Scores = TypeVar("Scores", NDArray[np.float32], NDArray[np.float64])
_CELLS = 1 << 19  # rows x labels processed at a time
_BLOCK = 64  # columns per block; the maximum of each block is compared first


def log_softmax_siblings(tree: LabelTree, logits: Scores) -> Scores:
    """Normalise logits ``(rows, n)`` among the children of each parent; return conditional log-probabilities."""
    return _softmax_slices(*_families(tree.parents), logits)


def _softmax_slices(starts: NDArray[np.intp], owners: NDArray[np.intp], logits: Scores) -> Scores:
    """Normalise within slices of the columns; ``owners`` is the slice that each column belongs to."""
    result = np.empty_like(logits, order="C")
    for rows in _pieces(logits):
        own = result[rows]
        spread = np.take(np.maximum.reduceat(logits[rows], starts, axis=1), owners, axis=1)
        np.subtract(logits[rows], spread, out=own)
        np.exp(own, out=spread)
        sums = np.log(np.add.reduceat(spread, starts, axis=1))
        own -= np.take(sums, owners, axis=1, out=spread, mode="clip")  # np.take fills ``out`` in place only with clip
    return result


def level_bounds(parents: Positions) -> NDArray[np.intp]:
    """Return the start of each level and the end of the last, ``(n_levels + 1,)``, from the labels' parents alone."""
    bounds = [0, int(np.searchsorted(parents, NONE, side="right"))]
    while bounds[-1] < len(parents) and bounds[-1] > bounds[-2]:
        bounds.append(int(np.searchsorted(parents, bounds[-1])))
    return np.array(bounds, np.intp)


def weighted_by_level(
    parents: Positions, scores: Sequence[NDArray[np.float32]], weights: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Return the weighted sum of several kinds of score for each label, ``(rows, n)``.

    Args:
        parents: Parents of the tree's labels, ``(n,)``.
        scores: One array ``(rows, n)`` for each kind of score.
        weights: Weight of each kind at each level, ``(n_kinds, n_levels)``.
    """
    factors = np.repeat(weights.astype(np.float32), np.diff(level_bounds(parents)), axis=1)  # (n_kinds, n)
    total: NDArray[np.float32] = scores[0] * factors[0]
    for own, by_label in zip(scores[1:], factors[1:], strict=True):
        total += own * by_label
    return total


def log_softmax_tree(parents: Positions, scores: Scores) -> Scores:
    """Normalise scores ``(rows, n)`` over whole paths; return conditional log-probabilities.

    The probability of a leaf is proportional to the exponential of the sum of the scores on its path. The probability
    of any other label is the sum over its leaves. Unlike in :func:`log_softmax_siblings`, a label whose children all
    have low scores loses probability to its siblings.

    Args:
        parents: Parents of the tree's labels, ``(n,)``; see :class:`LabelTree`.
        scores: Score of each label; finite.

    Source: the partition function of a tree-structured conditional random field; Sutton and McCallum (2012), "An
    introduction to conditional random fields", section 4.1.
    """
    starts, owners = _families(parents)
    bounds = level_bounds(parents)
    conditional = scores.copy(order="C")
    for rows in _pieces(conditional):
        own = conditional[rows]
        for start, stop in zip(bounds[-2::-1], bounds[:0:-1], strict=True):  # from the deepest level up
            first, last = np.searchsorted(starts, [start, stop])
            siblings = owners[start:stop] - first
            inside = _log_add(own[:, start:stop], starts[first:last] - start, siblings)
            own[:, start:stop] -= np.take(inside, siblings, axis=1)
            if start:
                own[:, parents[starts[first:last]]] += inside
    return conditional


def joint_log_prob(tree: LabelTree, conditional: Scores) -> Scores:
    """Convert conditional to joint log-probabilities, ``(rows, n)``."""
    joint = conditional.copy(order="C")
    for rows in _pieces(joint):
        own = joint[rows]
        for level in tree.levels[1:]:
            below = tree.span(level)
            own[:, below] += np.take(own, tree.parents[below], axis=1)
    return joint


def conditional_log_prob(tree: LabelTree, joint: Scores) -> Scores:
    """Convert joint to conditional log-probabilities, ``(rows, n)``.

    The children of a label with probability 0 are taken to be equally probable, because 0 / 0 is undefined.
    """
    conditional = joint.copy(order="C")
    first = tree.span(tree.levels[0]).stop
    parents = tree.parents[first:]
    equal = -np.log(np.diff(tree.child_bounds)[parents + 1]).astype(joint.dtype)
    for rows in _pieces(joint):
        above = np.take(joint[rows], parents, axis=1)
        own = conditional[rows, first:]
        with np.errstate(invalid="ignore"):
            own -= above
        impossible = np.isneginf(above)
        if impossible.any():
            np.copyto(own, equal, where=impossible)
    return conditional


def _pieces(scores: Scores) -> Iterator[slice]:
    """Yield slices of rows that are small enough for the processor's cache."""
    step = max(1, _CELLS // max(1, scores.shape[1]))
    for start in range(0, len(scores), step):
        yield slice(start, start + step)


def sum_up(tree: LabelTree, leaves: Scores) -> Scores:
    """Return joint log-probabilities ``(rows, n)``, given those of the deepest level, ``(rows, n_leaves)``.

    A label with no leaf below it has probability 0.
    """
    joint = np.full((len(leaves), len(tree)), -np.inf, leaves.dtype)
    joint[:, tree.leaves] = leaves
    starts, owners = _families(tree.parents)
    for rows in _pieces(joint):
        for level in reversed(tree.levels[1:]):
            own = tree.span(level)
            first, last = np.searchsorted(starts, [own.start, own.stop])
            inside, of = starts[first:last] - own.start, owners[own] - first
            joint[rows, tree.parents[starts[first:last]]] = _log_add(joint[rows, own], inside, of)
    return joint


def _log_add(values: Scores, starts: NDArray[np.intp], owners: NDArray[np.intp]) -> Scores:
    """Return log-sum-exp over slices of the columns, ``(rows, n_slices)``; ``owners`` is each column's slice."""
    highest = np.maximum.reduceat(values, starts, axis=1)
    safe = np.where(np.isneginf(highest), 0, highest).astype(values.dtype)
    shifted = values - np.take(safe, owners, axis=1)
    with np.errstate(divide="ignore"):
        return np.log(np.add.reduceat(np.exp(shifted, out=shifted), starts, axis=1)) + safe


def _families(parents: Positions) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the start of each group of siblings, and the group that each label belongs to."""
    is_first = np.diff(parents, prepend=NONE - 1) != 0
    return np.flatnonzero(is_first), np.cumsum(is_first) - 1


def best_path(tree: LabelTree, conditional: Scores) -> NDArray[np.int32]:
    """Return the greedy path: the likeliest child of the root, its likeliest child, and so on, ``(rows, n_levels)``.

    Entries below a label without children are :data:`NONE`. Ties go to the first label.
    """
    path = np.full((len(conditional), len(tree.levels)), NONE, np.int32)
    reached = np.arange(len(conditional))
    above = np.full(len(conditional), NONE, np.int32)
    for column in range(len(tree.levels)):
        for parent, places in groups(above):
            own = tree.children(parent)
            if own.start < own.stop:
                rows = reached[places]
                path[rows, column] = own.start + conditional[rows, own].argmax(axis=1)
        reached = reached[path[reached, column] != NONE]
        above = path[reached, column]
    return path


def groups(values: NDArray[np.integer[Any]]) -> Iterator[tuple[int, NDArray[np.intp]]]:
    """Yield each distinct value with the positions at which it occurs."""
    order = np.argsort(values, kind="stable")
    for places in np.split(order, np.flatnonzero(np.diff(values[order])) + 1):
        if len(places):
            yield int(values[places[0]]), places


def best_columns(scores: NDArray[np.floating[Any]], k: int) -> NDArray[np.int32]:
    """Return the ``k`` highest columns of each row in descending order, ``(n, k)``; all columns if there are fewer.

    Ties go to the first column.
    """
    size = scores.shape[1]
    if size > 4 * _BLOCK * k:
        return _best_of_blocks(scores, k)
    if size <= 2 * k:
        return np.argsort(-scores, axis=1, kind="stable")[:, :k].astype(np.int32)
    least = np.partition(scores, size - k, axis=1)[:, size - k, None]  # (n, 1): the lowest value that is kept
    above, equal = scores > least, scores == least
    room = k - above.sum(axis=1, keepdims=True)
    crowded = np.flatnonzero(equal.sum(axis=1) > room[:, 0])  # rows in which only the first of the ties are kept
    equal[crowded] &= np.cumsum(equal[crowded], axis=1, dtype=np.int32) <= room[crowded]
    chosen = np.nonzero(above | equal)[1].reshape(len(scores), k)
    order = np.argsort(-np.take_along_axis(scores, chosen, axis=1), axis=1, kind="stable")
    return np.take_along_axis(chosen, order, axis=1).astype(np.int32)


def _best_of_blocks(scores: NDArray[np.floating[Any]], k: int) -> NDArray[np.int32]:
    """Return the ``k`` highest of many columns; they are in the ``k`` blocks of columns with the highest maxima."""
    n, size = scores.shape
    maxima = np.maximum.reduceat(scores, np.arange(0, size, _BLOCK), axis=1)
    blocks = np.sort(best_columns(maxima, k), axis=1)  # in column order, so that ties still go to the first
    columns = (blocks[:, :, None] * _BLOCK + np.arange(_BLOCK)).reshape(n, -1)  # (n, k * _BLOCK)
    values = np.take_along_axis(scores, np.minimum(columns, size - 1), axis=1)
    values[columns >= size] = -np.inf  # past the last column
    return np.take_along_axis(columns, best_columns(values, k), axis=1).astype(np.int32)
