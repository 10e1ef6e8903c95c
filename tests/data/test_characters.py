import json
from pathlib import Path

import pytest

from patent_hier.data.characters import CHARACTERS_FILE, Characters, load_characters, sample
from patent_hier.errors import ArtifactError

THINGS = [f"{a}{b}{c}的{d}装置" for a in "一种新型" for b in "电水气" for c in "动热冷" for d in "测量加工"]


@pytest.fixture(scope="module")
def characters() -> Characters:
    return Characters.learn([*THINGS, "USB接口LED灯"])


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("一种电动测量装置", None),
        ("新型电热加工装置（编号3）", None),
        ("一種電動測量裝置", "traditional"),
        ("鯨鯊鱷魴", "unseen"),
        ("一种鲸装置", None),  # one letter proves nothing
        ("A device for measuring", "latin"),
        ("LED", None),
        ("３", None),
        ("", None),
    ],
)
def test_texts_that_training_has_not_shown(characters: Characters, text: str, why: str | None) -> None:
    assert characters.judge(text) == why


def test_training_documents_are_hardly_ever_strange(characters: Characters) -> None:
    assert not any(map(characters.judge, THINGS))
    assert characters.documents == len(THINGS) + 1


def test_rare_letters_are_unknown_to_a_large_training() -> None:
    texts = ["电动装置"] * 20_000 + ["電動裝置"] * 2
    assert Characters.learn(texts).judge("電動裝置") == "traditional"
    assert Characters.learn(texts[-1000:]).judge("電動裝置") is None


def test_a_file_is_read_as_it_was_written(characters: Characters, tmp_path: Path) -> None:
    assert load_characters(tmp_path) is None
    (tmp_path / CHARACTERS_FILE).write_text(json.dumps(characters.as_dict()), "utf-8")
    assert load_characters(tmp_path) == characters


@pytest.mark.parametrize(
    "content",
    [
        *([], {}, {"version": 0}, {"version": 1, "known": 3, "unseen": 0.1, "latin": 0.5}),
        {"version": 1, "known": "甲", "unseen": "x", "latin": 0.5},
        {"version": 1, "known": "甲", "unseen": -1, "latin": 0.5},
    ],
)
def test_another_file_is_refused(content: object, tmp_path: Path) -> None:
    (tmp_path / CHARACTERS_FILE).write_text(json.dumps(content), "utf-8")
    with pytest.raises(ArtifactError, match="export the model again"):
        load_characters(tmp_path)


def test_a_sample_is_spread_over_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("patent_hier.data.characters.MOST_TEXTS", 4)
    assert sample(map(str, range(10)), 10) == ["0", "3", "6", "9"]
