"""What an encoder has read, as digests: whether a text stands in its pre-training text, without that text.

``text_digests.npy`` in an encoder's folder holds the digests of all passages and of their clauses, sorted, five bytes
each: about a tenth of the text's size. A text that was not read is taken for one that was with a probability of the
number of digests / 2^40; for a million digests that is one in a million.
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
FEWEST_LETTERS = 6  # of a clause: shorter ones, such as 显示装置, stand in any text
_BYTES = 5
_PLACES = 256 ** np.arange(_BYTES - 1, -1, -1, dtype=np.uint64)  # big-endian
_PASSAGE, _CLAUSE = b"passage", b"clause"
_AT_ONCE = 1 << 20  # digests that are gathered before equal ones become one
_PUNCTUATION = re.compile(r"[^\w\s]+|[\r\n]+")
# A title begins so, or leaves it out; an abstract has words before it: 本发明公开了一种激光测距装置.
_OPENING = "一种"


@dataclass(frozen=True)
class TextDigests:
    """Digests of what was read.

    Attributes:
        digests: Distinct and sorted, ``(n,)`` of uint64.
    """

    digests: NDArray[np.uint64]

    def __len__(self) -> int:
        return len(self.digests)

    @classmethod
    def of(cls, batches: Iterable[list[str]]) -> "TextDigests":
        """Digests of passages in lists, in memory of 16 bytes a digest."""
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
        """Read those of an encoder's folder; None if it has none.

        Raises:
            ArtifactError: If the file is damaged.
        """
        file = folder / DIGESTS_FILE
        if not file.exists():
            return None
        try:
            require_regular(file)
            rows = np.load(file, mmap_mode="r", allow_pickle=False)  # mapped: a header cannot ask for memory
            if rows.dtype != np.uint8 or rows.ndim != 2 or rows.shape[1] != _BYTES:
                raise ValueError(f"rows of {rows.dtype} {rows.shape}")
            digests = rows @ _PLACES  # (n,)
            if (np.diff(digests.astype(np.int64)) <= 0).any():
                raise ValueError("digests that are not sorted")
        except (EOFError, OSError, ValueError) as error:
            raise ArtifactError(f"{file} is damaged ({reason(error)}); copy the encoder again") from error
        return cls(digests)

    def save(self, folder: Path) -> None:
        """Write :data:`DIGESTS_FILE`."""
        rows = self.digests.astype(">u8").view(np.uint8).reshape(-1, 8)[:, -_BYTES:]
        np.save(folder / DIGESTS_FILE, np.ascontiguousarray(rows), allow_pickle=False)

    def joined(self, other: "TextDigests") -> "TextDigests":
        """Those of both."""
        return TextDigests(np.union1d(self.digests, other.digests))

    def find(self, texts: list[str]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Which texts were read: letter by letter; case, white space and punctuation aside.

        Args:
            texts: ``n`` documents.

        Returns:
            Those that are a passage, ``(n,)``. Those each of whose clauses was read, ``(n,)``: a title that stands
            within a passage is one. Clauses of fewer than six letters do not count, so a text without a longer one is
            found as a passage only.
        """
        passages = self._has([_digest(letters(text), _PASSAGE) for text in texts])
        own = [[_digest(clause, _CLAUSE) for clause in clauses(text)] for text in texts]
        known = iter(self._has(list(chain.from_iterable(own))).tolist())
        read = [[next(known) for _ in digests] for digests in own]
        return passages, np.array([bool(hits) and all(hits) for hits in read], np.bool_)

    def _has(self, digests: list[int]) -> NDArray[np.bool_]:
        return np.isin(np.array(digests, np.uint64), self.digests)


def clauses(text: str) -> Iterator[str]:
    """What stands between two signs of a text, without case, white space and whatever opens a title.

    Only clauses of at least :data:`FEWEST_LETTERS` letters.
    """
    for part in _PUNCTUATION.split(nfkc(text).casefold()):
        clause = letters(part)
        clause = clause.rpartition(_OPENING)[2] or clause
        if len(clause) >= FEWEST_LETTERS:
            yield clause


def _digest(text: str, kind: bytes) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=_BYTES, person=kind).digest())
