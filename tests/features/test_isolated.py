import json
from functools import lru_cache

import pytest
from numpy.typing import NDArray
from tokenizers import Tokenizer
from tokenizers.implementations.bert_wordpiece import BertWordPieceTokenizer

from patent_hier.features.isolated import CUT, IN_RUN, isolated_characters

TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "##a", "本", "，", "豈", "(", "が", "aa"]


@lru_cache
def _table(**options: bool) -> NDArray:
    facts = json.loads(BertWordPieceTokenizer({t: i for i, t in enumerate(TOKENS)}, **options).to_str())
    return isolated_characters(Tokenizer.from_str(json.dumps({**facts, "added_tokens": [], "post_processor": None})))


def test_chinese_characters_and_punctuation_have_their_tokens() -> None:
    table = _table()
    assert [table[ord(character)] for character in "本，("] == [7, 8, 10]
    assert table[ord("明")] == table[ord("。")] == table[0x3400] == 1  # not in the vocabulary
    assert table[0xF900] == 9  # decomposed by the normaliser
    assert _table(lowercase=False)[0xF900] == 1


@pytest.mark.parametrize("clean", [True, False])
def test_whitespace_cuts(clean: bool) -> None:
    table = _table(clean_text=clean)
    assert all(table[ord(character)] == CUT for character in " \n\t\r\u00a0\u3000\u2028")


def test_controls_are_whitespace_only_where_they_are_not_deleted() -> None:
    assert _table(clean_text=True)[0x0B] == IN_RUN
    assert _table(clean_text=False)[0x0B] == CUT


@pytest.mark.parametrize(
    "character", ["a", "1", "é", "\u0301", "が", "\u200b", "\x00", "\ufffd", "\u302a", "①", "\uffff"]
)
def test_what_joins_or_vanishes_is_in_runs(character: str) -> None:
    assert _table()[ord(character)] == IN_RUN
    assert _table(lowercase=False)[ord(character)] == IN_RUN
