"""Scores of each configuration over its seeds, from the nodes' predictions: every number of the report's tables."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from patent_hier.errors import ArtifactError
from patent_hier.evaluation.aggregate import aggregate_flat_hits, aggregate_hits
from patent_hier.evaluation.calibration_error import Reliability, expected_calibration_error
from patent_hier.evaluation.hits import (
    FlatHits,
    SystemHits,
    Truth,
    flat_hits,
    hierarchical_hits,
    joint_log_prob,
)
from patent_hier.evaluation.result import FlatResult, HierarchicalResult
from patent_hier.evaluation.seeds import Spread, spread_of_hits, spread_of_product
from patent_hier.ipc import SECTIONS
from patent_hier.pipeline.evidence import Configuration
from patent_hier.settings import FLAT

Hits = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class HierarchicalScores:
    """One configuration of nine local classifiers.

    Attributes:
        configuration: What was run.
        section: Accuracy of the section model.
        local: By section with test documents, accuracy of its class model given the true section.
        oracle: Document-weighted mean of ``local``.
        product: Equation (1) of arXiv:1911.06241.
        cascade: Accuracy of the predicted section's class model.
        routing_loss: ``oracle - cascade``, a fraction: what wrong sections cost.
        top_3: One of three classes by joint probability is right.
        macro_f1: Mean over seeds, of the cascade.
        classes_named: Different classes that the cascade answers over all test documents, mean over seeds. Far below
            the classes with support it tells of a collapsed model.
        reliability: Of the joint probabilities, first seed.
        hits: By seed.
        results: By seed, all scores.
    """

    configuration: Configuration
    section: Spread
    local: Mapping[str, Spread]
    oracle: Spread
    product: Spread
    cascade: Spread
    routing_loss: float
    top_3: float
    macro_f1: float
    classes_named: float
    reliability: Reliability
    hits: Mapping[int, SystemHits]
    results: Mapping[int, HierarchicalResult]


@dataclass(frozen=True, eq=False)
class FlatScores:
    """One configuration of a classifier over all classes at once.

    Attributes:
        configuration: What was run.
        flat: Accuracy of the most probable class.
        section: Accuracy of the section with the largest sum of its classes' probabilities.
        top_3: One of the three most probable classes is right.
        macro_f1: Mean over seeds.
        classes_named: Different classes that it answers over all test documents, mean over seeds.
        reliability: Of its probabilities, first seed.
        hits: By seed.
        results: By seed, all scores.
    """

    configuration: Configuration
    flat: Spread
    section: Spread
    top_3: float
    macro_f1: float
    classes_named: float
    reliability: Reliability
    hits: Mapping[int, FlatHits]
    results: Mapping[int, FlatResult]


def score_hierarchical(configuration: Configuration, truth: Truth) -> HierarchicalScores:
    """Score all seeds of one configuration on the test part.

    Raises:
        ArtifactError: If predictions are damaged, or seeds scored different documents.
    """
    hits, results = {}, {}
    calibration: list[Reliability] = []
    for seed, nodes in configuration.runs.items():  # the predictions of one seed at a time: they are large
        predictions = {node: run.read_predictions() for node, run in nodes.items()}
        hits[seed] = hierarchical_hits(predictions, truth)
        joint = joint_log_prob(predictions)
        results[seed] = aggregate_hits(hits[seed], joint)
        calibration.append(expected_calibration_error(joint, hits[seed].target_codes))
    by_seed = list(hits.values())
    first = by_seed[0]
    _check_order(configuration, [item.document_ids for item in by_seed])
    section, local = (np.stack([getattr(item, name) for item in by_seed]) for name in ("section_hits", "local_hits"))
    cascade = np.stack([item.cascade_hits for item in by_seed])
    n_sections, n_classes = len(np.unique(first.sections)), len(np.unique(first.targets))
    return HierarchicalScores(
        configuration,
        spread_of_hits(section, n_sections),
        {
            name: spread_of_hits(local[:, own], len(np.unique(first.targets[own])))
            for name in SECTIONS
            if (own := first.sections == name).any()
        },
        oracle := spread_of_hits(local, n_classes),
        spread_of_product(section, local, n_classes),
        whole := spread_of_hits(cascade, n_classes),
        oracle.mean - whole.mean,
        _mean([result.top_3.value for result in results.values()]),
        _mean([result.macro_f1.value for result in results.values()]),
        _mean([len(np.unique(item.cascade_classes)) for item in by_seed]),
        calibration[0],
        hits,
        results,
    )


def score_flat(configuration: Configuration, truth: Truth) -> FlatScores:
    """Score all seeds of one flat configuration on the test part.

    Raises:
        ArtifactError: If predictions are damaged, or seeds scored different documents.
    """
    hits, results = {}, {}
    calibration: list[Reliability] = []
    for seed, nodes in configuration.runs.items():
        predictions = nodes[FLAT].read_predictions().select("test")
        hits[seed] = flat_hits(predictions, truth)
        results[seed] = aggregate_flat_hits(hits[seed], predictions.log_prob)
        calibration.append(expected_calibration_error(predictions.log_prob, hits[seed].target_codes))
    by_seed = list(hits.values())
    first = by_seed[0]
    _check_order(configuration, [item.document_ids for item in by_seed])
    return FlatScores(
        configuration,
        spread_of_hits(np.stack([item.class_hits for item in by_seed]), len(np.unique(first.targets))),
        spread_of_hits(np.stack([item.section_hits for item in by_seed]), len(np.unique(first.sections))),
        _mean([result.top_3.value for result in results.values()]),
        _mean([result.macro_f1.value for result in results.values()]),
        _mean([len(np.unique(item.predicted_classes)) for item in by_seed]),
        calibration[0],
        hits,
        results,
    )


def class_hits(
    hierarchical: Sequence[HierarchicalScores],
    flat: Sequence[FlatScores],
    name: Callable[[Configuration, str], str],
) -> dict[str, Hits]:
    """Every system's hits on the test documents, ``(n_seeds, n)`` each in one order, by its name.

    Args:
        hierarchical: Systems of nine models; the cascade's hits are taken.
        flat: Flat systems.
        name: From a configuration and ``hierarchical`` or ``flat_model``, what the system is called.

    Raises:
        ArtifactError: If the systems scored different documents.
    """
    hits: dict[str, Hits] = {}
    orders = []
    for item in hierarchical:
        seeds = list(item.hits.values())
        hits[name(item.configuration, "hierarchical")] = np.stack([own.cascade_hits for own in seeds])
        orders.append(seeds[0].document_ids)
    for other in flat:
        answers = list(other.hits.values())
        hits[name(other.configuration, "flat_model")] = np.stack([own.class_hits for own in answers])
        orders.append(answers[0].document_ids)
    if len(hits) < len(orders):
        raise ArtifactError("two systems have the same name; give one of them another model.name")
    for system, order in zip(hits, orders, strict=True):
        if not np.array_equal(order, orders[0]):
            raise ArtifactError(f"{system} scored other documents than the rest; delete its results and run it again")
    return hits


def _check_order(configuration: Configuration, orders: Sequence[NDArray[Any]]) -> None:
    for seed, order in zip(configuration.runs, orders, strict=True):
        if not np.array_equal(order, orders[0]):
            raise ArtifactError(f"{configuration.name} seed={seed} scored other documents than the other seeds")


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
