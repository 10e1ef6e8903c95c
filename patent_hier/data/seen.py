"""Which keys a stream has shown before, in little memory."""

from collections.abc import Iterable
from hashlib import blake2b
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

_HASH_BYTES = 8
_SHORT = 16  # bytes


def hash_keys(keys: Iterable[bytes]) -> NDArray[np.uint64]:
    """64-bit BLAKE2b hashes, ``(number of keys,)``."""
    return np.frombuffer(b"".join([blake2b(key, digest_size=_HASH_BYTES).digest() for key in keys]), dtype=np.uint64)


def hash_strings(strings: "pa.Array[Any]") -> NDArray[np.uint64]:
    """64-bit hashes of strings without NUL, ``(number of strings,)``; most ids are short, and that is quick.

    The 16 bytes of a short string are two numbers. Mixing is one-to-one, so that of strings with equal second halves no
    two have the same hash; otherwise hashes are as good as random, and so are those of longer strings, their BLAKE2b.
    """
    buffers: Any = strings.buffers()  # validity, offsets, content
    if not len(strings) or not buffers[2]:
        return np.zeros(len(strings), np.uint64) + _mixed(_mixed(np.zeros(1, np.uint64)))
    ends = np.frombuffer(buffers[1], np.int32)[strings.offset :][: len(strings) + 1].astype(np.int64)
    places = ends[:-1, None] + np.arange(_SHORT)
    content = np.frombuffer(buffers[2], np.uint8)
    is_inside = places < ends[1:, None]
    padded = np.where(is_inside, content[np.where(is_inside, places, 0)], np.uint8(0))
    words = np.ascontiguousarray(padded).view(np.uint64)
    hashes = _mixed(words[:, 0] ^ _mixed(words[:, 1]))
    long = np.flatnonzero(np.diff(ends) > _SHORT)
    hashes[long] = hash_keys([strings[place].as_py().encode() for place in long.tolist()])
    return hashes


def _mixed(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Source: the finaliser of SplitMix64 (Steele, Lea and Flood, 2014), a bijection."""
    words = words + np.uint64(0x9E3779B97F4A7C15)
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))


class SeenHashes:
    """A growing set of 64-bit hashes that tells first occurrences from repetitions, batch by batch.

    The hashes lie in sorted runs, each at least twice as long as the next (a log-structured merge), so a key costs 8
    bytes at rest, about 16 while the longest run is rebuilt, and n keys are merged about log2(n) times. At 2.77 million
    keys that is 22 MB.

    Two different keys are taken for one if their hashes collide: with n keys about n² / 2⁶⁵, which is 2·10⁻⁷ for a
    whole file of 2.77 million rows.
    """

    def __init__(self) -> None:
        self._runs: list[NDArray[np.uint64]] = []

    def __len__(self) -> int:
        return sum(len(run) for run in self._runs)

    def first_seen(self, hashes: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """Add a batch.

        Args:
            hashes: ``(n,)`` in the order of the stream; may repeat among themselves.

        Returns:
            ``(n,)``: True where a hash occurs for the first time in the whole stream.
        """
        values, positions = np.unique(hashes, return_index=True)
        is_new = np.ones(len(values), dtype=np.bool_)
        for run in self._runs:
            nearest = np.minimum(np.searchsorted(run, values), len(run) - 1)
            is_new &= run[nearest] != values
        self._add(values[is_new])
        result = np.zeros(len(hashes), dtype=np.bool_)
        result[positions[is_new]] = True
        return result

    def _add(self, run: NDArray[np.uint64]) -> None:
        while self._runs and len(self._runs[-1]) < 2 * len(run):
            run = np.concatenate([self._runs.pop(), run])
            run.sort(kind="stable")  # merges sorted pieces in linear time
        if len(run):
            self._runs.append(run)
