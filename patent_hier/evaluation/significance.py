"""Significance tests for differences between systems on the same documents."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from patent_hier.errors import DataError
from patent_hier.evaluation.metrics import Interval, bootstrap_interval

Hits = NDArray[np.bool_]


@dataclass(frozen=True)
class McNemar:
    """McNemar's exact test of two systems.

    Attributes:
        only_first: Number of documents that only the first system got right.
        only_second: Number of documents that only the second system got right.
        p_value: Two-sided p-value; below about 1e-308 it is 0.
    """

    only_first: int
    only_second: int
    p_value: float


@dataclass(frozen=True)
class Comparison:
    """A comparison of two systems on the same documents.

    Attributes:
        first: Name of the first system.
        second: Name of the second system.
        n_documents: Number of documents that both systems scored.
        difference: Mean accuracy of the first system's seeds minus that of the second's, -1 to 1.
        interval: 95 % bootstrap interval of ``difference`` over documents, with the seeds held fixed; all hits of a
            document are drawn together.
        test: McNemar's exact test of the first seed of each system.
        p_adjusted: P-value of the test after Holm's adjustment for all compared pairs.
    """

    first: str
    second: str
    n_documents: int
    difference: float
    interval: Interval
    test: McNemar
    p_adjusted: float


def mcnemar_exact(first: Hits, second: Hits) -> McNemar:
    """Test whether two systems are right equally often; only documents on which they differ count.

    If the systems are right equally often, each document that only one of them gets right is equally likely to be
    either's. So the number of the first system's is binomial with probability 1/2. Without such documents, the p-value
    is 1.

    Args:
        first: ``(n,)`` whether the first system is right.
        second: ``(n,)`` whether the second system is right on the same documents in the same order.

    Raises:
        DataError: If the lengths differ or there is no document.

    Source: McNemar, "Note on the sampling error of the difference between correlated proportions or percentages",
    Psychometrika 12(2), 1947, with the exact binomial distribution in place of its chi-squared approximation; as a test
    between classifiers: Dietterich, "Approximate statistical tests for comparing supervised classification learning
    algorithms", Neural Computation 10(7), 1998, section 3.1. The test compares two trained classifiers, not the methods
    behind them: another seed gives another classifier.
    """
    return _test(_table(first[None], second[None]))


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values for multiple testing, so that all can be compared with the same significance level.

    Args:
        p_values: P-value of each test, 0 to 1.

    Returns:
        Adjusted p-values in the given order.

    Source: Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6(2),
    1979.
    """
    from statsmodels.stats.multitest import multipletests  # imported here because it takes most of a second

    return [float(value) for value in multipletests(p_values, method="holm")[1]]


def compare_systems(hits: Mapping[str, Hits]) -> list[Comparison]:
    """Compare every pair of systems.

    Args:
        hits: By system, ``(n_seeds, n)`` whether each seed's model is right, on the same documents in the same order
            for all systems. The number of seeds may differ.

    Returns:
        Comparisons in the order of ``hits``; none for a single system. The p-values are adjusted over all pairs, so
        pass only systems that you want to compare.

    Raises:
        DataError: If the number of documents differs, or there is no document or no seed.
    """
    pairs = list(combinations(hits, 2))
    tests = [_test(_table(hits[first][:1], hits[second][:1], f"{first} and {second}")) for first, second in pairs]
    adjusted = holm([test.p_value for test in tests])
    result = []
    for (first, second), test, p_adjusted in zip(pairs, tests, adjusted, strict=True):
        table = _table(hits[first], hits[second])
        interval = bootstrap_interval(table, _difference)
        compared = Comparison(first, second, int(table.sum()), _difference(table), interval, test, p_adjusted)
        result.append(compared)
    return result


def _table(first: Hits, second: Hits, names: str = "the two systems") -> NDArray[np.int64]:
    """Count documents by the number of seeds that are right, of the first system (rows) and the second (columns).

    The hits are ``(n_seeds, n)`` each; the table is ``(n_seeds of the first + 1, n_seeds of the second + 1)``.
    """
    if first.ndim != 2 or second.ndim != 2 or first.shape[1] != second.shape[1] or not first.size or not second.size:
        raise DataError(
            f"hits of shapes {first.shape} and {second.shape} of {names} cannot be compared; score the same documents "
            "with both"
        )
    columns = len(second) + 1
    right = first.sum(axis=0, dtype=np.intp) * columns + second.sum(axis=0, dtype=np.intp)
    cells = np.bincount(right, minlength=(len(first) + 1) * columns)
    return cells.reshape(len(first) + 1, columns).astype(np.int64)


def _test(table: NDArray[np.int64]) -> McNemar:
    from statsmodels.stats.contingency_tables import mcnemar  # imported here because it takes most of a second

    return McNemar(int(table[1, 0]), int(table[0, 1]), float(mcnemar(table, exact=True).pvalue))


def _difference(table: NDArray[np.int64]) -> float:
    """Return the mean accuracy of the rows' seeds minus that of the columns' seeds."""
    rows, columns = (np.arange(size) / (size - 1) for size in table.shape)
    return float((table.sum(axis=1) @ rows - table.sum(axis=0) @ columns) / table.sum())
