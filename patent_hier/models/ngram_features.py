"""From n-gram counts to features: TF-IDF of unit length, and the block of context beside that of the text."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from sklearn.preprocessing import normalize

Arrays = dict[str, NDArray[Any]]


def fit_idf(counts: csr_matrix) -> NDArray[np.float32]:
    """Smoothed inverse document frequency ``ln((1 + n) / (1 + df)) + 1`` of each n-gram, ``(ngrams,)``.

    Args:
        counts: Term counts of the node's training documents, ``(n, ngrams)``.

    Source: scikit-learn's ``TfidfTransformer(smooth_idf=True)``.
    """
    frequency = np.bincount(counts.indices, minlength=counts.shape[1])
    return np.asarray(np.log((1 + counts.shape[0]) / (1 + frequency)) + 1, np.float32)


@dataclass(frozen=True)
class ContextBlock:
    """The last columns of counts: n-grams of what is known beside the text.

    Attributes:
        start: The first of them; all behind it are too.
        weight: Length of their part of a document's features; that of the text has 1.
    """

    start: int
    weight: float

    def among(self, columns: NDArray[np.integer[Any]]) -> "ContextBlock":
        """The same block, where only some columns are kept, ascending."""
        return replace(self, start=int(np.searchsorted(columns, self.start)))

    def scaled(
        self, values: NDArray[np.float32], documents: NDArray[np.integer[Any]], columns: NDArray[np.integer[Any]]
    ) -> NDArray[np.float32]:
        """Entries ``(entries,)`` of a sparse matrix with both parts of each document at their lengths."""
        is_context = columns >= self.start
        part = 2 * documents.astype(np.int64) + is_context
        lengths = np.maximum(np.sqrt(np.bincount(part, values.astype(np.float64) ** 2)), 1e-30)
        scales = np.where(is_context, self.weight, 1.0) / lengths[part]
        return np.asarray(values * scales, np.float32)

    def arrays(self) -> Arrays:
        """What :meth:`from_arrays` reads."""
        return {"context": np.array([self.start, self.weight], np.float64)}

    @classmethod
    def from_arrays(cls, arrays: Arrays, num_ngrams: int) -> "ContextBlock | None":
        """The block of a saved model; None if it reads the text alone.

        Raises:
            ValueError: If it does not fit the n-grams.
        """
        if "context" not in arrays:
            return None
        expect("context", arrays["context"], (2,), np.float64)
        start, weight = arrays["context"].tolist()
        if not (0 <= start <= num_ngrams and start == int(start) and 0 < weight < np.inf):
            raise ValueError(f"context is {start}, {weight}")
        return cls(int(start), weight)


def tf_idf(counts: csr_matrix, idf: NDArray[np.float32], context: ContextBlock | None = None) -> csr_matrix:
    """Rows ``(1 + ln count) * idf`` of Euclidean length 1, ``(n, ngrams)`` float32; a row without n-grams stays zero.

    Args:
        counts: ``(n, ngrams)``.
        idf: ``(ngrams,)``.
        context: The block of context, whose part of each row has a length of its own; None without context.

    Source: scikit-learn's ``TfidfTransformer(sublinear_tf=True)``.
    """
    values = (1 + np.log(counts.data, dtype=np.float32)) * idf[counts.indices]
    if context is not None:
        documents = np.repeat(np.arange(counts.shape[0]), np.diff(counts.indptr))
        values = context.scaled(values, documents, counts.indices)
    weighted = csr_matrix((values, counts.indices, counts.indptr), shape=counts.shape)
    return weighted if context is not None else normalize(weighted, norm="l2", copy=False)


def expect(name: str, values: NDArray[Any], shape: tuple[int, ...], dtype: type[np.generic]) -> None:
    """Refuse an array of another shape or type.

    Raises:
        ValueError: Naming it.
    """
    if values.shape != shape or values.dtype != dtype:
        raise ValueError(f"{name} is {values.shape} {values.dtype}, not {shape} {np.dtype(dtype)}")
