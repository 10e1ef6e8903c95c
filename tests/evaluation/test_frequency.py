import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from patent_hier.data.labels import document_labels
from patent_hier.errors import DataError
from patent_hier.evaluation.frequency import (
    BANDS,
    GROUPS,
    accuracy_by_group,
    frequency_groups,
    scores_by_band,
    training_counts,
)

COUNTS = st.dictionaries(st.text("ABC01", min_size=1, max_size=4), st.integers(0, 50), min_size=1)


def test_groups_by_hand():
    # before each class, of 100: A01 0, G06 40, H04 60, B60 80, C07 90, D21 95
    counts = {"D21": 5, "C07": 5, "B60": 10, "H04": 20, "G06": 20, "A01": 40, "F99": 0}
    assert frequency_groups(counts) == {
        "D21": "tail", "C07": "tail", "B60": "middle", "H04": "head", "G06": "head", "A01": "head", "F99": "unseen",
    }  # fmt: skip


def test_limits_are_exact_and_ties_stay_together():
    assert frequency_groups({"A01": 50, "B01": 40, "C01": 10}) == {"A01": "head", "B01": "middle", "C01": "tail"}
    assert frequency_groups({"A01": 49, "B01": 41, "C01": 10}) == {"A01": "head", "B01": "head", "C01": "tail"}
    assert set(frequency_groups({"A01": 7, "B01": 7, "C01": 7}).values()) == {"head"}
    assert frequency_groups({"A01": 1}) == {"A01": "head"}


@given(COUNTS)
def test_properties(counts):
    total = sum(counts.values())
    if total == 0:
        with pytest.raises(DataError):
            frequency_groups(counts)
        return
    groups = frequency_groups(counts)
    assert list(groups) == list(counts)
    held = {group: sum(counts[name] for name in counts if groups[name] == group) for group in GROUPS}
    assert 2 * held["head"] >= total
    assert 10 * (held["head"] + held["middle"]) >= 9 * total
    for first in counts:
        assert (groups[first] == "unseen") == (counts[first] == 0)
        for second in counts:  # more documents, never a later group; as many, the same
            if counts[first] >= counts[second]:
                assert GROUPS.index(groups[first]) <= GROUPS.index(groups[second])


def test_groups_of_nothing_are_refused():
    for counts in ({}, {"A01": 0}, {"A01": 3, "B01": -1}):
        with pytest.raises(DataError, match="classes cannot be grouped: "):
            frequency_groups(counts)


def test_accuracy_by_group():
    targets = np.array(["C01", "A01", "A01", "A01", "B01", "X99", "Y99"], dtype=object)
    hits = np.array([1, 1, 1, 0, 0, 0, 0], dtype=bool)
    groups = {"A01": "head", "B01": "head", "Z01": "middle", "C01": "tail", "Y99": "unseen"}
    scores = accuracy_by_group(targets, hits, groups)
    assert list(scores) == ["head", "tail", "unseen"]
    assert [(s.value, s.n_documents, s.n_classes_with_support) for s in scores.values()] == [
        (0.5, 4, 2), (1.0, 1, 1), (0.0, 2, 2),
    ]  # fmt: skip
    assert scores["head"].interval == (0.0, 1.0)  # bootstrap, 2 of 4: all or none in 1 of 16 samples each
    assert scores["tail"].interval == (1.0, 1.0)


@given(st.lists(st.tuples(st.sampled_from(["A01", "B01", "C01", "D01"]), st.booleans()), min_size=1))
def test_groups_add_up_to_all_documents(pairs):
    targets, hits = np.array([p[0] for p in pairs], dtype=object), np.array([p[1] for p in pairs])
    scores = accuracy_by_group(targets, hits, frequency_groups({"A01": 9, "B01": 8, "C01": 1}))
    assert sum(s.n_documents for s in scores.values()) == len(pairs)
    assert sum(s.n_classes_with_support for s in scores.values()) == len(set(targets))
    assert sum(s.value * s.n_documents for s in scores.values()) == pytest.approx(hits.sum())


def test_wrong_input_is_refused():
    targets, hits = np.array(["A01"], dtype=object), np.array([True])
    for arguments in ((targets, hits[:0], {}), (targets[:0], hits[:0], {}), (targets, hits, {"A01": "long tail"})):
        with pytest.raises(DataError):
            accuracy_by_group(*arguments)


def test_training_documents_count_for_their_main_symbol_and_all_above_it():
    paths = [("A", "A01", "A01B"), ("A", "A01", None), ("A", "A61", "A61K"), ("B", "B60", "B60K")]
    further = [[("B", "B60", "B60K")], [], [], []]
    labels = document_labels(
        [np.array(column, object) for column in zip(*paths, strict=True)], further, ("section", "class", "subclass")
    )
    counts = training_counts(labels, np.array([True, True, True, False]))
    assert dict(zip(labels.tree.codes.tolist(), counts.tolist(), strict=True)) == {
        "A": 3, "B": 0, "A01": 2, "A61": 1, "B60": 0, "A01B": 1, "A61K": 1, "B60K": 0,
    }  # fmt: skip


def test_bands_have_exact_limits():
    counts = np.array([0, 1, 4, 5, 19, 20, 10**6])
    everything = np.ones(7, bool)
    scores = scores_by_band(counts, np.arange(7), everything, everything)
    assert [(name, own.top_1.n_documents) for name, own in scores.items()] == [
        ("0", 1), ("1-4", 2), ("5-19", 2), ("20+", 2),
    ]  # fmt: skip
    assert tuple(scores) == BANDS


def test_bands_by_hand():
    counts, labels = np.array([0, 0, 0, 3, 3]), np.array([7, 7, 8, 9, 9])
    top_1 = np.array([0, 0, 0, 1, 0], bool)
    top_5 = np.array([1, 0, 0, 1, 1], bool)
    scores = scores_by_band(counts, labels, top_1, top_5)
    assert list(scores) == ["0", "1-4"]
    assert [(own.top_1.value, own.top_5.value) for own in scores.values()] == [(0, 1 / 3), (0.5, 1)]
    assert [(own.top_5.n_documents, own.top_5.n_classes_with_support) for own in scores.values()] == [(3, 2), (2, 1)]
