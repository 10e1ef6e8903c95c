"""The value of a review order: the share of all wrong answers among the documents that are reviewed first."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from patent_hier.errors import DataError
from patent_hier.evaluation.metrics import Interval

SHARES = (0.1, 0.2)  # shares of the documents that are reviewed
_RESAMPLES = 1000


@dataclass(frozen=True)
class ErrorsFound:
    """The share of wrong answers that a review order finds.

    Attributes:
        share: Share of the documents that are reviewed, 0 to 1.
        found: Share of all wrong answers among these documents, 0 to 1; a random order finds ``share`` on average.
        interval: 95 % bootstrap interval of ``found`` over documents.
    """

    share: float
    found: float
    interval: Interval


def errors_found(priority: NDArray[np.float64], wrong: NDArray[np.bool_], share: float) -> float:
    """Return the share of all wrong answers among the first documents.

    Args:
        priority: Priority of each document, ``(n,)``; the highest comes first, ties in the given order.
        wrong: Whether each document's answer is wrong, ``(n,)``.
        share: Share of the documents that are reviewed, rounded up to whole documents.

    Raises:
        DataError: If no answer is wrong.
    """
    if not wrong.any():
        raise DataError("no answer is wrong, so a review order cannot be measured; use documents with wrong answers")
    first = np.argsort(-priority, kind="stable")[: math.ceil(share * len(wrong))]
    return float(wrong[first].sum() / wrong.sum())


def measure_orders(
    priorities: Mapping[str, NDArray[np.float64]], wrong: NDArray[np.bool_], seed: int = 0
) -> dict[str, list[ErrorsFound]]:
    """Measure several review orders of the same documents at each of :data:`SHARES`.

    Args:
        priorities: Priorities by name of the order, as in :func:`errors_found`.
        wrong: Whether each answer is wrong, ``(n,)``.
        seed: Seed of the intervals; all orders are measured on the same drawn documents.

    Raises:
        DataError: If no answer is wrong.
    """
    return {
        name: [
            ErrorsFound(share, errors_found(own, wrong, share), _interval(own, wrong, share, seed)) for share in SHARES
        ]
        for name, own in priorities.items()
    }


def _interval(priority: NDArray[np.float64], wrong: NDArray[np.bool_], share: float, seed: int) -> Interval:
    found = drawn_shares(priority, wrong, share, seed)
    low, high = np.quantile(found, [0.025, 0.975]).tolist()
    return low, high


def drawn_shares(
    priority: NDArray[np.float64], wrong: NDArray[np.bool_], share: float, seed: int = 0
) -> NDArray[np.float64]:
    """Return the result of :func:`errors_found` for 1,000 sets of documents drawn with replacement, ``(1000,)``.

    Drawn documents are counted instead of copied, so they need not be sorted again.
    """
    n = len(wrong)
    order = np.argsort(-priority, kind="stable")
    is_wrong, rng = wrong[order], np.random.default_rng(seed)
    position = np.empty(n, np.intp)
    position[order] = np.arange(n)
    least, found = math.ceil(share * n), []
    for _ in range(_RESAMPLES):
        counts = np.bincount(position[rng.integers(0, n, n)], minlength=n)  # draws of each document, in review order
        before = np.cumsum(counts) - counts
        taken = np.clip(least - before, 0, counts)
        total = counts[is_wrong].sum()
        found.append(taken[is_wrong].sum() / total if total else 0.0)
    return np.array(found)
