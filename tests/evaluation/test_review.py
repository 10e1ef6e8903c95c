import numpy as np
import pytest

from patent_hier.errors import DataError
from patent_hier.evaluation.review import SHARES, drawn_shares, errors_found, measure_orders


def test_shares_of_the_errors():
    wrong = np.array([True, False, True, False, False, True, False, False, False, True])
    perfect, worst = wrong.astype(float), -wrong.astype(float)
    assert errors_found(perfect, wrong, 0.1) == 0.25
    assert errors_found(perfect, wrong, 0.4) == 1
    assert errors_found(worst, wrong, 0.6) == 0
    assert errors_found(np.zeros(10), wrong, 0.3) == 0.5  # of equals the first ones
    assert errors_found(perfect, wrong, 0.01) == 0.25  # one document at least
    with pytest.raises(DataError, match="no answer is wrong"):
        errors_found(perfect, np.zeros(10, bool), 0.1)


def test_drawn_documents_are_counted_as_if_they_were_copied():
    rng = np.random.default_rng(1)
    n = 40
    priority, wrong = rng.random(n), rng.random(n) < 0.4
    found, again = drawn_shares(priority, wrong, 0.2, seed=3), np.random.default_rng(3)
    for value in found[:200]:
        drawn = again.integers(0, n, n)
        assert value == pytest.approx(errors_found(priority[drawn], wrong[drawn], 0.2))


def test_intervals_hold_the_value():
    rng = np.random.default_rng(0)
    wrong = rng.random(400) < 0.3
    good = wrong + rng.normal(0, 1, 400)
    given = {"good": good, "chance": rng.random(400)}
    orders = measure_orders(given, wrong)
    assert [one.share for one in orders["good"]] == list(SHARES)
    for own in orders.values():
        for one in own:
            low, high = one.interval
            assert low <= one.found <= high
            assert high - low < 0.25
    assert orders["good"][1].found > orders["chance"][1].found
    assert orders == measure_orders(given, wrong)
