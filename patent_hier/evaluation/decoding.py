"""From the scores of a system to paths of the label tree: exact, by beam search, greedy, or below a given label."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from patent_hier.errors import ConfigError
from patent_hier.evaluation.scores import TreeScores
from patent_hier.taxonomy.arithmetic import best_columns, conditional_log_prob, joint_log_prob
from patent_hier.taxonomy.tree import NONE, LabelTree, Positions

NO_PATH = NONE  # where a document has fewer paths than were asked for


def decode(scores: TreeScores, top_k: int = 1, *, beam: int | None = None, force: str | None = None) -> Positions:
    """The likeliest paths of each document by joint probability.

    A path is a label without others below it, and its ancestors; so it is consistent whatever the search.

    Args:
        scores: Of a whole system.
        top_k: Paths for each document.
        beam: Labels that are followed at each level, the likeliest ones; 1 is greedy search, the paper's cascade. None
            follows all, and so is exact: the section of the likeliest path need not be the likeliest section.
        force: Only paths below this label, whatever its probability; the search is exact then.

    Returns:
        Positions in the tree, ``(n, top_k)``, the most probable first, of equals the first label; :data:`NO_PATH` where
        the followed labels have no more paths.

    Raises:
        ConfigError: If ``top_k`` or ``beam`` is out of range, or the system has no label of that name.
    """
    tree = scores.tree
    check_decoding(tree, top_k, beam, force)
    allowed = None
    if force is not None:
        allowed = is_below(tree, force)[None, tree.ends]
        scores = given(scores, force)
    elif beam is not None:
        allowed = _followed(scores, beam)[:, tree.ends]
    columns = best(scores.log_prob[:, tree.ends], top_k, allowed)
    return np.where(columns == NO_PATH, NO_PATH, tree.ends[columns]).astype(np.int32)


def given(scores: TreeScores, label: str) -> TreeScores:
    """The scores once a label is certain: its own is 1, and what is outside has 0.

    Where its probability was 0, the labels below it still have an order.

    Raises:
        ConfigError: If there is no such label.
    """
    tree, position = scores.tree, place_of(scores.tree, label)
    conditional = conditional_log_prob(tree, scores.log_prob.astype(np.float64))
    path = tree.paths(np.array([position], np.int32))[0]
    path = path[path != NONE]
    conditional[:, path] = 0.0
    joint = joint_log_prob(tree, conditional)
    outside = ~is_below(tree, label)
    outside[path] = False
    joint[:, outside] = -np.inf
    return TreeScores(tree, joint.astype(np.float32), scores.flat)


def is_below(tree: LabelTree, label: str) -> NDArray[np.bool_]:
    """Which labels lie below a label or are it, ``(n_labels,)``; errors of :func:`place_of`."""
    position = place_of(tree, label)
    below: NDArray[np.bool_] = tree.ancestors(tree.level_of(position)) == position
    return below


def check_decoding(tree: LabelTree, top_k: int, beam: int | None, force: str | None) -> None:
    """Refuse arguments of :func:`decode` that cannot be used; errors as there."""
    n_paths = len(tree.ends)
    if not 1 <= top_k <= n_paths:
        raise ConfigError(f"top_k={top_k} is out of range; the system knows {n_paths} paths, give 1 to that")
    widest = max(len(tree.labels(level)) for level in tree.levels[:-1] or tree.levels)
    if beam is not None and not 1 <= beam <= widest:
        raise ConfigError(f"beam={beam} is out of range; give 1 to {widest}")
    if force is not None:
        place_of(tree, force)


def place_of(tree: LabelTree, label: str) -> int:
    """The position of a label of any level; of two with one code the upper one.

    Raises:
        ConfigError: If there is none.
    """
    for level in tree.levels:
        (position,) = tree.find(level, [label]).tolist()
        if position != NONE:
            return int(position)
    first = tree.labels(tree.levels[0])
    raise ConfigError(f"label {label!r} is unknown to the system; it knows {', '.join(first)} and what is below them")


def _followed(scores: TreeScores, beam: int) -> NDArray[np.bool_]:
    """Which labels beam search reaches, ``(n, n_labels)``: at each level above the last the best below those kept."""
    tree = scores.tree
    reached = np.ones((len(scores), len(tree)), np.bool_)
    for place, level in enumerate(tree.levels):
        own = tree.span(level)
        if place:
            reached[:, own] = reached[:, tree.parents[own]]
        if place == len(tree.levels) - 1:
            break
        values = np.where(reached[:, own], scores.log_prob[:, own], -np.inf)
        kept = np.zeros(values.shape, np.bool_)
        np.put_along_axis(kept, best_columns(values, beam), values=True, axis=1)
        reached[:, own] &= kept
    return reached


def best(values: NDArray[np.floating[Any]], top_k: int, allowed: NDArray[np.bool_] | None = None) -> Positions:
    """The highest columns of each row, ``(n, top_k)`` or as many as there are; of equals the first.

    Args:
        values: ``(n, n_columns)``.
        top_k: How many.
        allowed: Which columns count, ``(n, n_columns)`` or ``(1, n_columns)``; None for all.

    Returns:
        Positions; :data:`NO_PATH` behind the last that counts.
    """
    if allowed is not None:  # a label of probability 0 counts too, behind all others
        values = np.where(allowed, np.maximum(values, np.finfo(values.dtype).min), -np.inf)
    order = best_columns(values, top_k)
    if allowed is None:
        return order
    return np.where(np.isneginf(np.take_along_axis(values, order, axis=1)), NO_PATH, order).astype(np.int32)
