"""Counts of character n-grams of a whole corpus, memory-mapped by every node.

:mod:`patent_hier.features.ngram_counting` computes them once. On disk, in compressed sparse rows:
``counts.bin`` (int32, occurrences of an n-gram in a document), ``ngram_ids.bin`` (int32, the n-gram; ascending in
each document), ``offsets.npy`` (int64, the start of each document) and ``terms.json``.

N-grams of a document's context (:mod:`patent_hier.data.context`) begin with the context separator and the name of their
column, and come after the n-grams of the text.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, vstack

from patent_hier.artifacts import fingerprint
from patent_hier.atomic import read_json, write_json
from patent_hier.data.context import SEPARATOR
from patent_hier.errors import ArtifactError
from patent_hier.features.ngrams import NgramCutter, Vocabulary, in_chunks
from patent_hier.features.versions import NGRAMS_VERSION
from patent_hier.sanitize import reason
from patent_hier.settings import NgramSettings
from patent_hier.settings.models import LONGEST_NGRAM

COUNTS_FILE = "counts.bin"
NGRAM_IDS_FILE = "ngram_ids.bin"
OFFSETS_FILE = "offsets.npy"
NGRAMS_FILE = "terms.json"
READER = "reader.json"
INT = np.dtype("<i4")


def ngrams_fingerprint(corpus: str, split: str, settings: NgramSettings, context: Sequence[str] = ()) -> str:
    """Return the fingerprint of an n-gram store, from its documents, the training part, and n-gram sizes and limits."""
    limits = [list(settings.ngram_sizes), settings.min_documents, settings.max_terms]
    return fingerprint([NGRAMS_VERSION, corpus, split, limits, *([sorted(context)] if context else [])])


def in_order(ngrams: Iterable[str]) -> list[str]:
    """Return n-grams in vocabulary order: sorted, with n-grams of context after those of the text."""
    return sorted(ngrams, key=lambda ngram: (_is_context(ngram), ngram))


def context_start(ngrams: Sequence[str]) -> int:
    """Return where n-grams of context begin in a vocabulary that is :func:`in_order`; its size if it has none."""
    return bisect_left(ngrams, True, key=_is_context)


def _is_context(ngram: str) -> bool:
    return ngram.startswith(SEPARATOR)


def _column_of(ngram: str) -> str:
    """Return the column that an n-gram of context comes from."""
    return ngram.removeprefix(SEPARATOR).partition("=")[0]


@dataclass(frozen=True, eq=False)
class NgramStore:
    """N-gram counts of documents in compressed sparse rows; the arrays may be memory-mapped.

    Attributes:
        counts: Occurrences of the n-gram in the document, ``(entries,)`` int32.
        ngram_ids: Position of the n-gram in ``ngrams``, ``(entries,)`` int32, ascending in each document.
        offsets: Start of each document, ``(n + 1,)`` int64.
        ngrams: The vocabulary, sorted, context last.
    """

    counts: NDArray[np.int32]
    ngram_ids: NDArray[np.int32]
    offsets: NDArray[np.int64]
    ngrams: tuple[str, ...]

    @classmethod
    def open(cls, folder: Path) -> "NgramStore":
        """Map a sealed folder.

        Raises:
            ArtifactError: If the folder is damaged.
        """
        manifest, ngrams = read_json(folder / "manifest.json"), read_json(folder / NGRAMS_FILE)
        try:
            offsets = np.load(folder / OFFSETS_FILE, allow_pickle=False)
            entries = (int(offsets[-1]),)
            counts = np.memmap(folder / COUNTS_FILE, dtype=INT, mode="r", shape=entries)
            ngram_ids = np.memmap(folder / NGRAM_IDS_FILE, dtype=INT, mode="r", shape=entries)
            if (len(ngrams), len(offsets) - 1) != (manifest["terms"], manifest["documents"]):
                raise ValueError("its files do not match its manifest in size")
        except (EOFError, OSError, ValueError, KeyError, TypeError, IndexError) as error:
            raise ArtifactError(
                f"n-gram cache {folder} is damaged ({reason(error)}); delete it and run again"
            ) from error
        return cls(counts, ngram_ids, offsets, tuple(ngrams))

    @classmethod
    def of_matrix(cls, matrix: csr_matrix, ngrams: tuple[str, ...]) -> "NgramStore":
        """Build a store in memory from a matrix of counts ``(n, ngrams)`` with sorted columns."""
        return cls(matrix.data.astype(INT), matrix.indices.astype(INT), matrix.indptr.astype(np.int64), ngrams)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        """Number of distinct n-grams of each document, ``(n,)``."""
        return np.diff(self.offsets)

    @property
    def matrix(self) -> csr_matrix:
        """Counts of all documents as :meth:`rows` returns them; a copy in memory."""
        return self.rows(np.arange(len(self)))

    def rows(self, indices: NDArray[np.intp]) -> csr_matrix:
        """Return the counts of some documents, ``(len(indices), ngrams)`` float32, in the order of ``indices``.

        Only the entries of these documents are read. (scipy's row indexing would copy the whole store if it has more
        entries than 32 bits can count.)
        """
        lengths = self.lengths[indices]
        indptr = np.concatenate([[0], np.cumsum(lengths)])
        entries = np.repeat(self.offsets[indices] - indptr[:-1], lengths) + np.arange(indptr[-1])
        shape = (len(indices), len(self.ngrams))
        return csr_matrix((self.counts[entries].astype(np.float32), self.ngram_ids[entries], indptr), shape=shape)

    def columns(self, ngrams: Sequence[str]) -> NDArray[np.intp]:
        """Return the columns of some n-grams in the matrices of :meth:`rows`, ``(len(ngrams),)``.

        Raises:
            ArtifactError: If the store has no counts for one of them.
        """
        try:
            return np.array([self._position[ngram] for ngram in ngrams], np.intp)
        except KeyError as error:
            raise ArtifactError(
                f"the n-gram store has no counts for the n-gram {error}, which the model reads; train the node again"
            ) from error

    @cached_property
    def _position(self) -> dict[str, int]:
        return {ngram: position for position, ngram in enumerate(self.ngrams)}


@dataclass(frozen=True, eq=False)
class JoinedNgrams:
    """Two stores with the same vocabulary presented as one, without copying: the second's documents follow the first's.

    Attributes:
        first: Store whose documents keep their positions.
        second: Store whose document ``i`` gets position ``len(first) + i``.
    """

    first: NgramStore
    second: NgramStore

    def __post_init__(self) -> None:
        assert self.first.ngrams == self.second.ngrams  # the caller reads both with one vocabulary

    def __len__(self) -> int:
        return len(self.first) + len(self.second)

    @property
    def ngrams(self) -> tuple[str, ...]:
        """The vocabulary of both stores."""
        return self.first.ngrams

    def rows(self, indices: NDArray[np.intp]) -> csr_matrix:
        """Return the counts of some documents; see :meth:`NgramStore.rows`."""
        n = len(self.first)
        order = np.argsort(indices >= n, kind="stable")  # documents of the first store, then of the second
        own, others = indices[indices < n], indices[indices >= n] - n
        if not len(others):
            return self.first.rows(own)
        stacked = vstack([self.first.rows(own), self.second.rows(others)], format="csr")
        return stacked[np.argsort(order)]


@dataclass(frozen=True)
class NgramReader:
    """Reader that converts texts to counts of a model's n-grams.

    Attributes:
        ngrams: The model's vocabulary, in the order of its columns.
        ngram_sizes: Shortest and longest n-gram in characters.
    """

    ngrams: tuple[str, ...]
    ngram_sizes: tuple[int, int]

    @cached_property
    def _ngrams(self) -> NgramCutter:
        context = self.ngrams[context_start(self.ngrams) :]
        return NgramCutter(self.ngram_sizes, list(dict.fromkeys(map(_column_of, context))))

    @cached_property
    def _vocabulary(self) -> Vocabulary:
        return Vocabulary(self._ngrams.keys(self.ngrams))

    @cached_property
    def position(self) -> dict[str, int]:
        """Column of each n-gram."""
        return {ngram: position for position, ngram in enumerate(self.ngrams)}

    def encode(self, texts: list[str]) -> NgramStore:
        """Return the n-gram counts of new texts; n-grams outside the vocabulary are ignored."""
        chunks = in_chunks([texts], self.ngram_sizes)
        rows = [self._vocabulary.rows(self._ngrams.passages(own).count(self.ngram_sizes)) for own in chunks]
        matrix = vstack(rows, format="csr") if rows else csr_matrix((0, len(self.ngrams)), dtype=INT)
        return NgramStore.of_matrix(matrix, self.ngrams)

    def save(self, folder: Path) -> None:
        """Write ``reader.json`` and ``terms.json``."""
        write_json(folder / READER, {"ngram_sizes": list(self.ngram_sizes)})
        write_json(folder / NGRAMS_FILE, list(self.ngrams))

    @classmethod
    def load(cls, folder: Path) -> "NgramReader":
        """Load a reader that :meth:`save` wrote.

        Raises:
            ArtifactError: If a file is missing or damaged.
        """
        facts, ngrams = read_json(folder / READER), read_json(folder / NGRAMS_FILE)
        sizes = facts.get("ngram_sizes") if isinstance(facts, dict) else None
        if not (
            isinstance(sizes, list)
            and len(sizes) == 2
            and all(type(size) is int for size in sizes)
            and 1 <= sizes[0] <= sizes[1] <= LONGEST_NGRAM
        ):
            raise ArtifactError(f"{folder / READER} has no valid ngram_sizes; train the node again")
        listed = isinstance(ngrams, list) and ngrams and all(isinstance(ngram, str) for ngram in ngrams)
        if not listed or len(set(ngrams)) != len(ngrams):
            raise ArtifactError(f"{folder / NGRAMS_FILE} is not a list of distinct n-grams; train the node again")
        return cls(tuple(ngrams), (sizes[0], sizes[1]))
