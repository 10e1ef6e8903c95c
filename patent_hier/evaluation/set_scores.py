"""Scores of label sets at one level: how well all symbols of a document are ranked, and how well they are predicted."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from patent_hier.evaluation.label_sets import Mask, chosen_sets, ranked_hits
from patent_hier.evaluation.level_scores import KEPT, LevelScores
from patent_hier.evaluation.macro_f1 import macro_f1_of_sets
from patent_hier.evaluation.metrics import bootstrap_interval
from patent_hier.evaluation.micro_f1 import micro_scores
from patent_hier.evaluation.result import Score, SetScores
from patent_hier.evaluation.set_rule import SetRule

RANKS = (1, 3, 5)


def score_sets(own: LevelScores, truth: csr_matrix, named: tuple[SetRule, LevelScores] | None) -> SetScores:
    """Score one level against all labels, over the documents that have labels at the level.

    Args:
        own: Scores of ``n`` documents.
        truth: True labels from :func:`patent_hier.evaluation.label_sets.true_sets`; at least one document has labels.
        named: Rule that predicts label sets, and the recalibrated scores that it uses; None without calibration
            documents.
    """
    present = np.diff(truth.indptr) > 0
    n_labels = len(np.unique(truth.indices))
    kept = truth[present]
    scores = ranking_scores(ranked_hits(own, truth, max(RANKS))[present], np.diff(kept.indptr), n_labels)
    symbols = kept.nnz / kept.shape[0]
    if named is None:
        return SetScores(symbols, scores)
    rule, calibrated = named
    _, log_prob = calibrated.best(KEPT)
    chosen = chosen_sets(calibrated, rule.choose(own.level, log_prob), truth.shape[1])[present]
    scores |= naming_scores(kept, chosen, n_labels)
    return SetScores(symbols, scores, rule.thresholds[own.level], chosen.nnz / chosen.shape[0])


def ranking_scores(hits: Mask, sizes: NDArray[np.integer[Any]], n_labels: int) -> dict[str, Score]:
    """Return ``precision_at_k``, ``recall_at_k`` and ``ndcg_at_k`` for k of 1, 3 and 5, as means over documents.

    Precision is divided by k, however many labels a document has; recall is divided by the number of its labels. The
    gain of a label at rank r is 1 / log2(r + 1). nDCG is the sum of the gains divided by that of the best ranking of
    the document's labels. At k = 1 it equals the precision and is left out.

    Args:
        hits: ``(n, 5)`` whether the label at each rank is a true label of the document.
        sizes: ``(n,)`` number of labels of each document, one or more.
        n_labels: Number of distinct true labels.

    Source: P@k and nDCG@k of Bhatia et al., "The extreme classification repository", 2016; R@k as in PECOS.
    """
    gains = 1 / np.log2(np.arange(2, max(RANKS) + 2))
    found, gained, ideal = np.cumsum(hits, axis=1), np.cumsum(hits * gains, axis=1), np.cumsum(gains)
    values = {
        **{f"precision_at_{k}": found[:, k - 1] / k for k in RANKS},
        **{f"recall_at_{k}": found[:, k - 1] / sizes for k in RANKS},
        **{f"ndcg_at_{k}": gained[:, k - 1] / ideal[np.minimum(sizes, k) - 1] for k in RANKS[1:]},
    }
    return {name: _mean(own, n_labels) for name, own in values.items()}


def naming_scores(truth: csr_matrix, chosen: csr_matrix, n_labels: int) -> dict[str, Score]:
    """Return ``micro_precision``, ``micro_recall``, ``micro_f1``, ``macro_f1`` and ``exact`` of the predicted sets.

    Args:
        truth: ``(n, n_columns)`` matrix of ones for the true labels; each document has at least one.
        chosen: Predicted labels, in the same form.
        n_labels: Number of distinct labels in ``truth``.
    """
    n = truth.shape[0]
    shared = np.asarray(truth.multiply(chosen).sum(axis=1)).ravel()
    counts = np.stack([shared, np.diff(chosen.indptr), np.diff(truth.indptr)], axis=1)
    exact = int((counts == shared[:, None]).all(axis=1).sum())
    f1, interval = macro_f1_of_sets(truth, chosen)
    micro = {f"micro_{name}": score for name, score in micro_scores(counts, n_labels).items()}
    return {**micro, "macro_f1": Score(f1, n, n_labels, interval), "exact": Score.of_hits(exact, n, n_labels)}


def _mean(values: NDArray[np.float64], n_labels: int) -> Score:
    """Return the mean over documents, ``(n,)``, with its bootstrap interval."""
    kinds, counts = np.unique(values, return_counts=True)

    def mean(weights: NDArray[np.int64]) -> NDArray[np.float64]:
        result: NDArray[np.float64] = weights @ kinds / weights.sum(axis=-1)
        return result

    return Score(float(mean(counts)), len(values), n_labels, bootstrap_interval(counts, mean, batched=True))
