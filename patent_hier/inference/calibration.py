"""Calibration of a system: scalings and thresholds fitted to the calibration part, and their test results."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np

from patent_hier.errors import ArtifactError
from patent_hier.evaluation.calibration_error import expected_calibration_error
from patent_hier.evaluation.contract import NetworkPredictions
from patent_hier.evaluation.guarantee import ERROR, TARGETS, choose_thresholds, least_documents
from patent_hier.evaluation.recalibration import CANDIDATES, ByNode, Choice, choose_scalings
from patent_hier.evaluation.scaling import Scaling
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
from patent_hier.sanitize import reason, shown

CALIBRATION_VERSION = 3  # of the dictionary from as_dict; the thresholds of version 1 held only on average
_TEMPERATURES_ALONE = 2  # older version that can still be read: one temperature for each level of each node
VAL, CALIBRATION, TEST = "val", "calibration", "test"
_COLDEST, _HOTTEST = 1e-3, 1e3  # temperatures that keep probabilities finite; fitted values are closer to 1
_HIGHEST_SHAPE = 1e3
SHOWN = (0.80, 0.90, 0.95)  # targets also measured separately for each first-level label


@dataclass(frozen=True)
class Calibration:
    """Scalings and thresholds fitted to the calibration part, and their results on the test part.

    Attributes:
        documents: Number of documents in the calibration part.
        confidence: Probability that the answers reach the target accuracy at every level simultaneously.
        scalings: Recalibration of probabilities, by node, then by level; scalings without effect are omitted.
        choices: Chosen kind of scaling and the reason, by level; empty in calibrations of version 2.
        thresholds: Thresholds for the target accuracies in :data:`patent_hier.evaluation.guarantee.TARGETS`, ascending.
        measured: Results on the test part as JSON-able values; empty if it has no documents. ``documents``; by level
            ``accuracy``, ``three_guesses`` (the true label is among the three likeliest), ``risk_coverage`` and
            ``area_under_risk_coverage``; by target ``targets`` and, for some targets and each first-level label,
            ``by_label``, both with the values of :class:`patent_hier.evaluation.selective.Reached`;
            ``calibration_error``, ``before`` and ``after`` scaling, for the system's ``levels`` and for its ``nodes``;
            in the same place ``log_loss`` (not in version 2), by level the mean of −ln of the true label's joint
            probability over the documents whose label the system knows.
        sets: Thresholds for sets of labels; None if no document has several symbols, or for a single node.
    """

    documents: int
    confidence: float
    scalings: ByNode
    choices: dict[str, Choice]
    thresholds: list[Thresholds]
    measured: dict[str, Any]
    sets: SetRule | None = None

    def shortfall(self, thresholds: Thresholds) -> str | None:
        """Return a one-line reason why nothing is answered at an accuracy; None if at least one level is answered."""
        if any(value < NEVER for value in thresholds.levels.values()):
            return None
        least, asked = least_documents(thresholds.target, 1 - self.confidence), f"{100 * thresholds.target:g} %"
        said = f"{asked} cannot be guaranteed with {100 * self.confidence:g} % confidence, so nothing is answered: "
        if self.documents < least:
            return said + (
                f"this takes {least} calibration documents answered without an error, and the calibration part has "
                f"only {self.documents}; raise split.calibration or lower the target accuracy"
            )
        return said + (
            f"too many of the most confident answers to the {self.documents} calibration documents are wrong ({least} "
            "without an error would suffice); raise split.calibration or lower the target accuracy"
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the calibration as JSON-able values; the threshold of a level without answers is null."""
        thresholds = [
            {
                "target": one.target,
                "levels": {level: None if value == NEVER else value for level, value in one.levels.items()},
            }
            for one in self.thresholds
        ]
        scalings = {
            node: {level: scaling._asdict() for level, scaling in own.items()} for node, own in self.scalings.items()
        }
        return {"version": CALIBRATION_VERSION, **asdict(self), "scalings": scalings, "thresholds": thresholds}

    @classmethod
    def from_dict(cls, content: Any, levels: Sequence[str]) -> Self:
        """Return the calibration that :meth:`as_dict` describes.

        Args:
            content: Value to check, from any source.
            levels: Levels of the system, from the top.

        Raises:
            ArtifactError: If the content is not a calibration or has another version.
        """
        try:
            if (version := content.get("version", 1)) not in (_TEMPERATURES_ALONE, CALIBRATION_VERSION):
                raise ValueError(f"version {shown(version)}, not {CALIBRATION_VERSION}")
            thresholds = [_threshold(one, levels) for one in content["thresholds"]]
            scalings, choices = _scalings_of_temperatures(content), {}
            if version == CALIBRATION_VERSION:
                scalings, choices = _scalings(content["scalings"]), _choices(content["choices"], levels)
            measured = dict(content["measured"])
            if not thresholds or not all(isinstance(measured.get(name, {}), dict) for name in ("targets", "by_label")):
                raise ValueError("thresholds or measured accuracies are missing")
            sets = SetRule.from_dict(content.get("sets"), levels)
            confidence = float(content["confidence"])
            if not 0 < confidence < 1:
                raise ValueError("the confidence is not between 0 and 1")
            return cls(int(content["documents"]), confidence, scalings, choices, thresholds, measured, sets)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise ArtifactError(
                f"a model's calibration cannot be read ({reason(error)}); export the model again from its result"
            ) from error


def calibrate(predictions: Mapping[str, NetworkPredictions], error: float = ERROR) -> Calibration | None:
    """Choose a system's scalings and thresholds, and measure them on the test part.

    Args:
        predictions: Predictions of all nodes for documents of the validation, calibration and test parts.
        error: Maximum probability that a level's answers are right less often than the target.

    Returns:
        The calibration; None if the split left no calibration documents.

    Raises:
        ArtifactError: If there are no validation documents.
    """
    if not any((own.parts == CALIBRATION).any() for own in predictions.values()):
        return None
    fitted = {node: own.select(CALIBRATION) for node, own in predictions.items()}
    scalings, choices = choose_scalings(fitted)
    answers = Answers.of(_system(fitted, scalings))
    choices = {level: choices[level] for level in answers.levels if level in choices}
    planning = Answers.of(_system({node: own.select(VAL) for node, own in predictions.items()}, scalings))
    thresholds = choose_thresholds(answers, planning, TARGETS, error)
    measured: dict[str, Any] = {}
    if all((own.parts == TEST).any() for own in predictions.values()):
        test = {node: own.select(TEST) for node, own in predictions.items()}
        measured = json.loads(json.dumps(_measured(test, scalings, thresholds)))  # the values as they will be read back
    return Calibration(len(answers), 1 - error, scalings, choices, thresholds, measured)


def _system(predictions: Mapping[str, NetworkPredictions], scalings: ByNode) -> NetworkPredictions:
    return merge({node: scaled(own, scalings.get(node, {})) for node, own in predictions.items()})


def _by_level(answers: Answers) -> dict[str, tuple[Confidence, Hits]]:
    """Return confidence and hits of the labelled documents, by level; levels without any are left out."""
    found = {}
    for place, level in enumerate(answers.levels):
        own = answers.take(answers.labelled(place))
        if len(own):
            found[level] = own.confidence[:, place], own.hits[:, place]
    return found


def _measured(test: Mapping[str, NetworkPredictions], scalings: ByNode, thresholds: list[Thresholds]) -> dict[str, Any]:
    system = _system(test, scalings)
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
        "calibration_error": {"before": _errors(test, {}, scalings), "after": _errors(test, scalings)},
        "risk_coverage": {level: risk_coverage(*own) for level, own in by_level.items()},
        "area_under_risk_coverage": {level: area_under_risk_coverage(*own) for level, own in by_level.items()},
    }


def _errors(test: Mapping[str, NetworkPredictions], scalings: ByNode, shown: ByNode | None = None) -> dict[str, Any]:
    """Return the calibration errors of the system and of each node's recalibrated levels, and the log losses."""
    shown = shown or scalings
    nodes = {node: scaled(own, scalings.get(node, {})) for node, own in test.items()}
    system = merge(nodes)
    return {
        "levels": _level_errors(system),
        "nodes": {
            node: {level: error for level, error in _level_errors(own).items() if level in shown[node]}
            for node, own in nodes.items()
            if shown[node]
        },
        "log_loss": _log_losses(system),
    }


def _log_losses(system: NetworkPredictions) -> dict[str, float]:
    known = {own.level: own.target_log_prob[np.isfinite(own.target_log_prob)] for own in system.levels}
    return {level: -float(own.mean(dtype=np.float64)) for level, own in known.items() if len(own)}


def _level_errors(own: NetworkPredictions) -> dict[str, float]:
    return {
        level: expected_calibration_error(np.log(confidence)[:, None], np.where(hits, 0, -1)).ece
        for level, (confidence, hits) in _by_level(Answers.of(own)).items()
    }


def _threshold(content: Mapping[str, Any], levels: Sequence[str]) -> Thresholds:
    given = content["levels"]
    values = {level: NEVER if given[level] is None else float(given[level]) for level in levels}
    target = float(content["target"])
    if not (0 < target <= 1 and all(value >= 0 for value in values.values())):  # also rejects NaN
        raise ValueError("a threshold is out of range")
    return Thresholds(target, values)


def _scalings(content: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> ByNode:
    return {
        str(node): {
            str(level): _checked(Scaling(float(one["temperature"]), float(one["shape"]))) for level, one in own.items()
        }
        for node, own in content.items()
    }


def _scalings_of_temperatures(content: Mapping[str, Any]) -> ByNode:
    """Return the scalings of a version 2 calibration; empty for any other version."""
    return {
        str(node): {str(level): _checked(Scaling(float(value))) for level, value in own.items()}
        for node, own in content.get("temperatures", {}).items()
    }


def _checked(scaling: Scaling) -> Scaling:
    if not (_COLDEST <= scaling.temperature <= _HOTTEST and -1 < scaling.shape <= _HIGHEST_SHAPE):  # also rejects NaN
        raise ValueError("a temperature or shape is out of range")
    return scaling


def _choices(content: Mapping[str, Mapping[str, Any]], levels: Sequence[str]) -> dict[str, Choice]:
    found = {}
    for level in (level for level in levels if level in content):
        one = content[level]
        nll = {str(name): float(value) for name, value in one["nll"].items()}
        if one["method"] not in {candidate.name for candidate in CANDIDATES} or not np.isfinite([*nll.values()]).all():
            raise ValueError(f"the choice of level {level} is unknown")
        found[level] = Choice(one["method"], int(one["documents"]), int(one["groups"]), nll)
    return found
