"""Several classifiers of a tree of several levels as one: at each level a weight for each member, over whole paths.

A label's score is the weighted sum of the members' conditional log-probabilities, with weights of its level's own: one
member may know sections best, another subgroups. The probability of a path is the softmax of its summed scores over all
paths (:func:`patent_hier.taxonomy.arithmetic.log_softmax_tree`). A label that a member does not know has no score from
it; instead, a number for its level is added where any member does not know a label. These numbers, too, are fitted.

With one level this is the logarithmic opinion pool of :mod:`patent_hier.evaluation.pooling`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from patent_hier.errors import ArtifactError
from patent_hier.evaluation.path_weights import NOVELTY, Candidates, fit_path_weights
from patent_hier.evaluation.pooling import FLOOR, PRIOR_DEVIATION
from patent_hier.evaluation.scores import TreeScores
from patent_hier.taxonomy.arithmetic import (
    conditional_log_prob,
    joint_log_prob,
    log_softmax_tree,
    weighted_by_level,
)
from patent_hier.taxonomy.tree import NONE, LabelTree, Positions

UNKNOWN = -2.0  # where the fit begins: a label that a member does not know


@dataclass(frozen=True, eq=False)
class PathPool:
    """Weights of members.

    Attributes:
        weights: ``(n_members, n_levels)``.
        unknown: ``(n_levels,)``: for a label that some member does not know.
    """

    weights: NDArray[np.float64]
    unknown: NDArray[np.float64]

    def __call__(self, scores: Sequence[TreeScores], tree: LabelTree) -> TreeScores:
        """Combine members.

        Args:
            scores: Of the members, for the same ``n`` documents.
            tree: The union of their trees.

        Raises:
            ArtifactError: If a member knows other labels.
        """
        factors = np.concatenate([self.weights, self.unknown[None]])
        total = weighted_by_level(tree.parents, _measured(scores, tree), factors)
        return TreeScores(tree, joint_log_prob(tree, log_softmax_tree(tree.parents, total)))

    @classmethod
    def fit(
        cls,
        chunks: Iterable[Sequence[TreeScores]],
        tree: LabelTree,
        paths: Positions,
        seed: int = 0,
    ) -> "PathPool":
        """The weights that find the true labels of all levels most probable; see :func:`fit_path_weights`.

        Args:
            chunks: The members' scores, some documents at a time.
            tree: The union of the members' trees.
            paths: True paths of all these documents, ``(n, n_levels)``.
            seed: Of the leaves that are drawn.
        """
        rng, done = np.random.default_rng(seed), 0
        parts: list[Candidates] = []
        start = np.empty((0, 0))
        for scores in chunks:
            if not parts:
                equal = np.full((len(scores), len(tree.levels)), 1 / len(scores))
                start = np.concatenate([equal, np.full((1, len(tree.levels)), UNKNOWN)])
            own = paths[done : done + len(scores[0])]
            parts.append(Candidates.choose(tree, _measured(scores, tree), start, own, rng))
            done += len(own)
        least = np.zeros_like(start)
        least[-1] = -np.inf
        fitted = fit_path_weights(Candidates.joined(parts), start, PRIOR_DEVIATION, least)
        return cls(fitted[:-1], fitted[-1] + NOVELTY)


def _measured(scores: Sequence[TreeScores], tree: LabelTree) -> list[NDArray[np.float32]]:
    """The members' conditional log-probabilities, and whether any does not know a label, ``(n, n_labels)`` each."""
    n = len(scores[0])
    known = np.zeros(len(tree), np.intp)
    measured = []
    for member in scores:
        columns = _columns(member.tree, tree)
        own = np.zeros((n, len(tree)), np.float32)
        own[:, columns] = np.maximum(conditional_log_prob(member.tree, member.log_prob), FLOOR)
        known[columns] += 1
        measured.append(own)
    unknown = (known < len(scores)).astype(np.float32)
    return [*measured, np.broadcast_to(unknown, (n, len(tree)))]


def _columns(own: LabelTree, tree: LabelTree) -> Positions:
    """Where a member's labels stand among all, ``(n_own,)``."""
    columns = np.concatenate([tree.find(level, own.labels(level)) for level in own.levels])
    if (columns == NONE).any():
        raise ArtifactError("a member knows labels that its combination does not know; combine again")
    return columns
