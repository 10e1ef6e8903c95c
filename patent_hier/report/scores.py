"""Scores of each configuration over its seeds, from the nodes' predictions: every number of the report's tables.

Only this module of the report knows the hits and results of :mod:`patent_hier.evaluation`. The rest reads
:class:`SystemScores`, level by level.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from patent_hier.errors import ArtifactError
from patent_hier.evaluation.aggregate import aggregate_flat_hits, aggregate_hits
from patent_hier.evaluation.calibration_error import Reliability, expected_calibration_error
from patent_hier.evaluation.hits import Truth, flat_hits, hierarchical_hits, joint_log_prob
from patent_hier.evaluation.predictions import NO_TARGET, UNSEEN
from patent_hier.evaluation.result import FlatResult, HierarchicalResult, Score
from patent_hier.evaluation.seeds import Spread, as_score, spread_of_hits, spread_of_product
from patent_hier.ipc import SECTIONS
from patent_hier.pipeline.evidence import Configuration, Evidence, NodeRun
from patent_hier.settings import FLAT

Hits = NDArray[np.bool_]

LEVELS = ("section", "class")  # from the root down; tables have their columns in this order
DEEPEST = LEVELS[-1]
HIERARCHICAL, FLAT_MODEL = "hierarchical", "flat_model"  # kinds of systems; words of the report too


@dataclass(frozen=True, eq=False)
class Answers:
    """What a system answered with one seed on ``n`` test documents. Each mapping goes by level.

    Attributes:
        document_ids: ``(n,)``.
        true: ``(n,)`` labels.
        predicted: ``(n,)`` labels, as a user gets them: of nine models, the cascade's.
        hits: ``(n,)`` whether they are equal.
        local_hits: ``(n,)`` whether the model of the true section finds the class; None for a flat system.
    """

    document_ids: NDArray[Any]
    true: Mapping[str, NDArray[Any]]
    predicted: Mapping[str, NDArray[Any]]
    hits: Mapping[str, Hits]
    local_hits: Hits | None = None


@dataclass(frozen=True, eq=False)
class SystemScores:
    """One configuration: of nine local classifiers, or of a classifier over all classes at once.

    Attributes:
        configuration: What was run.
        kind: :data:`HIERARCHICAL` or :data:`FLAT_MODEL`.
        levels: By level, accuracy of what a user gets.
        table_2: The numbers of its row in Table 2, by column: ``L1``, sections with test documents (each class model
            given the true section), ``L2`` (their mean, weighted by documents), ``overall`` (equation (1) of
            arXiv:1911.06241). Empty for a flat system.
        top_3: One of the three most probable classes is right; mean over seeds, likewise the next two.
        macro_f1: Of the classes that a user gets.
        classes_named: Different classes in its answers on the test part. Far below the classes with support it tells
            of a collapsed model.
        reliability: Of its probabilities of classes, first seed.
        answers: By seed.
    """

    configuration: Configuration
    kind: str
    levels: Mapping[str, Spread]
    table_2: Mapping[str, Spread]
    top_3: float
    macro_f1: float
    classes_named: float
    reliability: Reliability
    answers: Mapping[int, Answers]

    @property
    def best_guess(self) -> Spread:
        """Accuracy at the deepest level, by which systems are ranked."""
        return self.levels[DEEPEST]

    @property
    def routing_loss(self) -> float | None:
        """What wrong sections cost, a fraction; None for a flat system."""
        return self.table_2["L2"].mean - self.best_guess.mean if self.table_2 else None

    @property
    def first(self) -> Answers:
        """The answers of the first seed."""
        return next(iter(self.answers.values()))


def score_all(evidence: Evidence, truth: Truth) -> list[SystemScores]:
    """All configurations: hierarchical ones before flat ones, the best of each kind first."""
    nine = [score_system(item, truth, HIERARCHICAL) for item in evidence.hierarchical]
    flat = [score_system(item, truth, FLAT_MODEL) for item in evidence.flat]
    return [item for group in (nine, flat) for item in sorted(group, key=lambda one: -one.best_guess.mean)]


def score_system(configuration: Configuration, truth: Truth, kind: str) -> SystemScores:
    """Score all seeds of one configuration on the test part.

    Raises:
        ArtifactError: If predictions are damaged, or seeds scored different documents.
    """
    score_seed = _score_nine if kind == HIERARCHICAL else _score_flat
    seeds = {seed: score_seed(nodes, truth) for seed, nodes in configuration.runs.items()}  # one at a time: large
    answers = {seed: own for seed, (own, _, _) in seeds.items()}
    for seed, own in answers.items():
        if not np.array_equal(own.document_ids, next(iter(answers.values())).document_ids):
            raise ArtifactError(
                f"{configuration.name} seed={seed} scored other documents than the other seeds; "
                "delete its results and run it again"
            )
    return SystemScores(
        configuration,
        kind,
        {level: spread_at(list(answers.values()), level) for level in LEVELS},
        _table_2(list(answers.values())) if kind == HIERARCHICAL else {},
        float(np.mean([result.top_3.value for _, result, _ in seeds.values()])),
        float(np.mean([result.macro_f1.value for _, result, _ in seeds.values()])),
        float(np.mean([len(np.unique(own.predicted[DEEPEST])) for own in answers.values()])),
        next(iter(seeds.values()))[2],
        answers,
    )


def spread_at(answers: Sequence[Answers], level: str, rows: Hits | slice = slice(None)) -> Spread:
    """Accuracy at a level over all seeds, on some of the documents or on all."""
    labels = answers[0].true[level][rows]
    return spread_of_hits(np.stack([own.hits[level][rows] for own in answers]), len(np.unique(labels)))


def score_node(run: NodeRun) -> Score | None:
    """Accuracy of one node on the test documents under it, with its bootstrap interval; None without any."""
    own = run.read_predictions().select("test")
    codes = own.target_codes()
    under = codes != NO_TARGET
    if not under.any():
        return None
    hits = (own.predicted_codes() == codes) & (codes != UNSEEN)
    return as_score(spread_of_hits(hits[None, under], len(np.unique(own.targets[under]))))


def hits_of_all(systems: Sequence[SystemScores], name: Callable[[SystemScores], str]) -> dict[str, Hits]:
    """Every system's hits on the test documents at the deepest level, ``(n_seeds, n)``, in one order, by its name.

    Raises:
        ArtifactError: If the systems scored different documents.
    """
    hits = {name(item): np.stack([own.hits[DEEPEST] for own in item.answers.values()]) for item in systems}
    if len(hits) < len(systems):
        raise ArtifactError("two systems have the same name; give one of them another model.name")
    for item in systems:
        if not np.array_equal(item.first.document_ids, systems[0].first.document_ids):
            raise ArtifactError(
                f"{name(item)} scored other documents than the rest; delete its results and run it again"
            )
    return hits


def _score_nine(nodes: Mapping[str, NodeRun], truth: Truth) -> tuple[Answers, HierarchicalResult, Reliability]:
    predictions = {node: run.read_predictions() for node, run in nodes.items()}
    hits, joint = hierarchical_hits(predictions, truth), joint_log_prob(predictions)
    answers = Answers(
        hits.document_ids,
        {"section": hits.sections, "class": hits.targets},
        {"section": hits.predicted_sections, "class": hits.cascade_classes},
        {"section": hits.section_hits, "class": hits.cascade_hits},
        hits.local_hits,
    )
    return answers, aggregate_hits(hits, joint), expected_calibration_error(joint, hits.target_codes)


def _score_flat(nodes: Mapping[str, NodeRun], truth: Truth) -> tuple[Answers, FlatResult, Reliability]:
    predictions = nodes[FLAT].read_predictions().select("test")
    hits = flat_hits(predictions, truth)
    answers = Answers(
        hits.document_ids,
        {"section": hits.sections, "class": hits.targets},
        {"section": hits.predicted_sections, "class": hits.predicted_classes},
        {"section": hits.section_hits, "class": hits.class_hits},
    )
    reliability = expected_calibration_error(predictions.log_prob, hits.target_codes)
    return answers, aggregate_flat_hits(hits, predictions.log_prob), reliability


def _table_2(answers: Sequence[Answers]) -> dict[str, Spread]:
    first = answers[0]
    sections, classes = first.true["section"], first.true["class"]
    section = np.stack([own.hits["section"] for own in answers])
    local = np.stack([own.local_hits for own in answers if own.local_hits is not None])
    n_classes = len(np.unique(classes))
    by_section = {
        name: spread_of_hits(local[:, own], len(np.unique(classes[own])))
        for name in SECTIONS
        if (own := sections == name).any()
    }
    return {
        "L1": spread_at(answers, "section"),
        **by_section,
        "L2": spread_of_hits(local, n_classes),
        "overall": spread_of_product(section, local, n_classes),
    }
