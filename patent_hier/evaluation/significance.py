"""Whether systems differ on the same documents by more than chance."""

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
        only_first: Documents that only the first system got right.
        only_second: Documents that only the second system got right.
        p_value: Two-sided. Below about 1e-308 it is 0.
    """

    only_first: int
    only_second: int
    p_value: float


@dataclass(frozen=True)
class Comparison:
    """Two systems on the same documents.

    Attributes:
        first: Name of the first system.
        second: Name of the second system.
        n_documents: Documents that both scored.
        difference: Mean accuracy of the first system's seeds less that of the second's, -1 to 1.
        interval: 95 % bootstrap interval of ``difference``; documents are drawn, all hits of a document together, the
            seeds held fixed.
        test: McNemar's exact test of the first seed of each.
        p_adjusted: Its p-value after Holm's adjustment for all pairs that were compared.
    """

    first: str
    second: str
    n_documents: int
    difference: float
    interval: Interval
    test: McNemar
    p_adjusted: float


def mcnemar_exact(first: Hits, second: Hits) -> McNemar:
    """Test whether two systems are equally often right; only the documents on which they differ count.

    If they are, each of the documents that only one system gets right is equally likely to be either's, so their
    number is binomial with probability 1/2. Without such a document the p-value is 1.

    Args:
        first: ``(n,)`` whether the first system is right.
        second: ``(n,)`` likewise, the same documents in the same order.

    Raises:
        DataError: If the lengths differ or there is no document.

    Source: McNemar, "Note on the sampling error of the difference between correlated proportions or percentages",
    Psychometrika 12(2), 1947, with the exact binomial distribution in place of its chi-squared approximation; as a test
    between classifiers: Dietterich, "Approximate statistical tests for comparing supervised classification learning
    algorithms", Neural Computation 10(7), 1998, section 3.1. It judges two trained classifiers, not the methods behind
    them: another seed gives another classifier.
    """
    return _test(_table(first[None], second[None]))


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values for having made several tests, so that all are compared to the one level.

    Args:
        p_values: One for each test, 0 to 1.

    Returns:
        Adjusted p-values in the given order.

    Source: Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6(2),
    1979.
    """
    from statsmodels.stats.multitest import multipletests  # imported here: it takes most of a second

    return [float(value) for value in multipletests(p_values, method="holm")[1]]


def compare_systems(hits: Mapping[str, Hits]) -> list[Comparison]:
    """Compare every pair of systems.

    Args:
        hits: By system, ``(n_seeds, n)`` whether the model of a seed is right; for all systems the same documents in
            the same order. Their numbers of seeds may differ.

    Returns:
        The pairs in the order of ``hits``; none for a single system. The p-values are adjusted over all of them, so
        give only systems that you want to compare.

    Raises:
        DataError: If the documents differ in number, or there is no document or no seed.
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
    """Count documents by how many seeds of the first system (rows) and of the second (columns) are right on them.

    Of hits ``(n_seeds, n)`` each; ``(n_seeds of the first + 1, n_seeds of the second + 1)``.
    """
    if first.ndim != 2 or second.ndim != 2 or first.shape[1] != second.shape[1] or not first.size or not second.size:
        raise DataError(
            f"hits of shapes {first.shape} and {second.shape} of {names} cannot be compared; score the same documents"
        )
    columns = len(second) + 1
    right = first.sum(axis=0, dtype=np.intp) * columns + second.sum(axis=0, dtype=np.intp)
    cells = np.bincount(right, minlength=(len(first) + 1) * columns)
    return cells.reshape(len(first) + 1, columns).astype(np.int64)


def _test(table: NDArray[np.int64]) -> McNemar:
    from statsmodels.stats.contingency_tables import mcnemar  # imported here: it takes most of a second

    return McNemar(int(table[1, 0]), int(table[0, 1]), float(mcnemar(table, exact=True).pvalue))


def _difference(table: NDArray[np.int64]) -> float:
    """Mean accuracy of the rows' seeds less that of the columns'."""
    rows, columns = (np.arange(size) / (size - 1) for size in table.shape)
    return float((table.sum(axis=1) @ rows - table.sum(axis=0) @ columns) / table.sum())
