"""Classical models on n-gram counts: TF-IDF, then a linear classifier, naive Bayes or nearest neighbours.

Each takes rows of raw counts whose columns are its reader's n-grams and gives log-probabilities. Saved as arrays only.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file, save_file
from scipy.sparse import csr_matrix
from scipy.special import log_softmax

from patent_hier.errors import ArtifactError
from patent_hier.models.ngram_features import Arrays, ContextBlock, expect, tf_idf
from patent_hier.sanitize import reason

WEIGHTS = "model.safetensors"
_CHUNK = 1 << 24  # similarities held at once by the neighbours: 64 MiB of float32
_PARAMETERS = ("weights", "weights.data", "bias", "index.data")  # arrays


class NgramModel(ABC):
    """Base class of all models on n-gram counts."""

    kind: ClassVar[str]

    @abstractmethod
    def log_prob(self, counts: csr_matrix) -> NDArray[np.float32]:
        """Natural logarithm of each label's probability, ``(n, labels)``; each row sums to 1 after ``exp``.

        Args:
            counts: Term counts, ``(n, ngrams)`` float32, columns as in training.
        """

    @abstractmethod
    def arrays(self) -> Arrays:
        """Everything that decides, by name."""

    @classmethod
    @abstractmethod
    def from_arrays(cls, arrays: Arrays) -> Self:
        """The model of :meth:`arrays`.

        Raises:
            KeyError: If one is missing.
            ValueError: If they do not fit each other.
        """

    @property
    def num_parameters(self) -> int:
        """How many numbers decide beside the IDF: weights and biases, or the stored documents' values."""
        return sum(values.size for name, values in self.arrays().items() if name in _PARAMETERS)

    def save(self, folder: Path) -> None:
        """Write ``model.safetensors``."""
        save_file({name: np.ascontiguousarray(values) for name, values in self.arrays().items()}, folder / WEIGHTS)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what :meth:`save` wrote.

        Raises:
            ArtifactError: If the file is missing, damaged, or of another kind or shape.
        """
        try:
            return cls.from_arrays(load_file(folder / WEIGHTS))
        except (KeyError, OSError, SafetensorError, ValueError) as error:
            why = f"no array {reason(error)}" if isinstance(error, KeyError) else reason(error)
            raise ArtifactError(
                f"{folder / WEIGHTS} is no {cls.kind} model ({why}); delete the result and train again"
            ) from error


@dataclass(frozen=True, eq=False)
class LinearModel(NgramModel):
    """``log_softmax((tf_idf @ weights + bias) / temperature)``.

    Attributes:
        idf: ``(ngrams,)`` float32.
        weights: ``(ngrams, labels)`` float32: transposed, as the product with sparse rows reads it.
        bias: ``(labels,)`` float32.
        temperature: Above 0; 1 where the scores are logits already.
        context: The columns of context; None if the model reads the text alone.
    """

    idf: NDArray[np.float32]
    weights: NDArray[np.float32]
    bias: NDArray[np.float32]
    temperature: float = 1.0
    context: ContextBlock | None = None

    def scores(self, counts: csr_matrix) -> NDArray[np.float64]:
        """Scores before temperature and softmax, ``(n, labels)``; arguments as in :meth:`log_prob`."""
        return np.asarray(tf_idf(counts, self.idf, self.context) @ self.weights, np.float64) + self.bias

    def log_prob(self, counts: csr_matrix) -> NDArray[np.float32]:
        """See :meth:`NgramModel.log_prob`."""
        return np.asarray(log_softmax(self.scores(counts) / self.temperature, axis=1), np.float32)

    def arrays(self) -> Arrays:
        """See :meth:`NgramModel.arrays`."""
        context = self.context.arrays() if self.context else {}
        return {"idf": self.idf, "weights": self.weights, "bias": self.bias, **context}

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Self:
        """See :meth:`NgramModel.from_arrays`."""
        idf, weights, bias = arrays["idf"], arrays["weights"], arrays["bias"]
        expect("idf", idf, (idf.size,), np.float32)
        expect("bias", bias, (bias.size,), np.float32)
        expect("weights", weights, (idf.size, bias.size), np.float32)
        return cls(idf, weights, bias, context=ContextBlock.from_arrays(arrays, idf.size))


class LinearClassifier(LinearModel):
    """A support vector machine or logistic regression; its temperature is saved."""

    kind: ClassVar[str] = "linear"

    def arrays(self) -> Arrays:
        """See :meth:`NgramModel.arrays`."""
        return {**super().arrays(), "temperature": np.array([self.temperature], np.float64)}

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Self:
        """See :meth:`NgramModel.from_arrays`."""
        temperature = arrays["temperature"]
        expect("temperature", temperature, (1,), np.float64)
        if not 0 < temperature[0] < np.inf:
            raise ValueError(f"temperature is {temperature[0]}")
        return replace(super().from_arrays(arrays), temperature=float(temperature[0]))


class NaiveBayesClassifier(LinearModel):
    """Multinomial naive Bayes, its counts replaced by TF-IDF; its temperature is 1.

    ``weights`` are ``ln P(ngram | label)``, less its mean over the labels. The mean is the same for every label, so the
    softmax does not see it; without it float32 keeps more digits. ``bias`` is ``ln P(label)``.

    Source: C. D. Manning, P. Raghavan and H. Schütze (2008), Introduction to Information Retrieval, section 13.2;
    TF-IDF in place of counts as in Rennie et al. (2003), ICML, without their complement and normalised weights.
    """

    kind: ClassVar[str] = "naive_bayes"

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Self:
        """See :meth:`NgramModel.from_arrays`."""
        if "temperature" in arrays:
            raise ValueError("it has a temperature")
        return super().from_arrays(arrays)


@dataclass(frozen=True, eq=False)
class NeighboursClassifier(NgramModel):
    """The K training documents of highest cosine similarity vote with their similarity.

    With the votes ``v(l)``, the sum of the similarities of those neighbours on whose path ``l`` stands, and L siblings,
    ``P(l | parent) = (v(l) + 1 / L) / (sum of the siblings' v + 1)``: as if one more neighbour of similarity 1 voted
    for all siblings alike. So no label has probability 0, the order of siblings is that of the plain votes, and where
    no neighbour votes the distribution is uniform. Of training documents equally similar, the earlier ones are taken.
    The symbols of a document share its vote equally.

    Attributes:
        idf: ``(ngrams,)`` float32.
        index: TF-IDF of the training documents, transposed: ``(ngrams, n_train)`` float32, by n-gram as in a search
            engine's inverted index.
        paths: Their labels, ``(n_paths, n_levels)`` int64; -1 where a path ends above.
        families: Which labels are siblings, ``(n_labels,)`` int64: equal numbers, from 0 up.
        num_neighbours: K; with fewer training documents all of them vote.
        owners: The training document of each path, ``(n_paths,)`` int64; None where each has one path, in that order.
        context: The columns of context, which add their own cosine, times the square of their weight; None without.

    Source: similarity-weighted K nearest neighbours, Manning, Raghavan and Schütze (2008), section 14.3; the smoothing
    is ours.
    """

    kind: ClassVar[str] = "knn"

    idf: NDArray[np.float32]
    index: csr_matrix
    paths: NDArray[np.int64]
    families: NDArray[np.int64]
    num_neighbours: int
    owners: NDArray[np.int64] | None = None
    context: ContextBlock | None = None

    @cached_property
    def _shares(self) -> csr_matrix:
        """The share of each training document's vote that each label gets, ``(n_train, n_labels)``."""
        owners = np.arange(len(self.paths)) if self.owners is None else self.owners
        rows, levels = np.nonzero(self.paths >= 0)
        shares = 1 / np.bincount(owners)[owners[rows]]
        shape = (self.index.shape[1], len(self.families))
        return csr_matrix((shares, (owners[rows], self.paths[rows, levels])), shape=shape)

    def log_prob(self, counts: csr_matrix) -> NDArray[np.float32]:
        """See :meth:`NgramModel.log_prob`."""
        log_prob = np.empty((counts.shape[0], len(self.families)), np.float32)
        step = max(1, _CHUNK // max(self.index.shape[1], len(self.families)))
        sizes = np.bincount(self.families)
        member = csr_matrix(
            (np.ones(len(self.families)), (np.arange(len(self.families)), self.families))
        )  # (n_labels, n_families)
        for start in range(0, counts.shape[0], step):
            features = tf_idf(counts[start : start + step], self.idf, self.context)
            votes = self._votes((features @ self.index).toarray())
            totals = np.asarray(votes @ member)[:, self.families]
            log_prob[start : start + step] = np.log((votes + 1 / sizes[self.families]) / (totals + 1))
        return log_prob

    def _votes(self, similarity: NDArray[np.float32]) -> NDArray[np.float64]:
        """Votes ``(n, n_labels)`` from similarities ``(n, n_train)``."""
        n_train = similarity.shape[1]
        k = min(self.num_neighbours, n_train)
        least = np.partition(similarity, n_train - k, axis=1)[:, n_train - k, None]  # (n, 1): the K-th highest
        above, equal = similarity > least, similarity == least
        room = k - above.sum(1, keepdims=True)  # (n, 1): how many of the equal ones are taken
        rows, columns = np.nonzero(above | (equal & (np.cumsum(equal, axis=1) <= room)))
        chosen = csr_matrix((similarity[rows, columns].astype(np.float64), (rows, columns)), shape=similarity.shape)
        votes: NDArray[np.float64] = (chosen @ self._shares).toarray()
        return votes

    def arrays(self) -> Arrays:
        """See :meth:`NgramModel.arrays`."""
        owners = {} if self.owners is None else {"owners": self.owners}
        return {
            **owners,
            **(self.context.arrays() if self.context else {}),
            "idf": self.idf,
            "index.data": self.index.data,
            "index.indices": self.index.indices.astype(np.int64),
            "index.indptr": self.index.indptr.astype(np.int64),
            "paths": self.paths,
            "families": self.families,
            "sizes": np.array([self.num_neighbours], np.int64),
        }

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Self:
        """See :meth:`NgramModel.from_arrays`."""
        idf, paths, families, sizes = (arrays[name] for name in ("idf", "paths", "families", "sizes"))
        expect("idf", idf, (idf.size,), np.float32)
        expect("paths", paths, (len(paths), paths.size // max(1, len(paths))), np.int64)
        expect("families", families, (families.size,), np.int64)
        expect("sizes", sizes, (1,), np.int64)
        (num_neighbours,) = sizes.tolist()
        if not (paths.size and num_neighbours >= 1 and paths.min() >= -1 and paths.max() < families.size):
            raise ValueError(f"paths are not of {families.size} labels, or {num_neighbours} neighbours")
        if not np.array_equal(np.unique(families), np.arange(families.max(initial=0) + 1)):
            raise ValueError("families are not numbered from 0 up")
        owners, n_train = arrays.get("owners"), len(paths)
        if owners is not None:
            expect("owners", owners, (len(paths),), np.int64)
            n_train = int(owners.max()) + 1
            if owners.min() < 0 or len(np.unique(owners)) < n_train:
                raise ValueError(f"paths are not of {n_train} documents")
        parts = tuple(arrays[f"index.{name}"] for name in ("data", "indices", "indptr"))
        expect("index.data", parts[0], parts[0].shape, np.float32)
        index = csr_matrix(parts, shape=(idf.size, n_train))
        index.check_format(full_check=True)
        context = ContextBlock.from_arrays(arrays, idf.size)
        return cls(idf, index, paths, families, num_neighbours, owners, context)


def arrays_in(folder: Path) -> tuple[str, ...]:
    """The names of the arrays that a model was saved as.

    Raises:
        ArtifactError: If the file is missing or damaged.
    """
    try:
        with safe_open(folder / WEIGHTS, "numpy") as file:
            return tuple(file.keys())
    except (OSError, SafetensorError) as error:
        raise ArtifactError(
            f"{folder / WEIGHTS} is no model ({reason(error)}); delete the result and train again"
        ) from error
