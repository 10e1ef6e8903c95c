import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from patent_hier.errors import DataError
from patent_hier.evaluation.significance import compare_systems, holm, mcnemar_exact


def hits(both, only_first, only_second, neither=0):
    first = np.repeat([True, True, False, False], [both, only_first, only_second, neither])
    second = np.repeat([True, False, True, False], [both, only_first, only_second, neither])
    return first, second


@pytest.mark.parametrize(
    ("only_first", "only_second", "p_value"),
    [
        (1, 5, 14 / 64),  # 2 * (C(6,0) + C(6,1)) / 2**6
        (9, 2, 0.0654296875),
        (0, 0, 1.0),
        (3, 3, 1.0),
        (150_600, 149_400, 0.028591985605699324),
        (0, 3_000_000, 0.0),
    ],
)
def test_mcnemar_by_hand(only_first, only_second, p_value):
    result = mcnemar_exact(*hits(10, only_first, only_second, 3))
    assert (result.only_first, result.only_second) == (only_first, only_second)
    assert result.p_value == pytest.approx(p_value, rel=1e-12)


@given(st.integers(0, 40), st.integers(0, 40), st.integers(1, 40))
def test_mcnemar_is_the_binomial_test_of_the_discordant_documents(only_first, only_second, both):
    n = only_first + only_second
    expected = scipy.stats.binomtest(only_first, n).pvalue if n else 1.0
    first, second = hits(both, only_first, only_second)
    shuffled = np.random.default_rng(0).permutation(len(first))
    for one, other in ((first, second), (second, first), (first[shuffled], second[shuffled])):
        assert mcnemar_exact(one, other).p_value == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("values", "adjusted"),
    [
        # sorted .01 .02 .03 .04, times 4 3 2 1: .04 .06 .06 .04, of which the last may not fall below .06
        ([0.03, 0.01, 0.04, 0.02], [0.06, 0.04, 0.06, 0.06]),
        ([0.6, 0.7], [1.0, 1.0]),
        ([0.2], [0.2]),
        ([], []),
    ],
)
def test_holm_by_hand(values, adjusted):
    assert holm(values) == pytest.approx(adjusted)


def test_all_pairs_of_systems():
    first, second = hits(600, 150, 50, 200)
    none = np.zeros(1000, dtype=bool)
    result = compare_systems({"bert": first[None], "cnn": second[None], "none": none[None]})
    assert [(c.first, c.second) for c in result] == [("bert", "cnn"), ("bert", "none"), ("cnn", "none")]
    assert [c.n_documents for c in result] == [1000] * 3
    assert [c.difference for c in result] == pytest.approx([0.1, 0.75, 0.65])
    assert [c.p_adjusted for c in result] == holm([c.test.p_value for c in result])
    assert (result[0].test.only_first, result[0].test.only_second) == (150, 50)
    # standard error of a paired difference: sqrt(((b + c) - (b - c)^2 / n)) / n
    half = 1.96 * np.sqrt(200 - 100**2 / 1000) / 1000
    assert result[0].interval == pytest.approx((0.1 - half, 0.1 + half), abs=0.003)


def test_pairing_narrows_the_interval():
    first, second = hits(890, 20, 0, 90)
    paired = compare_systems({"a": first[None], "b": second[None]})[0]
    mixed = compare_systems({"a": first[None], "b": np.random.default_rng(0).permutation(second)[None]})[0]
    assert paired.difference == mixed.difference == pytest.approx(0.02)
    assert np.diff(paired.interval)[0] < 0.6 * np.diff(mixed.interval)[0]


def test_the_difference_is_of_the_means_over_seeds_and_the_test_of_the_first_seeds():
    generator = np.random.default_rng(1)
    skill = generator.random(4000)  # documents that are hard for one seed are hard for the others
    first, second = generator.random((3, 4000)) < skill, generator.random((2, 4000)) < 0.9 * skill
    (pair,) = compare_systems({"a": first, "b": second})
    gains = first.mean(0) - second.mean(0)  # (documents,)
    assert pair.difference == pytest.approx(gains.mean())
    half = 1.96 * gains.std() / np.sqrt(len(gains))
    assert pair.interval == pytest.approx((gains.mean() - half, gains.mean() + half), abs=0.003)
    assert pair.test == mcnemar_exact(first[0], second[0])
    assert pair.n_documents == 4000


def test_one_system_has_nothing_to_compare():
    assert compare_systems({"bert": np.ones((1, 3), dtype=bool)}) == []


def test_other_documents_are_refused():
    with pytest.raises(DataError, match=r"\(1, 3\) and \(1, 2\) of bert and cnn"):
        compare_systems({"bert": np.ones((1, 3), dtype=bool), "cnn": np.ones((1, 2), dtype=bool)})
    with pytest.raises(DataError, match="score the same documents"):
        mcnemar_exact(np.zeros(0, dtype=bool), np.zeros(0, dtype=bool))
