import pytest

from patent_hier.data import familiarity
from patent_hier.data.familiarity import Familiar, bigrams_of, common_bigrams, joined, parted


def test_pairs_of_neighbouring_letters():
    assert bigrams_of("一种LED灯，5G") == ["一种", "种L", "LE", "ED", "D灯"]
    assert bigrams_of("") == bigrams_of("灯") == []


def test_counts_of_a_text():
    familiar = Familiar(frozenset("一种灯LED"), frozenset({"一种", "LE", "ED"}))
    counts = familiar.count("一种LED灯，鍋")
    assert counts._asdict() == {
        "length": 8,
        "letters": 7,
        "unseen": 1,
        "latin": 3,
        "bigrams": 5,
        "unseen_bigrams": 2,
    }


def test_the_most_frequent_bigrams_are_known(monkeypatch):
    texts = ["一种灯"] * 60 + ["一种锁"] * 39 + ["甲乙"]
    assert common_bigrams(texts) == {"一种", "种灯", "种锁"}  # 198 of 199 pairs: more than 99 %
    monkeypatch.setattr(familiarity, "MOST_BIGRAMS", 2)
    assert common_bigrams(texts) == {"一种", "种灯"}
    assert common_bigrams(["乙甲", "甲乙"] * 2) == {"乙甲", "甲乙"}


def test_a_file_holds_them_as_one_string():
    known = frozenset({"种灯", "一种", "𠀀好"})
    assert parted(joined(known)) == known
    assert joined(known) == joined(sorted(known))
    assert parted("") == frozenset()


@pytest.mark.parametrize("text", [None, 7, ["一种"], "一种灯", "一 ", "12", "\ud800一", "一种" * 20_001])
def test_anything_else_is_refused(text):
    with pytest.raises(ValueError, match="not a string of bigrams"):
        parted(text)
