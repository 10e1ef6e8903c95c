import hiclass.metrics
import numpy as np
import pytest
import scipy.stats
import sklearn.metrics
from hypothesis import given
from hypothesis import strategies as st

from patent_hier.errors import DataError
from patent_hier.evaluation import metrics

LABELS = np.array(["A01", "A21", "B01", "B02", "H04"], dtype=object)
CODES = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=60)


def labelled(pairs):
    codes = np.array(pairs)
    return LABELS[codes[:, 0]], LABELS[codes[:, 1]]


@given(CODES)
def test_accuracy_confusion_and_macro_f1_agree_with_scikit_learn(pairs):
    targets, predicted = labelled(pairs)
    t, p = targets.tolist(), predicted.tolist()
    labels, counts = metrics.confusion(targets, predicted)
    assert metrics.accuracy(targets, predicted) == pytest.approx(sklearn.metrics.accuracy_score(t, p))
    assert counts.tolist() == [[sum(pair == (a, b) for pair in zip(t, p, strict=True)) for b in labels] for a in labels]
    expected = sklearn.metrics.f1_score(t, p, labels=sorted(set(t)), average="macro", zero_division=0)
    assert metrics.macro_f1(counts) == pytest.approx(expected)


@given(st.integers(0, 1000), st.integers(1, 4))
def test_top_k_agrees_with_scikit_learn(seed, k):
    rng = np.random.default_rng(seed)
    scores, codes = rng.random((40, 5)), rng.integers(0, 5, 40)
    expected = sklearn.metrics.top_k_accuracy_score(codes, scores, k=k, labels=range(5))
    assert metrics.top_k_accuracy(scores, codes, k) == pytest.approx(expected)


def test_unseen_target_is_an_error_for_every_k_and_ties_go_to_the_first_label():
    scores = np.array([[0.4, 0.4, 0.2], [0.4, 0.4, 0.2], [1.0, 0.0, 0.0]])
    assert metrics.ranks(scores, np.array([0, 1, -1])).tolist() == [0, 1, 3]
    assert metrics.top_k_accuracy(scores, np.array([0, 1, -1]), 3) == pytest.approx(2 / 3)


@given(CODES)
def test_hierarchical_scores_agree_with_hiclass(pairs):
    true, guess = (np.array([[label[0], label] for label in side], dtype=object) for side in labelled(pairs))
    ours = metrics.hierarchical_scores(true, guess)
    assert ours.precision == pytest.approx(hiclass.metrics.precision(true, guess))
    assert ours.recall == pytest.approx(hiclass.metrics.recall(true, guess))
    if ours.f1:  # hiclass divides 0 by 0 where nothing is shared
        assert ours.f1 == pytest.approx(hiclass.metrics.f1(true, guess))


def test_hierarchical_scores_of_paths_of_unequal_depth():
    true = np.array([["A", "A01"], ["B", "B01"], ["H", ""]], dtype=object)
    guess = np.array([["A", ""], ["B", "B02"], ["H", "H04"]], dtype=object)
    ours = metrics.hierarchical_scores(true, guess)
    assert ours == pytest.approx((3 / 5, 3 / 5, 3 / 5))
    assert ours.precision == pytest.approx(hiclass.metrics.precision(true, guess))
    shorter = np.array([["A", ""], ["B", ""], ["H", ""]], dtype=object)
    assert metrics.hierarchical_scores(true, shorter)[:2] == pytest.approx((1.0, 3 / 5))
    assert metrics.hierarchical_scores(true, shorter).recall == pytest.approx(hiclass.metrics.recall(true, shorter))


def test_any_symbol_may_be_hit():
    predicted = np.array(["A01", "A01", "A01", "A01"], dtype=object)
    main = np.array(["A01", "B01", "B02", "H04"], dtype=object)
    further = [("A01", "A01"), (), ("H04", "A01"), ["B01"]]
    assert metrics.any_symbol_hits(predicted, main, further).tolist() == [True, False, True, False]


def test_no_further_symbols_at_all():
    main = np.array(["A01", "B01"], dtype=object)
    assert metrics.any_symbol_hits(main, main[::-1], [(), ()]).tolist() == [False, False]


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
    assert 0 <= low <= hits / n + 1e-15
    assert hits / n - 1e-15 <= high <= 1
    for end in (low, high):
        if 1e-9 < end < 1 - 1e-9:  # else rounding decides
            z = (hits / n - end) / np.sqrt(end * (1 - end) / n)
            assert 2 * scipy.stats.norm.sf(abs(z)) == pytest.approx(0.05, rel=1e-6)


@pytest.mark.parametrize("bca", [False, True])
def test_bootstrap_interval_is_repeatable_and_at_95_percent(bca):
    counts = np.array([2000, 8000])
    interval = metrics.bootstrap_interval(counts, hit_rate, 8000, bca=bca)
    assert interval == metrics.bootstrap_interval(counts, hit_rate, 8000, bca=bca)
    assert interval == pytest.approx(scipy.stats.binom.interval(0.95, 10_000, 0.8) / np.array(10_000), abs=3e-4)


def hit_rate(cells):
    return float(cells[1] / cells.sum())


@pytest.mark.parametrize("method", ["percentile", "BCa"])
def test_bootstrap_interval_of_macro_f1_agrees_with_scipy(method):
    rng = np.random.default_rng(3)
    targets = rng.choice(12, 150, p=np.arange(1, 13)[::-1] / 78)
    predicted = np.where(rng.random(150) < 0.6, targets, rng.integers(0, 12, 150))

    def macro_f1(t, p):
        return metrics.macro_f1(metrics.confusion(t, p)[1])

    expected = scipy.stats.bootstrap(
        (targets, predicted), macro_f1, paired=True, vectorized=False, n_resamples=4000, method=method, rng=1
    ).confidence_interval
    counts = metrics.confusion(targets, predicted)[1]
    ours = metrics.bootstrap_interval(counts, metrics.macro_f1, 4000, bca=method == "BCa")
    assert ours == pytest.approx(tuple(expected), abs=0.006)


@pytest.mark.parametrize("counts", [[[7, 0], [0, 0]], [[0, 1], [0, 0]], [[1, 1], [0, 0]], [[1, 0], [0, 1]]])
def test_bca_of_next_to_nothing_is_within_0_and_1(counts):
    low, high = metrics.bootstrap_interval(np.array(counts), metrics.macro_f1, 50, bca=True)
    assert 0 <= low <= high <= 1


def test_the_bootstrap_interval_holds_95_percent():
    """As far from the share as a normal variable's 2.5 and 97.5 % points, in standard deviations of the share."""
    counts = np.array([20_000, 80_000])
    interval = metrics.bootstrap_interval(counts, lambda cells: float(cells[1] / cells.sum()), n_resamples=20_000)
    distances = (np.array(interval) - 0.8) / np.sqrt(0.8 * 0.2 / 100_000)
    assert distances == pytest.approx([-1.96, 1.96], abs=0.05)  # 94 or 96 % would be off by 0.08


def test_nothing_to_score_is_an_error():
    none = np.array([], dtype=object)
    for call in (
        lambda: metrics.accuracy(none, none),
        lambda: metrics.confusion(none, none),
        lambda: metrics.macro_f1(np.zeros((2, 2), dtype=np.int64)),
        lambda: metrics.wilson_interval(0, 0),
        lambda: metrics.bootstrap_interval(np.zeros(2, dtype=np.int64), float),
        lambda: metrics.accuracy(LABELS, LABELS[:2]),
    ):
        with pytest.raises(DataError):
            call()
