from statistics import stdev

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from patent_hier.errors import DataError
from patent_hier.evaluation import metrics
from patent_hier.evaluation.seeds import spread_of_hits, spread_of_product

SHAPES = st.tuples(st.integers(1, 6), st.integers(1, 20))


def random_hits(n_seeds=3, n=400, seed=0, rate=0.7):
    return np.random.default_rng(seed).random((n_seeds, n)) < rate


def resampled(score, n, times=1500):
    """The bootstrap as in the textbook: draw documents themselves."""
    rng = np.random.default_rng(1)
    return np.quantile([score(rng.integers(0, n, n)) for _ in range(times)], [0.025, 0.975])


def test_by_hand():
    hits = np.array([[1, 1, 0, 0], [1, 1, 1, 0], [1, 0, 1, 1]], dtype=bool)
    spread = spread_of_hits(hits, n_classes=2)
    assert spread.values == (0.5, 0.75, 0.75)
    assert spread.mean == pytest.approx(2 / 3)
    assert spread.sd == pytest.approx(0.25 / 3**0.5)  # deviations -1/6, 1/12, 1/12; squares sum to 1/24, over 2
    assert (spread.n_documents, spread.n_classes) == (4, 2)


def test_interval_of_one_seed_is_near_wilson_and_more_documents_narrow_it():
    hits = random_hits(n_seeds=1, n=1000)
    spread = spread_of_hits(hits, 2)
    assert spread.interval == pytest.approx(metrics.wilson_interval(int(hits.sum()), 1000), abs=0.006)
    wide, narrow = spread.interval, spread_of_hits(np.tile(hits, 4), 2).interval
    assert np.diff(narrow)[0] == pytest.approx(np.diff(wide)[0] / 2, rel=0.15)


def test_equal_seeds_do_not_narrow_the_interval():
    """Seeds are not new documents: three copies of one seed give the same interval as one."""
    one = random_hits(n_seeds=1)
    thrice = spread_of_hits(np.repeat(one, 3, axis=0), 2)
    assert np.diff(thrice.interval)[0] == pytest.approx(np.diff(spread_of_hits(one, 2).interval)[0], rel=0.1)
    assert thrice.sd == 0


def test_intervals_agree_with_drawing_documents():
    hard = np.random.default_rng(5).random(400) < 0.5  # documents that are hard for every seed
    sections, local = random_hits(rate=0.9) & ~hard, random_hits(seed=1) | hard
    one = resampled(lambda rows: sections[:, rows].mean(), 400)
    both = resampled(lambda rows: (sections[:, rows].mean(axis=1) * local[:, rows].mean(axis=1)).mean(), 400)
    assert spread_of_hits(sections, 2).interval == pytest.approx(one, abs=0.006)
    assert spread_of_product(sections, local, 2).interval == pytest.approx(both, abs=0.006)


@settings(max_examples=25, deadline=None)
@given(SHAPES.flatmap(lambda shape: st.tuples(*[arrays(bool, shape)] * 2)))
@example((np.array([[True, False, True]]), np.array([[True, True, False]])))  # one seed
def test_properties(pair):
    sections, local = pair
    spread, product = spread_of_hits(sections, 1), spread_of_product(sections, local, 1)
    assert spread.values == pytest.approx(tuple(sections.mean(axis=1)))
    assert product.values == pytest.approx(tuple(sections.mean(axis=1) * local.mean(axis=1)))
    for one in (spread, product):
        assert one.mean == pytest.approx(np.mean(one.values))
        assert one.sd is None if len(one.values) == 1 else one.sd == pytest.approx(stdev(one.values), abs=1e-9)
        assert 0 <= one.interval[0] <= one.interval[1] <= 1 + 1e-12
    order = np.random.default_rng(0).permutation(sections.shape[1])
    assert spread_of_product(sections[:, order], local[:, order], 1) == product  # documents have no order


def test_ten_seeds_have_more_patterns_than_a_byte():
    sections, local = random_hits(n_seeds=10), random_hits(n_seeds=10, seed=1)
    spread = spread_of_product(sections, local, 2)
    assert spread.values == pytest.approx(tuple(sections.mean(axis=1) * local.mean(axis=1)))


def test_wrong_shapes_are_refused():
    hits = random_hits()
    for call in (
        lambda: spread_of_hits(hits[0], 2),
        lambda: spread_of_hits(hits[:0], 2),
        lambda: spread_of_hits(hits[:, :0], 2),
        lambda: spread_of_product(hits, hits[:, 1:], 2),
        lambda: spread_of_product(hits, hits[1:], 2),
    ):
        with pytest.raises(DataError):
            call()
