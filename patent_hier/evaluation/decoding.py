"""From the scores of a system to paths of the label tree: exact, by beam search, greedy, or below a given label."""

import numpy as np
from numpy.typing import NDArray

from patent_hier.errors import ConfigError
from patent_hier.evaluation.scores import TreeScores
from patent_hier.taxonomy.arithmetic import conditional_log_prob, joint_log_prob
from patent_hier.taxonomy.tree import NONE, LabelTree, Positions

NO_PATH = NONE  # where a document has fewer paths than were asked for


def decode(scores: TreeScores, top_k: int = 1, *, beam: int | None = None, force: str | None = None) -> Positions:
    """The likeliest paths of each document by joint probability.

    A path is a label of the deepest level with its ancestors, so it is consistent whatever the search.

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
    values = scores.at(tree.depth).astype(np.float64)
    if force is not None:
        position = place_of(tree, force)
        # The label's own probability is given; where it is 0, what is below it still has an order.
        conditional = conditional_log_prob(tree, scores.log_prob.astype(np.float64))
        conditional[:, position] = 0.0
        above = tree.paths(np.array([position], np.int32))[0]
        conditional[:, above[above != NONE]] = 0.0
        inside = tree.ancestors(tree.level_of(position))[tree.leaves] == position
        values = joint_log_prob(tree, conditional)[:, tree.leaves]
        return _placed(tree, _best(values, top_k, np.broadcast_to(inside, values.shape)))
    return _placed(tree, _best(values, top_k, None if beam is None else _followed(scores, beam)))


def check_decoding(tree: LabelTree, top_k: int, beam: int | None, force: str | None) -> None:
    """Refuse arguments of :func:`decode` that cannot be used; errors as there."""
    n_leaves = tree.leaves.stop - tree.leaves.start
    if not 1 <= top_k <= n_leaves:
        raise ConfigError(
            f"top_k={top_k} is out of range; the system knows {n_leaves} {tree.depth} labels, give 1 to that"
        )
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
    """Which leaves lie below labels that beam search keeps at every level above, ``(n, n_leaves)``."""
    tree = scores.tree
    open_ = np.ones((len(scores), len(tree)), np.bool_)
    for place, level in enumerate(tree.levels[:-1]):
        own = tree.span(level)
        if place:
            open_[:, own] = open_[:, tree.parents[own]]
        values = np.where(open_[:, own], scores.log_prob[:, own], -np.inf)
        best = np.argsort(-values, axis=1, kind="stable")[:, :beam]
        kept = np.zeros(values.shape, np.bool_)
        np.put_along_axis(kept, best, values=True, axis=1)
        open_[:, own] &= kept
    leaves = tree.leaves
    return open_[:, tree.parents[leaves]] if len(tree.levels) > 1 else open_[:, leaves]


def _best(values: NDArray[np.float64], top_k: int, allowed: NDArray[np.bool_] | None) -> Positions:
    """The best columns of each row, ``(n, top_k)``; :data:`NO_PATH` behind the last that is allowed."""
    if allowed is None:
        if values.shape[1] > 8 * top_k:  # a full sort of every leaf is not needed
            kth = np.partition(values, values.shape[1] - top_k, axis=1)[:, values.shape[1] - top_k, None]
            values = np.where(values >= kth, values, -np.inf)
        return np.argsort(-values, axis=1, kind="stable")[:, :top_k].astype(np.int32)
    order = np.lexsort((-values, ~allowed), axis=1)[:, :top_k]
    return np.where(np.take_along_axis(allowed, order, axis=1), order, NO_PATH).astype(np.int32)


def _placed(tree: LabelTree, columns: Positions) -> Positions:
    return np.where(columns == NO_PATH, NO_PATH, columns + tree.leaves.start).astype(np.int32)
