"""Classical models on n-gram counts: TF-IDF, then a linear classifier, naive Bayes or nearest neighbours.

Each model takes rows of raw counts, whose columns are its reader's n-grams, and returns log-probabilities. Models are
saved as arrays only.
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
_CHUNK = 1 << 24  # similarities computed at a time for nearest neighbours: 64 MiB of float32
_PARAMETERS = ("weights", "weights.data", "bias", "index.data")  # names of arrays


class NgramModel(ABC):
    """Base class of all models on n-gram counts."""

    kind: ClassVar[str]

    @abstractmethod
    def log_prob(self, counts: csr_matrix) -> NDArray[np.float32]:
        """Return the natural logarithm of each label's probability, ``(n, labels)``; each row sums to 1 after ``exp``.

        Args:
            counts: N-gram counts, ``(n, ngrams)`` float32, with the same columns as in training.
        """

    @abstractmethod
    def arrays(self) -> Arrays:
        """Return all arrays that determine the model, by name."""

    @classmethod
    @abstractmethod
    def from_arrays(cls, arrays: Arrays) -> Self:
        """Rebuild the model from the result of :meth:`arrays`.

        Raises:
            KeyError: If an array is missing.
            ValueError: If the arrays do not fit together.
        """

    @property
    def num_parameters(self) -> int:
        """Number of parameters without the IDF: weights and biases, or the values of the stored documents."""
        return sum(values.size for name, values in self.arrays().items() if name in _PARAMETERS)

    def save(self, folder: Path) -> None:
        """Write ``model.safetensors``."""
        save_file({name: np.ascontiguousarray(values) for name, values in self.arrays().items()}, folder / WEIGHTS)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read the file written by :meth:`save`.

        Raises:
            ArtifactError: If the file is missing, damaged, or holds another type of model or other shapes.
        """
        try:
            return cls.from_arrays(load_file(folder / WEIGHTS))
        except (KeyError, OSError, SafetensorError, ValueError) as error:
            why = f"no array {reason(error)}" if isinstance(error, KeyError) else reason(error)
            raise ArtifactError(
                f"{folder / WEIGHTS} is not a valid {cls.kind} model ({why}); delete the result and train again"
            ) from error


@dataclass(frozen=True, eq=False)
class LinearModel(NgramModel):
    """A linear model with ``log_softmax((tf_idf @ weights + bias) / temperature)``.

    Attributes:
        idf: IDF of each n-gram, ``(ngrams,)`` float32.
        weights: Weights, ``(ngrams, labels)`` float32, transposed for the product with sparse rows.
        bias: Biases, ``(labels,)`` float32.
        temperature: Temperature above 0; 1 if the scores are logits already.
        context: Columns of context; None if the model reads only the text.
    """

    idf: NDArray[np.float32]
    weights: NDArray[np.float32]
    bias: NDArray[np.float32]
    temperature: float = 1.0
    context: ContextBlock | None = None

    def scores(self, counts: csr_matrix) -> NDArray[np.float64]:
        """Return scores before temperature and softmax, ``(n, labels)``; the argument is that of :meth:`log_prob`."""
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
    """A support vector machine or logistic regression, saved with its temperature."""

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
            raise ValueError(f"temperature is {temperature[0]}, not a positive number")
        return replace(super().from_arrays(arrays), temperature=float(temperature[0]))


class NaiveBayesClassifier(LinearModel):
    """Multinomial naive Bayes with TF-IDF instead of counts, and a temperature of 1.

    ``weights`` are ``ln P(ngram | label)`` minus its mean over the labels. The mean is the same for every label, so it
    does not affect the softmax, and without it float32 keeps more digits. ``bias`` is ``ln P(label)``.

    Source: C. D. Manning, P. Raghavan and H. Schütze (2008), Introduction to Information Retrieval, section 13.2;
    TF-IDF instead of counts as in Rennie et al. (2003), ICML, without their complement and normalised weights.
    """

    kind: ClassVar[str] = "naive_bayes"

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Self:
        """See :meth:`NgramModel.from_arrays`."""
        if "temperature" in arrays:
            raise ValueError("unexpected array 'temperature'")
        return super().from_arrays(arrays)


@dataclass(frozen=True, eq=False)
class NeighboursClassifier(NgramModel):
    """A vote of the K training documents with the highest cosine similarity, weighted by their similarity.

    Let ``v(l)`` be the votes for label ``l``, the sum of the similarities of the neighbours whose path contains ``l``,
    and L the number of siblings. Then ``P(l | parent) = (v(l) + 1 / L) / (sum of the siblings' v + 1)``, as if one more
    neighbour of similarity 1 divided its vote equally among all siblings. Therefore no label has probability 0, the
    order of siblings is that of the plain votes, and the distribution is uniform if no neighbour votes. Among equally
    similar training documents the earlier ones are taken. The symbols of a document share its vote equally.

    Attributes:
        idf: IDF of each n-gram, ``(ngrams,)`` float32.
        index: TF-IDF of the training documents, transposed, ``(ngrams, n_train)`` float32: ordered by n-gram, like a
            search engine's inverted index.
        paths: Paths of the training documents, ``(n_paths, n_levels)`` int64; -1 below the end of a path.
        families: Group of siblings that each label belongs to, ``(n_labels,)`` int64, numbered from 0.
        num_neighbours: K; if there are fewer training documents, all of them vote.
        owners: Training document of each path, ``(n_paths,)`` int64; None if each has exactly one path, in the same
            order.
        context: Columns of context, which contribute their own cosine times the square of their weight; None without
            context.

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
        """Share of each training document's vote that goes to each label, ``(n_train, n_labels)``."""
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
        """Return votes ``(n, n_labels)`` from similarities ``(n, n_train)``."""
        n_train = similarity.shape[1]
        k = min(self.num_neighbours, n_train)
        least = np.partition(similarity, n_train - k, axis=1)[:, n_train - k, None]  # (n, 1): the K-th highest
        above, equal = similarity > least, similarity == least
        room = k - above.sum(1, keepdims=True)  # (n, 1): places left for equally similar documents
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
            raise ValueError(f"paths do not fit {families.size} labels and {num_neighbours} neighbours")
        if not np.array_equal(np.unique(families), np.arange(families.max(initial=0) + 1)):
            raise ValueError("families are not numbered consecutively from 0")
        owners, n_train = arrays.get("owners"), len(paths)
        if owners is not None:
            expect("owners", owners, (len(paths),), np.int64)
            n_train = int(owners.max()) + 1
            if owners.min() < 0 or len(np.unique(owners)) < n_train:
                raise ValueError(f"owners do not cover exactly {n_train} documents")
        parts = tuple(arrays[f"index.{name}"] for name in ("data", "indices", "indptr"))
        expect("index.data", parts[0], parts[0].shape, np.float32)
        index = csr_matrix(parts, shape=(idf.size, n_train))
        index.check_format(full_check=True)
        context = ContextBlock.from_arrays(arrays, idf.size)
        return cls(idf, index, paths, families, num_neighbours, owners, context)


def arrays_in(folder: Path) -> tuple[str, ...]:
    """Return the names of the arrays in a saved model.

    Raises:
        ArtifactError: If the file is missing or damaged.
    """
    try:
        with safe_open(folder / WEIGHTS, "numpy") as file:
            return tuple(file.keys())
    except (OSError, SafetensorError) as error:
        raise ArtifactError(
            f"{folder / WEIGHTS} is not a model ({reason(error)}); delete the result and train again"
        ) from error
