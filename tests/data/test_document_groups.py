import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from patent_hier.data.corpus import Corpus, prepare
from patent_hier.data.document_groups import find_groups, linked, refuse_torn
from patent_hier.data.near_duplicates import equal_texts, letters, near_duplicates
from patent_hier.data.raw import PAPER_COLUMNS, RawFormat
from patent_hier.errors import DataError

HAN = [chr(point) for point in range(0x4E00, 0x4E00 + 600)]


def written(rng, length=150):
    return "".join(rng.choice(HAN, length))


def groups_of(texts):
    codes = near_duplicates(lambda: iter(texts), texts.__getitem__, equal_texts(texts))
    return [sorted(np.flatnonzero(codes == code).tolist()) for code in dict.fromkeys(codes.tolist())]


def test_edited_texts_are_found_and_others_are_not():
    """Three of 150 characters changed leave a similarity of 0.89; a third of the text rewritten one of 0.5."""
    rng = np.random.default_rng(1)
    texts = [written(rng) for _ in range(400)]
    edited, rewritten = [], []
    for text in texts:
        changed = list(text)
        for place in rng.choice(150, 3, replace=False):
            changed[place] = "改"
        edited.append("".join(changed))
        rewritten.append(text[:100] + written(rng, 50))
    codes = near_duplicates(
        lambda: iter([*texts, *edited]), [*texts, *edited].__getitem__, equal_texts([*texts, *edited])
    )
    assert (codes[:400] == codes[400:]).mean() >= 0.995
    assert len(np.unique(codes)) >= 400
    assert len(groups_of([*texts, *rewritten])) == 800


def test_what_does_not_count():
    assert letters("一种ＬＥＤ灯，包括：灯罩。") == letters("一种 led 灯 包括灯罩")
    assert equal_texts(["一种灯。", "一种灯", "", "。", "一种床"]).tolist() == [0, 0, 1, 1, 2]
    assert groups_of(["一", "二", "一"]) == [[0, 2], [1]]
    assert groups_of([]) == []


def test_chains_are_one_group():
    rng = np.random.default_rng(2)
    chain = [written(rng)]
    for step in range(8):
        chain.append(chain[-1][: 10 * step] + "新的" + chain[-1][10 * step + 2 :])
    assert groups_of(chain) == [list(range(9))]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6))
def test_order_does_not_matter(seed):
    rng = np.random.default_rng(seed)
    texts = [written(rng, 40) for _ in range(10)]
    texts += [text[:39] + "改" for text in texts[:5]] + texts[:2]
    mixed = rng.permutation(len(texts))
    there = {frozenset(texts[i] for i in group) for group in groups_of(texts)}
    assert {frozenset(texts[mixed[i]] for i in group) for group in groups_of([texts[i] for i in mixed])} == there


def test_linked_by_any_key():
    assert linked([["a", "b", None, "a", None], [1, 2, 2, 3, None]]).tolist() == [0, 1, 1, 0, 2]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Documents as title, abstract, applicant, kind and day of application."""
    rows = [
        ("一种灯", "一种灯，包括灯罩和灯座", "甲公司;", "发明", "2019.01.02"),
        ("一种灯", "本实用新型提供灯", "甲公司", "实用新型", "2019.01.02"),  # one title
        ("发光装置", "一种灯,包括灯罩和灯座。", "甲公司;", "实用新型", "2019.03.02"),  # one text
        ("一种灯", "一种灯，用于其他地方", "乙公司", "发明", "2019.01.02"),  # another applicant
        ("一种床", "一种床，包括床板", "个人", "发明", "2019.01.02"),
        ("一种床", "本实用新型提供床", "个人", "实用新型", "2019.01.02"),  # of one day
        ("一种床", "一张折叠的床", "个人", "发明", "2019.01.09"),  # of another: perhaps another person
        ("一种椅", "一把椅子", "", "发明", ""),
    ]
    columns = list(PAPER_COLUMNS)
    lines = [",".join(PAPER_COLUMNS.values())]
    for number, (title, abstract, applicant, kind, day) in enumerate(rows):
        row = dict.fromkeys(columns, "")
        row |= {"publication_number": f"CN10{number:05d}A", "symbols": "F21S2/00", "title": title, "kind": kind}
        row |= {"abstract": f'"{abstract}"', "applicant": applicant, "application_date": day}
        lines.append(",".join(row[name] for name in columns))
    folder = tmp_path_factory.mktemp("corpus")
    (folder / "raw.csv").write_text("\n".join(lines), "gb18030")
    (folder / "corpus").mkdir()
    prepare(folder / "raw.csv", folder / "corpus", RawFormat())
    return Corpus.open(folder / "corpus")


def test_families(corpus):
    codes, names = find_groups(corpus, "family")
    assert codes.tolist() == [0, 0, 0, -1, 1, 1, -1, -1]
    assert names == [corpus.document_ids[0].as_py(), corpus.document_ids[4].as_py()]
    assert find_groups(corpus, "family", np.array([1, 3, 4, 5]))[0].tolist() == [-1, -1, 0, 0]


def test_equal_texts_of_any_applicant(corpus):
    codes, _ = find_groups(corpus, "deduplicated")
    assert codes.tolist() == [0, -1, 0, -1, -1, -1, -1, -1]
    assert find_groups(corpus, "deduplicated", np.array([7, 2, 0]))[0].tolist() == [-1, 0, 0]
    assert find_groups(corpus, "random") is None
    assert find_groups(corpus, "date") is None


def test_a_torn_group_is_refused():
    groups = np.array([0, 0, -1, 1, 1])
    refuse_torn(groups, np.array([1, 1, 0, 2, 2], np.int8), "family")
    with pytest.raises(DataError, match="violates its policy family: 1 groups"):
        refuse_torn(groups, np.array([1, 0, 0, 2, 2], np.int8), "family")
