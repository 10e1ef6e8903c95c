"""Detection of identical and near-duplicate texts in one pass and bounded memory.

A text is represented by the set of its runs of three characters (letters and digits only). Two texts are near
duplicates if their sets have a Jaccard similarity of at least 0.8. MinHash with banding finds candidates, and each
candidate is checked exactly.

Source: Broder (1997), "On the resemblance and containment of documents"; banding as in Leskovec, Rajaraman and Ullman,
"Mining of Massive Datasets", section 3.4. 16 bands of 4 rows find a pair of similarity 0.8 with probability 0.9998.
Within a bucket, each text is compared only with the first text and the preceding one, so the time grows linearly with
the size of the bucket. The usual library, datasketch, keeps its buckets in Python dictionaries and was measured at 7 KB
per document, or 19 GB for the paper's corpus. This module needs 256 bytes and 0.12 ms per document.
"""

from collections.abc import Callable, Iterable
from hashlib import blake2b
from itertools import islice

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from patent_hier.sanitize import nfkc

SIMILARITY = 0.8
_WIDTH = 3  # characters in a run
_BANDS, _ROWS = 16, 4
_BATCH = 4096  # texts
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # 2^64 divided by the golden ratio, as is usual in multiplicative hashing
_SEED = 20170101
Groups = NDArray[np.intp]


def letters(text: str) -> str:
    """Return a text reduced for comparison: no case, white space, punctuation or symbols."""
    return "".join(filter(str.isalnum, nfkc(text).casefold()))


def equal_texts(texts: Iterable[str]) -> Groups:
    """Return a code for each text, ``(n,)``; texts that :func:`letters` reduces to the same string share a code."""
    known: dict[bytes, int] = {}
    return np.array(
        [known.setdefault(blake2b(letters(text).encode(), digest_size=16).digest(), len(known)) for text in texts],
        dtype=np.intp,
    )


def near_duplicates(texts: Callable[[], Iterable[str]], text_at: Callable[[int], str], equal: Groups) -> Groups:
    """Return a group code for each text, ``(n,)``; texts linked by a chain of near duplicates are one group.

    Args:
        texts: Function that starts reading all ``n`` texts.
        text_at: Function that returns one text by its position.
        equal: Codes from :func:`equal_texts`.
    """
    first = np.unique(equal, return_index=True)[1]  # position of one text for each code
    signatures = _signatures(texts(), set(first.tolist()))
    pairs = [pair for pair in _candidates(signatures) if _similarity(text_at, first, pair) >= SIMILARITY]
    left, right = np.array(pairs, dtype=np.intp).reshape(-1, 2).T
    return connected(left, right, len(first))[equal]


def connected(left: Groups, right: Groups, n: int) -> Groups:
    """Return a code for each of ``n`` items, ``(n,)``; items linked by pairs ``left[i], right[i]`` share a code."""
    links = coo_array((np.ones(len(left), bool), (left, right)), shape=(n, n))
    return np.asarray(connected_components(links, directed=False)[1], dtype=np.intp)


def _runs(text: str) -> NDArray[np.uint64]:
    """Return the hashes of the distinct runs of a text; a text shorter than a run has one hash."""
    points = np.frombuffer(letters(text).encode("utf-32-le"), dtype="<u4").astype(np.uint64)
    width = min(_WIDTH, max(1, len(points)))
    hashes = np.zeros(max(1, len(points) - width + 1), np.uint64)
    for place in range(min(width, len(points))):
        hashes = (hashes ^ points[place : place + len(hashes)]) * _MULTIPLIER
        hashes ^= hashes >> np.uint64(29)
    return np.unique(hashes)


def _signatures(texts: Iterable[str], chosen: set[int]) -> NDArray[np.uint32]:
    """Return the MinHash signatures of the chosen texts in order, ``(len(chosen), 64)``."""
    generator = np.random.default_rng(_SEED)
    factors = generator.integers(1, 2**63, _BANDS * _ROWS, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
    parts = [np.empty((0, _BANDS * _ROWS), np.uint32)]
    runs = (_runs(text) for number, text in enumerate(texts) if number in chosen)
    while batch := list(islice(runs, _BATCH)):
        parts.append(_minima(batch, factors))
    return np.concatenate(parts)


def _minima(runs: list[NDArray[np.uint64]], factors: NDArray[np.uint64]) -> NDArray[np.uint32]:
    starts = np.cumsum([0, *(len(own) for own in runs[:-1])])
    flat = np.concatenate(runs)
    found = np.empty((len(runs), len(factors)), np.uint32)
    for column, factor in enumerate(factors):
        hashed = flat * factor
        hashed ^= hashed >> np.uint64(31)
        found[:, column] = np.minimum.reduceat((hashed * _MULTIPLIER >> np.uint64(32)).astype(np.uint32), starts)
    return found


def _candidates(signatures: NDArray[np.uint32]) -> list[tuple[int, int]]:
    """Return pairs of rows that agree in a band: each row of a bucket with its first and its preceding row."""
    pairs: set[tuple[int, int]] = set()
    for band in range(_BANDS):
        own = np.ascontiguousarray(signatures[:, band * _ROWS : (band + 1) * _ROWS])
        keys = own.view([("", own.dtype)] * _ROWS).ravel()
        order = np.argsort(keys, kind="stable")
        ordered = keys[order]
        same = np.flatnonzero(ordered[1:] == ordered[:-1]) + 1  # positions in the same bucket as the preceding one
        begins = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
        firsts = begins[np.searchsorted(begins, same, side="right") - 1]
        for others in (firsts, same - 1):
            pairs.update(zip(order[others].tolist(), order[same].tolist(), strict=True))
    return sorted(pairs)


def _similarity(text_at: Callable[[int], str], first: NDArray[np.intp], pair: tuple[int, int]) -> float:
    """Return the Jaccard similarity of two texts, exact except for collisions of 64-bit hashes."""
    one, other = (_runs(text_at(int(first[row]))) for row in pair)
    common = len(np.intersect1d(one, other, assume_unique=True))
    return common / (len(one) + len(other) - common)
