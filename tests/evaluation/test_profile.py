import copy
import json
import math

import numpy as np
import pytest

from patent_hier.data.familiarity import TextCounts
from patent_hier.errors import ArtifactError
from patent_hier.evaluation.profile import (
    BIGRAMS,
    CHARACTERS,
    LATIN,
    LENGTH,
    Observations,
    Profile,
    confidence_of,
    measures_of,
)
from patent_hier.evaluation.reference import PROFILE_FILE, Hits, Reference, load_reference
from patent_hier.evaluation.scores import TreeScores
from tests.trees import classes_of

TREE = classes_of(A="01 21", B="60")
TEXTS = [TextCounts(14, 12, 0, 3, 11, 2), TextCounts(5, 4, 1, 0, 3, 3), TextCounts(9, 0, 0, 0, 0, 0)]
SCORES = TreeScores(
    TREE,
    np.log(np.array([[0.9, 0.1, 0.2, 0.7, 0.1], [0.4, 0.6, 0.3, 0.1, 0.6], [0.25, 0.75, 0.05, 0.2, 0.75]], np.float32)),
)


@pytest.fixture
def found():
    return Observations.of_scores(TEXTS, SCORES)


@pytest.fixture
def reference(found):
    profile = Profile.of(TREE.levels, found)
    return Reference(frozenset({"一种", "种灯"}), profile, {"section": Hits(2, 3, 2), "class": Hits(0, 2, 1)})


def test_counts_of_documents(found):
    own = Profile.of(TREE.levels, found)
    assert own.documents == 3
    assert own.labels == {"section": {"A": 1, "B": 2}, "class": {"A21": 1, "B60": 2}}
    assert own.mean(CHARACTERS) == 1 / 16
    assert own.mean(BIGRAMS) == 5 / 14
    assert own.mean(LATIN) == 3 / 16
    assert own.mean(LENGTH) == 28 / 3
    assert own.mean(confidence_of("section")) == pytest.approx((0.9 + 0.6 + 0.75) / 3)
    assert own.bins["characters"][0] == 2  # nothing unseen; a text without letters has none
    assert own.bins["characters"][CHARACTERS.edges.index(0.25)] == 1
    assert own.bins["bigrams"][-1] == 1
    for one in measures_of(TREE.levels):
        assert own.bins[one.name].shape == (len(one.edges) + 1,)
        assert own.bins[one.name].sum() == 3


def test_profiles_add_up(found):
    whole = Profile.of(TREE.levels, found)
    parts = (
        Profile.of(TREE.levels, found.take([2])) + Profile.of(TREE.levels) + Profile.of(TREE.levels, found.take([0, 1]))
    )
    added, at_once = parts.as_dict(), whole.as_dict()
    assert added.pop("sums") == pytest.approx(at_once.pop("sums"))
    assert added == at_once
    assert Profile.of(TREE.levels).mean(CHARACTERS) is None


def test_a_file_is_read_as_it_was_written(reference, tmp_path):
    assert load_reference(tmp_path, TREE) is None
    (tmp_path / PROFILE_FILE).write_text(json.dumps(reference.as_dict()), "utf-8")
    read = load_reference(tmp_path, TREE)
    assert read.as_dict() == reference.as_dict()
    assert read.bigrams == reference.bigrams
    assert read.accuracies["section"].value == 2 / 3
    assert read.accuracies["class"].n_classes_with_support == 1


WRONG = [None, True, 0, -1, 0.5, 1e308, 10**400, math.nan, math.inf, "x", "nan", [], [1], {}, {"A": 1}, "\ud800"]
PLACES = [
    *(("version",), ("bigrams",), ("calibration",), ("calibration", "documents"), ("calibration", "bins")),
    *(("calibration", "bins", "latin"), ("calibration", "bins", "latin", 0), ("calibration", "labels")),
    *(("calibration", "labels", "section"), ("calibration", "labels", "class", "A21"), ("calibration", "sums")),
    *(("calibration", "sums", "unseen"), ("calibration", "sums", "confidence.class")),
    *(("hits", "class"), ("hits", "section", "right"), ("hits", "section", "labels")),
]
# Values that say nothing wrong: as numbers they are in range.
FINE = {("version",): [True], ("calibration", "sums", "unseen"): [True, 0, 0.5]}
FINE |= {("calibration", "sums", "confidence.class"): [True, 0, 0.5], ("hits", "section", "right"): [0]}
FINE |= {("hits", "section", "labels"): [0]}


@pytest.mark.parametrize("place", PLACES, ids=lambda place: ".".join(map(str, place)))
def test_anything_else_is_refused_in_one_line(reference, place, tmp_path):
    whole = json.loads(json.dumps(reference.as_dict()))
    for value in WRONG:
        content = copy.deepcopy(whole)
        inner = content
        for step in place[:-1]:
            inner = inner[step]
        if inner[place[-1]] == value or any(value is one for one in FINE.get(place, [])):
            continue
        inner[place[-1]] = value
        (tmp_path / PROFILE_FILE).write_text(json.dumps(content), "utf-8")
        with pytest.raises(ArtifactError, match="does not hold the profile") as refused:
            load_reference(tmp_path, TREE)
        assert "\n" not in str(refused.value)


@pytest.mark.parametrize("content", ["", "[]", "7", "{}", "{", "null"])
def test_other_files_are_refused(content, tmp_path):
    (tmp_path / PROFILE_FILE).write_text(content, "utf-8")
    with pytest.raises(ArtifactError):
        load_reference(tmp_path, TREE)


def test_a_profile_of_another_system_is_refused(reference, tmp_path):
    (tmp_path / PROFILE_FILE).write_text(json.dumps(reference.as_dict()), "utf-8")
    with pytest.raises(ArtifactError, match="the labels belong to another system"):
        load_reference(tmp_path, classes_of(A="01", C="07"))
