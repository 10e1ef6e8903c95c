"""Find an encoder's special tokens, such as the tokens around a text and the mask token."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from patent_hier.atomic import read_json
from patent_hier.errors import ConfigError
from patent_hier.features.pretrained import TOKENIZER_CONFIG

# Names in BERT and in SentencePiece vocabularies such as XLM-R's, used where tokenizer_config.json names none.
_USUAL = {"cls_token": ("[CLS]", "<s>"), "sep_token": ("[SEP]", "</s>"), "mask_token": ("[MASK]", "<mask>")}
_OTHERS = {"pad_token": ("[PAD]", "<pad>"), "unk_token": ("[UNK]", "<unk>"), "bos_token": (), "eos_token": ()}


@dataclass(frozen=True)
class SpecialTokens:
    """Token ids that masked language modelling needs.

    Attributes:
        cls: Token before a text: ``[CLS]`` or ``<s>``.
        sep: Token after a text: ``[SEP]`` or ``</s>``.
        mask: Token that replaces a masked token: ``[MASK]`` or ``<mask>``.
    """

    cls: int
    sep: int
    mask: int


def special_tokens(tokenizer: Tokenizer, folder: Path) -> SpecialTokens:
    """Return the special tokens of an encoder.

    Args:
        tokenizer: The encoder's tokenizer.
        folder: The encoder's folder; its ``tokenizer_config.json`` may name the tokens.

    Raises:
        ConfigError: If one of them is not in the vocabulary.
        ArtifactError: If ``tokenizer_config.json`` cannot be read.
    """
    ids = {kind: _find(tokenizer, folder, kind)[1] for kind in _USUAL}
    for kind, number in ids.items():
        if number is None:
            raise ConfigError(
                f"the tokenizer in {folder} has no {kind} ({' or '.join(_USUAL[kind])}), which masked language "
                f'modelling needs; add "{kind}": "NAME" to {TOKENIZER_CONFIG}, where NAME is a token of the vocabulary '
                "that occurs in no text, such as [unused1]"
            )
    cls, sep, mask = (number for number in ids.values() if number is not None)
    return SpecialTokens(cls, sep, mask)


def mask_token(tokenizer: Tokenizer, folder: Path) -> int | None:
    """Return the id of the mask token, or None if there is none; arguments as in :func:`special_tokens`."""
    return _find(tokenizer, folder, "mask_token")[1]


def token_names(tokenizer: Tokenizer, folder: Path) -> dict[str, str]:
    """Return the special tokens by transformers' names of their kinds; arguments as in :func:`special_tokens`."""
    found = {kind: _find(tokenizer, folder, kind) for kind in (*_USUAL, *_OTHERS)}
    return {kind: name for kind, (name, number) in found.items() if number is not None}


def _find(tokenizer: Tokenizer, folder: Path, kind: str) -> tuple[str, int | None]:
    """Return name and id of a kind of token, as configured or under a usual name; the id is None if it is missing."""
    file = folder / TOKENIZER_CONFIG
    config: Any = read_json(file) if file.is_file() else {}
    value = config.get(kind) if isinstance(config, dict) else None
    configured = value.get("content") if isinstance(value, dict) else value  # transformers writes both forms
    names = (configured,) if isinstance(configured, str) else (_USUAL | _OTHERS)[kind]
    found = ((name, number) for name in names if (number := tokenizer.token_to_id(name)) is not None)
    return next(found, ("", None))
