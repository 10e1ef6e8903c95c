import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from tokenizers.implementations.bert_wordpiece import BertWordPieceTokenizer

from patent_hier.errors import ConfigError
from patent_hier.features.trimming import Vocabulary
from tests.pieces import CHARACTERS, unigram

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
MERGES = [("a", "b"), ("ab", "c"), ("d", "e"), ("de", "r"), ("abc", "der"), ("b", "c"), ("Ġ", "d"), ("e", "r")]


def wordpiece() -> Tokenizer:
    parts = "abcder012"
    own = [*CHARACTERS, *(f"##{part}" for part in (*parts, "bc", "der", "发")), "ab", "abc", "led"]
    tokens = [*SPECIAL, *dict.fromkeys(token.lower() for token in own)]
    inner = BertWordPieceTokenizer({token: number for number, token in enumerate(tokens)}, lowercase=True)
    return Tokenizer.from_str(inner.to_str())


def bpe() -> Tokenizer:
    tokens = [
        "<s>",
        "</s>",
        *sorted(pre_tokenizers.ByteLevel.alphabet()),
        *dict.fromkeys("".join(pair) for pair in MERGES),
    ]
    tokenizer = Tokenizer(models.BPE({token: number for number, token in enumerate(tokens)}, MERGES))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 1), ("<s>", 0))
    tokenizer.add_special_tokens(["<s>", "</s>", "<mask>"])
    return tokenizer


KINDS = {"unigram": unigram, "wordpiece": wordpiece, "bpe": bpe}


def trimmed(vocabulary: Vocabulary, texts: list[str], min_count: int = 1) -> tuple[Tokenizer, np.ndarray]:
    counts = np.zeros(len(vocabulary.pieces), np.int64)
    for ids in vocabulary.encode(texts):
        np.add.at(counts, ids, 1)
    return vocabulary.cut(vocabulary.needed(counts, min_count, []))


@pytest.mark.parametrize("kind", KINDS)
@given(texts=st.lists(st.text("abcder01 一发光电路LED〇𠀀é", max_size=14), max_size=6))
@settings(max_examples=30, deadline=None)
def test_the_texts_keep_their_tokens(kind: str, texts: list[str]) -> None:
    vocabulary = Vocabulary(KINDS[kind]())
    cut, new_ids = trimmed(vocabulary, texts)
    before, after = vocabulary.encode(texts), [one.ids for one in cut.encode_batch(texts, add_special_tokens=False)]
    changed = [text for text, old, new in zip(texts, before, after, strict=True) if new_ids[old].tolist() != new]
    if changed:  # a word that WordPiece gave up fits now
        assert kind == "wordpiece"
        counts = np.zeros(len(vocabulary.pieces), np.int64)
        np.add.at(counts, [number for ids in before for number in ids], 1)
        cut, new_ids = vocabulary.cut(vocabulary.with_all_pieces_of(vocabulary.needed(counts, 1, []), changed))
        after = [one.ids for one in cut.encode_batch(texts, add_special_tokens=False)]
    assert [new_ids[ids].tolist() for ids in before] == after


@pytest.mark.parametrize("kind", KINDS)
def test_pieces_that_no_text_needs_go_and_characters_stay(kind: str) -> None:
    vocabulary = Vocabulary(KINDS[kind]())
    cut, new_ids = trimmed(vocabulary, ["abcder 一种LED"])
    assert cut.get_vocab_size() == (new_ids >= 0).sum() < len(vocabulary.pieces)
    kept = {piece for piece, number in zip(vocabulary.pieces, new_ids, strict=True) if number >= 0}
    assert cut.get_vocab() == {
        piece: number for piece, number in zip(vocabulary.pieces, new_ids.tolist(), strict=True) if number >= 0
    }
    other = cut.encode("发光der ab", add_special_tokens=False).ids  # no piece of it is left, but its characters are
    assert vocabulary.unknown is None or int(new_ids[vocabulary.unknown]) not in other
    around = cut.encode("a").ids
    assert (around[0], around[-1]) == tuple(
        cut.token_to_id(token) for token in {"wordpiece": ("[CLS]", "[SEP]")}.get(kind, ("<s>", "</s>"))
    )
    assert cut.token_to_id("[MASK]" if kind == "wordpiece" else "<mask>") is not None
    assert not {"发光", "##发", "Ġd"} & kept


def test_a_byte_level_piece_keeps_what_it_is_merged_from() -> None:
    vocabulary = Vocabulary(bpe())
    cut, new_ids = trimmed(vocabulary, ["abcder"])
    assert cut.encode("abcder", add_special_tokens=False).tokens == ["abcder"]
    assert [new_ids[vocabulary.pieces.index(piece)] >= 0 for piece in ("ab", "der", "bc", "er")] == [
        True,
        True,
        False,
        False,
    ]


def test_an_unknown_character_costs_as_much_as_before() -> None:
    # ?a b c costs 24, and ? alone, which is unknown, with abc 22 + 3; were the rarest piece gone, it would be 18 + 3.
    pieces = {"<unk>": 0.0, "?a": -8.0, "a": -6.0, "b": -8.0, "c": -8.0, "abc": -3.0, "〇〇": -12.0}
    vocabulary = Vocabulary(Tokenizer(models.Unigram(list(pieces.items()), unk_id=0)))
    cut, new_ids = trimmed(vocabulary, ["?abc", "abc"])
    assert vocabulary.encode(["?abc"]) == [[1, 3, 4]]
    assert cut.encode("?abc").ids == new_ids[[1, 3, 4]].tolist()


def test_a_word_that_was_given_up_stays_unknown() -> None:
    # abc fits first, and nothing fits d; were abc gone because no word has it, a ##b ##cd would fit.
    tokens = [*SPECIAL, "a", "x", "abc", "##b", "##cd"]
    inner = BertWordPieceTokenizer({token: number for number, token in enumerate(tokens)}, lowercase=True)
    vocabulary = Vocabulary(Tokenizer.from_str(inner.to_str()))
    texts = ["abcd", "xcd", "xb", "a"]
    counts = np.bincount(np.concatenate(vocabulary.encode(texts)), minlength=len(tokens))
    kept = vocabulary.needed(counts, 1, [])
    assert vocabulary.cut(kept)[0].encode("abcd", add_special_tokens=False).tokens == ["a", "##b", "##cd"]
    whole = vocabulary.with_all_pieces_of(kept, ["abcd"])
    assert vocabulary.cut(whole)[0].encode("abcd", add_special_tokens=False).tokens == ["[UNK]"]


def test_rare_pieces_fall_into_characters() -> None:
    vocabulary = Vocabulary(unigram())
    cut, _ = trimmed(vocabulary, ["电路电路", "电压"], min_count=2)
    assert cut.encode("电路电压", add_special_tokens=False).tokens == ["▁", "电路", "电", "压"]


def test_a_tokenizer_of_another_kind() -> None:
    with pytest.raises(ConfigError, match="WordLevel"):
        Vocabulary(Tokenizer(models.WordLevel({"a": 0}, unk_token="a")))
    with pytest.raises(ConfigError, match="</w>"):
        Vocabulary(Tokenizer(models.BPE({"a": 0}, [], end_of_word_suffix="</w>")))
