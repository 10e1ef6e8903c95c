"""From the scores of a system to paths of the label tree: exact, by beam search or greedy."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from patent_hier.errors import ConfigError
from patent_hier.evaluation.scores import TreeScores
from patent_hier.taxonomy.arithmetic import best_columns
from patent_hier.taxonomy.tree import NONE, LabelTree, Positions

NO_PATH = NONE  # where a document has fewer paths than were asked for


def decode(
    scores: TreeScores, top_k: int = 1, *, beam: int | None = None, kept: NDArray[np.bool_] | None = None
) -> Positions:
    """The likeliest paths of each document by joint probability.

    A path is a label without others below it, and its ancestors; so it is consistent whatever the search.

    Args:
        scores: Of a whole system.
        top_k: Paths for each document.
        beam: Labels that are followed at each level, the likeliest ones; 1 is greedy search, the paper's cascade. None
            follows all, and so is exact: the section of the likeliest path need not be the likeliest section.
        kept: The labels that count, ``(n_labels,)``, as :class:`patent_hier.evaluation.restriction.Restriction` has
            them; None for all.

    Returns:
        Positions in the tree, ``(n, top_k)`` or as many as there are, the most probable first, of equals the first
        label; :data:`NO_PATH` where the followed labels have no more paths.

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
    """Refuse arguments of :func:`decode` that cannot be used; errors as there."""
    n_paths = len(tree.ends)
    if not 1 <= top_k <= n_paths:
        raise ConfigError(f"top_k={top_k} is out of range; the system knows {n_paths} paths, give 1 to that")
    widest = max(len(tree.labels(level)) for level in tree.levels[:-1] or tree.levels)
    if beam is not None and not 1 <= beam <= widest:
        raise ConfigError(f"beam={beam} is out of range; give 1 to {widest}")


def _followed(scores: TreeScores, beam: int, kept: NDArray[np.bool_] | None) -> NDArray[np.bool_]:
    """Which labels beam search reaches, ``(n, n_labels)``: at each level above the last the best of those left."""
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
    """The highest columns of each row, ``(n, top_k)`` or as many as there are; of equals the first.

    Args:
        values: ``(n, n_columns)``.
        top_k: How many.
        allowed: Which columns count, ``(n, n_columns)``; None for all.

    Returns:
        Positions; :data:`NO_PATH` behind the last that counts.
    """
    if allowed is not None:  # a label of probability 0 counts too, behind all others
        values = np.where(allowed, np.maximum(values, np.finfo(values.dtype).min), -np.inf)
    order = best_columns(values, top_k)
    if allowed is None:
        return order
    return np.where(np.isneginf(np.take_along_axis(values, order, axis=1)), NO_PATH, order).astype(np.int32)
