"""Answering only when sure: the class, else the section, else nothing, at an accuracy that is asked for.

Confidence is the calibrated probability of the answer: P(section and class) of the likeliest class, P(section) of the
likeliest section. A threshold for each level is chosen on documents that nothing was trained or chosen on, so that the
answers above it are right as often as asked. First the classes' threshold, on all documents; then the sections', on
those that the first leaves. So the promise holds at each level by itself, not only for both together.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from patent_hier.errors import ConfigError, DataError
from patent_hier.evaluation.decoding import Tree
from patent_hier.evaluation.result import Score

NEVER = float("inf")
TARGETS = tuple(round(0.5 + step / 100, 2) for step in range(50))  # 0.50 to 0.99

Confidence = NDArray[np.float64]
Hits = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Answers:
    """What a system would answer at both levels, and whether it would be right.

    Attributes:
        class_confidence: Of the likeliest class, ``(n,)``, 0 to 1.
        class_hits: Whether it is the true one, ``(n,)``.
        section_confidence: Of the likeliest section, ``(n,)``; it need not be the likeliest class's.
        section_hits: Whether it is the true one, ``(n,)``.
        sections: The true sections, ``(n,)``.
        classes: The true classes, ``(n,)``.
    """

    class_confidence: Confidence
    class_hits: Hits
    section_confidence: Confidence
    section_hits: Hits
    sections: NDArray[Any]
    classes: NDArray[Any]

    @classmethod
    def of(cls, tree: Tree, sections: NDArray[Any], classes: NDArray[Any]) -> Self:
        """The answers of a system to ``n`` documents, and their truth.

        Raises:
            DataError: If there is no document.
        """
        if not len(sections):
            raise DataError(
                "there are no documents to choose or measure thresholds on; use a split with a calibration part"
            )
        named = np.array(tree.classes)[tree.class_log_prob.argmax(axis=1)]
        section = np.array(tree.sections)[tree.section_log_prob.argmax(axis=1)]
        return cls(
            np.exp(tree.class_log_prob.max(axis=1)),
            named == classes,
            np.exp(tree.section_log_prob.max(axis=1)),
            section == sections,
            sections,
            classes,
        )

    def __len__(self) -> int:
        return len(self.class_hits)

    def take(self, rows: Hits) -> Self:
        """Only the chosen documents."""
        return type(self)(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))


@dataclass(frozen=True)
class Thresholds:
    """From which confidence on a level is answered; :data:`NEVER` if the accuracy cannot be reached there.

    Attributes:
        target: The accuracy that was asked for, a fraction.
        ipc_class: Of the class.
        section: Of the section, where the class is not answered.
    """

    target: float
    ipc_class: float
    section: float


@dataclass(frozen=True)
class Reached:
    """What came of thresholds on documents that they were not chosen on.

    Attributes:
        n_documents: All documents.
        class_coverage: Share of them that got a class; ``class_accuracy`` of these, None if there are none.
        section_coverage: Share that got a section only; ``section_accuracy`` of these, None if there are none.
        undecided: Share that got nothing.
    """

    n_documents: int
    class_coverage: float
    class_accuracy: Score | None
    section_coverage: float
    section_accuracy: Score | None
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
    """Thresholds for several accuracies; a higher one never has a lower threshold of the class."""
    chosen: list[Thresholds] = []
    floor = 0.0
    for target in sorted(targets):
        floor = max(floor, choose_threshold(answers.class_confidence, answers.class_hits, target))
        rest = answers.take(answers.class_confidence < floor)
        section = choose_threshold(rest.section_confidence, rest.section_hits, target)
        chosen.append(Thresholds(target, floor, section))
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


def measure(answers: Answers, thresholds: Thresholds) -> Reached:
    """Coverage and accuracy of thresholds."""
    named = answers.class_confidence >= thresholds.ipc_class
    only_section = ~named & (answers.section_confidence >= thresholds.section)
    n = len(answers)
    return Reached(
        n_documents=n,
        class_coverage=float(named.mean()),
        class_accuracy=_score(answers.class_hits[named], answers.classes[named]),
        section_coverage=float(only_section.mean()),
        section_accuracy=_score(answers.section_hits[only_section], answers.sections[only_section]),
        undecided=float((~named & ~only_section).mean()),
    )


def measure_by_section(answers: Answers, thresholds: Thresholds) -> dict[str, Reached]:
    """:func:`measure` for the documents of each true section."""
    present = sorted(set(answers.sections.tolist()))
    return {section: measure(answers.take(answers.sections == section), thresholds) for section in present}


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
