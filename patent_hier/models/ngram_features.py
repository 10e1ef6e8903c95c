"""Features from n-gram counts: TF-IDF vectors of unit length, the context's features after the text's."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from sklearn.preprocessing import normalize

Arrays = dict[str, NDArray[Any]]


def fit_idf(counts: csr_matrix) -> NDArray[np.float32]:
    """Return the smoothed inverse document frequency of each n-gram, ``ln((1 + n) / (1 + df)) + 1``, ``(ngrams,)``.

    Args:
        counts: N-gram counts of the node's training documents, ``(n, ngrams)``.

    Source: scikit-learn's ``TfidfTransformer(smooth_idf=True)``.
    """
    frequency = np.bincount(counts.indices, minlength=counts.shape[1])
    return np.asarray(np.log((1 + counts.shape[0]) / (1 + frequency)) + 1, np.float32)


@dataclass(frozen=True)
class ContextBlock:
    """The last columns of the counts, which hold n-grams of the context beside the text.

    Attributes:
        start: First column of context; all later columns are context too.
        weight: Length of the context part of a document's features; the text part has length 1.
    """

    start: int
    weight: float

    def among(self, columns: NDArray[np.integer[Any]]) -> "ContextBlock":
        """Return the same block after only some columns, in ascending order, are kept."""
        return replace(self, start=int(np.searchsorted(columns, self.start)))

    def scaled(
        self, values: NDArray[np.float32], documents: NDArray[np.integer[Any]], columns: NDArray[np.integer[Any]]
    ) -> NDArray[np.float32]:
        """Scale sparse entries ``(entries,)`` so that both parts of each document have their lengths."""
        is_context = columns >= self.start
        part = 2 * documents.astype(np.int64) + is_context
        lengths = np.maximum(np.sqrt(np.bincount(part, values.astype(np.float64) ** 2)), 1e-30)
        scales = np.where(is_context, self.weight, 1.0) / lengths[part]
        return np.asarray(values * scales, np.float32)

    def arrays(self) -> Arrays:
        """Return the arrays that :meth:`from_arrays` reads."""
        return {"context": np.array([self.start, self.weight], np.float64)}

    @classmethod
    def from_arrays(cls, arrays: Arrays, num_ngrams: int) -> "ContextBlock | None":
        """Return the block of a saved model; None if the model reads only the text.

        Raises:
            ValueError: If the block does not fit the n-grams.
        """
        if "context" not in arrays:
            return None
        expect("context", arrays["context"], (2,), np.float64)
        start, weight = arrays["context"].tolist()
        if not (0 <= start <= num_ngrams and start == int(start) and 0 < weight < np.inf):
            raise ValueError(f"context is {start}, {weight}, not a valid column and weight")
        return cls(int(start), weight)


def tf_idf(counts: csr_matrix, idf: NDArray[np.float32], context: ContextBlock | None = None) -> csr_matrix:
    """Return rows ``(1 + ln count) * idf`` of Euclidean length 1, ``(n, ngrams)`` float32; empty rows stay zero.

    Args:
        counts: N-gram counts, ``(n, ngrams)``.
        idf: IDF of each n-gram, ``(ngrams,)``.
        context: Block of context, whose part of each row has its own length; None without context.

    Source: scikit-learn's ``TfidfTransformer(sublinear_tf=True)``.
    """
    values = (1 + np.log(counts.data, dtype=np.float32)) * idf[counts.indices]
    if context is not None:
        documents = np.repeat(np.arange(counts.shape[0]), np.diff(counts.indptr))
        values = context.scaled(values, documents, counts.indices)
    weighted = csr_matrix((values, counts.indices, counts.indptr), shape=counts.shape)
    return weighted if context is not None else normalize(weighted, norm="l2", copy=False)


def expect(name: str, values: NDArray[Any], shape: tuple[int, ...], dtype: type[np.generic]) -> None:
    """Check the shape and type of an array.

    Raises:
        ValueError: If they differ from the expected ones; the message names the array.
    """
    if values.shape != shape or values.dtype != dtype:
        raise ValueError(f"{name} is {values.shape} {values.dtype}, not {shape} {np.dtype(dtype)}")
