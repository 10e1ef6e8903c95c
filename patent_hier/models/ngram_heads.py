"""Many heads on n-gram counts as one model: a linear or naive Bayes classifier for each parent in a label tree.

Each head has its own n-grams and inverse document frequencies, from the documents below its parent.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_matrix, csr_matrix
from scipy.special import log_softmax

from patent_hier.models.classical import NgramModel
from patent_hier.models.ngram_features import Arrays, ContextBlock, expect

HEADS = "heads"  # name of an array that only these models have
_END_TO_END = ("columns", "idf", "weights", "bias")  # arrays saved as the concatenation over all heads


@dataclass(frozen=True, eq=False)
class Head:
    """The softmax over one parent's children: ``log_softmax((tf_idf @ weights + bias) / temperature)``.

    Attributes:
        start: First label of the head among the model's labels; its other labels follow.
        columns: N-grams of the head among the model's n-grams, ascending, ``(ngrams,)`` int32.
        idf: IDF of each n-gram, ``(ngrams,)`` float32.
        weights: Weights, ``(ngrams, labels)`` float32.
        bias: Biases, ``(labels,)`` float32.
        temperature: Temperature above 0.
        context: Columns of context; None if the head reads only the text.
    """

    start: int
    columns: NDArray[np.int32]
    idf: NDArray[np.float32]
    weights: NDArray[np.float32]
    bias: NDArray[np.float32]
    temperature: float = 1.0
    context: ContextBlock | None = None

    @property
    def labels(self) -> slice:
        """The head's labels among the model's labels."""
        return slice(self.start, self.start + len(self.bias))

    def scores(self, counts: csc_matrix) -> NDArray[np.float64]:
        """Return scores before temperature and softmax, ``(n, labels)``, from counts of all n-grams of the model."""
        own = counts[:, self.columns]
        owners = np.repeat(np.arange(len(self.columns)), np.diff(own.indptr))
        values = (1 + np.log(own.data, dtype=np.float32)) * self.idf[owners]
        if self.context is not None:
            values = self.context.scaled(values, own.indices, owners)
        else:
            lengths = np.sqrt(np.bincount(own.indices, values.astype(np.float64) ** 2))
            values /= np.maximum(lengths, 1e-30)[own.indices].astype(np.float32)
        features = csc_matrix((values, own.indices, own.indptr), shape=own.shape)
        return np.asarray(features @ self.weights, np.float64) + self.bias


@dataclass(frozen=True, eq=False)
class NgramHeads(NgramModel):
    """All heads of a label tree; a label without siblings needs none and has probability 1 under its parent.

    Attributes:
        heads: Heads in the order of their labels.
        num_labels: Number of labels of the tree.
        num_ngrams: Number of n-grams of the reader.
        context: Columns of context; None if the model reads only the text.
    """

    kind: ClassVar[str] = "heads"

    heads: Sequence[Head]
    num_labels: int
    num_ngrams: int
    context: ContextBlock | None = None

    def log_prob(self, counts: csr_matrix) -> NDArray[np.float32]:
        """Return conditional log-probabilities ``(n, num_labels)``; see :meth:`NgramModel.log_prob`."""
        if counts.shape[1] != self.num_ngrams:
            raise ValueError(f"counts have {counts.shape[1]} n-grams, not {self.num_ngrams}")
        by_ngram = counts.tocsc()
        result = np.zeros((counts.shape[0], self.num_labels), np.float32)
        for head in self.heads:
            result[:, head.labels] = log_softmax(head.scores(by_ngram) / head.temperature, axis=1)
        return result

    def arrays(self) -> Arrays:
        """Return the heads' concatenated arrays and their sizes; see :meth:`NgramModel.arrays`."""
        sizes = [(head.start, len(head.columns), len(head.bias)) for head in self.heads]
        return {
            **{name: np.concatenate([getattr(head, name).ravel() for head in self.heads]) for name in _END_TO_END},
            "temperatures": np.array([head.temperature for head in self.heads], np.float64),
            HEADS: np.array(sizes, np.int64),
            "sizes": np.array([self.num_labels, self.num_ngrams], np.int64),
            **(self.context.arrays() if self.context else {}),
        }

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Self:
        """See :meth:`NgramModel.from_arrays`."""
        table, sizes = arrays[HEADS], arrays["sizes"]
        expect("heads", table, (len(table), 3), np.int64)
        expect("sizes", sizes, (2,), np.int64)
        starts, ngrams, labels = table.T
        num_labels, num_ngrams = map(int, sizes)
        if not len(table) or (table < 0).any() or (labels < 2).any() or (starts[1:] < (starts + labels)[:-1]).any():
            raise ValueError("the heads overlap or are empty")
        expect("temperatures", arrays["temperatures"], (len(table),), np.float64)
        counts = dict(zip(_END_TO_END, (ngrams, ngrams, ngrams * labels, labels), strict=True))
        for name, own in counts.items():
            expect(name, arrays[name], (int(own.sum()),), np.int32 if name == "columns" else np.float32)
        if not ((arrays["temperatures"] > 0) & np.isfinite(arrays["temperatures"])).all():
            raise ValueError("a temperature is out of range")
        columns = arrays["columns"]
        if starts[-1] + labels[-1] > num_labels or (
            len(columns) and not 0 <= columns.min() <= columns.max() < num_ngrams
        ):
            raise ValueError(f"the heads do not fit {num_labels} labels and {num_ngrams} n-grams")
        parts = [np.split(arrays[name], np.cumsum(own)[:-1]) for name, own in counts.items()]
        context = ContextBlock.from_arrays(arrays, num_ngrams)
        heads = [
            Head(
                *(start, own, idf, weights.reshape(len(own), len(bias)), bias, temperature),
                context and context.among(own),
            )
            for start, own, idf, weights, bias, temperature in zip(
                starts.tolist(), *parts, arrays["temperatures"].tolist(), strict=True
            )
        ]
        return cls(heads, num_labels, num_ngrams, context)
