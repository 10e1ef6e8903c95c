"""Restriction of a document's paths: keep the paths through some labels, and drop the paths through others."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from patent_hier.errors import ConfigError
from patent_hier.evaluation.scores import TreeScores
from patent_hier.taxonomy.arithmetic import conditional_log_prob, joint_log_prob
from patent_hier.taxonomy.tree import NONE, LabelTree

_UNLIKELY = -1e3  # nats; replaces a conditional probability of 0 if all remaining paths have probability 0


@dataclass(frozen=True, eq=False)
class Restriction:
    """The remaining paths of a tree.

    Attributes:
        tree: Whole label tree.
        kept: Mask of the labels with a remaining path through them, ``(n_labels,)``.
        partial: Positions of kept labels that have also lost a path, the deepest first.
        given: Position of the deepest label that all paths to keep share; :data:`NONE` if there is none.
    """

    tree: LabelTree
    kept: NDArray[np.bool_]
    partial: tuple[int, ...]
    given: int

    @classmethod
    def of(cls, tree: LabelTree, force: Sequence[int], exclude: Sequence[int]) -> Self:
        """Keep the paths through any label of ``force`` (all paths if it is empty), except those through ``exclude``.

        Args:
            tree: Whole label tree.
            force: Positions of the labels to keep.
            exclude: Positions of the labels to drop.

        Raises:
            ConfigError: If no path remains.
        """
        allowed = _below(tree, force) if force else np.ones(len(tree), np.bool_)
        allowed &= ~_below(tree, exclude)
        ends = np.zeros(len(tree), np.bool_)
        ends[tree.ends] = True
        left, before = _count_up(tree, ends & allowed), _count_up(tree, ends)
        if not left.any():
            raise ConfigError(
                f"no label is left with force={_named(tree, force) or 'none'} and exclude={_named(tree, exclude)}; "
                "exclude fewer labels"
            )
        partial = np.flatnonzero((left > 0) & (left < before))[::-1]
        return cls(tree, left > 0, tuple(partial.tolist()), _shared(tree, force))

    def apply(self, scores: TreeScores) -> TreeScores:
        """Return the probabilities given that one of the remaining paths is true; other labels get probability 0.

        If all remaining paths had probability 0, they are still ranked.
        """
        joint: NDArray[np.float64] = scores.log_prob.astype(np.float64)
        total = self._renormalise(joint)
        impossible = np.flatnonzero(np.isneginf(total))
        if len(impossible):
            conditional = conditional_log_prob(self.tree, scores.log_prob[impossible].astype(np.float64))
            softened: NDArray[np.float64] = joint_log_prob(self.tree, np.maximum(conditional, _UNLIKELY))
            self._renormalise(softened)
            joint[impossible] = softened
        joint[:, ~self.kept] = -np.inf
        return TreeScores(self.tree, joint.astype(np.float32), scores.flat)

    def _renormalise(self, joint: NDArray[np.float64]) -> NDArray[np.float64]:
        """Set each partial label to the sum of its remaining children, then normalise all labels, in place."""
        for place in (*self.partial, NONE):
            own = self.tree.children(place)
            columns = np.flatnonzero(self.kept[own]) + own.start
            total: NDArray[np.float64] = np.logaddexp.reduce(joint[:, columns], axis=1)
            if place != NONE:
                joint[:, place] = total
        joint -= np.where(np.isneginf(total), 0, total)[:, None]
        return total


def _below(tree: LabelTree, positions: Sequence[int]) -> NDArray[np.bool_]:
    """Return a mask of the given labels and all labels below them, ``(n_labels,)``."""
    inside = np.zeros(len(tree), np.bool_)
    inside[list(positions)] = True
    for level in tree.levels[1:]:
        own = tree.span(level)
        inside[own] |= inside[tree.parents[own]]
    return inside


def _count_up(tree: LabelTree, ends: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Count the given path ends at or below each label, ``(n_labels,)``."""
    counts = ends.astype(np.intp)
    for level in reversed(tree.levels[1:]):
        own = tree.span(level)
        np.add.at(counts, tree.parents[own], counts[own])
    return counts


def _shared(tree: LabelTree, positions: Sequence[int]) -> int:
    if not positions:
        return NONE
    paths = tree.paths(np.array(positions, np.int32))
    common = paths[0, (paths == paths[0]).all(axis=0) & (paths[0] != NONE)]
    return int(common[-1]) if len(common) else NONE


def _named(tree: LabelTree, positions: Sequence[int]) -> str:
    return ",".join(str(tree.codes[place]) for place in positions)
