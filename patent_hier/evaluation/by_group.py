"""Accuracy by group of documents, with and without context, to show how much context helps each group."""

import numpy as np
from numpy.typing import NDArray

from patent_hier.evaluation.aggregate import has_label, level_hits
from patent_hier.evaluation.contract import NetworkPredictions
from patent_hier.evaluation.result import GroupScores, Score
from patent_hier.evaluation.significance import compare_systems


def scores_by_group(
    system: NetworkPredictions, groups: NDArray[np.object_], other: NetworkPredictions | None
) -> dict[str, dict[str, GroupScores]]:
    """Score a system by level and group.

    Args:
        system: Predictions of the system, with the corpus's labels as targets.
        groups: Name of each document's group, ``(n,)``.
        other: System to compare with, on the same documents in the same order; None for no comparison.

    Returns:
        Scores by level, then by group in alphabetical order; groups without a document at a level are left out.
    """
    hits, others = level_hits(system), None if other is None else level_hits(other)
    found: dict[str, dict[str, GroupScores]] = {}
    for own in system.levels:
        for group in sorted(set(groups)):
            rows = (groups == group) & has_label(own)
            if rows.any():
                beside = None if others is None else others[own.level][rows]
                labels = len(set(own.targets[rows]))
                found.setdefault(own.level, {})[group] = _scores(hits[own.level][rows], beside, labels)
    return found


def _scores(hits: NDArray[np.bool_], others: NDArray[np.bool_] | None, n_labels: int) -> GroupScores:
    accuracy = Score.of_hits(int(hits.sum()), len(hits), n_labels)
    if others is None:
        return GroupScores(accuracy)
    (compared,) = compare_systems({"with": hits[None], "without": others[None]})
    without = Score.of_hits(int(others.sum()), len(others), n_labels)
    return GroupScores(accuracy, without, compared.difference, compared.interval)
