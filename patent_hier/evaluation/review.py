"""What an order of review is worth: the share of all wrong answers among the documents that are looked at first."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from patent_hier.errors import DataError
from patent_hier.evaluation.metrics import Interval

SHARES = (0.1, 0.2)  # of the documents, that are looked at
_RESAMPLES = 1000


@dataclass(frozen=True)
class ErrorsFound:
    """The wrong answers that an order shows first.

    Attributes:
        share: Of the documents that are looked at, 0 to 1.
        found: Share of all wrong answers among them, 0 to 1; an order by chance finds ``share``.
        interval: 95 % bootstrap interval of ``found``; documents are drawn.
    """

    share: float
    found: float
    interval: Interval


def errors_found(priority: NDArray[np.float64], wrong: NDArray[np.bool_], share: float) -> float:
    """The share of all wrong answers among the first documents.

    Args:
        priority: Of each document, ``(n,)``; the highest is looked at first, of equals the first one.
        wrong: Whether its answer is wrong, ``(n,)``.
        share: Of the documents that are looked at; rounded up to whole documents.

    Raises:
        DataError: If no answer is wrong.
    """
    if not wrong.any():
        raise DataError("no answer is wrong, so there is nothing to find")
    first = np.argsort(-priority, kind="stable")[: math.ceil(share * len(wrong))]
    return float(wrong[first].sum() / wrong.sum())


def measure_orders(
    priorities: Mapping[str, NDArray[np.float64]], wrong: NDArray[np.bool_], seed: int = 0
) -> dict[str, list[ErrorsFound]]:
    """What several orders of the same documents find, for each of :data:`SHARES`.

    Args:
        priorities: By the order's name, as in :func:`errors_found`, and so is ``wrong``.
        wrong: Whether each answer is wrong.
        seed: Makes the intervals repeatable; all orders are measured on the same drawn documents.

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
    """:func:`errors_found` on documents drawn with replacement, ``(1000,)``.

    Drawn documents are counted instead of copied, so their order need not be found again.
    """
    n = len(wrong)
    order = np.argsort(-priority, kind="stable")
    is_wrong, rng = wrong[order], np.random.default_rng(seed)
    position = np.empty(n, np.intp)
    position[order] = np.arange(n)
    least, found = math.ceil(share * n), []
    for _ in range(_RESAMPLES):
        counts = np.bincount(position[rng.integers(0, n, n)], minlength=n)  # of each document, in the order
        before = np.cumsum(counts) - counts
        taken = np.clip(least - before, 0, counts)
        total = counts[is_wrong].sum()
        found.append(taken[is_wrong].sum() / total if total else 0.0)
    return np.array(found)
