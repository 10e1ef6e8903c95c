"""From the predictions of the nodes to one result: pure functions, nothing is read or written."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from patent_hier.errors import ArtifactError, ConfigError, IncompleteError
from patent_hier.evaluation import metrics
from patent_hier.evaluation.predictions import Predictions
from patent_hier.evaluation.result import FlatResult, HierarchicalResult, LocalScore, Score
from patent_hier.ipc import SECTIONS
from patent_hier.settings import ROOT

Codes = NDArray[np.intp]
Hits = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Truth:
    """What is true of documents, from the corpus.

    Attributes:
        document_ids: ``(n,)`` strings; more documents than were scored do no harm.
        sections: ``(n,)`` sections of the main symbols.
        classes: ``(n,)`` classes of the main symbols.
        further: ``n`` collections of classes of the further symbols, perhaps empty.
    """

    document_ids: NDArray[Any]
    sections: NDArray[Any]
    classes: NDArray[Any]
    further: Sequence[Sequence[str]]

    def align(self, document_ids: NDArray[Any]) -> Self:
        """The truth of the given documents, in their order.

        Raises:
            ArtifactError: If one of them is not here.
        """
        rows = _positions(document_ids, self.document_ids, "the corpus")
        further = [self.further[row] for row in rows.tolist()]
        return type(self)(document_ids, self.sections[rows], self.classes[rows], further)


@dataclass(frozen=True, eq=False)
class _System:
    """Nodes side by side: ``n`` documents, ``n_labels`` classes of all sections in the order of the local models."""

    truth: Truth
    sections: tuple[str, ...]  # that the section model knows
    labels: NDArray[Any]  # (n_labels,) classes
    sizes: dict[str, int]  # classes of each local model
    section_codes: Codes  # (n,) predicted positions in sections
    local_codes: Codes  # (n, n_sections) each local model's choice, positions in labels
    joint: NDArray[np.float32]  # (n, n_labels) log P(section) + log P(class | section)


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
    system = _assemble(predictions, truth, part)
    labels, true = system.labels, system.truth
    rows = np.arange(len(true.classes))
    class_codes = pd.Index(labels).get_indexer(pd.Index(true.classes))
    true_sections = pd.Index(system.sections, dtype=object).get_indexer(pd.Index(true.sections))
    section_hits = system.section_codes == true_sections
    # A section that the root model does not know has code -1; its documents are errors, given the section or not.
    local_hits = (system.local_codes[rows, true_sections] == class_codes) & (true_sections >= 0) & (class_codes >= 0)
    cascade_codes = system.local_codes[rows, system.section_codes]
    cascade_hits = section_hits & local_hits

    local = _local_scores(true, local_hits, system.sizes)
    n_classes, n_sections = len(np.unique(true.classes)), len(local)
    rank = metrics.ranks(system.joint, class_codes)
    any_hits = metrics.any_symbol_hits(labels[system.joint.argmax(axis=1)], true.classes, true.further)
    top = {k: _share(rank < k, n_classes) for k in (1, 3, 5)}
    return HierarchicalResult(
        part=part,
        n_documents=len(rows),
        unseen_documents=int((class_codes < 0).sum()),
        unseen_classes=tuple(np.unique(true.classes[class_codes < 0]).tolist()),
        section_accuracy=_share(section_hits, n_sections),
        local_accuracy=local,
        oracle_accuracy=_share(local_hits, n_classes),
        product_accuracy=_product(section_hits, local_hits, n_classes),
        cascade_accuracy=_share(cascade_hits, n_classes),
        top_1=top[1],
        top_3=top[3],
        top_5=top[5],
        macro_f1=_macro_f1(true.classes, labels[cascade_codes], n_classes),
        **_hierarchical(true, np.array(system.sections, dtype=object)[system.section_codes], labels[cascade_codes]),
        wipo_top_prediction=top[1],
        wipo_three_guesses=top[3],
        wipo_any_symbol=_share(any_hits, n_classes),
        routing_errors=_share(~section_hits, n_classes),
        local_errors=_share(section_hits & ~cascade_hits, n_classes),
        absent_sections=tuple(section for section in SECTIONS if section not in local),
        constant_sections=tuple(section for section, size in system.sizes.items() if size == 1),
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
    own = predictions.select(part)
    if pd.isna(own.targets).any():
        raise ArtifactError(f"node {own.node} has documents without a target; every class is under it, score it again")
    if truth is not None:
        truth = truth.align(own.document_ids)
        _check_targets(own, truth.classes, np.ones(len(own), dtype=bool))
    labels, codes = np.array(own.labels, dtype=object), own.target_codes()
    predicted = labels[own.predicted_codes()]
    label_sections, true_sections = _first_letters(labels), _first_letters(own.targets)
    n_classes, n_sections = len(np.unique(own.targets)), len(np.unique(true_sections))
    sections, column = np.unique(label_sections, return_inverse=True)
    membership = np.eye(len(sections), dtype=np.float32)[column]
    rolled_up = sections[(np.exp(own.log_prob) @ membership).argmax(axis=1)]
    rank = metrics.ranks(own.log_prob, codes)
    paths = Truth(own.document_ids, true_sections, own.targets, ())
    hits = None if truth is None else metrics.any_symbol_hits(predicted, truth.classes, truth.further)
    return FlatResult(
        part=part,
        n_documents=len(own),
        unseen_documents=int((codes < 0).sum()),
        unseen_classes=tuple(np.unique(own.targets[codes < 0]).tolist()),
        flat_accuracy=_share(rank < 1, n_classes),
        top_3=_share(rank < 3, n_classes),
        top_5=_share(rank < 5, n_classes),
        macro_f1=_macro_f1(own.targets, predicted, n_classes),
        **_hierarchical(paths, _first_letters(predicted), predicted),
        section_accuracy=_share(rolled_up == true_sections, n_sections),
        wipo_any_symbol=None if hits is None else _share(hits, n_classes),
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


def _assemble(predictions: Mapping[str, Predictions], truth: Truth, part: str) -> _System:
    known = predictions[ROOT].labels if ROOT in predictions else tuple(np.unique(truth.sections).tolist())
    missing = [node for node in (ROOT, *known) if node not in predictions]
    if missing:
        raise IncompleteError(
            f"no result without node {', '.join(missing)}: not trained or failed; "
            "run level=hier again (finished nodes are skipped), then aggregate"
        )
    root = predictions[ROOT].select(part)
    true = truth.align(root.document_ids)
    _check_targets(root, true.sections, np.ones(len(root), dtype=bool))
    sizes = {section: len(predictions[section].labels) for section in root.labels}
    joint = np.empty((len(root), sum(sizes.values())), dtype=np.float32)
    local_codes = np.empty((len(root), len(sizes)), dtype=np.intp)
    start = 0
    for column, (section, size) in enumerate(sizes.items()):
        local = _aligned(predictions[section].select(part), root)
        _check_targets(local, true.classes, true.sections == section)
        local_codes[:, column] = start + local.predicted_codes()
        np.add(local.log_prob, root.log_prob[:, column, None], out=joint[:, start : start + size])
        start += size
    labels = np.array([label for section in sizes for label in predictions[section].labels], dtype=object)
    return _System(true, root.labels, labels, sizes, root.predicted_codes(), local_codes, joint)


def _aligned(local: Predictions, root: Predictions) -> Predictions:
    if len(local) != len(root):
        raise ArtifactError(
            f"node {local.node} scored {len(local)} documents but root {len(root)}; run both on the same split"
        )
    if np.array_equal(local.document_ids, root.document_ids):
        return local
    return local.take(_positions(root.document_ids, local.document_ids, f"the predictions of node {local.node}"))


def _positions(wanted: NDArray[Any], present: NDArray[Any], where: str) -> Codes:
    rows: Codes = pd.Index(present).get_indexer(pd.Index(wanted))
    if (rows < 0).any():
        raise ArtifactError(
            f"document {wanted[rows < 0][0]!r} is not in {where}; run all nodes on the same corpus and split"
        )
    return rows


def _check_targets(own: Predictions, expected: NDArray[Any], under: Hits) -> None:
    """A document under the node must have the target that the corpus gives it, every other document none."""
    differs = np.where(pd.isna(own.targets), under, ~under | (own.targets != expected))
    if differs.any():
        row = int(differs.argmax())
        wanted = expected[row] if under[row] else None
        raise ArtifactError(
            f"node {own.node} has target {own.targets[row]!r} for document {own.document_ids[row]!r}, "
            f"the corpus {wanted!r}; run the node again on this corpus"
        )


def _local_scores(true: Truth, hits: Hits, sizes: Mapping[str, int]) -> dict[str, LocalScore]:
    scores = {}
    for section in SECTIONS:
        own = true.sections == section
        if own.any():
            score = _share(hits[own], len(np.unique(true.classes[own])))
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
    interval = metrics.bootstrap_interval(counts, metrics.macro_f1)
    return Score(metrics.macro_f1(counts), len(targets), n_classes, interval)


def _hierarchical(true: Truth, sections: NDArray[Any], classes: NDArray[Any]) -> dict[str, Score]:
    def shared(counts: NDArray[np.int64]) -> float:  # documents by how many of their path's two labels are right
        return float(counts @ np.arange(3) / (2 * counts.sum()))

    values = metrics.hierarchical_scores(
        np.column_stack([true.sections, true.classes]), np.column_stack([sections, classes])
    )
    right = (true.sections == sections).astype(np.intp) + (true.classes == classes)
    interval = metrics.bootstrap_interval(np.bincount(right, minlength=3), shared)
    n_classes = len(np.unique(true.classes))
    return {
        f"hierarchical_{name}": Score(value, len(right), n_classes, interval)
        for name, value in values._asdict().items()
    }


def _first_letters(classes: NDArray[Any]) -> NDArray[Any]:
    return np.array([label[0] for label in classes.tolist()], dtype=object)
