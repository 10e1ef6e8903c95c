import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers.implementations.byte_level_bpe import ByteLevelBPETokenizer
from tokenizers.normalizers import BertNormalizer

from patent_hier.data.context import SEPARATOR
from patent_hier.errors import DataError
from patent_hier.features.ngram_store import NgramReader
from patent_hier.features.offsets import lowered, place_tokens, spread_over_characters
from patent_hier.features.pretrained import PACKAGED_ENCODERS, EncoderFiles
from patent_hier.features.wordpiece import WordPieceReader, load_tokenizer
from patent_hier.features.words import WordReader, segmenter

# Full width, marks that compose or do not, emoji of several characters, capitals that grow, invisible characters.
ODD = [*"一种装置光Ａｂ（，。AbZ09 \t\n\u3000\xa0éÀが한İßΣ①㎡℃𠮷😀\x00\ufffd\u200b\ufeff-_"]
ODD += [
    "e\u0301",
    "か\u3099",
    "\u0301",
    "👨\u200d👩\u200d👧",
    "🇨🇳",
    "[MASK]",
    "[SEP]",
    "本发明",
    "LED",
    "  ",
    "unbelievable",
]
whole = st.lists(st.sampled_from(ODD), max_size=30).map("".join) | st.text(st.characters(exclude_categories=["Cs"]))
broken = st.lists(st.sampled_from([*ODD, "\ud83d", "\ude00"]), max_size=20).map("".join) | st.text()
QUICK = settings(max_examples=150, deadline=None)


def in_order(places: np.ndarray, text: str) -> bool:
    return bool((places >= 0).all() and (places <= len(text)).all() and (np.diff(places[:, 0]) >= 0).all())


@given(broken)
@QUICK
@example("İΣ")
def test_each_lower_character_knows_its_capital(text: str) -> None:
    placed = lowered(text)
    assert placed.text == text.lower()
    assert len(placed.starts) == len(placed.ends) == len(placed.text)
    for character, start, end in zip(placed.text, placed.starts, placed.ends, strict=True):
        assert end == start + 1
        assert character in text[start:end].lower() or (text[start:end], character) == ("Σ", "ς")


@given(broken, st.sampled_from(["chars", "words"]), st.integers(1, 12))
@QUICK
@example("İ 光", "chars", 2)
@example("", "words", 3)
@example(" \u3000", "words", 3)
def test_words_stand_where_they_were_cut(text: str, unit: str, max_length: int) -> None:
    reader = WordReader(("光", "装置", "i"), unit, max_length)
    placed = place_tokens(reader, text)
    assert placed.ids.tolist() == reader.encode([text])[0].tolist()
    assert placed.places.shape == (len(placed.ids), 2)
    words = segmenter(unit)(text)[:max_length]
    if not words:  # the unknown word covers no text
        assert (placed.ids.tolist(), placed.places.tolist()) == ([1], [[0, 0]])
        return
    for word, (start, end) in zip(words, placed.places.tolist(), strict=True):
        shown = text[start:end].lower().replace("ς", "σ")
        assert word.replace("ς", "σ") in shown
        assert len(shown) <= len(word) + 1  # a capital of two small characters may be cut in its middle
    assert in_order(placed.places, text)


@pytest.fixture(scope="module")
def reader(demo_files: EncoderFiles) -> WordPieceReader:
    return WordPieceReader(demo_files, 24)


def check_pieces(reader: WordPieceReader, text: str) -> None:
    placed = place_tokens(reader, text)
    assert placed.ids.tolist() == reader.encode([text])[0].tolist()
    assert placed.places.shape == (len(placed.ids), 2)
    assert placed.places[[0, -1]].tolist() == [[0, 0], [0, 0]]
    inner = placed.places[1:-1]
    assert in_order(inner, text)
    assert (inner[:, 0] < inner[:, 1]).all()
    normalize = BertNormalizer(lowercase=True).normalize_str
    tokenizer = load_tokenizer(reader.files, reader.max_length)
    for number, (start, end) in zip(placed.ids[1:-1].tolist(), inner.tolist(), strict=True):
        token, shown = tokenizer.id_to_token(number), text[start:end]
        if token == "[UNK]" or shown == token:
            continue
        assert token.removeprefix("##") in normalize(shown).strip()


@given(whole)
@QUICK
@example("")
@example("   ")
@example("ＡＢ e\u0301 が😀光[MASK]光 Unbelievable İ 한")
def test_pieces_stand_where_the_tokenizer_took_them(reader: WordPieceReader, text: str) -> None:
    check_pieces(reader, text)


@given(whole)
@settings(max_examples=15, deadline=None)
def test_pieces_of_a_large_vocabulary(text: str) -> None:
    for folder in sorted(path.parent for path in PACKAGED_ENCODERS.glob("*/vocab.txt")):
        check_pieces(WordPieceReader(EncoderFiles(folder, {}, False), 40), text)


def test_pieces_by_hand(reader: WordPieceReader) -> None:
    placed = place_tokens(reader, " 一种\u3000光。")
    assert placed.places.tolist() == [[0, 0], [1, 2], [2, 3], [4, 5], [5, 6], [0, 0]]
    assert placed.neutral == load_tokenizer(reader.files, 8).token_to_id("[MASK]")
    assert len(place_tokens(reader, "光" * 90).ids) == 24


@given(whole)
@settings(max_examples=60, deadline=None)
@example("光é😀 x")
def test_bytes_stand_where_their_characters_do(byte_reader: WordPieceReader, text: str) -> None:
    placed = place_tokens(byte_reader, text)
    assert placed.ids.tolist() == byte_reader.encode([text])[0].tolist()
    assert in_order(placed.places, text)
    assert placed.neutral is None
    covered = {position for start, end in placed.places.tolist() for position in range(start, end)}
    end = int(placed.places[:, 1].max(initial=0))  # nothing before the cut is left out but blanks at an edge of a token
    assert all(position in covered or text[position].isspace() for position in range(end))


@pytest.fixture(scope="module")
def byte_reader(tmp_path_factory: pytest.TempPathFactory) -> WordPieceReader:
    folder = tmp_path_factory.mktemp("bytes")
    pieces = ByteLevelBPETokenizer()
    pieces.train_from_iterator(iter(["一种装置 LED"]), vocab_size=300, min_frequency=1, show_progress=False)
    pieces.save(str(folder / "tokenizer.json"))
    return WordPieceReader(EncoderFiles(folder, {}, False), 24)


def test_half_a_surrogate_pair_is_one_line(reader: WordPieceReader) -> None:
    with pytest.raises(DataError, match=r"character 1 of the text is '\\ud83d', half of a surrogate pair"):
        place_tokens(reader, "光\ud83d")


TERMS = ("光", "一种", "i", "i\u0307", "ab", " ", " 光", "光 ", "装置光", "σ")


@given(broken.filter(lambda text: SEPARATOR not in text), st.integers(0, 2**32 - 1))  # no text has it, see normalise
@QUICK
@example("光  光\t\n 光 İ", 1)
@example("", 1)
def test_shares_of_terms_add_up(text: str, seed: int) -> None:
    reader = NgramReader(TERMS, (1, 3))
    contributions = np.random.default_rng(seed).normal(size=len(TERMS))
    places, scores = spread_over_characters(reader, text, contributions)
    counted = reader.encode([text]).matrix.toarray()[0] > 0
    assert scores.sum() == pytest.approx(contributions[counted].sum(), abs=1e-9)
    assert in_order(places, text)
    assert (places[:, 0] < places[:, 1]).all()


def test_shares_by_hand() -> None:
    reader = NgramReader(TERMS, (1, 3))
    only = np.zeros(len(TERMS))
    only[TERMS.index("一种")] = 4.0
    places, scores = spread_over_characters(reader, "一种x一种光y", only)
    assert places.tolist() == [[0, 1], [1, 2], [3, 4], [4, 5], [5, 6]]  # 光 is known, x and y are not
    assert scores.tolist() == [1, 1, 1, 1, 0]
    only = np.zeros(len(TERMS))
    only[TERMS.index(" 光")] = 2.0
    places, scores = spread_over_characters(reader, "z \t 光", only)
    assert places.tolist() == [[1, 4], [4, 5]]  # a run of white space is one blank
    assert scores.tolist() == [1, 1]
