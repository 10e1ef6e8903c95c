"""Character n-grams of many documents at once, as numbers that numpy can sort.

The n-grams of a text are scikit-learn's: lower case, runs of white space as one space, every run of so many characters.
Each has a key of 64 bits. Up to three characters the key *is* the n-gram, its characters being the digits of a number.
A longer one has a hash, above :data:`HASHED`: that any two of 100 million n-grams share one has a chance of one in two
thousand, and such a pair would be counted as one n-gram.

N-grams of a document's context (:mod:`patent_hier.data.context`) are kept apart by their column, a further digit.
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

_BASE = 0x110001  # of the digits: every code point and, as 0, none
_DIGITS = 3  # that fit with the column into 63 bits
_COLUMNS = 5  # of context, likewise; those of further columns have a hash
HASHED = np.uint64(1 << 63)  # keys from here on are hashes
CHARACTERS = 3 << 19  # of the n-grams of one size that are counted at once: about 100 MB
_SPACES = re.compile(r"\s\s+")  # as in scikit-learn


class Counted(NamedTuple):
    """N-grams of ``n`` documents.

    Attributes:
        keys: The distinct ones, ascending, ``(k,)``.
        counts: How often each stands in each document, ``(n, k)`` int32, columns ascending in each row.
    """

    keys: Keys
    counts: csr_matrix


def in_chunks(batches: Iterable[Sequence[str]], sizes: tuple[int, int]) -> Iterator[list[str]]:
    """Documents by so many as are counted at once: memory does not depend on how long they are."""
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
    """The columns of a model's or a store's n-grams.

    Args:
        keys: By column, ``(ngrams,)``.
    """

    def __init__(self, keys: Keys) -> None:
        self._column = np.argsort(keys)
        self._keys = keys[self._column]

    def rows(self, counted: Counted) -> csr_matrix:
        """The counts of documents, ``(n, ngrams)``, columns ascending in each row; other n-grams are left out."""
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
    """Documents cut into passages, of one column each, end to end.

    Attributes:
        text: All passages, lower case.
        lengths: Of each passage, in characters, ``(p,)``.
        columns: Of each passage; 0 for a document's text, ``(p,)``.
        documents: Of each passage, ascending from 0, ``(p,)``.
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
        """By size, where its n-grams begin, ``(k,)``, and their keys, ``(k,)``."""
        digits, owner = self.codes + np.uint64(1), self._owner
        column = self.columns.astype(np.uint64)[owner]
        number = np.zeros(len(digits), np.uint64)
        for size in range(1, sizes[1] + 1):
            if (n := len(digits) - size + 1) < 1:
                break
            if size == _DIGITS + 1:
                number = _mixed(number)  # or products of digits would fall together
            number = number[:n] * np.uint64(_BASE) + digits[len(digits) - n :]
            if size > _DIGITS:
                number = _mixed(number)  # wraps around: a hash of the hash before it and the new character
            if size >= sizes[0]:
                starts = np.flatnonzero(owner[:n] == owner[size - 1 : size - 1 + n])
                yield size, starts, _with_column(number[starts], column[starts], size)

    def count(self, sizes: tuple[int, int]) -> Counted:
        """Count the n-grams of each document."""
        found = [*self.ngrams(sizes), (0, np.empty(0, np.intp), np.empty(0, np.uint64))]
        documents = np.concatenate([self.documents[self._owner[starts]] for _, starts, _ in found])
        # Sorting all of them, as np.unique does, takes five times as long.
        codes, distinct = pd.factorize(np.concatenate([keys for _, _, keys in found]))
        order = np.argsort(distinct)
        rank = np.empty_like(order)
        rank[order] = np.arange(len(order))
        ones = np.ones(len(codes), np.int32)
        counts = coo_matrix((ones, (documents, rank[codes])), shape=(self.size, len(distinct))).tocsr()
        return Counted(distinct[order], counts)


def _mixed(number: Keys) -> Keys:
    """Spread a number over all 64 bits; one to one. Source: finaliser of SplitMix64, Steele et al. (2014), OOPSLA."""
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
    """Cuts documents into passages and names n-grams by their keys.

    Args:
        sizes: Shortest and longest n-gram in characters.
        columns: Columns of context in the order of their numbers, from 1; None takes every one as it comes.
    """

    def __init__(self, sizes: tuple[int, int], columns: Sequence[str] | None = None) -> None:
        self.sizes = sizes
        self._columns = {name: number for number, name in enumerate(columns or (), start=1)}
        self._is_open = columns is None

    def passages(self, documents: Iterable[str]) -> Passages:
        """Cut documents; context of columns that are not read is left out."""
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
        """The keys of n-grams, ``(len(ngrams),)``; 0, which no n-gram has, for those of other sizes."""
        passages, keys = self._cut(ngrams, str), np.zeros(len(ngrams), np.uint64)
        lengths = np.bincount(passages.documents, passages.lengths, minlength=len(ngrams)).astype(np.int64)
        starts = np.cumsum(lengths) - lengths
        for size, begins, found in passages.ngrams(self.sizes):
            own = np.flatnonzero((lengths == size) & np.isin(starts, begins))  # in one passage
            keys[own] = found[np.searchsorted(begins, starts[own])]
        return keys

    @property
    def _marks(self) -> list[str]:
        return ["", *(f"{SEPARATOR}{name}=" for name in self._columns)]

    def names(self, keys: Keys, batches: Callable[[], Iterable[Sequence[str]]]) -> list[str]:
        """The n-grams of keys, those of context with their column.

        Args:
            keys: ``(k,)``.
            batches: Documents that hold the n-grams; they are read only to find the characters of hashes.

        Raises:
            DataError: If a hash is not among them.
        """
        names = self._read(keys)
        if hashed := {key: position for position, key in enumerate(keys.tolist()) if key >= HASHED}:
            for key, name in self._found(keys[keys >= HASHED], in_chunks(batches(), self.sizes)):
                names[hashed[key]] = name
        if not all(names):
            raise DataError("an n-gram was not found again in the texts; they have changed meanwhile: run again")
        return names

    def _read(self, keys: Keys) -> list[str]:
        """The n-grams of keys; empty ones for hashes."""
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
        """The keys and n-grams of hashes, as documents show them; those of no document are left out."""
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
