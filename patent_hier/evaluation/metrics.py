"""Confidence intervals and F1 as plain functions of counts; intervals of empty input raise ``DataError``."""

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from patent_hier.errors import DataError

Interval = tuple[float, float]

_LEVEL = 0.95  # confidence level of every interval
_MANY_CELLS = 10_000
_DRAWN = 1 << 18  # cells of all tables that are drawn at the same time


class Hierarchical(NamedTuple):
    """Hierarchical precision, recall and F1, micro-averaged."""

    precision: float
    recall: float
    f1: float


def f1_of_counts(shared: float, n_predicted: float, n_true: float) -> Hierarchical:
    """Return precision, recall and F1 from the number of labels that are both predicted and true; 0 without labels."""
    precision = shared / n_predicted if n_predicted else 0.0
    recall = shared / n_true if n_true else 0.0
    return Hierarchical(precision, recall, 2 * precision * recall / (precision + recall) if shared else 0.0)


def wilson_interval(hits: int, n: int) -> Interval:
    """Return the 95 % interval of a fraction ``hits / n``.

    The interval stays within 0 to 1. It is also useful for few documents and for fractions of 0 and 1.

    Source: Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22, 1927; without
    continuity correction. (statsmodels has it too, but its import takes most of a second in every command that scores.)
    """
    if not 0 <= hits <= n or n == 0:
        raise DataError(f"{hits} hits in {n} documents are not a fraction; check that the part is not empty")
    share, square = hits / n, float(ndtri((1 + _LEVEL) / 2)) ** 2  # square of the normal quantile
    center, scale = share + square / (2 * n), 1 + square / n
    half = math.sqrt(square * (share * (1 - share) + square / (4 * n)) / n)
    low, high = (center - half) / scale, (center + half) / scale
    # Rounding can push the bounds outside 0 to 1, or past the fraction itself.
    return min(max(low, 0.0), share), max(min(high, 1.0), share)


def bootstrap_interval(
    counts: NDArray[np.int64],
    score: Callable[[NDArray[np.int64]], Any],
    n_resamples: int = 1000,
    seed: int = 0,
    bca: bool = False,
    without: Callable[[], NDArray[np.float64]] | None = None,
    batched: bool = False,
) -> Interval:
    """Return the 95 % bootstrap interval of a score that depends only on the number of documents in each table cell.

    Drawing documents with replacement is equivalent to drawing the table's counts from a multinomial distribution. So
    the time for a resample depends on the size of the table, not on that of the corpus.

    Args:
        counts: Number of documents in each cell, any shape.
        score: Function that scores such a table.
        n_resamples: Number of tables to draw.
        seed: Seed of the draws; the same seed gives the same interval.
        bca: Whether to correct the percentiles for bias and skewness, as a score such as macro-F1 requires.
        without: Function that returns the scores without one document of each filled cell, ``(n_filled,)``. It implies
            the correction. Without it, ``bca`` scores one table per cell, which is slow for many cells.
        batched: Whether ``score`` takes several tables at once, stacked along the first axis, and returns an array.

    Source: Efron, "Bootstrap methods: another look at the jackknife", Annals of Statistics 7(1), 1979; ``bca``: Efron,
    "Better bootstrap confidence intervals", JASA 82, 1987.
    """
    # scipy.stats.bootstrap draws documents. For a mean over 277,000 documents it takes 1.3 s (this function: 4 ms), and
    # a report has hundreds of means. Its BCa also leaves out one document at a time: macro-F1 takes 16 s with 32,000
    # documents and four times as long with twice as many, so about 20 minutes with 277,000 (this function: 1 s).
    n_documents = int(counts.sum())
    if n_documents == 0:
        raise DataError("there are no documents to score; check that the part is not empty")
    filled = np.flatnonzero(counts)  # empty cells stay empty, so skipping them saves most of the drawing
    sizes = counts.ravel()[filled]

    def scores_of(rows: NDArray[np.int64]) -> list[float]:
        step = max(1, _DRAWN // counts.size) if batched else 1
        return [value for start in range(0, len(rows), step) for value in some_scores(rows[start : start + step])]

    def some_scores(rows: NDArray[np.int64]) -> list[float]:
        tables = np.zeros((len(rows), counts.size), np.int64)
        tables[:, filled] = rows
        tables = tables.reshape(-1, *counts.shape)
        return np.asarray(score(tables)).tolist() if batched else [float(score(tables[0]))]

    rng = np.random.default_rng(seed)
    values = np.array([value for rows in _resamples(rng, sizes, n_resamples) for value in scores_of(rows)])
    levels = np.array([1 - _LEVEL, 1 + _LEVEL]) / 2
    if (bca or without) and np.ptp(values):
        cells = np.arange(len(sizes))
        left = without() if without else np.array([scores_of(sizes - (cells == cell)[None])[0] for cell in cells])
        # Two rows are summed in the same order as a batch, so that equal scores are exactly equal.
        observed = scores_of(np.stack([sizes, sizes]))[0]
        levels = _bca_levels(levels, values, observed, left, sizes)
    low, high = np.quantile(values, levels)
    return float(low), float(high)


def _resamples(rng: np.random.Generator, sizes: NDArray[np.int64], n_resamples: int) -> Iterator[NDArray[np.int64]]:
    """Yield batches of resampled tables with the same number of documents, ``(n, n_cells)``.

    If there are many cells with few documents each, the documents themselves are drawn: the distribution is the same,
    but it takes less time.
    """
    n_documents = int(sizes.sum())
    if len(sizes) > _MANY_CELLS and n_documents < 4 * len(sizes):
        owners = np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)
        for _ in range(n_resamples):
            yield np.bincount(owners[rng.integers(0, n_documents, n_documents)], minlength=len(sizes))[None]
    else:
        step = max(1, _DRAWN // len(sizes))
        for start in range(0, n_resamples, step):
            yield rng.multinomial(n_documents, sizes / n_documents, min(step, n_resamples - start))


def _bca_levels(
    levels: NDArray[np.float64],
    values: NDArray[np.float64],
    observed: float,
    without: NDArray[np.float64],
    sizes: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Return the percentiles to use instead of ``levels``, ``(2,)``.

    Args:
        levels: ``(2,)`` percentiles of the uncorrected interval.
        values: ``(n_resamples,)`` scores of the resamples.
        observed: Score of the documents themselves.
        without: ``(n_cells,)`` scores without one document of each cell.
        sizes: ``(n_cells,)`` number of documents in each cell.
    """
    below = ((values < observed).mean() + (values <= observed).mean()) / 2
    bias = ndtri(np.clip(below, 0.5 / len(values), 1 - 0.5 / len(values)))  # clipped, so that it is finite
    gaps = np.average(without, weights=sizes) - without
    squares = float(sizes @ gaps**2)
    skewness = float(sizes @ gaps**3) / (6 * squares**1.5) if squares else 0.0  # -1/6 to 1/6: no division by 0 below
    shifted = bias + ndtri(levels)
    result: NDArray[np.float64] = ndtr(bias + shifted / (1 - skewness * shifted))
    return result
