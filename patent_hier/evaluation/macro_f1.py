"""Macro-F1 of any number of labels with its bootstrap interval, from label codes alone."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from patent_hier.evaluation.metrics import Interval, bootstrap_interval


def macro_f1(targets: NDArray[np.integer[Any]], answers: NDArray[np.integer[Any]]) -> tuple[float, Interval]:
    """The mean F1 of the labels with support, and its interval. A label that was never answered counts as 0.

    One that was only answered lowers the precision of nobody but itself and is left out. The bootstrap of this mean is
    biased: most resamples score lower, because they miss rare labels; hence BCa. It is still too narrow where many
    labels have few documents: in simulated corpora of 60 classes with frequencies by Zipf's law, the BCa interval held
    the macro-F1 of a corpus without end in 82, 89 and 93 % of samples of 600, 2,000 and 5,000 documents, the
    percentile interval in 91, 78 and 83 %.

    Documents are counted by target and answer. So a resample takes time in proportion to the pairs that occur, not to
    the square of the labels. A document touches the F1 of two labels, so the interval's leave-one-out is a formula.

    Args:
        targets: ``(n,)`` codes, at least one.
        answers: ``(n,)`` codes of the same labels; whatever is no target's code is only a wrong answer.
    """
    labels, own = np.unique(targets, return_inverse=True)
    answered, places = np.unique(answers, return_inverse=True)
    cells, counts = np.unique(own * len(answered) + places, return_counts=True)
    target, answer = np.divmod(cells, len(answered))  # (n_cells,), by target ascending
    n_labels = len(labels)
    among = np.minimum(np.searchsorted(labels, answered), n_labels - 1)
    guess = np.where(labels[among] == answered, among, n_labels)[answer]
    starts = np.searchsorted(target, np.arange(n_labels))
    right = np.flatnonzero(target == guess)

    def tables(weights: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """By label the hits, and the documents that have it as a target plus those that have it as an answer."""
        hits = np.zeros(n_labels, np.int64)
        hits[target[right]] = weights[right]
        totals = np.bincount(guess, weights, n_labels + 1)[:n_labels].astype(np.float64)
        totals += np.add.reduceat(weights, starts)
        return hits, totals

    def score(weights: NDArray[np.int64]) -> float:
        hits, totals = tables(weights)
        supported = np.add.reduceat(weights, starts) > 0
        return float((2 * hits[supported] / totals[supported]).mean())

    def without() -> NDArray[np.float64]:
        """The score without one document of each cell, ``(n_cells,)``."""
        hits, totals = tables(counts)
        f1 = 2 * hits / totals
        is_right, kept = target == guess, np.add.reduceat(counts, starts)[target] > 1
        left = np.maximum(totals[target] - 1 - is_right, 1)
        change = np.where(kept, 2 * (hits[target] - is_right) / left, 0) - f1[target]
        wrong = np.flatnonzero(~is_right & (guess < n_labels))
        label = guess[wrong]
        change[wrong] += 2 * hits[label] / (totals[label] - 1) - f1[label]
        scores: NDArray[np.float64] = (f1.sum() + change) / np.maximum(n_labels - ~kept, 1)
        return scores

    return score(counts), bootstrap_interval(counts, score, without=without)
