import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.implementations.bert_wordpiece import BertWordPieceTokenizer

from patent_hier.artifacts import verify
from patent_hier.atomic import read_json
from patent_hier.errors import ArtifactError, DataError
from patent_hier.features.packing import HELD_OUT, TRAINING, PackedText, pack, packing_version, word_starts
from patent_hier.features.passages import is_held_out
from patent_hier.features.segmentation import cut
from tests.pieces import unigram

TOKENS = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    *"一种发光二极管电路",
    "led",
    "2",
    ".",
    "5",
    "##mm",
    "##ed",
    "l",
]
IDS = {token: number for number, token in enumerate(TOKENS)}
SEP = IDS["[SEP]"]


def tokenizer(tokens: list[str] = TOKENS) -> Tokenizer:
    inner = BertWordPieceTokenizer({token: number for number, token in enumerate(tokens)}, lowercase=True)
    return Tokenizer.from_str(inner.to_str())


def starts_of(text: str, tokens: list[str] = TOKENS) -> list[tuple[str, bool]]:
    encoding = tokenizer(tokens).encode(text, add_special_tokens=False)
    return list(zip(encoding.tokens, word_starts(text, encoding).tolist(), strict=True))


def packed(folder: Path, texts: list[str], held_out: float = 0.3) -> Path:
    folder.mkdir()
    pack([texts[:3], texts[3:]], tokenizer(), SEP, held_out, folder)
    return folder


def test_words_of_a_sentence_with_latin_letters_digits_and_blanks() -> None:
    # jieba: 一种 LED (blank) 2.5 mm 发光 二极管; the tokenizer parts 2.5mm at its dot only, the rest is 5 and ##mm
    expected = "+一 -种 +led +2 -. -5 +##mm +发 -光 +二 -极 -管"
    found = starts_of("一种LED 2.5mm发光二极管")
    assert " ".join(f"{'-+'[start]}{token}" for token, start in found) == expected


def test_pieces_and_second_characters_do_not_begin_words() -> None:
    pieces = [token for token in TOKENS if token != "led"]
    assert starts_of("LED电路", pieces) == [("l", True), ("##ed", False), ("电", True), ("路", False)]
    # white space separates, and is no token; a new word begins after it
    assert starts_of("电 路\u3000电路") == [("电", True), ("路", True), ("电", True), ("路", False)]
    assert starts_of("") == []


def test_pieces_that_hold_the_blank_before_them() -> None:
    sentencepiece = unigram()
    encoding = sentencepiece.encode("发光 LED电路 a", add_special_tokens=False)
    assert encoding.tokens == ["▁", "发光", "▁LED", "电路", "▁a"]
    # the first ▁ is hidden with the word that it stands before; jieba: 发光, LED, 电路, a
    assert word_starts("发光 LED电路 a", encoding).tolist() == [True, False, True, True, True]
    encoding = sentencepiece.encode("abcder 发光 der1", add_special_tokens=False)
    assert encoding.tokens == ["▁", "abc", "der", "▁", "发光", "▁der", "1"]
    # a ▁ inside a text is white space, a word of its own
    assert word_starts("abcder 发光 der1", encoding).tolist() == [True, False, False, True, True, True, False]
    assert (packing_version(sentencepiece), packing_version(tokenizer())) == (2, 1)


@given(st.text("一种发光二极管电路LEDl25.m \u3000é\u0301\u200b\x00😀", max_size=40))
@settings(deadline=None)
def test_a_token_begins_a_word_if_no_earlier_token_of_the_word_exists(text: str) -> None:
    word_of = [number for number, word in enumerate(cut(text)) for _ in word]
    assert len(word_of) == len(text)
    encoding = tokenizer().encode(text, add_special_tokens=False)
    seen: set[int] = set()
    expected = []
    for first, _ in encoding.offsets:
        expected.append(word_of[first] not in seen)
        seen.add(word_of[first])
    assert word_starts(text, encoding).tolist() == expected


def test_passages_end_to_end_each_with_its_separator(tmp_path: Path) -> None:
    texts = ["电路", "一种LED", "发光", "二极管", "种种", "管", "路 电"]
    (tmp_path / "packed").mkdir()
    pack([texts[:3], texts[3:]], tokenizer(), SEP, 0.4, tmp_path / "packed")
    manifest = read_json(tmp_path / "packed" / "manifest.json")
    for part in (TRAINING, HELD_OUT):
        chosen = [text for text in texts if is_held_out(text, 0.4) == (part == HELD_OUT)]
        expected = [number for text in chosen for number in (*(IDS[t] for t, _ in starts_of(text)), SEP)]
        starts = [start for text in chosen for start in (*(start for _, start in starts_of(text)), True)]
        text = PackedText.open(tmp_path / "packed", part)
        assert (text.ids.tolist(), text.starts.tolist()) == (expected, starts)
        assert (str(text.ids.dtype), str(text.starts.dtype), len(text)) == ("uint16", "bool", len(expected))
        assert text.starts[text.ids == SEP].all()
        assert manifest["passages"][part] == len(chosen) > 0
        assert manifest["tokens"][part] == len(expected)
    assert manifest["characters"] == sum(map(len, texts))
    verify(tmp_path / "packed")


def test_equal_passages_are_on_one_side(tmp_path: Path) -> None:
    texts = [f"{a}{b}" for a in "电路发光" for b in "一二种管"]
    folder = packed(tmp_path / "packed", texts * 3)
    sides = []
    for part in (TRAINING, HELD_OUT):
        ids = PackedText.open(folder, part).ids
        sides.append({tuple(piece) for piece in np.split(ids, np.flatnonzero(ids == SEP) + 1) if len(piece)})
    assert len(sides[0]) + len(sides[1]) == len(texts)
    assert not sides[0] & sides[1]


def test_large_vocabularies(tmp_path: Path) -> None:
    tokens = [*TOKENS, *(f"filler{number}" for number in range(70_000)), "光路"]
    (tmp_path / "packed").mkdir()
    pack([["电", "filler69999", "路", "光", "一", "种"]], tokenizer(tokens), SEP, 0.3, tmp_path / "packed")
    parts = [PackedText.open(tmp_path / "packed", part) for part in (TRAINING, HELD_OUT)]
    assert {str(text.ids.dtype) for text in parts} == {"uint32"}
    assert max(int(text.ids.max()) for text in parts) == tokens.index("filler69999")


@pytest.mark.parametrize(("held_out", "empty"), [(1e-6, "held-out"), (1.0, "training")])
def test_a_part_without_passages(tmp_path: Path, held_out: float, empty: str) -> None:
    with pytest.raises(DataError, match=f"the text has no {empty} passages; .*held_out"):
        packed(tmp_path / "packed", ["电路"] * 6, held_out)


def test_damaged_folders_are_named(tmp_path: Path) -> None:
    whole = packed(tmp_path / "whole", ["电路", "一种LED", "发光", "二极管", "种种", "管", "路 电"])

    def refusal(change: str, content: bytes | None) -> None:
        folder = tmp_path / "damaged"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(whole, folder)
        (folder / change).unlink()
        if content is not None:
            (folder / change).write_bytes(content)
        with pytest.raises(ArtifactError, match=str(folder)) as caught:
            PackedText.open(folder, TRAINING)
        assert "\n" not in str(caught.value)

    ids = (whole / "training-ids.bin").read_bytes()
    refusal("manifest.json", None)
    refusal("manifest.json", b"{}")
    refusal("training-ids.bin", None)
    refusal("training-ids.bin", b"")
    refusal("training-ids.bin", ids[:-1])
    refusal("training-ids.bin", ids[:-2])
    refusal("training-starts.bin", b"\x01")
