"""How far a system can be trusted: temperatures and thresholds of its calibration part, and what they reach on test."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from patent_hier.errors import ArtifactError
from patent_hier.evaluation.calibration_error import expected_calibration_error
from patent_hier.evaluation.decoding import Tree
from patent_hier.evaluation.deriving import NodeScores
from patent_hier.evaluation.predictions import Predictions
from patent_hier.evaluation.selective import (
    NEVER,
    TARGETS,
    Answers,
    Thresholds,
    area_under_risk_coverage,
    choose_thresholds,
    measure,
    measure_by_section,
    risk_coverage,
)
from patent_hier.evaluation.temperature import fit_temperature, scale_nodes
from patent_hier.settings import FLAT, ROOT

CALIBRATION = "calibration"
TEST = "test"
_COLDEST, _HOTTEST = 1e-3, 1e3  # temperatures that still leave numbers; those that are fitted are nearer to 1
SHOWN = (0.80, 0.90, 0.95)  # targets that are measured section by section


@dataclass(frozen=True)
class Calibration:
    """What was fitted to the calibration part.

    Attributes:
        documents: How many it has.
        temperatures: By node.
        thresholds: For the accuracies of :data:`patent_hier.evaluation.selective.TARGETS`, ascending.
        measured: On the test part, as JSON-able values: ``documents``, ``targets`` (coverage and accuracy of each),
            ``by_section``, ``calibration_error`` before and after, ``risk_coverage``; empty if it has no documents.
    """

    documents: int
    temperatures: dict[str, float]
    thresholds: list[Thresholds]
    measured: dict[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """The calibration as JSON-able values; a level that is never answered has null for its threshold."""
        thresholds = [
            {name: None if value == NEVER else value for name, value in asdict(one).items()} for one in self.thresholds
        ]
        return {**asdict(self), "thresholds": thresholds}

    @classmethod
    def from_dict(cls, content: Any) -> Self:
        """The calibration of :meth:`as_dict`.

        Raises:
            ArtifactError: If it is something else.
        """
        try:
            thresholds = [_threshold(one) for one in content["thresholds"]]
            temperatures = {str(node): float(value) for node, value in content["temperatures"].items()}
            measured = dict(content["measured"])
            if not all(_COLDEST <= value <= _HOTTEST for value in temperatures.values()):
                raise ValueError("a temperature is out of range")
            if not thresholds or not all(
                isinstance(measured.get(name, {}), dict) for name in ("targets", "by_section")
            ):
                raise ValueError("thresholds or measured accuracies are missing")
            return cls(int(content["documents"]), temperatures, thresholds, measured)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise ArtifactError(f"a model's calibration cannot be read ({error}); export the model again") from error


def calibrate(predictions: Mapping[str, Predictions]) -> Calibration | None:
    """Fit a system's temperatures and thresholds, and measure them.

    Args:
        predictions: Of all its nodes, with calibration and test documents.

    Returns:
        None if the split left no documents for calibration.
    """
    if not any((own.parts == CALIBRATION).any() for own in predictions.values()):
        return None
    fitted = {node: own.select(CALIBRATION) for node, own in predictions.items()}
    temperatures = {node: fit_temperature(own.log_prob, own.target_codes()) for node, own in fitted.items()}
    answers = _answers(fitted, temperatures)
    thresholds = choose_thresholds(answers, TARGETS)
    measured: dict[str, Any] = {}
    if all((own.parts == TEST).any() for own in predictions.values()):
        test = {node: own.select(TEST) for node, own in predictions.items()}
        measured = json.loads(json.dumps(_measured(test, temperatures, thresholds)))  # as it will be read
    return Calibration(len(answers), temperatures, thresholds, measured)


def _measured(
    test: Mapping[str, Predictions], temperatures: Mapping[str, float], thresholds: list[Thresholds]
) -> dict[str, Any]:
    answers = _answers(test, temperatures)
    shown = [one for one in thresholds if one.target in SHOWN]
    return {
        "documents": len(answers),
        "class_accuracy": float(answers.class_hits.mean()),
        "section_accuracy": float(answers.section_hits.mean()),
        "targets": {f"{one.target:.2f}": asdict(measure(answers, one)) for one in thresholds},
        "by_section": {
            f"{one.target:.2f}": {
                section: asdict(reached) for section, reached in measure_by_section(answers, one).items()
            }
            for one in shown
        },
        "calibration_error": {
            "before": _errors(test, {}),
            "after": _errors(test, temperatures),
        },
        "risk_coverage": {
            "class": risk_coverage(answers.class_confidence, answers.class_hits),
            "section": risk_coverage(answers.section_confidence, answers.section_hits),
        },
        "area_under_risk_coverage": {
            "class": area_under_risk_coverage(answers.class_confidence, answers.class_hits),
            "section": area_under_risk_coverage(answers.section_confidence, answers.section_hits),
        },
    }


def _errors(predictions: Mapping[str, Predictions], temperatures: Mapping[str, float]) -> dict[str, float]:
    """Expected calibration error of both levels, and of every node over its own documents."""
    tree, sections, classes = _tree(predictions, temperatures)
    levels = {
        "class": (tree.class_log_prob, _codes(tree.classes, classes)),
        "section": (tree.section_log_prob, _codes(tree.sections, sections)),
    }
    errors = {name: expected_calibration_error(*level).ece for name, level in levels.items()}
    scaled = scale_nodes(_scores(predictions), temperatures)
    for node, own in predictions.items():
        rows = np.flatnonzero(pd.notna(own.targets))
        if len(rows):
            codes = own.target_codes()[rows]
            errors[f"node {node}"] = expected_calibration_error(scaled[node].log_prob[rows], codes).ece
    return errors


def _threshold(content: Mapping[str, Any]) -> Thresholds:
    values = {name: content[name] for name in Thresholds.__dataclass_fields__}
    known = Thresholds(**{name: NEVER if value is None else float(value) for name, value in values.items()})
    if not (0 < known.target <= 1 and known.ipc_class >= 0 and known.section >= 0):  # NaN is not either
        raise ValueError("a threshold is out of range")
    return known


def _scores(predictions: Mapping[str, Predictions]) -> dict[str, NodeScores]:
    return {node: NodeScores(own.labels, own.log_prob) for node, own in predictions.items()}


def _codes(labels: tuple[str, ...], targets: NDArray[Any]) -> NDArray[np.intp]:
    place = {label: position for position, label in enumerate(labels)}
    return np.array([place.get(target, -1) for target in targets], dtype=np.intp)


def _answers(predictions: Mapping[str, Predictions], temperatures: Mapping[str, float]) -> Answers:
    return Answers.of(*_tree(predictions, temperatures))


def _tree(
    predictions: Mapping[str, Predictions], temperatures: Mapping[str, float]
) -> tuple[Tree, NDArray[Any], NDArray[Any]]:
    """What the system says, and the true sections and classes, ``(n,)``."""
    first = next(iter(predictions.values()))
    if any(not np.array_equal(own.document_ids, first.document_ids) for own in predictions.values()):
        raise ArtifactError("the nodes scored different documents; train them again on one split")
    classes = np.full(len(first), None, dtype=object)
    for node, own in predictions.items():
        if node != ROOT:
            known = pd.notna(own.targets)
            classes[known] = own.targets[known]
    sections = (
        np.array([label[0] for label in classes], dtype=object)
        if FLAT in predictions
        else np.asarray(predictions[ROOT].targets, dtype=object)
    )
    return Tree.of(scale_nodes(_scores(predictions), temperatures)), sections, classes
