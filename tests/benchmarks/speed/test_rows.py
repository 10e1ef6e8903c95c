import pytest

from benchmarks.speed.record import cells
from benchmarks.speed.rows import Row, in_turn, rate_row


def row(**changes):
    return Row(**{"work": "w", "unit": "ms", "ours": 10.0, "target": 2.0, "repeats": 3, **changes})


def test_a_row_with_a_peer_is_met_by_its_ratio_and_one_without_by_its_figure():
    assert row(ratio=2.0, peer=5.0).met
    assert not row(ratio=1.99, peer=5.0).met
    assert row(ours=2.0).met
    assert not row(ours=2.1).met
    assert not row(ratio=100.0, agrees=False).met  # results differ


def test_works_run_in_turn_after_one_round_that_does_not_count():
    calls = []
    rounds = in_turn(lambda: calls.append("a"), lambda: calls.append("b"), repeats=2)
    assert calls == ["a", "b"] * 3
    assert [len(seconds) for seconds in rounds] == [2, 2]


def test_the_ratio_is_the_median_of_ratios_and_not_the_ratio_of_medians():
    found = rate_row("w", "rows", 12, [(1.0, 2.0), (2.0, 2.0), (4.0, 24.0)], "peer", target=2.5)
    assert (found.ours, found.peer, found.ratio, found.repeats, found.met) == (6.0, 6.0, 2.0, 3, False)


@pytest.mark.parametrize(
    ("measured", "shown"),
    [
        (row(unit="rows/s", ours=1234.5, target=10.0, peer=100.0, peer_name="peer", ratio=12.345),
         ("w", "rows/s", "1,234", "100 (peer)", "12.35", "≥ 10", "yes")),
        (row(ours=1.5, target=1.0), ("w", "ms", "1.5", "–", "–", "≤ 1 ms", "no")),
    ],
)  # fmt: skip
def test_cells_show_what_was_measured(measured, shown):
    assert cells(measured) == shown
