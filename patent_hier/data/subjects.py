"""Which documents corrections are about: by id, or by text, whatever its case, white space and punctuation."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from typing import Self

import pyarrow as pa

from patent_hier.data.corpus import Corpus
from patent_hier.data.near_duplicates import letters
from patent_hier.data.splits import NO_PART, TRAIN, Codes

_OWN_TEXT = 40  # letters and digits from which on a text belongs to one document; equal titles are often chance


@dataclass(frozen=True)
class Subjects:
    """What ``n`` corrections are about.

    Attributes:
        ids: Their ids.
        keys: Digests of their letters and digits.
        lengths: How many letters and digits they have.
    """

    ids: list[str]
    keys: list[bytes]
    lengths: list[int]

    @classmethod
    def of(cls, table: pa.Table) -> Self:
        """Those of a table with the columns of a corpus."""
        texts = [letters(str(text)) for text in table["text"].to_pylist()]
        ids = [str(value) for value in table["document_id"].to_pylist()]
        return cls(ids, list(map(_digest, texts)), list(map(len, texts)))

    def at(self, row: int) -> tuple[str, bytes, int]:
        """Id, digest and length of one."""
        return self.ids[row], self.keys[row], self.lengths[row]

    def only(self, rows: Sequence[int]) -> "Subjects":
        """Some of them."""
        ids, keys = [self.ids[row] for row in rows], [self.keys[row] for row in rows]
        return Subjects(ids, keys, [self.lengths[row] for row in rows])

    def has(self, name: str, key: bytes, length: int) -> bool:
        """Whether one of them has the id or the text."""
        return name in self.known_ids or key in self.known_keys

    @cached_property
    def known_ids(self) -> set[str]:
        """The ids."""
        return set(self.ids)

    @cached_property
    def known_keys(self) -> set[bytes]:
        """The texts' digests."""
        return set(self.keys)

    def newest(self) -> list[int]:
        """The rows that no later one that counts is about the same document as, in their order."""
        ids, keys, rows = set[str](), set[bytes](), []
        for row in range(len(self.ids) - 1, -1, -1):
            if self.ids[row] not in ids and self.keys[row] not in keys:
                rows.append(row)
                ids.add(self.ids[row])
                keys.add(self.keys[row])
        return rows[::-1]


@dataclass(frozen=True)
class Owners:
    """The documents of a corpus that corrections are about.

    Attributes:
        by_id: Their parts, by id.
        by_text: Parts and ids of the documents of each text, by its digest.
    """

    by_id: dict[str, int]
    by_text: dict[bytes, list[tuple[int, str]]]

    @classmethod
    def of(cls, corpus: Corpus, parts: Codes, subjects: Subjects) -> Self:
        """Look through the corpus once, in flat memory."""
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
        """Whether a held-out document has the id or the text."""
        return self.by_id.get(name, NO_PART) > TRAIN or any(part > TRAIN for part, _ in self.by_text.get(key, ()))

    def is_trained(self, name: str, key: bytes, length: int) -> bool:
        """Whether a training document has the id or the text."""
        return self.by_id.get(name) == TRAIN or any(part == TRAIN for part, _ in self.by_text.get(key, ()))

    def replaced(self, name: str, key: bytes, length: int) -> list[str]:
        """The training documents that a correction is about."""
        if self.by_id.get(name) == TRAIN:
            return [name]
        return [own for part, own in self.by_text.get(key, ()) if part == TRAIN] if length >= _OWN_TEXT else []


def _digest(text: str) -> bytes:
    return blake2b(text.encode(), digest_size=16).digest()
