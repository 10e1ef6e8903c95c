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
_CELLS = 1 << 19  # rows x labels in work at a time
_BLOCK = 64  # columns of which the highest is looked at first


def log_softmax_siblings(tree: LabelTree, logits: Scores) -> Scores:
    """Normalise logits ``(rows, n)`` among the children of each parent: conditional log-probabilities."""
    starts, owners = _families(tree)
    result = np.empty_like(logits, order="C")
    for rows in _pieces(logits):
        own = result[rows]
        spread = np.take(np.maximum.reduceat(logits[rows], starts, axis=1), owners, axis=1)
        np.subtract(logits[rows], spread, out=own)
        np.exp(own, out=spread)
        sums = np.log(np.add.reduceat(spread, starts, axis=1))
        own -= np.take(sums, owners, axis=1, out=spread, mode="clip")  # without clip ``out`` is not written in place
    return result


def joint_log_prob(tree: LabelTree, conditional: Scores) -> Scores:
    """From conditional to joint log-probabilities, ``(rows, n)``."""
    joint = conditional.copy(order="C")
    for rows in _pieces(joint):
        own = joint[rows]
        for level in tree.levels[1:]:
            below = tree.span(level)
            own[:, below] += np.take(own, tree.parents[below], axis=1)
    return joint


def conditional_log_prob(tree: LabelTree, joint: Scores) -> Scores:
    """From joint to conditional log-probabilities, ``(rows, n)``.

    Below a label of probability 0 the division says nothing: its children are equally probable.
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
    """Some rows at a time, so that what is in work stays in the processor's cache."""
    step = max(1, _CELLS // max(1, scores.shape[1]))
    for start in range(0, len(scores), step):
        yield slice(start, start + step)


def sum_up(tree: LabelTree, leaves: Scores) -> Scores:
    """Joint log-probabilities ``(rows, n)`` from those of the deepest level, ``(rows, n_leaves)``.

    A label without a leaf below it has probability 0.
    """
    joint = np.full((len(leaves), len(tree)), -np.inf, leaves.dtype)
    joint[:, tree.leaves] = leaves
    starts, owners = _families(tree)
    for rows in _pieces(joint):
        for level in reversed(tree.levels[1:]):
            own = tree.span(level)
            first, last = np.searchsorted(starts, [own.start, own.stop])
            inside, of = starts[first:last] - own.start, owners[own] - first
            joint[rows, tree.parents[starts[first:last]]] = _log_add(joint[rows, own], inside, of)
    return joint


def _log_add(values: Scores, starts: NDArray[np.intp], owners: NDArray[np.intp]) -> Scores:
    """The logarithm of sums over slices of the columns, ``(rows, n_slices)``; ``owners`` is each column's slice."""
    highest = np.maximum.reduceat(values, starts, axis=1)
    safe = np.where(np.isneginf(highest), 0, highest).astype(values.dtype)
    shifted = values - np.take(safe, owners, axis=1)
    with np.errstate(divide="ignore"):
        return np.log(np.add.reduceat(np.exp(shifted, out=shifted), starts, axis=1)) + safe


def _families(tree: LabelTree) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Where each group of siblings begins, and to which of them each label belongs."""
    starts = np.unique(tree.child_bounds[:-1][np.diff(tree.child_bounds) > 0])
    owners = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(tree))))
    return starts, owners


def best_path(tree: LabelTree, conditional: Scores) -> NDArray[np.int32]:
    """Greedy search: the likeliest child of the root, its likeliest child, and so on, ``(rows, n_levels)``.

    :data:`NONE` below a label without children; of equals the first.
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
    """Each distinct value and where it stands."""
    order = np.argsort(values, kind="stable")
    for places in np.split(order, np.flatnonzero(np.diff(values[order])) + 1):
        if len(places):
            yield int(values[places[0]]), places


def best_columns(scores: NDArray[np.floating[Any]], k: int) -> NDArray[np.int32]:
    """The ``k`` highest columns of each row, or all if they are fewer, falling; of equals the first, ``(n, k)``."""
    size = scores.shape[1]
    if size > 4 * _BLOCK * k:
        return _best_of_blocks(scores, k)
    if size <= 2 * k:
        return np.argsort(-scores, axis=1, kind="stable")[:, :k].astype(np.int32)
    least = np.partition(scores, size - k, axis=1)[:, size - k, None]  # (n, 1): the last that is kept
    above, equal = scores > least, scores == least
    room = k - above.sum(axis=1, keepdims=True)
    crowded = np.flatnonzero(equal.sum(axis=1) > room[:, 0])  # where only the first of equals are kept
    equal[crowded] &= np.cumsum(equal[crowded], axis=1, dtype=np.int32) <= room[crowded]
    chosen = np.nonzero(above | equal)[1].reshape(len(scores), k)
    order = np.argsort(-np.take_along_axis(scores, chosen, axis=1), axis=1, kind="stable")
    return np.take_along_axis(chosen, order, axis=1).astype(np.int32)


def _best_of_blocks(scores: NDArray[np.floating[Any]], k: int) -> NDArray[np.int32]:
    """The same for many columns: the ``k`` highest are in the ``k`` blocks of columns with the highest maxima."""
    n, size = scores.shape
    maxima = np.maximum.reduceat(scores, np.arange(0, size, _BLOCK), axis=1)
    blocks = np.sort(best_columns(maxima, k), axis=1)  # in order, so that of equals the first stays the first
    columns = (blocks[:, :, None] * _BLOCK + np.arange(_BLOCK)).reshape(n, -1)  # (n, k * _BLOCK)
    values = np.take_along_axis(scores, np.minimum(columns, size - 1), axis=1)
    values[columns >= size] = -np.inf  # behind the last block
    return np.take_along_axis(columns, best_columns(values, k), axis=1).astype(np.int32)
