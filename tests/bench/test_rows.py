import math

import pytest

from patent_hier.bench.rows import Row, compare, in_turn


def row(**changes):
    return Row(**{"work": "w", "unit": "documents/s", "ours": 10.0, "target": 2.0, "repeats": 3, **changes})


def test_a_row_with_a_peer_is_met_by_its_ratio_and_one_without_by_its_figure():
    assert row(ratio=2.0, peer=5.0).met
    assert not row(ratio=1.99, peer=5.0).met
    assert row(ours=2.0).met
    assert not row(ours=2.1).met


def test_a_row_whose_results_differ_is_never_met():
    assert not row(ratio=100.0, agrees=False).met


def test_the_share_of_the_limit():
    assert row(limit=40.0).share_of_limit == 0.25
    assert row().share_of_limit is None
    assert row(limit=40.0).as_dict()["share_of_limit"] == 0.25


def test_works_run_in_turn_after_one_round_that_does_not_count():
    calls = []
    rounds = in_turn([lambda: calls.append("a"), lambda: calls.append("b")], 2)
    assert calls == ["a", "b"] * 3
    assert [len(seconds) for seconds in rounds] == [2, 2]


def test_the_ratio_is_the_median_of_ratios_and_not_the_ratio_of_medians():
    rate, peer, ratio = compare(12, [(1.0, 2.0), (2.0, 2.0), (4.0, 24.0)])
    assert (rate, peer) == (6.0, 6.0)
    assert ratio == 2.0
    assert math.isclose(compare(1, [(0.5, 1.0)])[2], 2.0)


def test_rounds_are_needed():
    with pytest.raises(ValueError, match="unpack"):
        compare(1, [])
