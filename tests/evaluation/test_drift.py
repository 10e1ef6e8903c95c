import numpy as np
import pytest

from patent_hier.evaluation import drift
from patent_hier.evaluation.drift import LEAST_DOCUMENTS, compare
from patent_hier.evaluation.profile import Observations, Profile

LEVELS = ("section",)


def documents(n, seed, *, unseen=0.01, bigrams=0.2, length=20, latin=0.02, confidence=(4, 2), labels=(5, 3, 1, 1)):
    """Draw random documents; their letters, labels and confidences come from simple distributions."""
    rng = np.random.default_rng(seed)
    lengths = 3 + rng.poisson(length - 3, n)
    pairs = lengths - 1
    counts = [lengths, lengths, rng.binomial(lengths, unseen), rng.binomial(lengths, latin), pairs]
    counts.append(rng.binomial(pairs, bigrams))
    chosen = rng.choice(list("ABCD"), n, p=np.array(labels) / sum(labels)).astype(object)
    return Observations(np.stack(counts, axis=1), chosen[:, None], rng.beta(*confidence, (n, 1)))


def profile(n, seed, **facts):
    return Profile.of(LEVELS, documents(n, seed, **facts))


def alarms(shifts):
    return {shift.measure for shift in shifts if shift.is_alarm}


@pytest.fixture(scope="module")
def reference():
    return profile(1400, seed=0)


def test_samples_of_the_same_documents_raise_no_alarm(reference, monkeypatch):
    monkeypatch.setattr(drift, "_RESAMPLES", 1999)
    found = [compare(reference, profile(200, seed)) for seed in range(1, 51)]
    assert sum(bool(alarms(shifts)) for shifts in found) <= 1
    # p is neither always 1 nor small more often than chance makes it
    chances = [shift.p_value < 0.5 for shifts in found for shift in shifts]
    assert 0 < np.mean(chances) < 0.25


@pytest.mark.parametrize(
    ("change", "measures"),
    [
        ({"unseen": 0.2}, {"characters"}),
        ({"bigrams": 0.5}, {"bigrams"}),
        ({"latin": 0.7}, {"latin"}),
        ({"length": 80}, {"length"}),
        ({"confidence": (2, 4)}, {"confidence.section"}),
        ({"labels": (1, 1, 3, 5)}, {"labels.section"}),
    ],
)
@pytest.mark.parametrize("n", [LEAST_DOCUMENTS, 1000])
def test_other_documents_do(reference, change, measures, n):
    assert alarms(compare(reference, profile(n, 1, **change))) >= measures


def test_what_is_told(reference):
    shifts = compare(reference, profile(500, 1, unseen=0.2))
    names = ["characters", "bigrams", "latin", "length", "confidence.section", "labels.section"]
    assert [shift.measure for shift in shifts] == names
    first, *_, last = shifts
    assert first.before == pytest.approx(0.01, abs=0.002)
    assert first.now == pytest.approx(0.2, abs=0.01)
    assert first.distance > 0.5
    assert first.p_value == pytest.approx(6 / 5000)
    assert (last.before, last.now) == (None, None)
    assert compare(reference, profile(500, 1, unseen=0.2)) == shifts  # equal documents, equal numbers


def test_a_small_difference_between_many_documents_is_no_alarm(reference):
    (shift,) = (one for one in compare(reference, profile(100_000, 1, bigrams=0.21)) if one.measure == "bigrams")
    large = compare(profile(100_000, 2), profile(100_000, 1, bigrams=0.21))
    (certain,) = (one for one in large if one.measure == "bigrams")
    assert certain.p_value < 0.01
    assert not alarms(large)
    assert certain.distance == pytest.approx(shift.distance, abs=0.05)  # it does not grow with the documents


def test_few_documents_are_described_and_not_judged(reference):
    shifts = compare(reference, profile(LEAST_DOCUMENTS - 1, 1, unseen=0.5))
    assert not alarms(shifts)
    assert all(shift.p_value is None for shift in shifts)
    assert shifts[0].distance > 0.5
    assert alarms(compare(profile(40, 0), profile(500, 1, unseen=0.5)))  # few of calibration are enough


def test_one_document_can_be_compared(reference):
    assert all(0 <= shift.distance <= 1 for shift in compare(reference, profile(1, 1)))


def test_the_distance_is_that_of_jensen_and_shannon(reference):
    from scipy.spatial.distance import jensenshannon

    other = profile(5000, 1, length=80)
    (shift,) = (one for one in compare(reference, other) if one.measure == "length")
    plain = jensenshannon(reference.bins["length"], other.bins["length"], base=2)
    assert shift.distance == pytest.approx(plain, abs=0.01)  # less what chance makes of so many
