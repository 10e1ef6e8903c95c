"""How far a system can be trusted: temperatures and thresholds of its calibration part, and what they reach on test."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np

from patent_hier.errors import ArtifactError
from patent_hier.evaluation.calibration_error import expected_calibration_error
from patent_hier.evaluation.contract import NetworkPredictions
from patent_hier.evaluation.guarantee import ERROR, TARGETS, choose_thresholds, least_documents
from patent_hier.evaluation.selective import (
    NEVER,
    Answers,
    Confidence,
    Hits,
    Thresholds,
    area_under_risk_coverage,
    measure,
    measure_by_label,
    risk_coverage,
)
from patent_hier.evaluation.set_rule import SetRule
from patent_hier.evaluation.system import merge, scaled
from patent_hier.evaluation.temperature import fit_temperatures
from patent_hier.sanitize import reason, shown

CALIBRATION_VERSION = 2  # of what as_dict gives; 1 had thresholds that held on average only
VAL, CALIBRATION, TEST = "val", "calibration", "test"
_COLDEST, _HOTTEST = 1e-3, 1e3  # temperatures that still leave numbers; those that are fitted are nearer to 1
SHOWN = (0.80, 0.90, 0.95)  # targets that are measured label by label of the first level
Temperatures = dict[str, dict[str, float]]  # by node, then by level


@dataclass(frozen=True)
class Calibration:
    """Temperatures and thresholds fitted to the calibration part, and what they achieve on the test part.

    Attributes:
        documents: How many it has.
        confidence: Probability that the answers are right as often as asked, at every level at once.
        temperatures: By node, then by level.
        thresholds: For the accuracies of :data:`patent_hier.evaluation.guarantee.TARGETS`, ascending.
        measured: On the test part, as JSON-able values; empty if it has no documents. ``documents``; by level
            ``accuracy``, ``three_guesses`` (the true label is one of the likeliest three), ``risk_coverage`` and
            ``area_under_risk_coverage``; by target ``targets`` and, for some and
            each label of the first level, ``by_label``, which have :class:`patent_hier.evaluation.selective.Reached`;
            ``calibration_error``, ``before`` and ``after`` scaling, of the system's ``levels`` and of its ``nodes``.
        sets: The thresholds for sets of labels; None where no document has several symbols, or one node stands alone.
    """

    documents: int
    confidence: float
    temperatures: Temperatures
    thresholds: list[Thresholds]
    measured: dict[str, Any]
    sets: SetRule | None = None

    def shortfall(self, thresholds: Thresholds) -> str | None:
        """In one line, why nothing is answered at an accuracy; None if some level is."""
        if any(value < NEVER for value in thresholds.levels.values()):
            return None
        least, asked = least_documents(thresholds.target, 1 - self.confidence), f"{100 * thresholds.target:g} %"
        said = f"{asked} cannot be guaranteed with {100 * self.confidence:g} % confidence, so nothing is answered: "
        if self.documents < least:
            return said + (
                f"that takes {least} right answers without an error, and the calibration part has {self.documents} "
                "documents; raise split.calibration or ask for less"
            )
        return said + (
            f"the surest answers to the {self.documents} calibration documents are not right often enough to show it "
            f"({least} without an error would be); raise split.calibration or ask for less"
        )

    def as_dict(self) -> dict[str, Any]:
        """The calibration as JSON-able values; a level that is never answered has null for its threshold."""
        thresholds = [
            {
                "target": one.target,
                "levels": {level: None if value == NEVER else value for level, value in one.levels.items()},
            }
            for one in self.thresholds
        ]
        return {"version": CALIBRATION_VERSION, **asdict(self), "thresholds": thresholds}

    @classmethod
    def from_dict(cls, content: Any, levels: Sequence[str]) -> Self:
        """The calibration of :meth:`as_dict`.

        Args:
            content: Of any origin.
            levels: Those of the system, from the top.

        Raises:
            ArtifactError: If it is something else, or of another version.
        """
        try:
            if content.get("version") != CALIBRATION_VERSION:
                raise ValueError(f"version {shown(content.get('version', 1))}, not {CALIBRATION_VERSION}")
            thresholds = [_threshold(one, levels) for one in content["thresholds"]]
            temperatures = {
                str(node): {str(level): float(value) for level, value in own.items()}
                for node, own in content["temperatures"].items()
            }
            measured = dict(content["measured"])
            if not all(_COLDEST <= value <= _HOTTEST for own in temperatures.values() for value in own.values()):
                raise ValueError("a temperature is out of range")
            if not thresholds or not all(isinstance(measured.get(name, {}), dict) for name in ("targets", "by_label")):
                raise ValueError("thresholds or measured accuracies are missing")
            sets = SetRule.from_dict(content.get("sets"), levels)
            confidence = float(content["confidence"])
            if not 0 < confidence < 1:
                raise ValueError("the confidence is out of range")
            return cls(int(content["documents"]), confidence, temperatures, thresholds, measured, sets)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise ArtifactError(
                f"a model's calibration cannot be read ({reason(error)}); export the model again from its result"
            ) from error


def calibrate(predictions: Mapping[str, NetworkPredictions], error: float = ERROR) -> Calibration | None:
    """Fit a system's temperatures and thresholds, and measure them.

    Args:
        predictions: Of all its nodes, with documents of ``val``, calibration and test.
        error: Probability that a level's answers are right less often than asked, at most.

    Returns:
        None if the split left no documents for calibration.

    Raises:
        ArtifactError: If there are no documents of ``val``.
    """
    if not any((own.parts == CALIBRATION).any() for own in predictions.values()):
        return None
    fitted = {node: own.select(CALIBRATION) for node, own in predictions.items()}
    temperatures = {node: fit_temperatures(own) for node, own in fitted.items()}
    answers = Answers.of(_system(fitted, temperatures))
    planning = Answers.of(_system({node: own.select(VAL) for node, own in predictions.items()}, temperatures))
    thresholds = choose_thresholds(answers, planning, TARGETS, error)
    measured: dict[str, Any] = {}
    if all((own.parts == TEST).any() for own in predictions.values()):
        test = {node: own.select(TEST) for node, own in predictions.items()}
        measured = json.loads(json.dumps(_measured(test, temperatures, thresholds)))  # as it will be read
    return Calibration(len(answers), 1 - error, temperatures, thresholds, measured)


def _system(predictions: Mapping[str, NetworkPredictions], temperatures: Temperatures) -> NetworkPredictions:
    return merge({node: scaled(own, temperatures.get(node, {})) for node, own in predictions.items()})


def _by_level(answers: Answers) -> dict[str, tuple[Confidence, Hits]]:
    """Confidence and hits of the documents that have a label, by level; without levels at which none has."""
    found = {}
    for place, level in enumerate(answers.levels):
        own = answers.take(answers.labelled(place))
        if len(own):
            found[level] = own.confidence[:, place], own.hits[:, place]
    return found


def _measured(
    test: Mapping[str, NetworkPredictions], temperatures: Temperatures, thresholds: list[Thresholds]
) -> dict[str, Any]:
    system = _system(test, temperatures)
    answers = Answers.of(system)
    by_level = _by_level(answers)
    return {
        "documents": len(answers),
        "accuracy": {level: float(hits.mean()) for level, (_, hits) in by_level.items()},
        "three_guesses": {
            own.level: float((own.target_rank[answers.labelled(place)] < 3).mean())
            for place, own in enumerate(system.levels)
            if own.level in by_level
        },
        "targets": {f"{one.target:.2f}": asdict(measure(answers, one)) for one in thresholds},
        "by_label": {
            f"{one.target:.2f}": {label: asdict(reached) for label, reached in measure_by_label(answers, one).items()}
            for one in thresholds
            if one.target in SHOWN
        },
        "calibration_error": {"before": _errors(test, {}, temperatures), "after": _errors(test, temperatures)},
        "risk_coverage": {level: risk_coverage(*own) for level, own in by_level.items()},
        "area_under_risk_coverage": {level: area_under_risk_coverage(*own) for level, own in by_level.items()},
    }


def _errors(
    test: Mapping[str, NetworkPredictions], temperatures: Temperatures, shown: Temperatures | None = None
) -> dict[str, Any]:
    """Expected calibration errors: of the system, and of each node's levels that have a temperature."""
    shown = shown or temperatures
    nodes = {node: scaled(own, temperatures.get(node, {})) for node, own in test.items()}
    return {
        "levels": _level_errors(merge(nodes)),
        "nodes": {
            node: {level: error for level, error in _level_errors(own).items() if level in shown[node]}
            for node, own in nodes.items()
        },
    }


def _level_errors(own: NetworkPredictions) -> dict[str, float]:
    return {
        level: expected_calibration_error(np.log(confidence)[:, None], np.where(hits, 0, -1)).ece
        for level, (confidence, hits) in _by_level(Answers.of(own)).items()
    }


def _threshold(content: Mapping[str, Any], levels: Sequence[str]) -> Thresholds:
    given = content["levels"]
    values = {level: NEVER if given[level] is None else float(given[level]) for level in levels}
    target = float(content["target"])
    if not (0 < target <= 1 and all(value >= 0 for value in values.values())):  # NaN is not either
        raise ValueError("a threshold is out of range")
    return Thresholds(target, values)
