import json
import sys
import unicodedata
from collections.abc import Callable, Iterator
from functools import cache, lru_cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, processors
from tokenizers.implementations.bert_wordpiece import BertWordPieceTokenizer

from patent_hier.features import fast_wordpiece
from patent_hier.features.fast_wordpiece import FastWordPiece, build_encoder, fast_encoder
from patent_hier.features.pretrained import PACKAGED_ENCODERS, TOKENIZER, EncoderFiles
from patent_hier.features.vocabulary import demo_vocabulary
from patent_hier.features.wordpiece import load_tokenizer

LENGTHS = (3, 5, 10)
SMALL = EncoderFiles(PACKAGED_ENCODERS / "small", {}, False)
OPTIONS: dict[str, dict[str, Any]] = {
    "cased": {"lowercase": False},
    "cased without accents": {"lowercase": False, "strip_accents": True},
    "lower case with accents": {"strip_accents": False},
    "lower case without accents": {"strip_accents": True},
    "unclean": {"clean_text": False},
    "unclean and cased": {"clean_text": False, "lowercase": False},
}
NAMES = ("demo", "small", *OPTIONS, "added tokens")
# One case of everything that could join a character to its neighbours, or that is not a character.
HOSTILE = [
    "",
    " \t\r\n\u3000\u00a0",
    "[MASK]",
    "本发明[MASK]公开[SEP]",
    "[ MASK ] [mask] [MASK [[MASK]]",
    "a" * 100 + "，" + "a" * 101 + "，" + "1" * 300,
    "漢\u0301字\u0301\u0316",
    "が か\u3099 ハ\u309a 漢\u3099",
    "한국어 \u1112\u1161\u11ab",
    "👨\u200d👩\u200d👧 1\ufe0f\u20e3 *\ufe0f\u20e3 😀",
    "a\x00b\ufffdc\x7f漢\x01字\x85\x1c",
    "a\u200bb\ufeff漢\u200d字",
    "豈﨑\U0002f800\uf967",
    "\U00020bb7野家\U0002a6df\U0002a700\U0002b740\U0002b820\U0002ceb0\U00030000\U00031350",
    "\u9fff\u9ffd\u4db6\u4dbf㐀",
    "ΑΣ ΑΣ。Σ İI ſß ﬁ",
    "≠≮\u037e\u1fef\u0387 À́ A\u030a",
    "a\u302e\U0001d165漢\U0001d165\u302eb",
    "全角ＡＢＣ１２３（，。）℃㎡①",
    "PM2.5 of 1,000 mg/kg; TiO2 ##a",
    "本发明公开了一种" * 50,
    "the quick brown fox " * 40,
    "\U0010ffff\uffff\ue000",
]


def _vocabulary() -> dict[str, int]:
    return dict(json.loads((SMALL.folder / TOKENIZER).read_text("utf-8"))["model"]["vocab"])


@lru_cache
def _described(name: str) -> str:
    """A tokenizer by its name in ``NAMES``."""
    if name == "small":
        return load_tokenizer(SMALL, 10).to_str()
    if name == "demo":
        return BertWordPieceTokenizer({token: i for i, token in enumerate(demo_vocabulary())}, lowercase=True).to_str()
    tokenizer = Tokenizer.from_str(BertWordPieceTokenizer(_vocabulary(), **OPTIONS.get(name, {})).to_str())
    if name == "added tokens":
        flags = [
            AddedToken("foo bar", normalized=False, lstrip=True, rstrip=True),
            AddedToken("漢字" * 6, normalized=False, single_word=True),
            AddedToken("a", normalized=False, single_word=True),
            AddedToken("é", normalized=False),
        ]
        assert tokenizer.add_tokens(flags) > 0
    return tokenizer.to_str()


@cache
def _pair(name: str, max_length: int) -> tuple[FastWordPiece, Tokenizer]:
    tokenizer = Tokenizer.from_str(_described(name))
    tokenizer.enable_truncation(max_length)
    fast = build_encoder(tokenizer.to_str())
    assert fast is not None
    return fast, tokenizer


def _assert_equal(name: str, max_length: int, texts: list[str]) -> None:
    fast, tokenizer = _pair(name, max_length)
    ids, lengths = fast.encode(texts)
    expected = [encoding.ids for encoding in tokenizer.encode_batch(texts)]
    assert lengths.tolist() == [len(one) for one in expected]
    found = np.split(ids, np.cumsum(lengths)[:-1]) if texts else []
    for text, ours, theirs in zip(texts, found, expected, strict=True):
        assert ours.tolist() == theirs, ascii(text)


_ODD = sorted({character for text in HOSTILE for character in text})
_PIECES = st.one_of(
    st.sampled_from(_ODD),
    st.characters(exclude_categories=["Cs"]),
    st.characters(min_codepoint=0x3400, max_codepoint=0x9FFF),
    st.characters(categories=["Mn", "Mc", "Me", "Cf", "Zs", "Lm", "Sk"]),
    st.sampled_from(["[MASK]", "[SEP]", "[UNK]", "foo bar", "  foo bar ", "漢字" * 6, "é", "é", "a" * 101, "本发明"]),
)
_TEXTS = st.lists(st.lists(_PIECES, max_size=40).map("".join), max_size=4)


@pytest.mark.parametrize(
    "name", [pytest.param(own, marks=[] if own in ("demo", "small", "cased") else pytest.mark.slow) for own in NAMES]
)
@settings(deadline=None, max_examples=120)
@given(texts=_TEXTS, max_length=st.sampled_from(LENGTHS))
def test_any_text_has_the_ids_of_the_library(name: str, texts: list[str], max_length: int) -> None:
    _assert_equal(name, max_length, texts)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("max_length", [*LENGTHS, 64])
def test_hostile_texts_have_the_ids_of_the_library(name: str, max_length: int) -> None:
    _assert_equal(name, max_length, HOSTILE)
    _assert_equal(name, max_length, ["".join(HOSTILE)])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["small", pytest.param("unclean and cased", marks=pytest.mark.slow)])
def test_every_code_point_between_others(name: str) -> None:
    codes = [code for code in range(sys.maxunicode + 1) if unicodedata.category(chr(code)) not in ("Cs", "Co", "Cn")]
    unassigned = [0x9FFF, 0x2FE0, 0xFFFF, 0x1FFFF, 0x2A6E0, 0x2EBE1, 0x323B0, 0x10FFFF, 0xE000]
    codes += [code for code in unassigned if code not in codes]
    assert len(codes) > 140_000
    texts = ["".join(f"字{c}a{c}\u0301{c}{c}。" for c in map(chr, codes[i : i + 16])) for i in range(0, len(codes), 16)]
    _assert_equal(name, 1000, texts)


@pytest.mark.parametrize("before", ["字", "1 ", "a", "\u200b", "𠮷"])
def test_an_added_token_at_the_end_of_what_is_read(before: str) -> None:
    texts = [before * n + literal + "字a" for n in range(60) for literal in ("[MASK]", " foo bar ", "漢字" * 6)]
    _assert_equal("added tokens", 10, texts)
    _assert_equal("added tokens", 5, texts)


def test_texts_without_tokens_are_read_to_their_end() -> None:
    _assert_equal("small", 10, ["\u200b" * 5000 + "本发明", "字" + " " * 5000 + "本" * 20, "a" * 5000 + "字" * 20])


@pytest.mark.parametrize("text", ["a\ud800b", "字" * 500 + "\udfff"])
def test_half_a_surrogate_pair_is_refused_as_by_the_library(text: str) -> None:
    fast, tokenizer = _pair("small", 10)
    with pytest.raises(TypeError) as theirs:
        tokenizer.encode_batch(["一", text])
    with pytest.raises(TypeError) as ours:
        fast.encode(["一", text])
    assert str(ours.value) == str(theirs.value)


def test_ids_do_not_depend_on_how_texts_are_grouped(demo_texts: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [*HOSTILE, *demo_texts]
    monkeypatch.setattr(fast_wordpiece, "_TEXTS_AT_ONCE", 7)
    monkeypatch.setattr(fast_wordpiece, "_AT_ONCE", 100)
    _assert_equal("small", 64, texts)
    _assert_equal("demo", 64, texts)


def test_the_memory_of_runs_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fast_wordpiece, "_MOST_BYTES", 50_000)
    fast, tokenizer = _fresh("small", 10), _pair("small", 10)[1]
    remembered, room = [], []
    for start in range(0, 5000, 50):
        texts = [f"第{number}号 x{number}" for number in range(start, start + 50)]
        assert fast.encode(texts)[0].tolist() == [i for one in tokenizer.encode_batch(texts) for i in one.ids]
        remembered.append(len(fast._runs._places))
        room.append(len(fast._runs._pool))
    assert 200 <= max(remembered) <= 300
    assert remembered.count(100) > 20  # emptied again and again
    assert room[-1] == room[0]


def test_a_run_is_encoded_by_the_library_once(monkeypatch: pytest.MonkeyPatch) -> None:
    fast = _fresh("small", 10)
    asked: list[str] = []

    class Asked:
        def encode_batch_fast(self, runs: list[str], add_special_tokens: bool) -> Any:
            asked.extend(runs)
            return _pair("small", 10)[1].encode_batch_fast(runs, add_special_tokens=add_special_tokens)

    monkeypatch.setattr(fast._runs, "_plain", Asked())
    fast.encode(["轴承12和轴承12", "轴承12"])
    fast.encode(["12轴Ab，ab"])
    assert asked == ["12", "Ab", "ab"]


def _fresh(name: str, max_length: int) -> FastWordPiece:
    tokenizer = Tokenizer.from_str(_described(name))
    tokenizer.enable_truncation(max_length)
    fast = build_encoder(tokenizer.to_str())
    assert fast is not None
    return fast


def _tokenizer() -> Tokenizer:
    return Tokenizer.from_str(_pair("small", 10)[1].to_str())


def _template(*pieces: str) -> Any:
    return processors.TemplateProcessing(
        single=" ".join(pieces), pair=None, special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )


def test_a_template_is_known_too() -> None:
    tokenizer = _tokenizer()
    tokenizer.post_processor = _template("[SEP]", "$A", "[CLS]")
    fast = fast_encoder(tokenizer)
    assert fast is not None
    assert fast.encode(["本" * 20])[0].tolist() == tokenizer.encode("本" * 20).ids
    assert fast.encode([""])[0].tolist() == [3, 2]


def test_the_tables_of_a_tokenizer_are_made_once() -> None:
    assert fast_encoder(_tokenizer()) is fast_encoder(_tokenizer())


def _set(attribute: str, value: Any) -> Callable[[Tokenizer], None]:
    return lambda tokenizer: setattr(tokenizer, attribute, value)


def _others() -> Iterator[tuple[str, Callable[[Tokenizer], Any]]]:
    yield "characters joined", _set("normalizer", normalizers.BertNormalizer(handle_chinese_chars=False))
    yield "another normaliser", _set("normalizer", normalizers.Sequence([normalizers.BertNormalizer()]))
    yield "no normaliser", lambda tokenizer: setattr(tokenizer, "normalizer", normalizers.Lowercase())
    yield "another pre-tokenizer", _set("pre_tokenizer", pre_tokenizers.ByteLevel())
    yield "another model", _set("model", models.BPE())
    yield "no unknown token", _set("model", models.WordPiece({"a": 0}, unk_token="[UNK]"))
    yield "no [SEP]", _set("post_processor", _template("[CLS]", "$A"))
    yield "two [SEP]", _set("post_processor", _template("[CLS]", "$A", "[SEP]", "[SEP]"))
    yield "Roberta's", _set("post_processor", processors.RobertaProcessing(("[SEP]", 3), ("[CLS]", 2)))
    yield "no truncation", lambda tokenizer: tokenizer.no_truncation()
    yield "cut on the left", lambda tokenizer: tokenizer.enable_truncation(10, direction="left")
    yield "room for no token", lambda tokenizer: tokenizer.enable_truncation(2)
    yield "padding", lambda tokenizer: tokenizer.enable_padding()
    yield "a normalised token", lambda tokenizer: tokenizer.add_tokens([AddedToken("Foo", normalized=True)])
    yield "literals as text", _set("encode_special_tokens", True)


@pytest.mark.parametrize(("why", "change"), [pytest.param(*other, id=other[0]) for other in _others()])
def test_other_tokenizers_are_left_to_the_library(why: str, change: Callable[[Tokenizer], Any]) -> None:
    tokenizer = _tokenizer()
    assert fast_encoder(tokenizer) is not None
    change(tokenizer)
    assert fast_encoder(tokenizer) is None, why
