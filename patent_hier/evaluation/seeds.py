"""Scores of one configuration trained with several seeds: their mean and two kinds of variation.

The *interval* describes the variation over documents: how much the mean of these trained models would change on another
test set of the same size from the same source. It does not cover seeds that were not run. The *standard deviation*
describes the variation over seeds: how much training runs differ on these documents. Neither includes the other.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from patent_hier.errors import DataError
from patent_hier.evaluation.metrics import Interval, bootstrap_interval
from patent_hier.evaluation.result import Score

Hits = NDArray[np.bool_]


@dataclass(frozen=True)
class Spread:
    """The distribution of one score over several seeds.

    Attributes:
        values: Score of each seed as a fraction, 0 to 1.
        mean: Mean over the seeds.
        sd: Sample standard deviation over the seeds (divisor: number of seeds minus 1); ``None`` for a single seed.
        n_documents: Number of documents that every seed was scored on.
        n_classes: Number of labels that are the target of at least one of these documents.
        interval: 95 % bootstrap interval of ``mean`` over documents, with the seeds held fixed.
    """

    values: tuple[float, ...]
    mean: float
    sd: float | None
    n_documents: int
    n_classes: int
    interval: Interval


def as_score(spread: Spread) -> Score:
    """Return the mean with its interval as one score."""
    return Score(spread.mean, spread.n_documents, spread.n_classes, spread.interval)


def spread_of_hits(hits: Hits, n_classes: int) -> Spread:
    """Return the distribution of an accuracy over several seeds.

    The bootstrap draws documents with replacement and keeps the hits of all seeds on a document together, because a
    document that is hard for one seed is also hard for the others. The mean depends only on the number of seeds that
    are right on each document.

    Args:
        hits: ``(n_seeds, n_documents)`` whether each seed's model is right on each document.
        n_classes: Number of labels with support among the documents.

    Raises:
        DataError: If there is no seed or no document.
    """
    _check(hits)
    n_seeds, _ = hits.shape
    right = np.arange(n_seeds + 1)

    def mean(counts: NDArray[np.int64]) -> float:  # counts: documents by number of seeds that are right
        return float(counts @ right / (n_seeds * counts.sum()))

    counts = np.bincount(hits.sum(axis=0, dtype=np.intp), minlength=n_seeds + 1).astype(np.int64)
    return _spread(hits.mean(axis=1), hits.shape[1], n_classes, bootstrap_interval(counts, mean))


def spread_of_product(section_hits: Hits, local_hits: Hits, n_classes: int) -> Spread:
    """Return the distribution of equation (1) over several seeds.

    Equation (1) is the section accuracy times the accuracy given the true section, computed for each seed. Documents
    are drawn as in :func:`spread_of_hits`. Documents with the same pattern of hits over seeds and factors form one cell
    of the table that the bootstrap draws.

    Args:
        section_hits: ``(n_seeds, n_documents)`` whether each seed's section model is right.
        local_hits: ``(n_seeds, n_documents)`` whether each seed's class model of the true section is right.
        n_classes: Number of classes with support among the documents.

    Raises:
        DataError: If the shapes differ, or there is no seed or no document.

    Source: arXiv:1911.06241, equation (1); the interval is ours, the paper has none.
    """
    _check(section_hits)
    if local_hits.shape != section_hits.shape:
        raise DataError(
            f"section hits {section_hits.shape} and local hits {local_hits.shape} differ in shape; "
            "score the same documents with the same seeds"
        )
    n_seeds, n_documents = section_hits.shape
    patterns, counts = _patterns(np.concatenate([section_hits, local_hits]))

    def products(counts: NDArray[np.int64]) -> NDArray[np.float64]:
        rates = counts @ patterns / counts.sum()  # (2 * n_seeds,)
        values: NDArray[np.float64] = rates[:n_seeds] * rates[n_seeds:]
        return values

    interval = bootstrap_interval(counts, lambda drawn: float(products(drawn).mean()))
    return _spread(products(counts), n_documents, n_classes, interval)


def _patterns(hits: Hits) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the distinct columns of ``hits`` as rows ``(n_patterns, n_rows)`` of 0 and 1, and their counts."""
    packed = np.packbits(hits.astype(bool), axis=0).T  # (n_documents, bytes): sorting bytes is faster than sorting bits
    distinct, counts = np.unique(packed, axis=0, return_counts=True)
    return np.unpackbits(distinct, axis=1, count=len(hits)).astype(np.float64), counts.astype(np.int64)


def _spread(values: NDArray[np.float64], n_documents: int, n_classes: int, interval: Interval) -> Spread:
    sd = float(values.std(ddof=1)) if len(values) > 1 else None
    return Spread(tuple(values.tolist()), float(values.mean()), sd, n_documents, n_classes, interval)


def _check(hits: Hits) -> None:
    if hits.ndim != 2 or 0 in hits.shape:
        raise DataError(f"hits have shape {hits.shape}, not (seeds, documents); give one row for each seed")
