"""Accuracy by groups of documents, beside that of another system on the same ones: what context is worth, and where."""

import numpy as np
from numpy.typing import NDArray

from patent_hier.evaluation.aggregate import has_label, level_hits
from patent_hier.evaluation.contract import NetworkPredictions
from patent_hier.evaluation.result import GroupScores, Score
from patent_hier.evaluation.significance import compare_systems


def scores_by_group(
    system: NetworkPredictions, groups: NDArray[np.object_], other: NetworkPredictions | None
) -> dict[str, dict[str, GroupScores]]:
    """Scores of a system by level and group.

    Args:
        system: Of some documents, its targets those of the corpus.
        groups: The name of each document's group, ``(n,)``.
        other: The system to stand beside it, of the same documents in the same order; None for none.

    Returns:
        By level, then by group in the order of their names; groups without a document of a level are left out.
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
