"""A network's scores at one level of its label tree, and how these columns of the predictions contract are computed."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from patent_hier.taxonomy.arithmetic import best_columns, best_path, conditional_log_prob, groups
from patent_hier.taxonomy.tree import NONE, LabelTree

UNSEEN = -1  # code of a target that is not among the labels
NO_TARGET = -2  # code of a document that has no label at this level in the network's part of the tree
DENSE_LABELS = 200  # a level with more labels stores only the best ones
KEPT = 20


@dataclass(frozen=True, eq=False)
class LevelScores:
    """A network's scores of ``n`` documents at one level of its tree.

    Attributes:
        level: Name of the level.
        targets: ``(n,)`` codes of the true labels; None if the document has no label at this level in the network's
            part of the tree.
        target_codes: ``(n,)`` positions of the targets among the level's labels; ``UNSEEN`` or ``NO_TARGET``.
        labels: ``(n, k)`` int32 positions of the best labels within the level, by descending probability, padded with
            :data:`NONE`; None if ``log_prob`` holds all labels in the tree's order.
        log_prob: ``(n, k)`` float32 joint log-probabilities of these labels; minus infinity is probability 0.
        target_log_prob: ``(n,)`` float32 joint log-probability of the target; minus infinity if it is unseen or none.
        target_conditional: ``(n,)`` float32 log-probability of the target given its parent.
        target_rank: ``(n,)`` int32 number of labels ranked before the target; the number of all labels if unseen.
        sibling_rank: ``(n,)`` int32 number of siblings ranked before the target; :data:`NONE` if it is unseen or none.
        greedy: ``(n,)`` int32 position of the greedy search's label within the level; :data:`NONE` if it ended above.
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
        """Return the best labels, ``(n, k)``: positions within the level, and descending joint log-probabilities."""
        if self.labels is not None:
            return self.labels[:, :k], self.log_prob[:, :k]
        order = best_columns(self.log_prob, k)
        return order, np.take_along_axis(self.log_prob, order, axis=1)

    def take(self, rows: NDArray[np.intp] | slice) -> Self:
        """Return the scores of the documents at the given positions, in that order."""
        arrays: dict[str, Any] = {
            name: value[rows] for name, value in vars(self).items() if isinstance(value, np.ndarray)
        }
        return replace(self, **arrays)


def find_targets(tree: LabelTree, level: str, targets: NDArray[Any]) -> NDArray[np.intp]:
    """Return the positions of targets within a level, ``(n,)``; ``UNSEEN`` if unknown, ``NO_TARGET`` for None."""
    start = tree.span(level).start
    found = tree.find(level, targets).astype(np.intp)
    return np.where(found == NONE, np.where(targets == None, NO_TARGET, UNSEEN), found - start)  # noqa: E711


def score_levels(tree: LabelTree, joint: NDArray[np.float32], targets: Sequence[NDArray[Any]]) -> list[LevelScores]:
    """Compute the columns of the predictions contract from the joint log-probabilities of all labels.

    Args:
        tree: Label tree of the network.
        joint: Joint log-probabilities, ``(n, n_labels)`` float32.
        targets: True codes for each level, ``(n,)`` each; None for a document without a label.
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
    """Return the number of labels ranked before the target, ``(n,)``; ties are ranked in the order of the labels."""
    own = np.take_along_axis(scores, np.maximum(codes, 0)[:, None], axis=1)
    before = (scores > own) | ((scores == own) & (np.arange(scores.shape[1]) < codes[:, None]))
    places: NDArray[np.int32] = np.where(codes < 0, scores.shape[1], before.sum(axis=1)).astype(np.int32)
    return places


def _sibling_ranks(tree: LabelTree, conditional: NDArray[np.float32], labels: NDArray[np.intp]) -> NDArray[np.int32]:
    """Return the number of siblings ranked before each row's label, ``(n,)``."""
    result = np.zeros(len(labels), np.int32)
    for parent, rows in groups(tree.parents[labels]):
        own = tree.children(parent)
        result[rows] = ranks(conditional[rows, own], labels[rows] - own.start)
    return result


def concatenate(chunks: Iterable[list[LevelScores]]) -> tuple[LevelScores, ...]:
    """Join the levels of documents that were scored in chunks."""
    levels = []
    for parts in zip(*chunks, strict=True):
        arrays = {
            name: None if value is None else np.concatenate([getattr(part, name) for part in parts])
            for name, value in vars(parts[0]).items()
            if name != "level"
        }
        levels.append(LevelScores(parts[0].level, **arrays))  # type: ignore[arg-type]  # same fields as the parts
    return tuple(levels)
