"""Character n-grams of many documents at once, as numbers that numpy can sort.

The n-grams of a text are the same as in scikit-learn: lower case, runs of white space as one space, every substring of
the given sizes. Each n-gram has a 64-bit key. For up to three characters the key encodes the n-gram itself: the
characters are the digits of a number. The key of a longer n-gram is a hash, at or above :data:`HASHED`. Among 100
million n-grams, the probability that any two share a hash is 1 in 2,000; such a pair would be counted as one n-gram.

A further digit, the column, separates the n-grams of a document's context (:mod:`patent_hier.data.context`) from those
of its text.
"""

import re
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_matrix, csr_matrix

from patent_hier.data.context import SEPARATOR
from patent_hier.errors import DataError

Keys = NDArray[np.uint64]

_BASE = 0x110001  # base of the digits: one digit for every code point, and 0 for no character
_DIGITS = 3  # digits that fit into 63 bits together with the column
_COLUMNS = 5  # context columns that fit into 63 bits as well; n-grams of further columns are hashed
HASHED = np.uint64(1 << 63)  # keys from here on are hashes
CHARACTERS = 3 << 19  # characters counted at once for n-grams of one size: about 100 MB
_SPACES = re.compile(r"\s\s+")  # as in scikit-learn


class Counted(NamedTuple):
    """N-gram counts of ``n`` documents.

    Attributes:
        keys: Distinct keys, ascending, ``(k,)``.
        counts: Occurrences of each n-gram in each document, ``(n, k)`` int32, columns ascending in each row.
    """

    keys: Keys
    counts: csr_matrix


def in_chunks(batches: Iterable[Sequence[str]], sizes: tuple[int, int]) -> Iterator[list[str]]:
    """Yield documents in chunks of about as many characters as are counted at once, to limit memory."""
    most = CHARACTERS // (sizes[1] - sizes[0] + 1)
    chunk: list[str] = []
    characters = 0
    for batch in batches:
        for document in batch:
            chunk.append(document)
            characters += len(document)
            if characters >= most:
                yield chunk
                chunk, characters = [], 0
    if chunk:
        yield chunk


class Vocabulary:
    """Map from the keys of n-grams to the columns of a model or a store.

    Args:
        keys: Key of each column's n-gram, ``(ngrams,)``.
    """

    def __init__(self, keys: Keys) -> None:
        self._column = np.argsort(keys)
        self._keys = keys[self._column]

    def rows(self, counted: Counted) -> csr_matrix:
        """Return the documents' counts, ``(n, ngrams)``, columns ascending in each row; other n-grams are ignored."""
        counts, place = counted.counts, np.searchsorted(self._keys, counted.keys)
        place[place == len(self._keys)] = 0
        column = np.where(self._keys[place] == counted.keys, self._column[place], -1)[counts.indices]
        kept = column >= 0
        offsets = np.concatenate([[0], np.cumsum(kept)])[counts.indptr]
        shape = (counts.shape[0], len(self._keys))
        rows = csr_matrix((counts.data[kept], column[kept], offsets), shape=shape)
        rows.sort_indices()
        return rows


@dataclass(frozen=True)
class Passages:
    """Documents split into passages, end to end; each passage comes from one column.

    Attributes:
        text: All passages, lower case.
        lengths: Length of each passage in characters, ``(p,)``.
        columns: Column of each passage; 0 for a document's text, ``(p,)``.
        documents: Document of each passage, ascending from 0, ``(p,)``.
        size: Number of documents.
    """

    text: str
    lengths: NDArray[np.int64]
    columns: NDArray[np.int64]
    documents: NDArray[np.int64]
    size: int

    @cached_property
    def codes(self) -> Keys:
        """Code points, ``(characters,)``."""
        return np.frombuffer(self.text.encode("utf-32-le", "surrogatepass"), "<u4").astype(np.uint64)

    @cached_property
    def _owner(self) -> NDArray[np.int64]:
        return np.repeat(np.arange(len(self.lengths)), self.lengths)

    def ngrams(self, sizes: tuple[int, int]) -> Iterator[tuple[int, NDArray[np.intp], Keys]]:
        """Yield, for each size, the size, the starts of its n-grams, ``(k,)``, and their keys, ``(k,)``."""
        digits, owner = self.codes + np.uint64(1), self._owner
        column = self.columns.astype(np.uint64)[owner]
        number = np.zeros(len(digits), np.uint64)
        for size in range(1, sizes[1] + 1):
            if (n := len(digits) - size + 1) < 1:
                break
            if size == _DIGITS + 1:
                number = _mixed(number)  # without it, products of digits would collide
            number = number[:n] * np.uint64(_BASE) + digits[len(digits) - n :]
            if size > _DIGITS:
                number = _mixed(number)  # wraps around: a hash of the previous hash and the new character
            if size >= sizes[0]:
                starts = np.flatnonzero(owner[:n] == owner[size - 1 : size - 1 + n])
                yield size, starts, _with_column(number[starts], column[starts], size)

    def count(self, sizes: tuple[int, int]) -> Counted:
        """Count the n-grams of each document."""
        found = [*self.ngrams(sizes), (0, np.empty(0, np.intp), np.empty(0, np.uint64))]
        documents = np.concatenate([self.documents[self._owner[starts]] for _, starts, _ in found])
        # Sorting all keys, as np.unique does, takes five times as long.
        codes, distinct = pd.factorize(np.concatenate([keys for _, _, keys in found]))
        order = np.argsort(distinct)
        rank = np.empty_like(order)
        rank[order] = np.arange(len(order))
        ones = np.ones(len(codes), np.int32)
        counts = coo_matrix((ones, (documents, rank[codes])), shape=(self.size, len(distinct))).tocsr()
        return Counted(distinct[order], counts)


def _mixed(number: Keys) -> Keys:
    """Mix a number over all 64 bits, one to one. Source: finaliser of SplitMix64, Steele et al. (2014), OOPSLA."""
    number = (number ^ (number >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    number = (number ^ (number >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return number ^ (number >> np.uint64(31))


def _with_column(number: Keys, column: Keys, size: int) -> Keys:
    exact = number + column * np.uint64(_BASE**_DIGITS)
    if size <= _DIGITS and (not len(column) or column.max() <= _COLUMNS):
        return exact
    hashed = _mixed(number ^ _mixed(column + np.uint64(size << 32))) | HASHED
    return hashed if size > _DIGITS else np.where(column <= _COLUMNS, exact, hashed)


class NgramCutter:
    """Splitter of documents into passages; also converts n-grams to keys and back.

    Args:
        sizes: Shortest and longest n-gram in characters.
        columns: Columns of context in the order of their numbers, from 1; None numbers every column as it appears.
    """

    def __init__(self, sizes: tuple[int, int], columns: Sequence[str] | None = None) -> None:
        self.sizes = sizes
        self._columns = {name: number for number, name in enumerate(columns or (), start=1)}
        self._is_open = columns is None

    def passages(self, documents: Iterable[str]) -> Passages:
        """Split documents into passages; context from other columns is ignored."""
        return self._cut(documents, lambda text: _SPACES.sub(" ", text.lower()))

    def _cut(self, documents: Iterable[str], clean: Callable[[str], str]) -> Passages:
        parts: list[str] = []
        columns, owners = array("q"), array("q")
        position = -1
        for position, document in enumerate(documents):
            text, *context = document.split(SEPARATOR)
            parts.append(clean(text))
            columns.append(0)
            owners.append(position)
            for part in context:
                name, _, value = part.partition("=")
                if column := self._column(name):
                    parts.append(clean(value))
                    columns.append(column)
                    owners.append(position)
        lengths = np.fromiter(map(len, parts), np.int64, len(parts))
        return Passages("".join(parts), lengths, np.array(columns), np.array(owners), position + 1)

    def _column(self, name: str) -> int:
        if self._is_open:
            return self._columns.setdefault(name, len(self._columns) + 1)
        return self._columns.get(name, 0)

    def keys(self, ngrams: Sequence[str]) -> Keys:
        """Return the keys of n-grams, ``(len(ngrams),)``; 0, which is no n-gram's key, for n-grams of other sizes."""
        passages, keys = self._cut(ngrams, str), np.zeros(len(ngrams), np.uint64)
        lengths = np.bincount(passages.documents, passages.lengths, minlength=len(ngrams)).astype(np.int64)
        starts = np.cumsum(lengths) - lengths
        for size, begins, found in passages.ngrams(self.sizes):
            own = np.flatnonzero((lengths == size) & np.isin(starts, begins))  # within one passage
            keys[own] = found[np.searchsorted(begins, starts[own])]
        return keys

    @property
    def _marks(self) -> list[str]:
        return ["", *(f"{SEPARATOR}{name}=" for name in self._columns)]

    def names(self, keys: Keys, batches: Callable[[], Iterable[Sequence[str]]]) -> list[str]:
        """Return the n-grams of keys; n-grams of context include their column.

        Args:
            keys: Keys, ``(k,)``.
            batches: Documents that contain the n-grams; they are read only if some keys are hashes.

        Raises:
            DataError: If the documents contain no n-gram for a hash.
        """
        names = self._read(keys)
        if hashed := {key: position for position, key in enumerate(keys.tolist()) if key >= HASHED}:
            for key, name in self._found(keys[keys >= HASHED], in_chunks(batches(), self.sizes)):
                names[hashed[key]] = name
        if not all(names):
            raise DataError("the texts changed while their n-grams were counted (one is now missing); run again")
        return names

    def _read(self, keys: Keys) -> list[str]:
        """Return the n-grams that the keys encode; empty strings for hashes."""
        names, marks = [""] * len(keys), self._marks
        column, number = np.divmod(keys, np.uint64(_BASE**_DIGITS))
        for size in range(1, _DIGITS + 1):
            least, most = np.uint64(_BASE ** (size - 1)), np.uint64(_BASE**size)
            own = np.flatnonzero((keys < HASHED) & (number >= least) & (number < most))
            powers = np.array([_BASE**power for power in range(size - 1, -1, -1)], np.uint64)
            codes = (number[own, None] // powers % np.uint64(_BASE) - np.uint64(1)).astype("<u4")
            text = codes.tobytes().decode("utf-32-le", "surrogatepass")
            for place, (position, of) in enumerate(zip(own.tolist(), column[own].tolist(), strict=True)):
                names[position] = marks[of] + text[place * size : (place + 1) * size]
        return names

    def _found(self, missing: Keys, batches: Iterable[Sequence[str]]) -> Iterator[tuple[int, str]]:
        """Yield each hash that occurs in the documents, with its n-gram."""
        marks, missing = self._marks, np.sort(missing)
        for batch in batches:
            passages = self.passages(batch)
            columns = np.repeat(passages.columns, passages.lengths)
            for size, starts, keys in passages.ngrams(self.sizes):
                here, first = np.unique(keys, return_index=True)
                known = np.isin(here, missing)
                missing = missing[~np.isin(missing, here)]
                for key, start in zip(here[known].tolist(), starts[first[known]].tolist(), strict=True):
                    yield key, marks[columns[start]] + passages.text[start : start + size]
            if not len(missing):
                return
