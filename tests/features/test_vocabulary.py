import pytest

from patent_hier.features.pretrained import EncoderFiles
from patent_hier.features.vocabulary import SPECIAL_TOKENS, demo_vocabulary, gb2312_characters
from patent_hier.features.wordpiece import load_tokenizer


@pytest.fixture(scope="module")
def vocabulary() -> list[str]:
    return demo_vocabulary()


def test_tokens_are_distinct_and_one_to_a_line(vocabulary: list[str]) -> None:
    assert len(set(vocabulary)) == len(vocabulary)
    assert all(token and token == token.strip() and not any(c.isspace() for c in token) for token in vocabulary)
    assert "\n".join(vocabulary).splitlines() == vocabulary  # vocab.txt reads back as it was


def test_special_tokens_come_first(vocabulary: list[str]) -> None:
    assert tuple(vocabulary[:5]) == SPECIAL_TOKENS == ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def test_size_is_about_eight_thousand(vocabulary: list[str]) -> None:
    assert 7500 < len(vocabulary) < 8500


def test_gb2312_has_the_standards_counts() -> None:
    characters = gb2312_characters()
    assert len(characters) == 682 + 6763
    assert sum("\u4e00" <= character <= "\u9fff" for character in characters) == 6763
    assert characters[682] == "啊"
    assert characters[-1] == "齄"


def test_every_chinese_character_of_gb2312_is_a_token(vocabulary: list[str]) -> None:
    hanzi = {character for character in gb2312_characters() if "\u4e00" <= character <= "\u9fff"}
    assert hanzi <= set(vocabulary)


def test_order_is_the_same_in_each_call(vocabulary: list[str]) -> None:
    assert demo_vocabulary() == vocabulary


def test_few_unknown_tokens_in_demo_texts(demo_files: EncoderFiles, demo_texts: list[str]) -> None:
    encodings = load_tokenizer(demo_files, 512).encode_batch(demo_texts)
    tokens = [token for encoding in encodings for token in encoding.tokens]
    assert len(tokens) > 30_000
    assert tokens.count("[UNK]") / len(tokens) < 0.001
