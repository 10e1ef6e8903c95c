from math import comb

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from patent_hier.errors import DataError
from patent_hier.evaluation.significance import compare_systems, holm, mcnemar_exact

P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=12)


def hits(both, only_first, only_second, neither=0):
    first = np.repeat([True, True, False, False], [both, only_first, only_second, neither])
    second = np.repeat([True, False, True, False], [both, only_first, only_second, neither])
    return first, second


def test_mcnemar_by_hand():
    # 1 of 6 discordant documents: 2 * (C(6,0) + C(6,1)) / 2**6 = 14 / 64
    result = mcnemar_exact(*hits(10, 1, 5, 3))
    assert (result.only_first, result.only_second) == (1, 5)
    assert result.p_value == pytest.approx(14 / 64)


@given(st.integers(0, 40), st.integers(0, 40), st.integers(1, 40))
def test_mcnemar_is_the_binomial_tail_doubled(only_first, only_second, both):
    n, least = only_first + only_second, min(only_first, only_second)
    expected = min(1.0, 2 * sum(comb(n, k) for k in range(least + 1)) / 2**n)
    first, second = hits(both, only_first, only_second)
    assert mcnemar_exact(first, second).p_value == pytest.approx(expected)
    assert mcnemar_exact(second, first).p_value == pytest.approx(expected)  # symmetric
    shuffled = np.random.default_rng(0).permutation(len(first))
    assert mcnemar_exact(first[shuffled], second[shuffled]).p_value == pytest.approx(expected)


def test_equal_hits_on_all_documents_are_no_difference():
    first, _ = hits(5, 3, 0, 2)
    assert mcnemar_exact(first, first.copy()).p_value == 1.0


def test_mcnemar_of_millions_of_documents_is_near_its_chi_squared_approximation():
    result = mcnemar_exact(*hits(1_000_000, 150_600, 149_400))
    corrected = (abs(150_600 - 149_400) - 1) ** 2 / 300_000
    assert result.p_value == pytest.approx(scipy.stats.chi2.sf(corrected, 1), rel=1e-3)
    assert mcnemar_exact(*hits(0, 3_000_000, 0)).p_value == 0.0


def test_holm_by_hand():
    # sorted .01 .02 .03 .04, times 4 3 2 1: .04 .06 .06 .04, of which the last may not fall below .06
    assert holm([0.03, 0.01, 0.04, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([0.2]) == [0.2]
    assert holm([]) == []


@given(P_VALUES)
def test_holm_is_ordered_capped_and_between_the_raw_value_and_bonferroni(values):
    adjusted = holm(values)
    assert sorted(adjusted) == [adjusted[i] for i in np.argsort(values, kind="stable")]
    for raw, new in zip(values, adjusted, strict=True):
        assert raw <= new <= min(1.0, len(values) * raw) + 1e-12


@given(P_VALUES, st.sampled_from([0.01, 0.05, 0.3]))
def test_holm_rejects_what_the_step_down_procedure_rejects(values, level):
    if any(abs((len(values) - i) * p - level) < 1e-12 for i, p in enumerate(sorted(values))):
        return  # on the very limit rounding decides
    rejected = set()
    for i, position in enumerate(np.argsort(values, kind="stable").tolist()):
        if values[position] > level / (len(values) - i):
            break
        rejected.add(position)
    assert {i for i, p in enumerate(holm(values)) if p <= level} == rejected


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan")])
def test_holm_refuses_what_is_no_p_value(value):
    with pytest.raises(DataError, match="is not between 0 and 1"):
        holm([0.5, value])


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
