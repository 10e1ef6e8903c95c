"""Answering only when sure: the deepest level that is sure enough, or nothing, at an accuracy that is asked for.

Confidence is the calibrated joint probability of a level's likeliest label. A threshold for each level is chosen on
documents that nothing was trained or chosen on, so that the answers above it are right as often as asked. First the
deepest level's, on all documents; then the next one's, on those that the first leaves, and so on upwards. So the
promise holds at each level by itself, not only for all together.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from patent_hier.errors import ConfigError, DataError
from patent_hier.evaluation.contract import NetworkPredictions
from patent_hier.evaluation.result import Score

NEVER = float("inf")
TARGETS = tuple(round(0.5 + step / 100, 2) for step in range(50))  # 0.50 to 0.99

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
                "there are no documents to choose or measure thresholds on; use a split with a calibration part"
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

    def take(self, rows: Hits) -> Self:
        """Only the chosen documents."""
        return type(self)(self.levels, self.confidence[rows], self.hits[rows], self.targets[rows])

    def labelled(self, level: int) -> Hits:
        """Which documents have a label at a level, ``(n,)``."""
        present: Hits = self.targets[:, level] != None  # noqa: E711 - elementwise
        return present


@dataclass(frozen=True)
class Thresholds:
    """From which confidence on a level is answered; :data:`NEVER` if the accuracy cannot be reached there.

    Attributes:
        target: The accuracy that was asked for, a fraction.
        levels: By level, from the top; a level is answered where none below it is.
    """

    target: float
    levels: dict[str, float]


@dataclass(frozen=True)
class LevelReached:
    """Coverage and accuracy of one level's threshold.

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
        undecided: Share that got nothing.
    """

    n_documents: int
    levels: dict[str, LevelReached]
    undecided: float


def choose_threshold(confidence: Confidence, hits: Hits, target: float) -> float:
    """The lowest confidence from which on answers are right often enough.

    Args:
        confidence: ``(n,)``.
        hits: ``(n,)``.
        target: Wanted accuracy, 0 to 1.

    Returns:
        A confidence of one of the documents, or :data:`NEVER`.

    The errors are counted as if there were one more (``(errors + 1) / (n + 1) <= 1 - target``), so that a handful of
    lucky answers opens nothing. Source: the correction of Angelopoulos, Bates, Fisch, Lei and Schuster, "Conformal risk
    control", ICLR 2024, whose guarantee is of the mean over samples and for monotone risks; accuracy among answers is
    not quite monotone, so what is reached is measured, on other documents.
    """
    order = np.argsort(-confidence, kind="stable")
    ordered, errors = confidence[order], np.cumsum(~hits[order])
    n = np.arange(1, len(order) + 1)
    last_of_equals = np.append(ordered[1:] != ordered[:-1], True) if len(order) else np.zeros(0, dtype=bool)
    enough = np.flatnonzero(last_of_equals & ((errors + 1) <= (1 - target) * (n + 1) + 1e-9))
    return float(ordered[enough[-1]]) if len(enough) else NEVER


def choose_thresholds(answers: Answers, targets: Sequence[float] = TARGETS) -> list[Thresholds]:
    """Thresholds for several accuracies; a higher one never has a lower threshold of the deepest level."""
    chosen: list[Thresholds] = []
    floor = 0.0
    for target in sorted(targets):
        rest, levels = answers, {}
        for place in reversed(range(len(answers.levels))):
            own = rest.take(rest.labelled(place))
            threshold = choose_threshold(own.confidence[:, place], own.hits[:, place], target)
            if place == len(answers.levels) - 1:
                floor = threshold = max(floor, threshold)
            levels[answers.levels[place]] = threshold
            rest = rest.take(rest.confidence[:, place] < threshold)
        chosen.append(Thresholds(target, {level: levels[level] for level in answers.levels}))
    return chosen


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


def decided(confidence: Confidence, thresholds: Thresholds) -> NDArray[np.intp]:
    """The level that each document is answered at, ``(n,)``; -1 for none.

    Args:
        confidence: ``(n, n_levels)``.
        thresholds: Of the same levels.
    """
    enough = confidence >= np.array(list(thresholds.levels.values()))
    deepest = enough.shape[1] - 1 - enough[:, ::-1].argmax(axis=1)
    return np.where(enough.any(axis=1), deepest, -1)


def measure(answers: Answers, thresholds: Thresholds) -> Reached:
    """Coverage and accuracy of thresholds."""
    levels, place_of = {}, decided(answers.confidence, thresholds)
    for place, level in enumerate(answers.levels):
        named = place_of == place
        scored = named & answers.labelled(place)
        accuracy = _score(answers.hits[scored, place], answers.targets[scored, place])
        levels[level] = LevelReached(float(named.mean()), accuracy)
    return Reached(len(answers), levels, float((place_of < 0).mean()))


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


def _score(hits: Hits, truth: NDArray[Any]) -> Score | None:
    return Score.of_hits(int(hits.sum()), len(hits), len(set(truth.tolist()))) if len(hits) else None
