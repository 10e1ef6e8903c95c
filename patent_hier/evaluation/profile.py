"""Profiles of documents as a system sees them: histograms with fixed bins that can be added and kept in a small file.

A profile contains no text. Monthly reports, batches and the service use the same object. An exported system includes
the profile of its calibration documents, and :mod:`patent_hier.evaluation.drift` compares other documents with it.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from patent_hier.data.familiarity import TextCounts
from patent_hier.evaluation.contract import NetworkPredictions
from patent_hier.evaluation.scores import TreeScores
from patent_hier.taxonomy.tree import LabelTree

LABELLED_LEVELS = 2  # number of levels, from the top, whose likeliest labels are counted
_MOST_CHARACTERS = 10**15
_ROUNDING = 1e-3
_MOST_DOCUMENTS = 10**8  # limit for a file; the comparison can draw from fewer than 10**9
_SHARES = (0.0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.75, 0.9)
_LENGTHS = tuple(2 ** (step / 2) for step in range(2, 28))  # characters: 2 to about 11,600
_CONFIDENCES = tuple(step / 20 for step in range(1, 20))


class Measure(NamedTuple):
    """A quantity measured for each document.

    Attributes:
        name: Name of the histogram.
        part: Name of the sum that forms the numerator of the mean.
        whole: Name of the sum that forms the denominator; empty for the number of documents.
        edges: Upper edges of the bins. Bin ``i`` holds values above ``edges[i - 1]`` up to ``edges[i]``; the last bin
            holds all higher values.
    """

    name: str
    part: str
    whole: str
    edges: tuple[float, ...]


CHARACTERS = Measure("characters", "unseen", "letters", _SHARES)
BIGRAMS = Measure("bigrams", "unseen_bigrams", "bigrams", _SHARES)
LATIN = Measure("latin", "latin", "letters", _SHARES)
LENGTH = Measure("length", "length", "", _LENGTHS)
OF_TEXTS = (CHARACTERS, BIGRAMS, LATIN, LENGTH)


def confidence_of(level: str) -> Measure:
    """Return the measure for the probability of a level's likeliest label, recalibrated if that helps."""
    return Measure(_confidence_name(level), _confidence_name(level), "", _CONFIDENCES)


def _confidence_name(level: str) -> str:
    return f"confidence.{level}"


def measures_of(levels: Sequence[str]) -> tuple[Measure, ...]:
    """Return all measures of a system with the given levels, except the labels."""
    return (*OF_TEXTS, *map(confidence_of, levels))


class Observations(NamedTuple):
    """The quantities that a profile summarises, for ``n`` documents.

    Attributes:
        texts: ``(n, 6)`` int64, one row of :class:`patent_hier.data.familiarity.TextCounts` per document.
        labels: ``(n, at most LABELLED_LEVELS)`` likeliest label at each of the first levels.
        confidence: ``(n, n_levels)`` probability of each level's likeliest label, 0 to 1.
    """

    texts: NDArray[np.int64]
    labels: NDArray[np.object_]
    confidence: NDArray[np.float64]

    @classmethod
    def of_scores(cls, texts: Sequence[TextCounts], scores: TreeScores) -> Self:
        """Create observations of new documents from their texts and scores."""
        tree = scores.tree
        spans = [tree.span(level) for level in tree.levels]
        best = [scores.log_prob[:, span].argmax(axis=1) + span.start for span in spans]
        rows = np.arange(len(scores))
        return cls._of(texts, tree, best, [scores.log_prob[rows, own] for own in best])

    @classmethod
    def of_predictions(cls, texts: Sequence[TextCounts], system: NetworkPredictions) -> Self:
        """Create observations of documents whose predictions are stored."""
        found = [(own.best(1), system.tree.span(own.level).start) for own in system.levels]
        best = [labels[:, 0] + start for (labels, _), start in found]
        return cls._of(texts, system.tree, best, [log_prob[:, 0] for (_, log_prob), _ in found])

    @classmethod
    def _of(
        cls,
        texts: Sequence[TextCounts],
        tree: LabelTree,
        best: Sequence[NDArray[np.integer[Any]]],
        log_prob: Sequence[NDArray[np.float32]],
    ) -> Self:
        confidence = np.exp(np.stack(log_prob, axis=1).astype(np.float64)).clip(max=1)  # float32 may round to above 1
        labels = np.stack([tree.codes[own] for own in best[:LABELLED_LEVELS]], axis=1).astype(object)
        return cls(np.array(texts, np.int64).reshape(-1, len(TextCounts._fields)), labels, confidence)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Number of characters of each text, ``(n,)``."""
        return self.texts[:, TextCounts._fields.index("length")]

    def sums(self, levels: Sequence[str]) -> dict[str, float]:
        """Return the sums needed for the means, by name; ``levels`` are the system's levels."""
        sums = dict(zip(TextCounts._fields, self.texts.sum(axis=0).astype(float).tolist(), strict=True))
        return sums | dict(zip(map(_confidence_name, levels), self.confidence.sum(axis=0).tolist(), strict=True))

    def take(self, rows: Sequence[int]) -> "Observations":
        """Return the observations of the documents at the given positions."""
        places = np.array(rows, np.intp)
        return Observations(self.texts[places], self.labels[places], self.confidence[places])


@dataclass(frozen=True, eq=False)
class Profile:
    """Counts that summarise a set of documents.

    Attributes:
        levels: Levels of the system, from the top.
        documents: Number of documents.
        bins: Histogram of each measure, by name.
        labels: For each of the first levels, the number of documents by likeliest label.
        sums: Sums needed for the means, by name.
    """

    levels: tuple[str, ...]
    documents: int
    bins: Mapping[str, NDArray[np.int64]]
    labels: Mapping[str, Counter[str]]
    sums: Mapping[str, float]

    @classmethod
    def of(cls, levels: tuple[str, ...], found: Observations | None = None) -> Self:
        """Create the profile of some documents, or an empty profile without them."""
        if found is None:
            shape = (0, len(TextCounts._fields)), (0, len(levels[:LABELLED_LEVELS])), (0, len(levels))
            found = Observations(np.zeros(shape[0], np.int64), np.zeros(shape[1], object), np.zeros(shape[2]))
        columns: dict[str, NDArray[Any]] = dict(zip(TextCounts._fields, found.texts.T, strict=True))
        columns |= dict(zip(map(_confidence_name, levels), found.confidence.T, strict=True))
        bins = {}
        for one in measures_of(levels):
            whole = np.maximum(columns[one.whole], 1) if one.whole else 1
            places = np.searchsorted(one.edges, columns[one.part] / whole, side="left")
            bins[one.name] = np.bincount(places, minlength=len(one.edges) + 1).astype(np.int64)
        named = zip(levels, found.labels.T, strict=False)
        labels = {level: Counter(own.tolist()) for level, own in named}
        return cls(levels, len(found.texts), bins, labels, found.sums(levels))

    def __add__(self, other: "Profile") -> "Profile":
        return Profile(
            self.levels,
            self.documents + other.documents,
            {name: own + other.bins[name] for name, own in self.bins.items()},
            {level: own + other.labels[level] for level, own in self.labels.items()},
            {name: own + other.sums[name] for name, own in self.sums.items()},
        )

    def mean(self, measure: Measure) -> float | None:
        """Return the mean of a measure, weighted by letters or bigrams if it is a share of them; None without any."""
        whole = self.sums[measure.whole] if measure.whole else self.documents
        return self.sums[measure.part] / whole if whole else None

    def as_dict(self) -> dict[str, Any]:
        """Return the profile as JSON-serialisable values."""
        return {
            "documents": self.documents,
            "bins": {name: own.tolist() for name, own in self.bins.items()},
            "labels": {level: dict(sorted(own.items())) for level, own in self.labels.items()},
            "sums": dict(self.sums),
        }

    @classmethod
    def from_dict(cls, content: Any, tree: LabelTree) -> Self:
        """Rebuild the profile from the output of :meth:`as_dict`.

        Args:
            content: Content of a file, which may be untrusted.
            tree: Label tree of the system.

        Raises:
            ValueError: If the content is not a profile, or belongs to another system. KeyError, TypeError and
                AttributeError have the same meaning.
        """
        levels = tree.levels
        documents = checked_count(content["documents"], least=1)
        bins = {
            one.name: np.array([checked_count(count) for count in content["bins"][one.name]], np.int64)
            for one in measures_of(levels)
        }
        labels = {
            level: Counter({str(label): checked_count(count) for label, count in content["labels"][level].items()})
            for level in levels[:LABELLED_LEVELS]
        }
        sums = {name: float(content["sums"][name]) for name in cls.of(levels).sums}
        sizes = {one.name: len(one.edges) + 1 for one in measures_of(levels)}
        if any(len(own) != sizes[name] or own.sum() != documents for name, own in bins.items()):
            raise ValueError("a histogram does not match the number of documents")
        if any(own.total() != documents or own.keys() - set(tree.labels(level)) for level, own in labels.items()):
            raise ValueError("the labels belong to another system")
        most = {one.part: sums[one.whole] if one.whole else documents for one in measures_of(levels)}
        most[LENGTH.part] = _MOST_CHARACTERS
        for name, value in sums.items():
            if not 0 <= value <= most.get(name, _MOST_CHARACTERS) + _ROUNDING:  # this includes NaN
                raise ValueError(f"the sum {name}={value} is out of range")
        return cls(levels, documents, bins, labels, sums)


def checked_count(value: Any, least: int = 0) -> int:
    """Return a number of documents from an untrusted file, after checking it.

    Raises:
        ValueError: If the value is not an integer in the permitted range.
    """
    if type(value) is not int or not least <= value <= _MOST_DOCUMENTS:
        raise ValueError("a count is out of range")
    return value
