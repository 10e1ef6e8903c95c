"""Whole numbers that follow given proportions and still add up: the method of largest remainders, with bounds."""

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]


def apportion(weights: Counts, lower: Counts, upper: Counts, total: int) -> Counts:
    """Split a total in proportion to weights, within bounds.

    The one factor for all weights is found by bisection, then the largest remainders are rounded up, the earlier of
    equal ones first. Bounds win: a total outside their sums is moved to the nearer sum.

    Args:
        weights: ``(n,)`` positive.
        lower: ``(n,)`` smallest count allowed.
        upper: ``(n,)`` largest count allowed, ``lower <= upper``.
        total: What the counts shall sum to.

    Returns:
        ``(n,)`` counts.
    """
    total = int(np.clip(total, lower.sum(), upper.sum()))
    low, high = 0.0, float(np.max(upper / weights, initial=0.0))
    for _ in range(100):
        middle = (low + high) / 2
        if np.clip(middle * weights, lower, upper).sum() < total:
            low = middle
        else:
            high = middle
    quota = np.clip(high * weights, lower, upper).round(6)  # 6 decimals: what bisection leaves is not a remainder
    counts: Counts = np.floor(quota).astype(np.int64)
    remainder = np.where(counts < upper, quota - counts, -1.0)
    counts[np.argsort(-remainder, kind="stable")[: total - counts.sum()]] += 1
    return counts


def share_out(need: Counts, available: Counts) -> Counts:
    """Give each row's supply to its columns in proportion to what they need.

    Args:
        need: ``(n_rows, n_columns)``; a negative need (a surplus) gets nothing. A row's sum is its supply.
        available: ``(n_rows,)`` supplies.

    Returns:
        ``(n_rows, n_columns)`` counts whose rows sum to ``available``.
    """
    positive = np.maximum(need, 0)
    quota = positive * (available / np.maximum(positive.sum(axis=1), 1))[:, None]
    counts = np.floor(quota.round(6)).astype(np.int64)
    rank = np.argsort(np.argsort(counts - quota, axis=1, kind="stable"), axis=1)
    settled: Counts = counts + (rank < (available - counts.sum(axis=1))[:, None])
    return settled
