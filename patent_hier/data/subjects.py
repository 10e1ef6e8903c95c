"""Matching of corrections to documents by id or text; case, white space and punctuation of texts are ignored."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from typing import Self

import pyarrow as pa

from patent_hier.data.corpus import Corpus
from patent_hier.data.near_duplicates import letters
from patent_hier.data.splits import NO_PART, TRAIN, Codes

_OWN_TEXT = 40  # letters and digits that make a text unique; identical short titles are often a coincidence


@dataclass(frozen=True)
class Subjects:
    """Documents that ``n`` corrections refer to.

    Attributes:
        ids: Ids of the documents.
        keys: Digests of the letters and digits of their texts.
        lengths: Numbers of letters and digits in their texts.
    """

    ids: list[str]
    keys: list[bytes]
    lengths: list[int]

    @classmethod
    def of(cls, table: pa.Table) -> Self:
        """Return the subjects of a table with the columns of a corpus."""
        texts = [letters(str(text)) for text in table["text"].to_pylist()]
        ids = [str(value) for value in table["document_id"].to_pylist()]
        return cls(ids, list(map(_digest, texts)), list(map(len, texts)))

    def at(self, row: int) -> tuple[str, bytes, int]:
        """Return the id, digest and length of one subject."""
        return self.ids[row], self.keys[row], self.lengths[row]

    def only(self, rows: Sequence[int]) -> "Subjects":
        """Return the subjects at the given rows."""
        ids, keys = [self.ids[row] for row in rows], [self.keys[row] for row in rows]
        return Subjects(ids, keys, [self.lengths[row] for row in rows])

    def has(self, name: str, key: bytes, length: int) -> bool:
        """Return whether a subject has the id or the text."""
        return name in self.known_ids or key in self.known_keys

    @cached_property
    def known_ids(self) -> set[str]:
        """Set of all ids."""
        return set(self.ids)

    @cached_property
    def known_keys(self) -> set[bytes]:
        """Set of the digests of all texts."""
        return set(self.keys)

    def newest(self) -> list[int]:
        """Return the newest row of each document, in the order of the rows."""
        ids, keys, rows = set[str](), set[bytes](), []
        for row in range(len(self.ids) - 1, -1, -1):
            if self.ids[row] not in ids and self.keys[row] not in keys:
                rows.append(row)
                ids.add(self.ids[row])
                keys.add(self.keys[row])
        return rows[::-1]


@dataclass(frozen=True)
class Owners:
    """Documents of a corpus that corrections refer to.

    Attributes:
        by_id: Parts of the documents by id.
        by_text: Parts and ids of the documents with each text, by its digest.
    """

    by_id: dict[str, int]
    by_text: dict[bytes, list[tuple[int, str]]]

    @classmethod
    def of(cls, corpus: Corpus, parts: Codes, subjects: Subjects) -> Self:
        """Find the documents in one pass over the corpus, in constant memory."""
        by_id: dict[str, int] = {}
        by_text: dict[bytes, list[tuple[int, str]]] = {}
        row = 0
        for batch in corpus.iter_columns(["document_id", "text"]):
            for name, text in zip(*(batch.column(place).to_pylist() for place in (0, 1)), strict=True):
                if name in subjects.known_ids:
                    by_id[str(name)] = int(parts[row])
                if (key := _digest(letters(str(text)))) in subjects.known_keys:
                    by_text.setdefault(key, []).append((int(parts[row]), str(name)))
                row += 1
        return cls(by_id, by_text)

    def is_held_out(self, name: str, key: bytes, length: int) -> bool:
        """Return whether a document outside the training part has the id or the text."""
        return self.by_id.get(name, NO_PART) > TRAIN or any(part > TRAIN for part, _ in self.by_text.get(key, ()))

    def is_trained(self, name: str, key: bytes, length: int) -> bool:
        """Return whether a training document has the id or the text."""
        return self.by_id.get(name) == TRAIN or any(part == TRAIN for part, _ in self.by_text.get(key, ()))

    def replaced(self, name: str, key: bytes, length: int) -> list[str]:
        """Return the ids of the training documents that a correction replaces."""
        if self.by_id.get(name) == TRAIN:
            return [name]
        return [own for part, own in self.by_text.get(key, ()) if part == TRAIN] if length >= _OWN_TEXT else []


def _digest(text: str) -> bytes:
    return blake2b(text.encode(), digest_size=16).digest()
