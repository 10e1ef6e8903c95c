"""From the predictions of the nodes to one result: pure functions, nothing is read or written."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from patent_hier.errors import ConfigError
from patent_hier.evaluation import metrics
from patent_hier.evaluation.hits import (
    FlatHits,
    Hits,
    SystemHits,
    Truth,
    flat_hits,
    hierarchical_hits,
    joint_log_prob,
    sections_of,
)
from patent_hier.evaluation.predictions import Predictions
from patent_hier.evaluation.result import FlatResult, HierarchicalResult, LocalScore, Score
from patent_hier.ipc import SECTIONS

__all__ = ["Truth", "aggregate", "aggregate_flat", "aggregate_flat_hits", "aggregate_hits", "product_from_table"]


def aggregate(predictions: Mapping[str, Predictions], truth: Truth, part: str = "test") -> HierarchicalResult:
    """Score the section model and its class models as one system.

    Args:
        predictions: By node: ``root`` and every section that the root model knows. Other nodes are left aside.
        truth: Of at least the part's documents.
        part: The part to score.

    Raises:
        IncompleteError: Naming every node that is missing.
        ArtifactError: If the nodes did not score the same documents, or not those of this corpus.
    """
    hits = hierarchical_hits(predictions, truth, part)
    return aggregate_hits(hits, joint_log_prob(predictions, part), part)


def aggregate_hits(hits: SystemHits, joint: NDArray[np.float32], part: str = "test") -> HierarchicalResult:
    """The same from what :func:`aggregate` makes of the predictions, for a caller that needs both.

    Args:
        hits: From :func:`patent_hier.evaluation.hits.hierarchical_hits`.
        joint: ``(n, n_labels)`` from :func:`patent_hier.evaluation.hits.joint_log_prob`.
        part: The part that was scored.
    """
    sizes = Counter(sections_of(hits.labels).tolist())  # classes of each section's model, in the root's order
    local = _local_scores(hits, sizes)
    unseen = hits.targets[hits.target_codes < 0]
    n_classes, n_sections = len(np.unique(hits.targets)), len(local)
    rank = metrics.ranks(joint, hits.target_codes)
    any_hits = metrics.any_symbol_hits(hits.labels[joint.argmax(axis=1)], hits.targets, hits.further)
    top = {k: _share(rank < k, n_classes) for k in (1, 3, 5)}
    return HierarchicalResult(
        part=part,
        n_documents=len(hits.targets),
        unseen_documents=len(unseen),
        unseen_classes=tuple(np.unique(unseen).tolist()),
        section_accuracy=_share(hits.section_hits, n_sections),
        local_accuracy=local,
        oracle_accuracy=_share(hits.local_hits, n_classes),
        product_accuracy=_product(hits.section_hits, hits.local_hits, n_classes),
        cascade_accuracy=_share(hits.cascade_hits, n_classes),
        top_1=top[1],
        top_3=top[3],
        top_5=top[5],
        macro_f1=_macro_f1(hits.targets, hits.cascade_classes, n_classes),
        **_hierarchical(hits, np.column_stack([hits.predicted_sections, hits.cascade_classes])),
        wipo_top_prediction=top[1],
        wipo_three_guesses=top[3],
        wipo_any_symbol=_share(any_hits, n_classes),
        routing_errors=_share(~hits.section_hits, n_classes),
        local_errors=_share(hits.section_hits & ~hits.cascade_hits, n_classes),
        absent_sections=tuple(section for section in SECTIONS if section not in local),
        constant_sections=tuple(section for section, size in sizes.items() if size == 1),
    )


def aggregate_flat(predictions: Predictions, truth: Truth | None = None, part: str = "test") -> FlatResult:
    """Score the classifier that decides between all classes at once.

    Args:
        predictions: Of node ``flat``, whose labels are classes.
        truth: Only for the further symbols; without it WIPO's third measure is left out.
        part: The part to score.

    Raises:
        ArtifactError: If a document has no target, or its target is not the class that the corpus gives it.
    """
    return aggregate_flat_hits(flat_hits(predictions, truth, part), predictions.select(part).log_prob, part)


def aggregate_flat_hits(hits: FlatHits, log_prob: NDArray[np.float32], part: str = "test") -> FlatResult:
    """The same from what :func:`aggregate_flat` makes of the predictions, for a caller that needs both.

    Args:
        hits: From :func:`patent_hier.evaluation.hits.flat_hits`.
        log_prob: ``(n, n_labels)`` of the same documents.
        part: The part that was scored.
    """
    unseen = hits.targets[hits.target_codes < 0]
    n_classes, n_sections = len(np.unique(hits.targets)), len(np.unique(hits.sections))
    rank = metrics.ranks(log_prob, hits.target_codes)
    any_hits = (
        None if hits.further is None else metrics.any_symbol_hits(hits.predicted_classes, hits.targets, hits.further)
    )
    paths = np.column_stack([sections_of(hits.predicted_classes), hits.predicted_classes])
    return FlatResult(
        part=part,
        n_documents=len(hits.targets),
        unseen_documents=len(unseen),
        unseen_classes=tuple(np.unique(unseen).tolist()),
        flat_accuracy=_share(rank < 1, n_classes),
        top_3=_share(rank < 3, n_classes),
        top_5=_share(rank < 5, n_classes),
        macro_f1=_macro_f1(hits.targets, hits.predicted_classes, n_classes),
        **_hierarchical(hits, paths),
        section_accuracy=_share(hits.section_hits, n_sections),
        wipo_any_symbol=None if any_hits is None else _share(any_hits, n_classes),
    )


def product_from_table(
    section_accuracy: float, local_accuracy: Mapping[str, float], counts: Mapping[str, int]
) -> tuple[float, float]:
    """Equation (1) from a table of accuracies and document counts.

    Args:
        section_accuracy: Fraction.
        local_accuracy: Fraction by section; sections with count 0 need none.
        counts: Documents by section.

    Returns:
        The document-weighted mean of the local accuracies, and its product with ``section_accuracy``.

    Raises:
        ConfigError: If a value is no fraction (a percentage?), or a section has documents but no accuracy.

    Source: arXiv:1911.06241, equation (1).
    """
    weights = {section: count for section, count in counts.items() if count > 0}
    missing = [section for section in weights if section not in local_accuracy]
    if missing or not weights:
        raise ConfigError(
            f"no local accuracy for section {', '.join(missing) or 'any'}; give one for each counted section"
        )
    for name, value in (("section", section_accuracy), *local_accuracy.items()):
        if not 0 <= value <= 1:
            raise ConfigError(f"accuracy {value} ({name}) is not a fraction; divide percentages by 100")
    oracle = sum(local_accuracy[section] * count for section, count in weights.items()) / sum(weights.values())
    return oracle, section_accuracy * oracle


def _local_scores(hits: SystemHits, sizes: Mapping[str, int]) -> dict[str, LocalScore]:
    scores = {}
    for section in SECTIONS:
        own = hits.sections == section
        if own.any():
            score = _share(hits.local_hits[own], len(np.unique(hits.targets[own])))
            scores[section] = LocalScore(**vars(score), n_labels=sizes.get(section, 0))
    return scores


def _share(hits: Hits, n_classes: int) -> Score:
    return Score.of_hits(int(hits.sum()), len(hits), n_classes)


def _product(section_hits: Hits, local_hits: Hits, n_classes: int) -> Score:
    def equation_1(counts: NDArray[np.int64]) -> float:  # rows: section wrong, right; columns: class wrong, right
        return float(counts[1].sum() * counts[:, 1].sum() / counts.sum() ** 2)

    cells = np.bincount(section_hits * 2 + local_hits, minlength=4).reshape(2, 2)
    return Score(equation_1(cells), len(section_hits), n_classes, metrics.bootstrap_interval(cells, equation_1))


def _macro_f1(targets: NDArray[Any], predicted: NDArray[Any], n_classes: int) -> Score:
    codes, _ = pd.factorize(np.concatenate([targets, predicted]), sort=True)  # integers are counted faster than strings
    _, counts = metrics.confusion(codes[: len(targets)], codes[len(targets) :])
    interval = metrics.bootstrap_interval(counts, metrics.macro_f1, bca=True)
    return Score(metrics.macro_f1(counts), len(targets), n_classes, interval)


def _hierarchical(hits: SystemHits | FlatHits, predicted: NDArray[Any]) -> dict[str, Score]:
    def shared(counts: NDArray[np.int64]) -> float:  # documents by how many of their path's two labels are right
        return float(counts @ np.arange(3) / (2 * counts.sum()))

    true = np.column_stack([hits.sections, hits.targets])  # (n, 2), as predicted: section and class
    values = metrics.hierarchical_scores(true, predicted)
    right = (true == predicted).sum(axis=1)
    interval = metrics.bootstrap_interval(np.bincount(right, minlength=3), shared)
    n_classes = len(np.unique(hits.targets))
    return {
        f"hierarchical_{name}": Score(value, len(right), n_classes, interval)
        for name, value in values._asdict().items()
    }
