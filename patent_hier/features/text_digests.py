"""Digests of an encoder's pre-training text, to find out whether it contained a given text without storing it.

``text_digests.npy`` in an encoder's folder holds the digests of all passages and of their clauses, sorted, five bytes
each: about a tenth of the text's size. The probability that a new text is wrongly found is the number of digests
divided by 2^40: one in a million for a million digests.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from patent_hier.data.near_duplicates import letters
from patent_hier.errors import ArtifactError
from patent_hier.regular_files import require_regular
from patent_hier.sanitize import nfkc, reason

DIGESTS_FILE = "text_digests.npy"
FEWEST_LETTERS = 6  # of a clause; shorter clauses, such as 显示装置, are too common
_BYTES = 5
_PLACES = 256 ** np.arange(_BYTES - 1, -1, -1, dtype=np.uint64)  # big-endian
_PASSAGE, _CLAUSE = b"passage", b"clause"
_AT_ONCE = 1 << 20  # digests collected before duplicates are removed
_PUNCTUATION = re.compile(r"[^\w\s]+|[\r\n]+")
# Titles begin with it or omit it; abstracts have words before it: 本发明公开了一种激光测距装置.
_OPENING = "一种"


@dataclass(frozen=True)
class TextDigests:
    """Digests of pre-training text.

    Attributes:
        digests: Distinct, sorted digests, ``(n,)`` uint64.
    """

    digests: NDArray[np.uint64]

    def __len__(self) -> int:
        return len(self.digests)

    @classmethod
    def of(cls, batches: Iterable[list[str]]) -> "TextDigests":
        """Compute the digests of lists of passages; this takes 16 bytes of memory per digest."""
        known = [np.empty(0, np.uint64)]
        fresh: list[int] = []
        for passage in chain.from_iterable(batches):
            fresh.append(_digest(letters(passage), _PASSAGE))
            fresh += (_digest(clause, _CLAUSE) for clause in clauses(passage))
            if len(fresh) >= _AT_ONCE:
                known = [np.unique(np.concatenate([*known, np.array(fresh, np.uint64)]))]
                fresh = []
        return cls(np.unique(np.concatenate([*known, np.array(fresh, np.uint64)])))

    @classmethod
    def open(cls, folder: Path) -> "TextDigests | None":
        """Read the digests in an encoder's folder; return None if it has none.

        Raises:
            ArtifactError: If the file is damaged.
        """
        file = folder / DIGESTS_FILE
        if not file.exists():
            return None
        try:
            require_regular(file)
            rows = np.load(file, mmap_mode="r", allow_pickle=False)  # mapped, so a forged header cannot claim memory
            if rows.dtype != np.uint8 or rows.ndim != 2 or rows.shape[1] != _BYTES:
                raise ValueError(f"its array is {rows.dtype} {rows.shape}")
            digests = rows @ _PLACES  # (n,)
            if (np.diff(digests.astype(np.int64)) <= 0).any():
                raise ValueError("its digests are not sorted")
        except (EOFError, OSError, ValueError) as error:
            raise ArtifactError(f"{file} is damaged ({reason(error)}); copy the encoder again") from error
        return cls(digests)

    def save(self, folder: Path) -> None:
        """Write :data:`DIGESTS_FILE`."""
        rows = self.digests.astype(">u8").view(np.uint8).reshape(-1, 8)[:, -_BYTES:]
        np.save(folder / DIGESTS_FILE, np.ascontiguousarray(rows), allow_pickle=False)

    def joined(self, other: "TextDigests") -> "TextDigests":
        """Return the digests of both."""
        return TextDigests(np.union1d(self.digests, other.digests))

    def find(self, texts: list[str]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Find the texts that occur in the pre-training text, ignoring case, white space and punctuation.

        Args:
            texts: The documents, ``n``.

        Returns:
            Whether each text is a passage, ``(n,)``, and whether all its clauses occur, ``(n,)``, as for a title that
            is part of a passage. Clauses of fewer than six letters do not count, so a text without a longer clause can
            only be found as a passage.
        """
        passages = self._has([_digest(letters(text), _PASSAGE) for text in texts])
        own = [[_digest(clause, _CLAUSE) for clause in clauses(text)] for text in texts]
        known = iter(self._has(list(chain.from_iterable(own))).tolist())
        read = [[next(known) for _ in digests] for digests in own]
        return passages, np.array([bool(hits) and all(hits) for hits in read], np.bool_)

    def _has(self, digests: list[int]) -> NDArray[np.bool_]:
        return np.isin(np.array(digests, np.uint64), self.digests)


def clauses(text: str) -> Iterator[str]:
    """Yield the parts of a text between punctuation marks, without case, white space and the opening of a title.

    Clauses of fewer than :data:`FEWEST_LETTERS` letters are skipped.
    """
    for part in _PUNCTUATION.split(nfkc(text).casefold()):
        clause = letters(part)
        clause = clause.rpartition(_OPENING)[2] or clause
        if len(clause) >= FEWEST_LETTERS:
            yield clause


def _digest(text: str, kind: bytes) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=_BYTES, person=kind).digest())
