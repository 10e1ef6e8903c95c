from pathlib import Path

import numpy as np
import pytest

from patent_hier.errors import ArtifactError
from patent_hier.features.text_digests import DIGESTS_FILE, TextDigests, clauses

PASSAGES = [
    "一种多功能高空焊接机器人",
    "本发明公开了一种垃圾焚烧炉渣处理装置，包括显示面板。该装置（LED 灯）成本低。",
    "Device for measuring, with a laser",
]


@pytest.fixture
def digests() -> TextDigests:
    return TextDigests.of([PASSAGES[:1], PASSAGES[1:]])


def test_clauses_without_case_blanks_and_openings() -> None:
    found = ["垃圾焚烧炉渣处理装置", "包括显示面板"]  # clauses shorter than six letters are in any text
    assert list(clauses(PASSAGES[1])) == found
    assert list(clauses("Ａ LED 灯具的散热，x")) == ["aled灯具的散热"]
    assert list(clauses("显示一种")) == []


def test_what_was_read(digests: TextDigests) -> None:
    texts = {
        "一种多功能高空焊接机器人。": (True, True),  # a passage, apart from punctuation
        "多功能高空焊接机器人": (False, True),  # without its opening, only its clause was read
        "垃圾焚烧炉渣处理装置": (False, True),
        "一种垃圾焚烧炉渣处理装置": (False, True),
        "DEVICE for MEASURING": (False, True),
        PASSAGES[1]: (True, True),
        "垃圾焚烧炉渣处理装置，包括照明面板": (False, False),  # one of its clauses is new
        "焚烧炉渣处理装置": (False, False),  # not a clause in this form
        "显示面板": (False, False),  # too short to decide
        "": (False, False),
    }
    passages, within = digests.find(list(texts))
    assert list(zip(passages.tolist(), within.tolist(), strict=True)) == list(texts.values())
    assert [part.tolist() for part in digests.find([])] == [[], []]


def test_files_and_unions(digests: TextDigests, tmp_path: Path) -> None:
    assert TextDigests.open(tmp_path) is None
    digests.save(tmp_path)
    assert np.array_equal(TextDigests.open(tmp_path).digests, digests.digests)  # type: ignore[union-attr]  # it is there
    assert (tmp_path / DIGESTS_FILE).stat().st_size == 128 + 5 * len(digests)
    first, second = TextDigests.of([PASSAGES[:1]]), TextDigests.of([PASSAGES])
    assert np.array_equal(first.joined(second).digests, second.digests)
    assert (np.diff(second.digests.astype(np.int64)) > 0).all()


@pytest.mark.parametrize("damage", ["cut", "objects", "unsorted", "floats"])
def test_damaged_files_are_one_line(digests: TextDigests, tmp_path: Path, damage: str) -> None:
    digests.save(tmp_path)
    file = tmp_path / DIGESTS_FILE
    if damage == "cut":
        file.write_bytes(file.read_bytes()[:-3])
    elif damage == "objects":
        np.save(file, np.array([{}]), allow_pickle=True)
    elif damage == "unsorted":
        TextDigests(digests.digests[::-1]).save(tmp_path)
    else:
        np.save(file, np.zeros((2, 5)))
    with pytest.raises(ArtifactError, match=r"text_digests\.npy is damaged") as caught:
        TextDigests.open(tmp_path)
    assert "\n" not in str(caught.value)
