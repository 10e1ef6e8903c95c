"""Convert texts to words or characters: segment a whole corpus, and read new texts.

A word's id is its position in the vocabulary plus 2; id 0 is padding, id 1 the unknown word. Stores have the same
layout as in :mod:`patent_hier.features.wordpiece`, so the same batching and scoring code reads them.
"""

import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from patent_hier.artifacts import fingerprint, seal
from patent_hier.atomic import read_json, write_json
from patent_hier.errors import ArtifactError, ConfigError, DataError
from patent_hier.features.ragged import end_to_end
from patent_hier.features.segmentation import cut
from patent_hier.features.token_store import TokenStore, write_store
from patent_hier.features.versions import segmentation_version

PAD_ID = 0
UNKNOWN_ID = 1
FIRST_WORD_ID = 2
UNITS = ("words", "chars")
WORDS_FILE = "words.json"
READER_FILE = "reader.json"


def segmenter(unit: str) -> Callable[[str], list[str]]:
    """Return the function that splits a text into lower-case words and drops white space; it changes nothing else.

    Args:
        unit: ``words`` (jieba's default mode: its dictionary, with its hidden Markov model for words outside it) or
            ``chars`` (single characters).

    Raises:
        ConfigError: If the unit is unknown.

    Source: jieba, https://github.com/fxsjy/jieba.
    """
    if unit == "chars":
        return _characters
    if unit == "words":
        return _words
    raise ConfigError(f"features.name={unit} is unknown; choose one of {', '.join(UNITS)}")


def _characters(text: str) -> list[str]:
    return [character for character in text.lower() if not character.isspace()]


def _words(text: str) -> list[str]:
    return [word for word in cut(text.lower()) if not word.isspace()]


def segmentation_fingerprint(corpus_fingerprint: str, unit: str) -> str:
    """Return the fingerprint of a segmented corpus, from its texts, the unit and jieba's version."""
    return fingerprint([segmentation_version(unit), corpus_fingerprint, unit])


def segment_corpus(batches: Iterable[Sequence[str]], unit: str, folder: Path) -> None:
    """Segment texts in order into a store of untruncated documents and seal its folder; memory holds only the words.

    Word ids follow the order of first occurrence; ``words.json`` lists the words from id 2 on. An empty document has
    no ids in this store.

    Args:
        batches: Lists of texts, in the order of the corpus.
        unit: See :func:`segmenter`.
        folder: An empty staging folder.

    Raises:
        ConfigError: If the unit is unknown.
        DataError: If no text contains a word.
    """
    segment = segmenter(unit)
    ids: dict[str, int] = {}
    dtype = np.dtype("<u4")  # the number of words is known only at the end

    def numbered(text: str) -> list[int]:
        return [ids.setdefault(word, len(ids) + FIRST_WORD_ID) for word in segment(text)]

    offsets = write_store(folder, dtype, (end_to_end(list(map(numbered, texts))) for texts in batches))
    if not ids:
        raise DataError(f"the {len(offsets) - 1} texts of the corpus contain no words; check the fields in data.text")
    write_json(folder / WORDS_FILE, list(ids))
    facts = {"documents": len(offsets) - 1, "tokens": int(offsets[-1]), "words": len(ids)}
    empty = int((np.diff(offsets) == 0).sum())
    seal(folder, {"kind": "segmentation", "unit": unit, "dtype": dtype.str, **facts, "empty_documents": empty})


def read_words(folder: Path) -> tuple[str, ...]:
    """Return the words of a folder in the order of their ids, from id 2 on.

    Raises:
        ArtifactError: If ``words.json`` is missing or is not a list of distinct words.
    """
    words = read_json(folder / WORDS_FILE)
    listed = isinstance(words, list) and all(isinstance(word, str) for word in words)
    if not listed or len(set(words)) != len(words):
        raise ArtifactError(f"{folder / WORDS_FILE} is not a list of distinct words; delete {folder} and run again")
    return tuple(words)


@dataclass(frozen=True)
class WordReader:
    """Reader that converts texts to the word ids of one vocabulary.

    Attributes:
        words: The vocabulary; the first word has id 2.
        unit: See :func:`segmenter`.
        max_length: Longest document in words (or characters); longer documents are truncated.
    """

    words: tuple[str, ...]
    unit: str
    max_length: int

    @property
    def pad_id(self) -> int:
        """Id of padding."""
        return PAD_ID

    @functools.cached_property
    def _ids(self) -> dict[str, int]:
        return {word: number for number, word in enumerate(self.words, FIRST_WORD_ID)}

    def encode(self, texts: list[str]) -> TokenStore:
        """Return the word ids of new texts; a word outside the vocabulary gets id 1, as does an empty text.

        Raises:
            ConfigError: If the unit is unknown.
        """
        segment, ids = segmenter(self.unit), self._ids
        documents = ([ids.get(word, UNKNOWN_ID) for word in segment(text)[: self.max_length]] for text in texts)
        return TokenStore.from_documents(document or [UNKNOWN_ID] for document in documents)

    def save(self, folder: Path) -> None:
        """Write ``reader.json`` and ``words.json``; the caller seals the folder."""
        write_json(folder / READER_FILE, {"unit": self.unit, "max_length": self.max_length})
        write_json(folder / WORDS_FILE, list(self.words))

    @classmethod
    def load(cls, folder: Path) -> "WordReader":
        """Load a reader that :meth:`save` wrote.

        Raises:
            ArtifactError: If a file is missing or damaged.
        """
        facts = read_json(folder / READER_FILE)
        unit, max_length = (facts.get("unit"), facts.get("max_length")) if isinstance(facts, dict) else (None, None)
        if unit not in UNITS or type(max_length) is not int or max_length < 1:
            raise ArtifactError(f"{folder / READER_FILE} is damaged; delete {folder} and run again")
        return cls(read_words(folder), unit, max_length)
