"""Counts of character n-grams ("terms") of a whole corpus, memory-mapped by every node.

:mod:`patent_hier.features.term_counting` makes them, once. On disk, in compressed sparse rows:
``counts.bin`` (int32, how often a term stands in a document), ``term_ids.bin`` (int32, which term; ascending in each
document), ``offsets.npy`` (int64, where each document begins) and ``terms.json``.

Terms of a document's context (:mod:`patent_hier.data.context`) begin with its separator and the name of their column,
and stand behind those of the text.
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
from patent_hier.features.ngrams import NgramReader, Vocabulary, in_chunks
from patent_hier.features.versions import TERMS_VERSION
from patent_hier.sanitize import reason
from patent_hier.settings import TermSettings
from patent_hier.settings.models import LONGEST_NGRAM

COUNTS_FILE = "counts.bin"
TERM_IDS_FILE = "term_ids.bin"
OFFSETS_FILE = "offsets.npy"
TERMS_FILE = "terms.json"
READER = "reader.json"
INT = np.dtype("<i4")


def terms_fingerprint(corpus: str, split: str, settings: TermSettings, context: Sequence[str] = ()) -> str:
    """Name a term store by what decides its content: documents, training part, sizes and limits of the vocabulary."""
    limits = [list(settings.ngram_sizes), settings.min_documents, settings.max_terms]
    return fingerprint([TERMS_VERSION, corpus, split, limits, *([sorted(context)] if context else [])])


def in_order(terms: Iterable[str]) -> list[str]:
    """Terms in the order of a vocabulary: sorted, those of context behind those of the text."""
    return sorted(terms, key=lambda term: (_is_context(term), term))


def context_start(terms: Sequence[str]) -> int:
    """Where the terms of context begin in a vocabulary that is :func:`in_order`; its size where there are none."""
    return bisect_left(terms, True, key=_is_context)


def _is_context(term: str) -> bool:
    return term.startswith(SEPARATOR)


def _column_of(term: str) -> str:
    """The column of a term of context."""
    return term.removeprefix(SEPARATOR).partition("=")[0]


@dataclass(frozen=True, eq=False)
class TermStore:
    """Term counts of documents in compressed sparse rows; the arrays may be memory-mapped.

    Attributes:
        counts: How often the term stands in the document, ``(entries,)`` int32.
        term_ids: Which term, a position in ``terms``, ``(entries,)`` int32, ascending in each document.
        offsets: Where each document begins, ``(n + 1,)`` int64.
        terms: The vocabulary, sorted, context last.
    """

    counts: NDArray[np.int32]
    term_ids: NDArray[np.int32]
    offsets: NDArray[np.int64]
    terms: tuple[str, ...]

    @classmethod
    def open(cls, folder: Path) -> "TermStore":
        """Map a sealed folder.

        Raises:
            ArtifactError: If it is damaged.
        """
        manifest, terms = read_json(folder / "manifest.json"), read_json(folder / TERMS_FILE)
        try:
            offsets = np.load(folder / OFFSETS_FILE, allow_pickle=False)
            entries = (int(offsets[-1]),)
            counts = np.memmap(folder / COUNTS_FILE, dtype=INT, mode="r", shape=entries)
            term_ids = np.memmap(folder / TERM_IDS_FILE, dtype=INT, mode="r", shape=entries)
            if (len(terms), len(offsets) - 1) != (manifest["terms"], manifest["documents"]):
                raise ValueError("its files are not of one size")
        except (EOFError, OSError, ValueError, KeyError, TypeError, IndexError) as error:
            raise ArtifactError(f"term cache {folder} is damaged ({reason(error)}); delete it and run again") from error
        return cls(counts, term_ids, offsets, tuple(terms))

    @classmethod
    def of_matrix(cls, matrix: csr_matrix, terms: tuple[str, ...]) -> "TermStore":
        """A store in memory from a matrix of counts ``(n, terms)`` with sorted columns."""
        return cls(matrix.data.astype(INT), matrix.indices.astype(INT), matrix.indptr.astype(np.int64), terms)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        """Number of distinct terms of each document, ``(n,)``."""
        return np.diff(self.offsets)

    @property
    def matrix(self) -> csr_matrix:
        """All documents as :meth:`rows` gives them; a copy in memory."""
        return self.rows(np.arange(len(self)))

    def rows(self, indices: NDArray[np.intp]) -> csr_matrix:
        """Counts of some documents, ``(len(indices), terms)`` float32, in the order of ``indices``.

        Only their entries are read. (scipy's own indexing of rows would copy the whole store where it has more entries
        than 32 bits can count.)
        """
        lengths = self.lengths[indices]
        indptr = np.concatenate([[0], np.cumsum(lengths)])
        entries = np.repeat(self.offsets[indices] - indptr[:-1], lengths) + np.arange(indptr[-1])
        shape = (len(indices), len(self.terms))
        return csr_matrix((self.counts[entries].astype(np.float32), self.term_ids[entries], indptr), shape=shape)

    def columns(self, terms: Sequence[str]) -> NDArray[np.intp]:
        """Where some terms stand among the columns of :meth:`rows`, ``(len(terms),)``.

        Raises:
            ArtifactError: If the store does not count one of them.
        """
        try:
            return np.array([self._position[term] for term in terms], np.intp)
        except KeyError as error:
            raise ArtifactError(
                f"the term store does not count the n-gram {error}, which the model reads; train the node again"
            ) from error

    @cached_property
    def _position(self) -> dict[str, int]:
        return {term: position for position, term in enumerate(self.terms)}


@dataclass(frozen=True, eq=False)
class JoinedTerms:
    """Two stores of one vocabulary seen as one, without copying: the second's documents stand behind the first's.

    Attributes:
        first: Its documents keep their positions.
        second: Its document ``i`` has the position ``len(first) + i``.
    """

    first: TermStore
    second: TermStore

    def __post_init__(self) -> None:
        assert self.first.terms == self.second.terms  # the caller reads both with one vocabulary

    def __len__(self) -> int:
        return len(self.first) + len(self.second)

    @property
    def terms(self) -> tuple[str, ...]:
        """The vocabulary of both."""
        return self.first.terms

    def rows(self, indices: NDArray[np.intp]) -> csr_matrix:
        """As :meth:`TermStore.rows`."""
        n = len(self.first)
        order = np.argsort(indices >= n, kind="stable")  # those of the first store, then those of the second
        own, others = indices[indices < n], indices[indices >= n] - n
        if not len(others):
            return self.first.rows(own)
        stacked = vstack([self.first.rows(own), self.second.rows(others)], format="csr")
        return stacked[np.argsort(order)]


@dataclass(frozen=True)
class TermReader:
    """Turns texts into counts of a model's terms.

    Attributes:
        terms: The model's vocabulary; the order is that of its columns.
        ngram_sizes: Shortest and longest n-gram in characters.
    """

    terms: tuple[str, ...]
    ngram_sizes: tuple[int, int]

    @cached_property
    def _ngrams(self) -> NgramReader:
        context = self.terms[context_start(self.terms) :]
        return NgramReader(self.ngram_sizes, list(dict.fromkeys(map(_column_of, context))))

    @cached_property
    def _vocabulary(self) -> Vocabulary:
        return Vocabulary(self._ngrams.keys(self.terms))

    @cached_property
    def position(self) -> dict[str, int]:
        """The column of each term."""
        return {term: position for position, term in enumerate(self.terms)}

    def encode(self, texts: list[str]) -> TermStore:
        """Term counts of new texts; n-grams outside the vocabulary are left out."""
        chunks = in_chunks([texts], self.ngram_sizes)
        rows = [self._vocabulary.rows(self._ngrams.passages(own).count(self.ngram_sizes)) for own in chunks]
        matrix = vstack(rows, format="csr") if rows else csr_matrix((0, len(self.terms)), dtype=INT)
        return TermStore.of_matrix(matrix, self.terms)

    def save(self, folder: Path) -> None:
        """Write ``reader.json`` and ``terms.json``."""
        write_json(folder / READER, {"ngram_sizes": list(self.ngram_sizes)})
        write_json(folder / TERMS_FILE, list(self.terms))

    @classmethod
    def load(cls, folder: Path) -> "TermReader":
        """Read what :meth:`save` wrote.

        Raises:
            ArtifactError: If a file is missing or damaged.
        """
        facts, terms = read_json(folder / READER), read_json(folder / TERMS_FILE)
        sizes = facts.get("ngram_sizes") if isinstance(facts, dict) else None
        if not (
            isinstance(sizes, list)
            and len(sizes) == 2
            and all(type(size) is int for size in sizes)
            and 1 <= sizes[0] <= sizes[1] <= LONGEST_NGRAM
        ):
            raise ArtifactError(f"{folder / READER} names no ngram_sizes; train the node again")
        listed = isinstance(terms, list) and terms and all(isinstance(term, str) for term in terms)
        if not listed or len(set(terms)) != len(terms):
            raise ArtifactError(f"{folder / TERMS_FILE} is no list of distinct n-grams; train the node again")
        return cls(tuple(terms), (sizes[0], sizes[1]))
