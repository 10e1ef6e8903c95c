"""Precision, recall and F1 over all labels of all documents together, with their bootstrap intervals."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from patent_hier.evaluation import metrics
from patent_hier.evaluation.result import Score


def micro_scores(counts: NDArray[np.integer[Any]], n_labels: int) -> dict[str, Score]:
    """Micro-averaged ``precision``, ``recall`` and ``f1``.

    Args:
        counts: ``(n, 3)`` of each document, one or more, how many labels are both answered and true, are answered, are
            true.
        n_labels: Labels with support among the documents.
    """
    cells, sizes = np.unique(np.ravel_multi_index(counts.T, counts.max(axis=0) + 1), return_counts=True)
    triples = np.stack(np.unravel_index(cells, counts.max(axis=0) + 1), 1)

    def scored(name: str) -> Score:
        def score(weights: NDArray[np.int64]) -> float:
            return float(getattr(metrics.f1_of_counts(*(weights @ triples).tolist()), name))

        return Score(score(sizes), len(counts), n_labels, metrics.bootstrap_interval(sizes, score))

    return {name: scored(name) for name in metrics.Hierarchical._fields}
