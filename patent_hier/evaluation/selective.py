"""Back-off: answering at the deepest level that is confident enough, or not at all, and measuring the thresholds.

The confidence is the joint probability of a level's likeliest label, recalibrated if that helps. A document is answered
at the deepest level whose threshold it reaches. :mod:`patent_hier.evaluation.guarantee` chooses the thresholds.

A symbol that ends above the deepest level has a label there that means "ends here" (A01B1/00 among the subgroups). So
documents with such a symbol are answered, right or wrong, at that level too. Documents whose label at a level is
missing do not count for the thresholds of that level.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from patent_hier.errors import ConfigError, DataError
from patent_hier.evaluation.contract import NetworkPredictions
from patent_hier.evaluation.result import Score

NEVER = float("inf")

Confidence = NDArray[np.float64]
Hits = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Answers:
    """A system's answers at every level without thresholds, and whether they are right.

    Attributes:
        levels: Levels from the top.
        confidence: Confidence in the likeliest label of each level, ``(n, n_levels)``, 0 to 1. This label need not be
            an ancestor of the likeliest label below.
        hits: Whether the likeliest label is the true one, ``(n, n_levels)``.
        targets: True labels, ``(n, n_levels)``; None at levels where a document has no label and does not count.
    """

    levels: tuple[str, ...]
    confidence: Confidence
    hits: Hits
    targets: NDArray[np.object_]

    @classmethod
    def of(cls, system: NetworkPredictions) -> Self:
        """Create the answers of a system for ``n`` documents.

        Raises:
            DataError: If there is no document.
        """
        if not len(system):
            raise DataError(
                "there are no documents to choose or measure thresholds on; use a split with all parts "
                "(val to plan the thresholds, calibration to choose them, test to measure them)"
            )
        best = [own.best(1) for own in system.levels]
        codes = np.stack([own.target_codes for own in system.levels], axis=1)
        return cls(
            system.tree.levels,
            np.exp(np.stack([log_prob[:, 0] for _, log_prob in best], axis=1).astype(np.float64)),
            (np.stack([labels[:, 0] for labels, _ in best], axis=1) == codes) & (codes >= 0),
            np.stack([own.targets for own in system.levels], axis=1),
        )

    def __len__(self) -> int:
        return len(self.hits)

    def take(self, rows: Hits | NDArray[np.intp]) -> Self:
        """Return the answers for the chosen documents, given by a mask or by position."""
        return type(self)(self.levels, self.confidence[rows], self.hits[rows], self.targets[rows])

    def labelled(self, level: int) -> Hits:
        """Return which documents have a label at a level, ``(n,)``."""
        return self.known[:, level]

    @cached_property
    def known(self) -> Hits:
        """Whether each document has a label at each level, ``(n, n_levels)``."""
        known: Hits = self.targets != None  # noqa: E711 - elementwise
        return known


@dataclass(frozen=True)
class Thresholds:
    """The minimum confidence for an answer at each level, for one target accuracy.

    Attributes:
        target: Target accuracy, a fraction.
        levels: Threshold by level, from the top; :data:`NEVER` if the accuracy cannot be guaranteed there. A level is
            answered only if no deeper level is.
    """

    target: float
    levels: dict[str, float]


@dataclass(frozen=True)
class LevelReached:
    """The coverage and accuracy of one level's threshold, or of all thresholds together.

    Attributes:
        coverage: Share of all documents that are answered at this level.
        accuracy: Accuracy for these documents, as far as they have a label there; None if none has.
    """

    coverage: float
    accuracy: Score | None


@dataclass(frozen=True)
class Reached:
    """The coverage and accuracy of thresholds, on documents that were not used to choose them.

    Attributes:
        n_documents: Number of documents.
        levels: Coverage and accuracy by level, from the top.
        answered: Coverage and accuracy of all levels together; each answer counts at its own level.
        undecided: Share of documents without an answer.
    """

    n_documents: int
    levels: dict[str, LevelReached]
    answered: LevelReached
    undecided: float


def at_least(thresholds: Sequence[Thresholds], target: float) -> Thresholds:
    """Return the thresholds for the lowest available target accuracy that is not below ``target``.

    Raises:
        ConfigError: If ``target`` is out of range.
    """
    known = [one for one in thresholds if one.target >= target - 1e-9]
    if target <= 0 or not known:
        highest = max(one.target for one in thresholds)
        raise ConfigError(f"target accuracy {target:g} is out of range; use a fraction above 0 and up to {highest:g}")
    return min(known, key=lambda one: one.target)


def decided(confidence: Confidence, thresholds: Confidence) -> NDArray[np.intp]:
    """Return the level at which each document is answered, ``(n,)``; -1 for no answer.

    Args:
        confidence: Confidence at each level, ``(n, n_levels)``.
        thresholds: Threshold of each level, ``(n_levels,)``.
    """
    enough = confidence >= thresholds
    deepest = enough.shape[1] - 1 - enough[:, ::-1].argmax(axis=1)
    return np.where(enough.any(axis=1), deepest, -1)


def measure(answers: Answers, thresholds: Thresholds) -> Reached:
    """Measure the coverage and accuracy of thresholds."""
    at = decided(answers.confidence, np.array(list(thresholds.levels.values())))
    named = at[:, None] == np.arange(len(answers.levels))  # (n, n_levels)
    scored = named & answers.known
    levels = {
        level: _reached(
            named[:, place], answers.hits[scored[:, place], place], answers.targets[scored[:, place], place]
        )
        for place, level in enumerate(answers.levels)
    }
    every = _reached(at >= 0, answers.hits[scored], answers.targets[scored])
    return Reached(len(answers), levels, every, float((at < 0).mean()))


def measure_by_label(answers: Answers, thresholds: Thresholds) -> dict[str, Reached]:
    """Apply :func:`measure` to the documents of each true label of the first level."""
    first = answers.targets[:, 0]
    present = sorted({label for label in first.tolist() if label is not None})
    return {label: measure(answers.take(first == label), thresholds) for label in present}


def risk_coverage(confidence: Confidence, hits: Hits, points: int = 100) -> list[tuple[float, float]]:
    """Return up to ``points`` pairs of coverage and risk: the share of the most confident documents and its error rate.

    Source: El-Yaniv and Wiener, "On the foundations of noise-free selective classification", JMLR 11, 2010.
    """
    errors = np.cumsum(~hits[np.argsort(-confidence, kind="stable")])
    counts = np.unique(np.linspace(1, len(hits), min(points, len(hits))).round().astype(int))
    return [(float(count / len(hits)), float(errors[count - 1] / count)) for count in counts]


def area_under_risk_coverage(confidence: Confidence, hits: Hits) -> float:
    """Return the mean risk over all coverages; 0 is perfect, and a random order is expected to give the error rate."""
    errors = np.cumsum(~hits[np.argsort(-confidence, kind="stable")])
    return float((errors / np.arange(1, len(hits) + 1)).mean())


def _reached(answered: Hits, hits: Hits, truth: NDArray[Any]) -> LevelReached:
    score = Score.of_hits(int(hits.sum()), len(hits), len(set(truth.tolist()))) if len(hits) else None
    return LevelReached(float(answered.mean()), score)
