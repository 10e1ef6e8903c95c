from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from patent_hier.data.assigning import assign
from patent_hier.data.split_dates import cut_by_date
from patent_hier.data.splits import CALIBRATION, TEST, TRAIN, VAL, SplitPlan, split_fingerprint
from patent_hier.errors import ConfigError, DataError

ORDER = (TRAIN, CALIBRATION, VAL, TEST)
FIRST = np.datetime64("2019-01-01")
COUNTS = st.lists(st.integers(0, 30), min_size=4, max_size=40).filter(lambda counts: sum(map(bool, counts)) >= 4)


def days_of(counts, undated=0):
    days = np.repeat(FIRST + np.arange(len(counts)), counts)
    return np.concatenate([days, np.full(undated, np.datetime64("NaT"), days.dtype)])


def spans(days, parts):
    known = ~np.isnat(days)
    return [(days[known & (parts == part)].min(), days[known & (parts == part)].max()) for part in ORDER]


@given(COUNTS, st.integers(0, 9), st.sampled_from([0.05, 0.1, 0.5]), st.randoms(use_true_random=False))
def test_days_are_whole_and_in_order_whatever_the_order_of_rows(counts, undated, test, random):
    days = days_of(counts, undated)
    plan = SplitPlan(policy="date", test=test)
    parts = cut_by_date(days, plan)
    assert (parts[np.isnat(days)] == TRAIN).all()
    assert all(earlier[1] < later[0] for earlier, later in pairwise(spans(days, parts)))
    mixed = np.array(random.sample(range(len(days)), len(days)))
    assert np.array_equal(cut_by_date(days[mixed], plan), parts[mixed])


def test_shares_are_near_where_days_are_small():
    days = days_of([10] * 200)
    plan = SplitPlan(policy="date")
    assert np.allclose(np.bincount(cut_by_date(days, plan)) / len(days), plan.shares, atol=0.005)


@given(COUNTS, st.data())
def test_a_date_decides_what_is_test(counts, data):
    days = days_of(counts)
    distinct = np.unique(days)
    begin = data.draw(st.integers(3, len(distinct) - 1))
    cut = distinct[begin] - np.timedelta64(1, "D")
    parts = cut_by_date(days, SplitPlan(policy="date", date=str(cut)))
    assert np.array_equal(parts == TEST, days > cut)
    assert all(earlier[1] < later[0] for earlier, later in pairwise(spans(days, parts)))


def test_shares_of_what_a_date_leaves():
    parts = cut_by_date(days_of([10] * 200), SplitPlan(policy="date", date=str(FIRST + 99)))
    assert np.bincount(parts).tolist() == [850, 100, 50, 1000]


@pytest.mark.parametrize("date", ["2018-12-31", "2019-01-02", "2019-01-10", "2030-01-01"])
def test_a_date_that_leaves_too_little_is_refused(date):
    with pytest.raises(ConfigError, match=f"split.date={date} leaves .* from 2019-01-01 to 2019-01-10"):
        cut_by_date(days_of([5] * 10), SplitPlan(policy="date", date=date))


@pytest.mark.parametrize(
    ("settings_", "message"),
    [
        ({"date": "2019-01-05"}, "split.date=2019-01-05 belongs to policy date, not random; add split=date"),
        ({"policy": "date", "date": "5.1.2019"}, "split.date=5.1.2019 is not a date; use YYYY-MM-DD"),
    ],
)
def test_bad_dates_are_refused(settings_, message):
    with pytest.raises(ConfigError, match=message):
        SplitPlan(**settings_)


def test_a_date_is_in_the_name_of_the_split():
    assert split_fingerprint("c", SplitPlan("date", date="2019-01-05")) != split_fingerprint("c", SplitPlan("date"))


@pytest.mark.parametrize("n_days", [4, 5])
def test_with_few_days_every_part_has_one(n_days):
    parts = cut_by_date(FIRST + np.arange(100) % n_days, SplitPlan(policy="date"))
    assert set(parts.tolist()) == {TRAIN, VAL, CALIBRATION, TEST}


def test_days_are_needed():
    ids, classes = [str(row) for row in range(100)], ["A01"] * 100
    with pytest.raises(DataError, match="more than 3 days, but this corpus has 3"):
        cut_by_date(FIRST + np.arange(100) % 3, SplitPlan(policy="date"))
    with pytest.raises(DataError, match="needs the date"):
        assign(ids, classes, None, SplitPlan(policy="date"))


def test_all_policies_report_alike():
    days = days_of([10] * 20)
    ids, classes = [str(row) for row in range(200)], ["A01", "B01"] * 100
    parts, report = assign(ids, classes, None, SplitPlan(policy="date"), days)
    assert sum(report.documents.values()) == 200
    assert report.documents["test"] == (parts == TEST).sum()
    assert report.groups == 0
