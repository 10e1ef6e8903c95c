import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from patent_hier.errors import DataError
from patent_hier.evaluation import metrics


def table(targets, predicted):
    return np.bincount(12 * targets + predicted, minlength=144).reshape(12, 12)


def macro_f1(counts):
    """Of the labels with support."""
    hits, support, guesses = np.diag(counts), counts.sum(axis=1), counts.sum(axis=0)
    return float((2 * hits[support > 0] / (support + guesses)[support > 0]).mean())


@pytest.mark.parametrize(
    ("hits", "n", "expected"),
    [
        (81, 263, (0.2552885198782742, 0.36620957698280004)),  # Newcombe, Statistics in Medicine 17, 1998, table I
        (0, 20, (0.0, 0.16112515805281938)),
        (20, 20, (0.8388748419471806, 1.0)),
        (1, 3, (0.06149194472039621, 0.7923403991979522)),
        (199_440, 277_000, (0.718324891665309, 0.7216690064630628)),
    ],
)
def test_wilson_interval_by_number(hits, n, expected):
    assert metrics.wilson_interval(hits, n) == pytest.approx(expected, rel=1e-12)


@given(st.integers(1, 10**6), st.floats(0, 1))
def test_wilson_interval_is_where_the_score_test_reaches_5_percent(n, share):
    hits = round(share * n)
    low, high = metrics.wilson_interval(hits, n)
    assert 0 <= low <= hits / n <= high <= 1
    for end in (low, high):
        if 1e-9 < end < 1 - 1e-9:  # else rounding decides
            z = (hits / n - end) / np.sqrt(end * (1 - end) / n)
            assert 2 * scipy.stats.norm.sf(abs(z)) == pytest.approx(0.05, rel=1e-6)


@pytest.mark.parametrize("bca", [False, True])
def test_the_bootstrap_interval_is_repeatable_and_holds_95_percent(bca):
    """As far from the share as a normal variable's 2.5 and 97.5 % points, in standard deviations of the share."""
    counts = np.array([20_000, 80_000])
    first, again = (
        metrics.bootstrap_interval(counts, lambda cells: float(cells[1] / cells.sum()), n_resamples=20_000, bca=bca)
        for _ in range(2)
    )
    assert first == again
    distances = (np.array(first) - 0.8) / np.sqrt(0.8 * 0.2 / 100_000)
    assert distances == pytest.approx([-1.96, 1.96], abs=0.05)  # 94 or 96 % would be off by 0.08


@pytest.mark.parametrize("per_cell", [1, 5])
def test_every_document_is_drawn_as_often_as_any_other(per_cell, monkeypatch):
    """Whether documents are drawn or tables; with 400 tables a mean lies within 0.25 of 1 but once in 10^6."""
    monkeypatch.setattr(metrics, "_MANY_CELLS", 9)
    sizes = np.full(10, per_cell)
    drawn = np.concatenate(list(metrics._resamples(np.random.default_rng(0), sizes, 400)))
    assert drawn.shape == (400, 10)
    assert (drawn.sum(axis=1) == 10 * per_cell).all()
    assert drawn.mean(axis=0) / per_cell == pytest.approx(1, abs=0.25)


@pytest.mark.parametrize("bca", [False, True])
def test_many_draws_at_once_are_as_one_by_one(bca, monkeypatch):
    counts = np.random.default_rng(1).integers(0, 9, 40)
    values = np.arange(40) / 7
    one = metrics.bootstrap_interval(counts, lambda table: float(table @ values / table.sum()), bca=bca)
    for drawn in (1, 100, 1 << 18):
        monkeypatch.setattr(metrics, "_DRAWN", drawn)
        many = metrics.bootstrap_interval(
            counts, lambda tables: tables @ values / tables.sum(-1), bca=bca, batched=True
        )
        assert many == pytest.approx(one, rel=1e-12)


@pytest.mark.parametrize("method", ["percentile", "BCa"])
def test_bootstrap_interval_of_macro_f1_agrees_with_scipy(method):
    rng = np.random.default_rng(3)
    targets = rng.choice(12, 150, p=np.arange(1, 13)[::-1] / 78)
    predicted = np.where(rng.random(150) < 0.6, targets, rng.integers(0, 12, 150))

    how = {"paired": True, "vectorized": False, "n_resamples": 4000, "method": method, "rng": 1}
    documents = (targets, predicted)
    expected = scipy.stats.bootstrap(documents, lambda t, p: macro_f1(table(t, p)), **how).confidence_interval
    counts = table(targets, predicted)
    ours = metrics.bootstrap_interval(counts, macro_f1, 4000, bca=method == "BCa")
    assert ours == pytest.approx(tuple(expected), abs=0.006)


@pytest.mark.parametrize("counts", [[[7, 0], [0, 0]], [[0, 1], [0, 0]], [[1, 1], [0, 0]], [[1, 0], [0, 1]]])
def test_bca_of_next_to_nothing_is_within_0_and_1(counts):
    low, high = metrics.bootstrap_interval(np.array(counts), macro_f1, 50, bca=True)
    assert 0 <= low <= high <= 1


@pytest.mark.parametrize(
    ("counts", "expected"),
    [((3, 4, 6), (0.75, 0.5, 0.6)), ((5, 5, 5), (1, 1, 1)), ((0, 4, 6), (0, 0, 0)), ((0, 0, 6), (0, 0, 0)),
     ((0, 4, 0), (0, 0, 0))],
)  # fmt: skip
def test_precision_recall_and_f1_by_hand(counts, expected):
    assert metrics.f1_of_counts(*counts) == pytest.approx(expected)


def test_nothing_to_score_is_an_error():
    for call in (
        lambda: metrics.wilson_interval(0, 0),
        lambda: metrics.wilson_interval(3, 2),
        lambda: metrics.bootstrap_interval(np.zeros(2, dtype=np.int64), float),
    ):
        with pytest.raises(DataError):
            call()
