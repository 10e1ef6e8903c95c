"""Decoding of a system's scores into paths of the label tree: exact, by beam search, or greedy."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from patent_hier.errors import ConfigError
from patent_hier.evaluation.scores import TreeScores
from patent_hier.taxonomy.arithmetic import best_columns
from patent_hier.taxonomy.tree import NONE, LabelTree, Positions

NO_PATH = NONE  # fills up the rows of documents with fewer paths than requested


def decode(
    scores: TreeScores, top_k: int = 1, *, beam: int | None = None, kept: NDArray[np.bool_] | None = None
) -> Positions:
    """Return the likeliest paths of each document by joint probability.

    A path consists of a label without children and its ancestors, so it is consistent whatever the search.

    Args:
        scores: Scores of a whole system.
        top_k: Number of paths for each document.
        beam: Number of likeliest labels to follow at each level; 1 is greedy search, the paper's cascade. None follows
            all labels and so is exact: the section of the likeliest path need not be the likeliest section.
        kept: Mask of the labels to use, ``(n_labels,)``, as in
            :class:`patent_hier.evaluation.restriction.Restriction`; None for all.

    Returns:
        Positions in the tree, ``(n, top_k)``, or fewer columns if there are fewer paths; the most probable path first,
        ties in the tree's order. :data:`NO_PATH` follows after the last path that the search reaches.

    Raises:
        ConfigError: If ``top_k`` or ``beam`` is out of range.
    """
    tree = scores.tree
    check_decoding(tree, top_k, beam)
    ends = tree.ends if kept is None else tree.ends[kept[tree.ends]]
    allowed = None if beam is None else _followed(scores, beam, kept)[:, ends]
    columns = best(scores.log_prob[:, ends], top_k, allowed)
    return np.where(columns == NO_PATH, NO_PATH, ends[columns]).astype(np.int32)


def check_decoding(tree: LabelTree, top_k: int, beam: int | None) -> None:
    """Check arguments of :func:`decode`.

    Raises:
        ConfigError: If ``top_k`` or ``beam`` is out of range.
    """
    n_paths = len(tree.ends)
    if not 1 <= top_k <= n_paths:
        raise ConfigError(f"top_k={top_k} is out of range; use a number from 1 to {n_paths}, the number of paths")
    widest = max(len(tree.labels(level)) for level in tree.levels[:-1] or tree.levels)
    if beam is not None and not 1 <= beam <= widest:
        raise ConfigError(f"beam={beam} is out of range; use a number from 1 to {widest}")


def _followed(scores: TreeScores, beam: int, kept: NDArray[np.bool_] | None) -> NDArray[np.bool_]:
    """Return which labels beam search reaches, ``(n, n_labels)``; above the last level it keeps only the best."""
    tree = scores.tree
    reached = np.ones((len(scores), len(tree)), np.bool_) if kept is None else np.tile(kept, (len(scores), 1))
    for place, level in enumerate(tree.levels):
        own = tree.span(level)
        if place:
            reached[:, own] &= reached[:, tree.parents[own]]
        if place == len(tree.levels) - 1:
            break
        values = np.where(reached[:, own], scores.log_prob[:, own], -np.inf)
        followed = np.zeros(values.shape, np.bool_)
        np.put_along_axis(followed, best_columns(values, beam), values=True, axis=1)
        reached[:, own] &= followed
    return reached


def best(values: NDArray[np.floating[Any]], top_k: int, allowed: NDArray[np.bool_] | None = None) -> Positions:
    """Return the highest columns of each row, ``(n, top_k)``, or all if there are fewer; ties go to the first.

    Args:
        values: ``(n, n_columns)``.
        top_k: Number of columns to return.
        allowed: Mask of the columns to use, ``(n, n_columns)``; None for all.

    Returns:
        Positions; :data:`NO_PATH` after the last allowed column.
    """
    if allowed is not None:  # an allowed label of probability 0 still ranks, after all others
        values = np.where(allowed, np.maximum(values, np.finfo(values.dtype).min), -np.inf)
    order = best_columns(values, top_k)
    if allowed is None:
        return order
    return np.where(np.isneginf(np.take_along_axis(values, order, axis=1)), NO_PATH, order).astype(np.int32)
