"""Scores of each configuration over its seeds, from the nodes' predictions: every number of the report's tables.

Only this module of the report knows the hits and results of :mod:`patent_hier.evaluation`. The rest reads
:class:`SystemScores`, level by level.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from patent_hier.data.corpus import Corpus
from patent_hier.errors import ArtifactError
from patent_hier.evaluation.aggregate import aggregate, answers, has_label, level_hits, local_hits
from patent_hier.evaluation.calibration_error import Reliability, expected_calibration_error
from patent_hier.evaluation.contract import LevelScores
from patent_hier.evaluation.result import Result, Score
from patent_hier.evaluation.seeds import Spread, as_score, spread_of_hits, spread_of_product
from patent_hier.pipeline.evidence import Configuration, Evidence, NodeRun
from patent_hier.pipeline.suite import read_system

Hits = NDArray[np.bool_]

LEVELS = ("section", "class")  # every system has them, whatever its depth: by these, systems are compared
COMPARED = LEVELS[-1]
HIERARCHICAL, SHARED_NETWORK, FLAT_MODEL = "hierarchical", "shared_network", "flat_model"  # words of the report too


@dataclass(frozen=True, eq=False)
class Answers:
    """What a system answered with one seed on ``n`` test documents. Each mapping goes by level.

    Attributes:
        document_ids: ``(n,)``.
        true: ``(n,)`` labels.
        predicted: ``(n,)`` labels, as a user gets them: of all but a flat model, the cascade's.
        hits: ``(n,)`` whether they are equal.
        local_hits: ``(n,)`` whether the heads below the true section find the class; None for a flat system.
    """

    document_ids: NDArray[Any]
    true: Mapping[str, NDArray[Any]]
    predicted: Mapping[str, NDArray[Any]]
    hits: Mapping[str, Hits]
    local_hits: Hits | None = None


@dataclass(frozen=True, eq=False)
class SystemScores:
    """One configuration: of nine local classifiers, of one network with all their heads, or of a flat classifier.

    Attributes:
        configuration: What was run.
        kind: :data:`HIERARCHICAL`, :data:`SHARED_NETWORK` or :data:`FLAT_MODEL`.
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
        results: By seed, the scores of all levels.
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
    results: Mapping[int, Result]

    @property
    def best_guess(self) -> Spread:
        """Accuracy of classes, by which systems are ranked."""
        return self.levels[COMPARED]

    @property
    def routing_loss(self) -> float | None:
        """What wrong sections cost, a fraction; None for a flat system."""
        return self.table_2["L2"].mean - self.best_guess.mean if self.table_2 else None

    @property
    def first(self) -> Answers:
        """The answers of the first seed."""
        return next(iter(self.answers.values()))


def score_all(evidence: Evidence) -> list[SystemScores]:
    """All configurations: hierarchical ones, shared networks, flat ones; the best of each kind first."""
    kinds = {HIERARCHICAL: evidence.hierarchical, SHARED_NETWORK: evidence.shared, FLAT_MODEL: evidence.flat}
    scored = [[score_system(item, evidence.corpus, kind) for item in own] for kind, own in kinds.items()]
    return [item for group in scored for item in sorted(group, key=lambda one: -one.best_guess.mean)]


def score_system(configuration: Configuration, corpus: Corpus, kind: str) -> SystemScores:
    """Score all seeds of one configuration on the test part.

    Raises:
        ArtifactError: If predictions are damaged, or seeds scored different documents.
    """
    # One seed at a time: predictions are large.
    seeds = {seed: _score_seed(nodes, corpus) for seed, nodes in configuration.runs.items()}
    answered = {seed: own for seed, (own, _, _) in seeds.items()}
    results = {seed: result for seed, (_, result, _) in seeds.items()}
    for seed, own in answered.items():
        if not np.array_equal(own.document_ids, next(iter(answered.values())).document_ids):
            raise ArtifactError(
                f"{configuration.name} seed={seed} scored other documents than the other seeds; "
                "delete its results and run it again"
            )
    compared = [result.levels[COMPARED] for result in results.values()]
    return SystemScores(
        configuration,
        kind,
        {level: spread_at(list(answered.values()), level) for level in LEVELS},
        {} if kind == FLAT_MODEL else _table_2(list(answered.values())),
        float(np.mean([level.top_3.value for level in compared])),
        float(np.mean([level.macro_f1.value for level in compared])),
        float(np.mean([len(set(own.predicted[COMPARED]) - {None}) for own in answered.values()])),
        next(iter(seeds.values()))[2],
        answered,
        results,
    )


def spread_at(answers: Sequence[Answers], level: str, rows: Hits | slice = slice(None)) -> Spread:
    """Accuracy at a level over all seeds, on some of the documents or on all."""
    labels = answers[0].true[level][rows]
    return spread_of_hits(np.stack([own.hits[level][rows] for own in answers]), len(set(labels)))


def score_node(run: NodeRun) -> Score | None:
    """Accuracy of one node on the test documents under it, with its bootstrap interval; None without any."""
    predictions = run.read_predictions().select("test")
    own = predictions.levels[-1]
    under = has_label(own)
    if not under.any():
        return None
    hits = level_hits(predictions)[own.level]
    return as_score(spread_of_hits(hits[None, under], len(set(own.targets[under]))))


def hits_of_all(systems: Sequence[SystemScores], name: Callable[[SystemScores], str]) -> dict[str, Hits]:
    """Every system's hits on the test documents at the deepest level, ``(n_seeds, n)``, in one order, by its name.

    Raises:
        ArtifactError: If the systems scored different documents.
    """
    hits = {name(item): np.stack([own.hits[COMPARED] for own in item.answers.values()]) for item in systems}
    if len(hits) < len(systems):
        raise ArtifactError("two systems have the same name; give one of them another model.name")
    for item in systems:
        if not np.array_equal(item.first.document_ids, systems[0].first.document_ids):
            raise ArtifactError(
                f"{name(item)} scored other documents than the rest; delete its results and run it again"
            )
    return hits


def _score_seed(nodes: Mapping[str, NodeRun], corpus: Corpus) -> tuple[Answers, Result, Reliability]:
    system, labels = read_system({node: run.folder for node, run in nodes.items()}, corpus)
    result = aggregate(system, labels)
    test = system.select("test")
    levels = {level: test.level(level) for level in LEVELS}
    hits, predicted = level_hits(test), dict(zip(test.tree.levels, answers(test), strict=True))
    return (
        Answers(
            test.document_ids,
            {level: own.targets for level, own in levels.items()},
            {level: test.tree.names(_placed(test.tree.span(level).start, predicted[level])) for level in LEVELS},
            {level: hits[level] for level in LEVELS},
            None if test.flat else local_hits(levels[COMPARED]),
        ),
        result,
        _reliability(levels[COMPARED]),
    )


def _placed(start: int, positions: NDArray[np.int32]) -> NDArray[np.int32]:
    return np.where(positions < 0, positions, positions + start).astype(np.int32)


def _reliability(own: LevelScores) -> Reliability:
    """Of the most probable label, which is all that a calibration error asks for."""
    labels, log_prob = own.best(1)
    return expected_calibration_error(log_prob, np.where(labels[:, 0] == own.target_codes, 0, -1))


def _table_2(answers: Sequence[Answers]) -> dict[str, Spread]:
    first = answers[0]
    sections, classes = (first.true[level] for level in LEVELS)
    section = np.stack([own.hits[LEVELS[0]] for own in answers])
    local = np.stack([own.local_hits for own in answers if own.local_hits is not None])
    n_classes = len(set(classes))
    by_section = {
        name: spread_of_hits(local[:, own], len(set(classes[own])))
        for name in sorted(set(sections))
        if (own := sections == name).any()
    }
    return {
        "L1": spread_at(answers, LEVELS[0]),
        **by_section,
        "L2": spread_of_hits(local, n_classes),
        "overall": spread_of_product(section, local, n_classes),
    }
