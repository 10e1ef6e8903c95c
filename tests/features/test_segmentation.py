import pytest
from hypothesis import given
from hypothesis import strategies as st

from patent_hier.features import segmentation
from patent_hier.features.segmentation import cut, jieba_tokenizer, rjieba_cut

CHINESE = (
    "本发明公开了一种用于半导体器件的制造方法及其装置，包括底座、转轴和第一齿轮；所述 ABS-2 型材料的含量为 3.5%～10%。"
)
HOSTILE = [
    *("", " ", "\n\r\n", "，", "a", "%", "+#&._%-", "中", "中a", "a中", "中 a 中", "中\u3000国", "中\u0301国"),
    *(
        "C++语言的3D打印",
        "pH值为7.5的NaCl溶液",
        "𠀀𠀁中国",
        "㐀㐁",
        "かな漢字",
        "中国\x00人民",
        "１２３ＡＢＣ",
        "①②③步骤",
    ),
]


@pytest.fixture
def by_jieba():
    return lambda text: list(jieba_tokenizer().cut(text))


def test_the_faster_way_is_there_when_the_tests_run():
    assert rjieba_cut() is not None


@pytest.mark.parametrize("text", [CHINESE, *HOSTILE])
def test_the_words_are_those_of_jieba(text, by_jieba):
    assert cut(text) == by_jieba(text)


def test_words_of_the_demo_are_those_of_jieba(demo_texts, by_jieba):
    assert [cut(text) for text in demo_texts] == [by_jieba(text) for text in demo_texts]


@given(st.text(st.one_of(st.sampled_from(CHINESE), st.characters(codec="utf-8")), max_size=40))
def test_the_words_of_any_text_are_those_of_jieba(text):
    words = cut(text)
    assert words == list(jieba_tokenizer().cut(text))
    assert "".join(words) == text


@given(st.text(st.characters(min_codepoint=0x4E00, max_codepoint=0x9FD5), max_size=30))
def test_the_words_of_rare_characters_are_those_of_jieba(text):
    assert cut(text) == list(jieba_tokenizer().cut(text))


@pytest.mark.parametrize("versions", [{"jieba": "0.42.1", "rjieba": "9.9"}, {"jieba": "0.43", "rjieba": "0.2.2"}])
def test_versions_that_were_not_compared_are_not_used(versions, monkeypatch, by_jieba):
    monkeypatch.setattr(segmentation, "version", versions.__getitem__)
    rjieba_cut.cache_clear()
    try:
        assert rjieba_cut() is None
        assert cut(CHINESE) == by_jieba(CHINESE)
    finally:
        rjieba_cut.cache_clear()
