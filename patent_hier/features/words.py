"""Texts as words or characters: segmentation of a whole corpus, and the reader of new texts.

A word's id is its position in a vocabulary plus 2; id 0 is padding, id 1 the unknown word. Stores have the layout of
:mod:`patent_hier.features.wordpiece`, so the same batches and the same scorer read them.
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
    """How a text becomes words: lower-cased, without white space; nothing else is removed or replaced.

    Args:
        unit: ``words`` (jieba's default mode: its dictionary, and its hidden Markov model for words outside it) or
            ``chars`` (each character).

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
    """Name a segmented corpus by what decides its content: texts, unit, jieba's version."""
    return fingerprint([segmentation_version(unit), corpus_fingerprint, unit])


def segment_corpus(batches: Iterable[Sequence[str]], unit: str, folder: Path) -> None:
    """Segment texts in order into a store of uncut documents and seal its folder; in memory are only the words.

    Word ids follow the order of first occurrence; ``words.json`` lists the words from id 2 on. An empty document has
    no ids here.

    Args:
        batches: Lists of texts; their order is the order of the corpus.
        unit: See :func:`segmenter`.
        folder: An empty staging folder.

    Raises:
        ConfigError: If the unit is unknown.
        DataError: If there is no word in any text.
    """
    segment = segmenter(unit)
    ids: dict[str, int] = {}
    dtype = np.dtype("<u4")  # how many words there will be is known only at the end

    def numbered(text: str) -> list[int]:
        return [ids.setdefault(word, len(ids) + FIRST_WORD_ID) for word in segment(text)]

    offsets = write_store(folder, dtype, (end_to_end(list(map(numbered, texts))) for texts in batches))
    if not ids:
        raise DataError(f"the {len(offsets) - 1} texts of the corpus hold no word; check data.text, the fields to read")
    write_json(folder / WORDS_FILE, list(ids))
    facts = {"documents": len(offsets) - 1, "tokens": int(offsets[-1]), "words": len(ids)}
    empty = int((np.diff(offsets) == 0).sum())
    seal(folder, {"kind": "segmentation", "unit": unit, "dtype": dtype.str, **facts, "empty_documents": empty})


def read_words(folder: Path) -> tuple[str, ...]:
    """The words of a folder in the order of their ids, from id 2 on.

    Raises:
        ArtifactError: If ``words.json`` is missing, or no list of distinct words.
    """
    words = read_json(folder / WORDS_FILE)
    listed = isinstance(words, list) and all(isinstance(word, str) for word in words)
    if not listed or len(set(words)) != len(words):
        raise ArtifactError(f"{folder / WORDS_FILE} is no list of distinct words; delete {folder} and run again")
    return tuple(words)


@dataclass(frozen=True)
class WordReader:
    """Turns texts into the word ids of one vocabulary.

    Attributes:
        words: The vocabulary; the first word has id 2.
        unit: See :func:`segmenter`.
        max_length: Longest document in words (or characters); longer ones are cut.
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
        """Word ids of new texts; a word outside the vocabulary is id 1, and so is an empty text.

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
        """Read what :meth:`save` wrote.

        Raises:
            ArtifactError: If a file is missing or damaged.
        """
        facts = read_json(folder / READER_FILE)
        unit, max_length = (facts.get("unit"), facts.get("max_length")) if isinstance(facts, dict) else (None, None)
        if unit not in UNITS or type(max_length) is not int or max_length < 1:
            raise ArtifactError(f"{folder / READER_FILE} is damaged; delete {folder} and run again")
        return cls(read_words(folder), unit, max_length)
