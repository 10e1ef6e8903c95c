"""A network's scores at one level of its label tree: the columns of the predictions contract, from joint scores."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from patent_hier.taxonomy.arithmetic import best_columns, best_path, conditional_log_prob, groups
from patent_hier.taxonomy.tree import NONE, LabelTree

UNSEEN = -1  # code of a target that is not among the labels
NO_TARGET = -2  # code of a document that has no label at the level under the network
DENSE_LABELS = 200  # a level with more labels keeps only its best ones
KEPT = 20


@dataclass(frozen=True, eq=False)
class LevelScores:
    """A network's scores of ``n`` documents at one level of its tree.

    Attributes:
        level: The level's name.
        targets: ``(n,)`` codes of the true labels; None where the document has none at this level under the network.
        target_codes: ``(n,)`` positions of the targets among the level's labels; ``UNSEEN`` or ``NO_TARGET``.
        labels: ``(n, k)`` int32 positions of the best labels among the level's, falling by probability, filled up with
            :data:`NONE`; None where ``log_prob`` has all labels in the tree's order.
        log_prob: ``(n, k)`` float32 joint log-probabilities of these; minus infinity is probability 0.
        target_log_prob: ``(n,)`` float32 joint log-probability of the target; minus infinity if unseen or none.
        target_conditional: ``(n,)`` float32, of the target given its parent.
        target_rank: ``(n,)`` int32, how many labels of the level stand before the target; their number if unseen.
        sibling_rank: ``(n,)`` int32, how many siblings stand before it; :data:`NONE` if it is unseen or there is none.
        greedy: ``(n,)`` int32 position of greedy search's label among the level's; :data:`NONE` if it ended above.
    """

    level: str
    targets: NDArray[np.object_]
    target_codes: NDArray[np.intp]
    labels: NDArray[np.int32] | None
    log_prob: NDArray[np.float32]
    target_log_prob: NDArray[np.float32]
    target_conditional: NDArray[np.float32]
    target_rank: NDArray[np.int32]
    sibling_rank: NDArray[np.int32]
    greedy: NDArray[np.int32]

    def best(self, k: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """The best labels, ``(n, k)``: positions among the level's, and joint log-probabilities, falling."""
        if self.labels is not None:
            return self.labels[:, :k], self.log_prob[:, :k]
        order = best_columns(self.log_prob, k)
        return order, np.take_along_axis(self.log_prob, order, axis=1)

    def take(self, rows: NDArray[np.intp] | slice) -> Self:
        """The documents at the given positions, in that order."""
        arrays: dict[str, Any] = {
            name: value[rows] for name, value in vars(self).items() if isinstance(value, np.ndarray)
        }
        return replace(self, **arrays)


def find_targets(tree: LabelTree, level: str, targets: NDArray[Any]) -> NDArray[np.intp]:
    """The codes of targets among a level's labels, ``(n,)``; ``UNSEEN`` for others, ``NO_TARGET`` for None."""
    start = tree.span(level).start
    found = tree.find(level, targets).astype(np.intp)
    return np.where(found == NONE, np.where(targets == None, NO_TARGET, UNSEEN), found - start)  # noqa: E711


def score_levels(tree: LabelTree, joint: NDArray[np.float32], targets: Sequence[NDArray[Any]]) -> list[LevelScores]:
    """The contract's columns from the joint log-probabilities of all labels.

    Args:
        tree: The network's.
        joint: ``(n, n_labels)`` float32.
        targets: The true codes for each level, ``(n,)`` each; None where a document has none.
    """
    conditional = conditional_log_prob(tree, joint)
    greedy = best_path(tree, conditional)
    result = []
    for place, level in enumerate(tree.levels):
        own = tree.span(level)
        codes = find_targets(tree, level, targets[place])
        scores = joint[:, own]
        labels, kept = _keep(scores)
        known = np.maximum(codes, 0)
        rows = np.arange(len(joint))
        is_known = codes >= 0
        path = np.where(greedy[:, place] == NONE, NONE, greedy[:, place] - own.start)
        result.append(
            LevelScores(
                level,
                targets[place],
                codes,
                labels,
                kept,
                np.where(is_known, scores[rows, known], -np.inf).astype(np.float32),
                np.where(is_known, conditional[rows, own.start + known], -np.inf).astype(np.float32),
                ranks(scores, codes),
                np.where(is_known, _sibling_ranks(tree, conditional, own.start + known), NONE).astype(np.int32),
                path.astype(np.int32),
            )
        )
    return result


def _keep(scores: NDArray[np.float32]) -> tuple[NDArray[np.int32] | None, NDArray[np.float32]]:
    size = scores.shape[1]
    if size <= DENSE_LABELS:
        return None, np.ascontiguousarray(scores)
    columns = best_columns(scores, KEPT)
    return columns, np.take_along_axis(scores, columns, axis=1)


def ranks(scores: NDArray[np.float32], codes: NDArray[np.intp]) -> NDArray[np.int32]:
    """How many labels stand before the target, ``(n,)``; of equals the first label is first."""
    own = np.take_along_axis(scores, np.maximum(codes, 0)[:, None], axis=1)
    before = (scores > own) | ((scores == own) & (np.arange(scores.shape[1]) < codes[:, None]))
    places: NDArray[np.int32] = np.where(codes < 0, scores.shape[1], before.sum(axis=1)).astype(np.int32)
    return places


def _sibling_ranks(tree: LabelTree, conditional: NDArray[np.float32], labels: NDArray[np.intp]) -> NDArray[np.int32]:
    """How many siblings of each row's label stand before it, ``(n,)``."""
    result = np.zeros(len(labels), np.int32)
    for parent, rows in groups(tree.parents[labels]):
        own = tree.children(parent)
        result[rows] = ranks(conditional[rows, own], labels[rows] - own.start)
    return result


def concatenate(chunks: Iterable[list[LevelScores]]) -> tuple[LevelScores, ...]:
    """The levels of documents that were scored a chunk at a time."""
    levels = []
    for parts in zip(*chunks, strict=True):
        arrays = {
            name: None if value is None else np.concatenate([getattr(part, name) for part in parts])
            for name, value in vars(parts[0]).items()
            if name != "level"
        }
        levels.append(LevelScores(parts[0].level, **arrays))  # type: ignore[arg-type]  # as they were
    return tuple(levels)
