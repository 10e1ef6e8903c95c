"""Convert texts to token ids with an encoder's own tokenizer: a whole corpus at once, or a few new texts."""

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer
from tokenizers.implementations.bert_wordpiece import BertWordPieceTokenizer

from patent_hier.artifacts import fingerprint, seal
from patent_hier.atomic import read_json, write_json
from patent_hier.errors import ArtifactError, ConfigError
from patent_hier.features.fast_wordpiece import fast_encoder
from patent_hier.features.pretrained import (
    TOKENIZER,
    TOKENIZER_CONFIG,
    TOKENIZER_FILES,
    VOCABULARY,
    EncoderFiles,
)
from patent_hier.features.ragged import Ragged, end_to_end
from patent_hier.features.token_store import TokenStore, write_store
from patent_hier.features.versions import TOKENS_VERSION
from patent_hier.sanitize import reason

ENCODER_CONFIG = "encoder_config.json"
READER = "reader.json"
_FEWEST_CHARACTERS = 500_000  # on one core, the library encodes these while the fast encoder builds its tables


def load_tokenizer(files: EncoderFiles, max_length: int) -> Tokenizer:
    """Load the encoder's own tokenizer, which adds [CLS] and [SEP] and truncates to ``max_length`` tokens.

    Args:
        files: The encoder's files; ``tokenizer.json`` is preferred to a WordPiece ``vocab.txt``.
        max_length: Longest document in tokens, including [CLS] and [SEP].

    Raises:
        ConfigError: If the tokenizer file cannot be read.
    """
    fast, vocabulary = files.folder / TOKENIZER, files.folder / VOCABULARY
    try:
        if fast.is_file():
            tokenizer = Tokenizer.from_file(str(fast))
        else:
            settings_file = files.folder / TOKENIZER_CONFIG
            settings = read_json(settings_file) if settings_file.is_file() else {}
            lowercase = bool(settings.get("do_lower_case", True))
            inner = BertWordPieceTokenizer(str(vocabulary), lowercase=lowercase)
            tokenizer = Tokenizer.from_str(inner.to_str())
    except Exception as error:  # tokenizers raises a plain Exception for every damaged file
        raise ConfigError(
            f"the tokenizer in {files.folder} cannot be read ({reason(error)}); copy the encoder again"
        ) from error
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_length)
    return tokenizer


def tokens_fingerprint(corpus: str, vocabulary: str, max_length: int) -> str:
    """Return the fingerprint of a token store, from everything that decides its content: texts, tokenizer, length."""
    return fingerprint([TOKENS_VERSION, corpus, vocabulary, max_length])


class WordPieceEncoder:
    """Encoder of lists of texts: the library, or :mod:`patent_hier.features.fast_wordpiece` once that is faster.

    Both give the same ids. The library encodes the first half a million characters, and all text where the fast
    encoder does not support the tokenizer.

    Args:
        tokenizer: From :func:`load_tokenizer`; not changed afterwards.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._characters = 0

    def encode(self, texts: list[str]) -> Ragged:
        """Return the ids of all texts end to end, and the number of ids of each text, ``(len(texts),)``."""
        self._characters += sum(map(len, texts))
        fast = fast_encoder(self._tokenizer) if self._characters >= _FEWEST_CHARACTERS else None
        if fast is not None:
            return fast.encode(texts)
        return end_to_end([encoding.ids for encoding in self._tokenizer.encode_batch_fast(texts)])


def encode_corpus(batches: Iterable[list[str]], tokenizer: Tokenizer, folder: Path) -> None:
    """Encode texts in order into a token store, in constant memory, and seal its folder.

    Args:
        batches: Lists of texts, in the order of the corpus.
        tokenizer: From :func:`load_tokenizer`.
        folder: An empty staging folder.
    """
    dtype = np.dtype("<u2" if tokenizer.get_vocab_size() <= np.iinfo(np.uint16).max else "<u4")
    offsets = write_store(folder, dtype, map(WordPieceEncoder(tokenizer).encode, batches))
    seal(folder, {"kind": "tokens", "dtype": dtype.str, "documents": len(offsets) - 1, "tokens": int(offsets[-1])})


@dataclass(frozen=True)
class WordPieceReader:
    """Reader that converts texts to token ids exactly as the encoder's own tokenizer does.

    Attributes:
        files: The encoder's files, with tokenizer and configuration.
        max_length: Longest document in tokens, including [CLS] and [SEP].
    """

    files: EncoderFiles
    max_length: int

    @property
    def pad_id(self) -> int:
        """Token id of ``[PAD]``."""
        return int(self.files.config.get("pad_token_id") or 0)

    def encode(self, texts: list[str]) -> TokenStore:
        """Return the token ids of new texts."""
        return TokenStore.in_memory(*WordPieceEncoder(load_tokenizer(self.files, self.max_length)).encode(texts))

    def save(self, folder: Path) -> None:
        """Write ``reader.json``, the encoder's configuration and its tokenizer files."""
        write_json(folder / READER, {"max_length": self.max_length})
        write_json(folder / ENCODER_CONFIG, self.files.config)
        for name in TOKENIZER_FILES:
            if (self.files.folder / name).is_file():
                shutil.copyfile(self.files.folder / name, folder / name)

    @classmethod
    def load(cls, folder: Path) -> "WordPieceReader":
        """Load a reader that :meth:`save` wrote.

        Raises:
            ArtifactError: If a file is missing or damaged.
        """
        facts, config = read_json(folder / READER), read_json(folder / ENCODER_CONFIG)
        if not (isinstance(facts, dict) and type(facts.get("max_length")) is int):
            raise ArtifactError(f"{folder / READER} has no max_length; train the node again")
        if not isinstance(config, dict):
            raise ArtifactError(f"{folder / ENCODER_CONFIG} is not an encoder configuration; train the node again")
        return cls(EncoderFiles(folder, config, has_weights=True), facts["max_length"])
