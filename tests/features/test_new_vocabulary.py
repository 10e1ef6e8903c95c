import subprocess
import sys
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from patent_hier.errors import ConfigError, DataError
from patent_hier.features.new_vocabulary import build_vocabulary, read_vocabulary, write_tokenizer
from patent_hier.features.pretrained import EncoderFiles
from patent_hier.features.vocabulary import SPECIAL_TOKENS, demo_vocabulary
from patent_hier.features.wordpiece import load_tokenizer

TEXTS = ["一种LED灯，直径2.5mm的发光二极管", "电路板和LED驱动abc abcd", "甲"] * 3 + ["乙LEDx", "丙β"]
MIXED = ["一种LED 2.5mm发光二极管", "É前　后\n\tTAB", "ABC-abcd，。", "😀未知 xyzzy", "", "１２全角"]


def build(texts: list[str] = TEXTS, size: int = 8192, min_count: int = 3) -> list[str]:
    return build_vocabulary(lambda: iter([texts[:4], texts[4:]]), size, min_count)


def test_special_tokens_then_characters_then_pieces() -> None:
    tokens = build()
    assert tuple(tokens[:5]) == SPECIAL_TOKENS
    assert len(set(tokens)) == len(tokens)
    characters = set("".join(TEXTS).lower()) - {" "}
    inside = {token for token in tokens if token.startswith("##") and len(token) == 3}
    assert inside == {f"##{letter}" for letter in "bcdemx"}
    assert {token for token in tokens if len(token) == 1} == characters
    pieces = tokens[5 + len(inside) + len(characters) :]
    # By hand: with at least 3 occurrences, 2.5mm is "2", ".", "5mm"; LED stands 7 times, abc and abcd 3 times each.
    assert {"led", "abc", "abcd", "5mm"} < set(pieces)
    assert all(len(token) > 1 and token.removeprefix("##").isascii() for token in pieces)


def test_pieces_need_their_count() -> None:
    assert "abc" in build(min_count=6)  # in abc and abcd
    assert "abcd" not in build(min_count=4)
    assert [token for token in build(min_count=8) if len(token.removeprefix("##")) > 1] == list(SPECIAL_TOKENS)


def test_chinese_characters_stay_single_and_letters_small() -> None:
    tokens = build(["发光二极管LED"] * 50, min_count=1)
    assert {token for token in tokens if not token.isascii()} == set("发光二极管")
    assert not any(token != token.lower() for token in tokens if token not in SPECIAL_TOKENS)


def test_the_size_is_kept_and_the_most_frequent_characters_remain() -> None:
    for size in (100, 101, 150):
        texts = ["".join(chr(0x4E00 + number) * (1 + number // 40) for number in range(200)), "abcabc"]
        tokens = build(texts, size, 1)
        assert len(tokens) == size
        chinese = {token for token in tokens if token >= "\u4e00"}
        kept = len(chinese)
        by_count = sorted(range(200), key=lambda number: (-(1 + number // 40), number))
        assert chinese == {chr(0x4E00 + number) for number in by_count[:kept]}
        assert kept < 200
    assert len(build(TEXTS * 9, 100, 1)) <= 100


def test_the_same_text_makes_the_same_vocabulary_in_every_process() -> None:
    texts = [f"{'abcdefghij'[n % 10]}{'klmnopqrst'[n // 10 % 10]}{'uvwxyz'[n % 6]}字{n % 7}" for n in range(600)]
    code = (
        "import sys; from patent_hier.features.new_vocabulary import build_vocabulary as build; "
        f"texts = {texts!r}; print(*[t for size in (100, 200) for t in build(lambda: iter([texts]), size, 2)])"
    )
    one = [token for size in (100, 200) for token in build(texts, size, 2)]
    assert one == [token for size in (100, 200) for token in build(texts, size, 2)]
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True)
    assert other.stdout.split() == one


def test_a_text_without_characters() -> None:
    with pytest.raises(DataError, match="no character"):
        build(["\u200b", " "])


@pytest.mark.parametrize("vocabulary", [build(), demo_vocabulary()], ids=["own", "demo"])
def test_three_readers_of_the_written_tokenizer_agree(tmp_path: Path, vocabulary: list[str]) -> None:
    write_tokenizer(tmp_path, vocabulary, 64)
    hugging_face = AutoTokenizer.from_pretrained(tmp_path)
    ours = load_tokenizer(EncoderFiles(tmp_path, {}, False), 64)
    assert hugging_face.model_max_length == 64
    (tmp_path / "only").mkdir()
    (tmp_path / "only" / "vocab.txt").write_bytes((tmp_path / "vocab.txt").read_bytes())
    from_lines = load_tokenizer(EncoderFiles(tmp_path / "only", {}, False), 64)
    ids = {token: number for number, token in enumerate(vocabulary)}
    for text in MIXED:
        expected = ours.encode(text).ids
        assert hugging_face(text)["input_ids"] == expected == from_lines.encode(text).ids
        assert expected[0] == ids["[CLS]"]
        assert expected[-1] == ids["[SEP]"]
    assert ours.encode("发光abcd").tokens[1:3] == ["发", "光"]
    assert ours.encode("甲").ids == [ids["[CLS]"], ids["甲"], ids["[SEP]"]]


def test_reading_what_was_written(tmp_path: Path) -> None:
    tokens = [*build(), "\u2028", "\x85", "##\x1c"]  # of which str.splitlines would make more lines
    write_tokenizer(tmp_path, tokens, 64)
    assert read_vocabulary(tmp_path / "vocab.txt") == tokens


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (None, "cannot be read"),
        ("发".encode("gb18030"), "cannot be read"),
        (b"[PAD]\n[UNK]\na\n", r"lacks \[CLS\], \[SEP\], \[MASK\]"),
        (b"[UNK]\n[PAD]\n[CLS]\n[SEP]\n[MASK]\n", r"make \[PAD\] its first line"),
        (b"[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\nb\na\n", "lists a more than once"),
    ],
)
def test_vocabularies_that_cannot_be_used(tmp_path: Path, content: bytes | None, named: str) -> None:
    file = tmp_path / "vocab.txt"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigError, match=named) as caught:
        read_vocabulary(file)
    assert str(caught.value).startswith(f"vocabulary.path={file}")
    assert "\n" not in str(caught.value)
