"""Answering only when sure: the deepest level that is sure enough, or nothing; and what thresholds come to.

Confidence is the joint probability of a level's likeliest label, recalibrated where that helps. A document is answered
at the deepest level whose threshold it reaches. :mod:`patent_hier.evaluation.guarantee` chooses the thresholds.

A symbol that ends above the deepest level has a label there that means "stops here" (A01B1/00 among the subgroups), so
its documents are answered, right or wrong, at that level too. Documents that lack a label at a level for want of data
count at no threshold of it.
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
        levels: From the top.
        confidence: Of the likeliest label of each level, ``(n, n_levels)``, 0 to 1; it need not be an ancestor of the
            likeliest label below.
        hits: Whether it is the true one, ``(n, n_levels)``.
        targets: True labels, ``(n, n_levels)``; None where a document has none, which then counts at no level below.
    """

    levels: tuple[str, ...]
    confidence: Confidence
    hits: Hits
    targets: NDArray[np.object_]

    @classmethod
    def of(cls, system: NetworkPredictions) -> Self:
        """The answers of a system to ``n`` documents, and their truth.

        Raises:
            DataError: If there is no document.
        """
        if not len(system):
            raise DataError(
                "there are no documents to choose or measure thresholds on; use a split with all parts: "
                "val plans them, calibration chooses them, test measures them"
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
        """Only the chosen documents, by a mask or by position."""
        return type(self)(self.levels, self.confidence[rows], self.hits[rows], self.targets[rows])

    def labelled(self, level: int) -> Hits:
        """Which documents have a label at a level, ``(n,)``."""
        return self.known[:, level]

    @cached_property
    def known(self) -> Hits:
        """Which documents have a label at which level, ``(n, n_levels)``."""
        known: Hits = self.targets != None  # noqa: E711 - elementwise
        return known


@dataclass(frozen=True)
class Thresholds:
    """From which confidence on a level is answered; :data:`NEVER` if the accuracy cannot be guaranteed there.

    Attributes:
        target: The accuracy that was asked for, a fraction.
        levels: By level, from the top; a level is answered where none below it is.
    """

    target: float
    levels: dict[str, float]


@dataclass(frozen=True)
class LevelReached:
    """Coverage and accuracy of one level's threshold, or of all.

    Attributes:
        coverage: Share of all documents that were answered at this level.
        accuracy: Of these, as far as they have a label there; None if none has.
    """

    coverage: float
    accuracy: Score | None


@dataclass(frozen=True)
class Reached:
    """Coverage and accuracy of thresholds on documents that did not choose them.

    Attributes:
        n_documents: All documents.
        levels: By level, from the top.
        answered: All levels together; each answer counts at its own level.
        undecided: Share that got nothing.
    """

    n_documents: int
    levels: dict[str, LevelReached]
    answered: LevelReached
    undecided: float


def at_least(thresholds: Sequence[Thresholds], target: float) -> Thresholds:
    """The thresholds of the lowest known accuracy that is not below the wanted one.

    Raises:
        ConfigError: If the accuracy is out of range.
    """
    known = [one for one in thresholds if one.target >= target - 1e-9]
    if target <= 0 or not known:
        highest = max(one.target for one in thresholds)
        raise ConfigError(f"target accuracy {target:g} is out of range; give a fraction above 0 and up to {highest:g}")
    return min(known, key=lambda one: one.target)


def decided(confidence: Confidence, thresholds: Confidence) -> NDArray[np.intp]:
    """The level that each document is answered at, ``(n,)``; -1 for none.

    Args:
        confidence: ``(n, n_levels)``.
        thresholds: ``(n_levels,)``.
    """
    enough = confidence >= thresholds
    deepest = enough.shape[1] - 1 - enough[:, ::-1].argmax(axis=1)
    return np.where(enough.any(axis=1), deepest, -1)


def measure(answers: Answers, thresholds: Thresholds) -> Reached:
    """Coverage and accuracy of thresholds."""
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
    """:func:`measure` for the documents of each true label of the first level."""
    first = answers.targets[:, 0]
    present = sorted({label for label in first.tolist() if label is not None})
    return {label: measure(answers.take(first == label), thresholds) for label in present}


def risk_coverage(confidence: Confidence, hits: Hits, points: int = 100) -> list[tuple[float, float]]:
    """Error rate of the most confident documents, by their share: ``points`` pairs of coverage and risk.

    Source: El-Yaniv and Wiener, "On the foundations of noise-free selective classification", JMLR 11, 2010.
    """
    errors = np.cumsum(~hits[np.argsort(-confidence, kind="stable")])
    counts = np.unique(np.linspace(1, len(hits), min(points, len(hits))).round().astype(int))
    return [(float(count / len(hits)), float(errors[count - 1] / count)) for count in counts]


def area_under_risk_coverage(confidence: Confidence, hits: Hits) -> float:
    """Mean of the risks at every coverage; 0 is perfect, the error rate is what an order by chance would have."""
    errors = np.cumsum(~hits[np.argsort(-confidence, kind="stable")])
    return float((errors / np.arange(1, len(hits) + 1)).mean())


def _reached(answered: Hits, hits: Hits, truth: NDArray[Any]) -> LevelReached:
    score = Score.of_hits(int(hits.sum()), len(hits), len(set(truth.tolist()))) if len(hits) else None
    return LevelReached(float(answered.mean()), score)
