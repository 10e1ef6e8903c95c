"""Scores of each configuration over its seeds, computed from the nodes' predictions, for the report's tables.

In the report, only this module handles the hits and results of :mod:`patent_hier.evaluation`. The other modules read
:class:`SystemScores` level by level.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from patent_hier.data.audit import LEAKING, leaked
from patent_hier.data.corpus import Corpus
from patent_hier.data.splits import TEST
from patent_hier.errors import ArtifactError
from patent_hier.evaluation.aggregate import answers, has_label, level_hits, local_hits
from patent_hier.evaluation.calibration_error import Reliability, expected_calibration_error
from patent_hier.evaluation.level_scores import LevelScores
from patent_hier.evaluation.result import Result, Score
from patent_hier.evaluation.seeds import Spread, as_score, spread_of_hits, spread_of_product
from patent_hier.pipeline.evidence import Configuration, Evidence, NodeRun
from patent_hier.pipeline.suite import read_recalibrated, score_nodes

Hits = NDArray[np.bool_]

LEVELS = ("section", "class")  # present in every system of any depth, so systems are compared at these levels
COMPARED = LEVELS[-1]
HIERARCHICAL, SHARED_NETWORK, FLAT_MODEL = (
    "hierarchical",
    "shared_network",
    "flat_model",
)  # also keys of the report's words

Leakage = Mapping[str, Spread | None]  # by column of :data:`LEAKAGE_COLUMNS`; None if no documents remain

# Each level on the whole test part and without leaked documents; the deepest level also on leaked documents alone.
LEAKAGE_COLUMNS = (*(f"{what}{level}" for level in LEVELS for what in ("", "clean_")), f"leaked_{COMPARED}")


@dataclass(frozen=True, eq=False)
class Answers:
    """Answers of a system with one seed on ``n`` test documents. Mappings are by level.

    Attributes:
        document_ids: Ids of the documents, ``(n,)``.
        true: True labels, ``(n,)``.
        predicted: Predicted labels, ``(n,)``: the cascade's, or the most probable label of a flat model.
        hits: Whether predicted and true labels are equal, ``(n,)``.
        local_hits: Whether the heads below the true section find the class, ``(n,)``; None for a flat system.
        result: Scores of all levels.
        reliability: Reliability of the class probabilities that the networks output.
        recalibrated: Reliability of the probabilities reported for new texts; None without calibration documents.
    """

    document_ids: NDArray[Any]
    true: Mapping[str, NDArray[Any]]
    predicted: Mapping[str, NDArray[Any]]
    hits: Mapping[str, Hits]
    local_hits: Hits | None
    result: Result
    reliability: Reliability
    recalibrated: Reliability | None


@dataclass(frozen=True, eq=False)
class SystemScores:
    """Scores of one configuration: nine local classifiers, one network with all their heads, or a flat classifier.

    Attributes:
        configuration: The configuration that was run.
        kind: :data:`HIERARCHICAL`, :data:`SHARED_NETWORK` or :data:`FLAT_MODEL`.
        answers: Answers by seed.
    """

    configuration: Configuration
    kind: str
    answers: Mapping[int, Answers]

    @property
    def first(self) -> Answers:
        """The answers of the first seed."""
        return next(iter(self.answers.values()))

    def at(self, level: str, rows: Hits | slice = slice(None)) -> Spread:
        """Return the accuracy at a level (cascade, or flat model), on some of the documents or on all."""
        hits = np.stack([own.hits[level][rows] for own in self.answers.values()])
        return spread_of_hits(hits, len(set(self.first.true[level][rows])))

    @cached_property
    def levels(self) -> dict[str, Spread]:
        """Accuracy by level: of the cascade, or of a flat model."""
        return {level: self.at(level) for level in LEVELS}

    @property
    def best_guess(self) -> Spread:
        """Class accuracy, by which systems are ranked."""
        return self.levels[COMPARED]

    @cached_property
    def table_2(self) -> dict[str, Spread]:
        """The values of the system's row in Table 2, by column; empty for a flat system.

        The columns are ``L1``, the sections with test documents (each class model given the true section), ``L2``
        (their mean, weighted by documents) and ``overall`` (equation (1) of arXiv:1911.06241).
        """
        if self.first.local_hits is None:
            return {}
        sections, classes = (self.first.true[level] for level in LEVELS)
        section = np.stack([own.hits[LEVELS[0]] for own in self.answers.values()])
        local = np.stack([own.local_hits for own in self.answers.values() if own.local_hits is not None])
        n_classes = len(set(classes))
        by_section = {
            name: spread_of_hits(local[:, sections == name], len(set(classes[sections == name])))
            for name in sorted(set(sections))
        }
        overall = spread_of_product(section, local, n_classes)
        return {"L1": self.levels[LEVELS[0]], **by_section, "L2": spread_of_hits(local, n_classes), "overall": overall}

    @property
    def routing_loss(self) -> float | None:
        """Accuracy lost to wrong sections, as a fraction; None for a flat system."""
        return self.table_2["L2"].mean - self.best_guess.mean if self.table_2 else None

    def mean(self, score: str) -> float:
        """Return the mean over seeds of a class score such as ``top_3``."""
        return float(np.mean([getattr(own.result.levels[COMPARED], score).value for own in self.answers.values()]))

    @property
    def classes_named(self) -> float:
        """Number of different classes answered on the test part, mean over seeds.

        A number far below that of the classes with support indicates a collapsed model.
        """
        return float(np.mean([len(set(own.predicted[COMPARED]) - {None}) for own in self.answers.values()]))


def score_all(evidence: Evidence) -> list[SystemScores]:
    """Score all configurations: hierarchical, then shared networks, then flat; the best of each kind first."""
    kinds = {HIERARCHICAL: evidence.hierarchical, SHARED_NETWORK: evidence.shared, FLAT_MODEL: evidence.flat}
    scored = [
        [score_system(item, evidence.corpus, evidence.split, kind) for item in own] for kind, own in kinds.items()
    ]
    return [item for group in scored for item in sorted(group, key=lambda one: -one.best_guess.mean)]


def score_system(configuration: Configuration, corpus: Corpus, split: Path, kind: str) -> SystemScores:
    """Score all seeds of one configuration on the test part.

    Raises:
        ArtifactError: If predictions are damaged, or seeds scored different documents.
    """
    # One seed at a time: predictions are large.
    answered = {seed: _score_seed(nodes, corpus, split) for seed, nodes in configuration.runs.items()}
    scores = SystemScores(configuration, kind, answered)
    for seed, own in answered.items():
        if not np.array_equal(own.document_ids, scores.first.document_ids):
            raise ArtifactError(
                f"{configuration.name} seed={seed} scored different documents from the other seeds; "
                "delete its results and run it again"
            )
    return scores


def score_node(run: NodeRun) -> Score | None:
    """Return the accuracy of a node on the test documents below it, with bootstrap interval; None without documents."""
    predictions = run.read_predictions().select("test")
    own = predictions.levels[-1]
    under = has_label(own)
    if not under.any():
        return None
    hits = level_hits(predictions)[own.level]
    return as_score(spread_of_hits(hits[None, under], len(set(own.targets[under]))))


def hits_of_all(systems: Sequence[SystemScores], name: Callable[[SystemScores], str]) -> dict[str, Hits]:
    """Return by name each system's class hits on the test documents, ``(n_seeds, n)``, documents in the same order.

    Raises:
        ArtifactError: If the systems scored different documents.
    """
    hits = {name(item): np.stack([own.hits[COMPARED] for own in item.answers.values()]) for item in systems}
    if len(hits) < len(systems):
        raise ArtifactError("two systems have the same name; set a different model.name for one of them")
    for item in systems:
        if not np.array_equal(item.first.document_ids, systems[0].first.document_ids):
            raise ArtifactError(
                f"{name(item)} scored different documents from the other systems; delete its results and run it again"
            )
    return hits


def _score_seed(nodes: Mapping[str, NodeRun], corpus: Corpus, split: Path) -> Answers:
    folders = {node: run.folder for node, run in nodes.items()}
    system, result = score_nodes(folders, corpus, split)
    recalibrated = read_recalibrated(folders, system.document_ids)
    test = system.select("test")
    levels = {level: test.level(level) for level in LEVELS}
    hits, predicted = level_hits(test), dict(zip(test.tree.levels, answers(test), strict=True))
    starts = {level: test.tree.span(level).start for level in LEVELS}
    codes = {level: predicted[level] + np.where(predicted[level] < 0, 0, start) for level, start in starts.items()}
    return Answers(
        test.document_ids,
        {level: own.targets for level, own in levels.items()},
        {level: test.tree.names(own.astype(np.int32)) for level, own in codes.items()},
        {level: hits[level] for level in LEVELS},
        None if test.flat else local_hits(levels[COMPARED]),
        result,
        _reliability(levels[COMPARED]),
        None if recalibrated is None else _reliability(recalibrated.select("test").level(COMPARED)),
    )


def _reliability(own: LevelScores) -> Reliability:
    """Return the reliability of the most probable label; a calibration error needs no other."""
    best, log_prob = own.best(1)
    return expected_calibration_error(log_prob, np.where(best[:, 0] == own.target_codes, 0, -1))


def leaked_ids(corpus: Corpus, codes: Mapping[str, NDArray[np.intp]], parts: NDArray[np.int8]) -> NDArray[Any]:
    """Return the sorted ids of test documents with a similar text or a family member in the training part."""
    found = np.zeros(corpus.size, bool)
    for name in LEAKING:
        found |= leaked(codes[name], parts)
    ids: NDArray[Any] = corpus.document_ids.to_numpy()[found & (parts == TEST)]
    return np.sort(ids.astype(str))


def leakage(scores: SystemScores, ids: NDArray[Any]) -> Leakage:
    """Score a system on all documents, without the leaked documents, and on the leaked documents alone.

    Args:
        scores: Scores of the system.
        ids: Ids from :func:`leaked_ids`.
    """
    is_leaked = np.isin(scores.first.document_ids.astype(str), ids)
    chosen = {"": np.ones_like(is_leaked), "clean": ~is_leaked, "leaked": is_leaked}
    found: dict[str, Spread | None] = {}
    for column in LEAKAGE_COLUMNS:
        what, _, level = column.rpartition("_")
        found[column] = scores.at(level, chosen[what]) if chosen[what].any() else None
    return found
