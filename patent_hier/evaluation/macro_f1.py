"""Macro-F1 with a bootstrap interval, for one label or a set of labels per document."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from patent_hier.evaluation.metrics import Interval, bootstrap_interval


def macro_f1(targets: NDArray[np.integer[Any]], answers: NDArray[np.integer[Any]]) -> tuple[float, Interval]:
    """Return the mean F1 of the labels with support, and its interval, for one label and one answer per document.

    Documents are counted by pair of target and answer. So the time for a resample grows with the number of distinct
    pairs, not with the square of the number of labels.

    Args:
        targets: ``(n,)`` codes of the true labels, at least one.
        answers: ``(n,)`` codes of the answers; a code that is not among the targets only counts as a wrong answer.
    """
    labels, own = np.unique(targets, return_inverse=True)
    answered, places = np.unique(answers, return_inverse=True)
    cells, counts = np.unique(own * len(answered) + places, return_counts=True)
    target, answer = np.divmod(cells, len(answered))  # (n_cells,)
    among = np.minimum(np.searchsorted(labels, answered), len(labels) - 1)
    known = (labels[among] == answered)[answer]
    shape, rows = (len(cells), len(labels)), np.arange(len(cells))
    truth = csr_matrix((np.ones(len(cells), np.int64), (rows, target)), shape)
    chosen = csr_matrix((np.ones(int(known.sum()), np.int64), (rows[known], among[answer[known]])), shape)
    return macro_f1_of_sets(truth, chosen, counts)


def macro_f1_of_sets(
    truth: csr_matrix, chosen: csr_matrix, counts: NDArray[np.int64] | None = None
) -> tuple[float, Interval]:
    """Return the mean F1 of the labels with support, and its interval, for a set of labels per document.

    A label that was never answered counts as 0. A label that was answered but has no support is left out, because it
    only lowers its own precision. The bootstrap of this mean is biased: most resamples score lower, because they miss
    rare labels. The BCa interval corrects that, but it is still too narrow if many labels have few documents. In
    simulated corpora of 60 classes with Zipf-distributed frequencies, the BCa interval contained the macro-F1 of an
    infinite corpus in 82, 89 and 93 % of samples of 600, 2,000 and 5,000 documents, the percentile interval in 91, 78
    and 83 %. A document affects the F1 of only a few labels, so the leave-one-out scores have a closed form.

    Args:
        truth: ``(n, n_labels)`` matrix of ones for the true labels, at least one.
        chosen: Answers, in the same form.
        counts: ``(n,)`` number of documents that each row represents; None for one each.
    """
    counts = np.ones(truth.shape[0], np.int64) if counts is None else counts
    supported = np.flatnonzero(truth.sum(axis=0))
    truth, chosen = truth[:, supported], chosen[:, supported]
    hits_of, truth_of, total_of = (one.T.tocsr() for one in (truth.multiply(chosen), truth, truth + chosen))

    def score(weights: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return a score for each of several draws, ``(n_draws, n)``."""
        columns = np.ascontiguousarray(weights.T)
        present, total = truth_of @ columns > 0, np.maximum(total_of @ columns, 1)  # (n_labels, n_draws)
        result: NDArray[np.float64] = np.where(present, 2 * (hits_of @ columns) / total, 0).sum(0) / present.sum(0)
        return result

    def without() -> NDArray[np.float64]:
        """Return the score without one document of each row, ``(n,)``."""
        hits, support, total = hits_of @ counts, truth_of @ counts, total_of @ counts
        touched = (truth + 2 * chosen).tocsr()  # 1: the label is true, 2: it is answered, 3: both
        label, is_true, both = touched.indices, touched.data % 2, touched.data == 3
        rows = np.repeat(np.arange(len(counts)), np.diff(touched.indptr))
        kept = support[label] > is_true
        left = np.maximum(total[label] - is_true - (touched.data > 1), 1)
        change = np.where(kept, 2 * (hits[label] - both) / left, 0) - 2 * hits[label] / total[label]
        lost = np.bincount(rows, ~kept, len(counts))
        scores: NDArray[np.float64] = (2 * hits / total).sum() + np.bincount(rows, change, len(counts))
        return scores / np.maximum(len(supported) - lost, 1)

    return float(score(counts[None])[0]), bootstrap_interval(counts, score, without=without, batched=True)
