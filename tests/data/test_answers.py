"""A teacher's answers on disk, and as targets."""

from pathlib import Path

import numpy as np
import pytest

from patent_hier.artifacts import seal
from patent_hier.data.answers import ANSWERS_FILE, ANSWERS_KIND, Answers
from patent_hier.data.near_duplicates import letters
from patent_hier.errors import ArtifactError, ConfigError
from patent_hier.taxonomy.tree import LabelTree

TREE = LabelTree.from_paths([("A", "A01"), ("A", "A23"), ("B", "B60")], ("section", "class"))
P = [[0.6, 0.3, 0.1], [0.5, 0.4999, 0.0001]]
FACTS = {"labels_kept": 3, "teacher": {"model": "linear"}}
ANSWERS = Answers(
    np.array(["CN1"], object),
    ("一种装置",),
    np.array([["B60", "A01", "A23"], ["A01", "Z99", "A23"]], object),
    np.log(P).astype(np.float32),
    FACTS,
)


def written(folder: Path) -> Path:
    folder.mkdir()
    ANSWERS.write(folder)
    seal(folder, {"kind": ANSWERS_KIND, **FACTS})
    return folder


def test_they_come_back_as_they_were(tmp_path: Path) -> None:
    found = Answers.open(written(tmp_path / "answers"))
    assert found.document_ids.tolist() == ["CN1"]
    assert found.texts == ("一种装置",)
    assert found.labels.tolist() == ANSWERS.labels.tolist()
    np.testing.assert_array_equal(found.log_prob, ANSWERS.log_prob)
    assert found.facts["teacher"] == FACTS["teacher"]


def test_what_is_no_answers_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="contains no answers of a teacher"):
        Answers.open(tmp_path)
    folder = written(tmp_path / "answers")
    (folder / ANSWERS_FILE).write_bytes((folder / ANSWERS_FILE).read_bytes()[:-1])
    with pytest.raises(ArtifactError, match="is damaged"):
        Answers.open(folder)


def test_targets_are_whole_distributions_over_what_the_student_knows() -> None:
    leaves, shares = ANSWERS.targets(TREE, 1.0)
    assert TREE.codes[leaves[0]].tolist() == ["B60", "A01", "A23"]
    assert shares[0] == pytest.approx([0.6, 0.3, 0.1])
    assert leaves[1].tolist() == [*TREE.find("class", ["A01", "Z99", "A23"])]
    assert shares[1] == pytest.approx([1, 0, 0])  # Z99 is unknown, and what is left of A23 too small to matter
    softer = ANSWERS.targets(TREE, 2.0)[1][0]
    assert softer == pytest.approx(np.sqrt(P[0]) / np.sqrt(P[0]).sum())


def test_an_answer_of_unknown_labels_alone_is_none() -> None:
    tree = LabelTree.from_paths([("C", "C07"), ("C", "C08")], ("section", "class"))
    assert not ANSWERS.targets(tree, 1.0)[1].any()


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ("一种装置，包括Ａ", "一种装置 包括a。", True),
        ("一种装置", "一种方法", False),
        ("，。 ", "", True),
    ],
)
def test_texts_are_equal_whatever_their_punctuation(one: str, other: str, equal: bool) -> None:
    assert (letters(one) == letters(other)) == equal
