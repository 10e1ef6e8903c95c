"""Pooling of an ensemble's members over whole paths, with a weight for each member at each level.

The score of a label is the weighted sum of the members' conditional log-probabilities. Each level has its own weights,
because one member may be best at sections and another at subgroups. The probability of a path is the softmax of its
summed scores over all paths (:func:`patent_hier.taxonomy.arithmetic.log_softmax_tree`). A member gives no score to a
label that it does not know. Instead, if any member does not know a label, a constant for the level is added to the
score. These constants are fitted too.

With a single level, this is the logarithmic opinion pool of :mod:`patent_hier.evaluation.pooling`.
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

UNKNOWN = -2.0  # start value of the constant for labels that some member does not know


@dataclass(frozen=True, eq=False)
class PathPool:
    """A pool of members with fitted weights.

    Attributes:
        weights: Weight of each member at each level, ``(n_members, n_levels)``.
        unknown: Constant for labels that some member does not know, by level, ``(n_levels,)``.
    """

    weights: NDArray[np.float64]
    unknown: NDArray[np.float64]

    def __call__(self, scores: Sequence[TreeScores], tree: LabelTree) -> TreeScores:
        """Pool the scores of the members.

        Args:
            scores: Scores of each member for the same ``n`` documents.
            tree: Union of the members' trees.

        Raises:
            ArtifactError: If a member knows labels that are not in the tree.
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
        """Fit the weights that make the true labels of all levels most probable; see :func:`fit_path_weights`.

        Args:
            chunks: Scores of the members, in chunks of documents.
            tree: Union of the members' trees.
            paths: True paths of all the documents, ``(n, n_levels)``.
            seed: Seed for drawing leaves.
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
    """Return the members' conditional log-probabilities and a mask of labels that any lacks, ``(n, n_labels)`` each."""
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
    """Return the positions of a member's labels in the whole tree, ``(n_own,)``."""
    columns = np.concatenate([tree.find(level, own.labels(level)) for level in own.levels])
    if (columns == NONE).any():
        raise ArtifactError("a member has labels that its ensemble lacks; combine the members again")
    return columns
