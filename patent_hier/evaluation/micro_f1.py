"""Precision, recall and F1 over all labels of all documents together, with bootstrap intervals."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from patent_hier.evaluation import metrics
from patent_hier.evaluation.result import Score


def micro_scores(counts: NDArray[np.integer[Any]], n_labels: int) -> dict[str, Score]:
    """Return the micro-averaged ``precision``, ``recall`` and ``f1``.

    Args:
        counts: ``(n, 3)`` numbers for each document, at least one: labels that are both answered and true, answered
            labels, true labels.
        n_labels: Number of labels with support among the documents.
    """
    cells, sizes = np.unique(np.ravel_multi_index(counts.T, counts.max(axis=0) + 1), return_counts=True)
    triples = np.stack(np.unravel_index(cells, counts.max(axis=0) + 1), 1)

    def scored(name: str) -> Score:
        def score(weights: NDArray[np.int64]) -> NDArray[np.float64]:
            shared, answered, true = (weights @ triples).T.astype(np.float64)
            over = {"precision": answered, "recall": true, "f1": (answered + true) / 2}[name]
            result: NDArray[np.float64] = np.divide(shared, over, out=np.zeros_like(shared), where=shared > 0)
            return result

        interval = metrics.bootstrap_interval(sizes, score, batched=True)
        return Score(float(score(sizes[None])[0]), len(counts), n_labels, interval)

    return {name: scored(name) for name in metrics.Hierarchical._fields}
