import json
from pathlib import Path

import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel

from patent_hier.errors import ConfigError
from patent_hier.features.special_tokens import SpecialTokens, mask_token, special_tokens, token_names
from tests.pieces import unigram


def of(*tokens: str) -> Tokenizer:
    return Tokenizer(WordLevel({token: number for number, token in enumerate(tokens)}, unk_token=tokens[0]))


def test_usual_names_of_bert_and_of_sentencepiece(tmp_path: Path) -> None:
    assert special_tokens(of("[UNK]", "[SEP]", "[MASK]", "[CLS]"), tmp_path) == SpecialTokens(3, 1, 2)
    tokenizer = unigram()
    assert special_tokens(tokenizer, tmp_path) == SpecialTokens(0, 2, tokenizer.get_vocab_size() - 1)
    assert token_names(tokenizer, tmp_path)["pad_token"] == "<pad>"


def test_what_the_configuration_names_comes_first(tmp_path: Path) -> None:
    tokenizer = of("[UNK]", "[CLS]", "[SEP]", "[MASK]", "[unused1]", "<eos>")
    facts = {"mask_token": "[unused1]", "sep_token": {"content": "<eos>", "lstrip": False}, "cls_token": None}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(facts))
    assert special_tokens(tokenizer, tmp_path) == SpecialTokens(1, 5, 4)
    assert mask_token(tokenizer, tmp_path) == 4


def test_a_tokenizer_without_a_mask(tmp_path: Path) -> None:
    tokenizer = of("[UNK]", "[CLS]", "[SEP]")
    assert mask_token(tokenizer, tmp_path) is None
    with pytest.raises(ConfigError, match=r'no mask_token .*add "mask_token": "NAME" to') as caught:
        special_tokens(tokenizer, tmp_path)
    assert "\n" not in str(caught.value)
