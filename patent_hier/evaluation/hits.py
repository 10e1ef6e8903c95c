"""Which documents a system got right: the arrays that every score, comparison and spread is made of."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from patent_hier.errors import ArtifactError, IncompleteError
from patent_hier.evaluation.predictions import UNSEEN, Predictions
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
        rows = positions(document_ids, self.document_ids, "the corpus")
        further = [self.further[row] for row in rows.tolist()]
        return type(self)(document_ids, self.sections[rows], self.classes[rows], further)


@dataclass(frozen=True, eq=False)
class SystemHits:
    """What a section model and its class models answered as one system, for ``n`` documents in the root's order.

    Attributes:
        document_ids: ``(n,)``.
        targets: ``(n,)`` true classes.
        sections: ``(n,)`` true sections.
        further: ``n`` collections of classes of the further symbols.
        labels: ``(n_labels,)`` classes of all class models, section by section in the order of the root's labels.
        target_codes: ``(n,)`` positions of ``targets`` in ``labels``; ``UNSEEN`` (negative) if no model has the class.
        predicted_sections: ``(n,)`` of the section model.
        cascade_classes: ``(n,)`` what the class model of the predicted section answers.
        section_hits: ``(n,)`` whether the predicted section is the true one.
        local_hits: ``(n,)`` whether the class model of the *true* section finds the class; false if there is none.
        cascade_hits: ``(n,)`` whether the cascade's class is the true one: section and class are both right.
    """

    document_ids: NDArray[Any]
    targets: NDArray[Any]
    sections: NDArray[Any]
    further: Sequence[Sequence[str]]
    labels: NDArray[Any]
    target_codes: Codes
    predicted_sections: NDArray[Any]
    cascade_classes: NDArray[Any]
    section_hits: Hits
    local_hits: Hits
    cascade_hits: Hits


@dataclass(frozen=True, eq=False)
class FlatHits:
    """What one classifier over all classes answered, for ``n`` documents in the order of ``Predictions.select``.

    Attributes:
        document_ids: ``(n,)``.
        targets: ``(n,)`` true classes.
        sections: ``(n,)`` true sections.
        further: ``n`` collections of classes of the further symbols; ``None`` without the corpus.
        labels: ``(n_labels,)`` classes that the classifier can answer.
        target_codes: ``(n,)`` positions of ``targets`` in ``labels``; ``UNSEEN`` (negative) if it is not there.
        predicted_classes: ``(n,)`` most probable classes.
        predicted_sections: ``(n,)`` sections with the largest sum of their classes' probabilities, which need not be
            the section of the most probable class.
        class_hits: ``(n,)`` whether the predicted class is the true one.
        section_hits: ``(n,)`` whether the predicted section is the true one.
    """

    document_ids: NDArray[Any]
    targets: NDArray[Any]
    sections: NDArray[Any]
    further: Sequence[Sequence[str]] | None
    labels: NDArray[Any]
    target_codes: Codes
    predicted_classes: NDArray[Any]
    predicted_sections: NDArray[Any]
    class_hits: Hits
    section_hits: Hits


def hierarchical_hits(predictions: Mapping[str, Predictions], truth: Truth, part: str = "test") -> SystemHits:
    """Compare the nodes' predictions with the truth, document by document.

    Args:
        predictions: By node: ``root`` and every section that the root model knows. Other nodes are left aside.
        truth: Of at least the part's documents.
        part: The part to score.

    Raises:
        IncompleteError: Naming every node that is missing.
        ArtifactError: If the nodes did not score the same documents, or not those of this corpus.
    """
    _check_complete(predictions, np.unique(truth.sections).tolist())
    root = predictions[ROOT].select(part)
    true = truth.align(root.document_ids)
    _check_targets(root, true.sections, np.ones(len(root), dtype=bool))
    labels = joint_labels(predictions)
    target_codes: Codes = pd.Index(labels).get_indexer(pd.Index(true.classes))
    section_codes = root.predicted_codes()
    given = np.full(len(root), UNSEEN)  # (n,) the answer of the true section's model; none if the root lacks it
    cascade = np.empty(len(root), dtype=np.intp)  # (n,) the answer of the predicted section's model
    start = 0
    for column, section in enumerate(root.labels):
        local = _aligned(predictions[section].select(part), root)
        own, routed = true.sections == section, section_codes == column
        _check_targets(local, true.classes, own)
        answers = start + local.predicted_codes()
        given[own], cascade[routed] = answers[own], answers[routed]
        start += len(local.labels)
    predicted_sections = np.array(root.labels, dtype=object)[section_codes]
    section_hits = predicted_sections == true.sections
    local_hits = (given == target_codes) & (target_codes != UNSEEN)
    return SystemHits(
        document_ids=root.document_ids,
        targets=true.classes,
        sections=true.sections,
        further=true.further,
        labels=labels,
        target_codes=target_codes,
        predicted_sections=predicted_sections,
        cascade_classes=labels[cascade],
        section_hits=section_hits,
        local_hits=local_hits,
        cascade_hits=section_hits & local_hits,
    )


def joint_labels(predictions: Mapping[str, Predictions]) -> NDArray[Any]:
    """The classes of all class models, ``(n_labels,)``, section by section in the order of the root's labels.

    Raises:
        IncompleteError: Naming every node that is missing.
    """
    _check_complete(predictions, ())
    sections = predictions[ROOT].labels
    return np.array([label for section in sections for label in predictions[section].labels], dtype=object)


def joint_log_prob(predictions: Mapping[str, Predictions], part: str = "test") -> NDArray[np.float32]:
    """Log P(section) + log P(class | section) for every class, the distribution that ranks all classes at once.

    It is not a part of :class:`SystemHits`, because it is by far the largest array: one number for each document and
    class.

    Args:
        predictions: As in :func:`hierarchical_hits`.
        part: The part to score.

    Returns:
        ``(n, n_labels)``: documents as in :func:`hierarchical_hits`, columns as in :func:`joint_labels`.

    Raises:
        IncompleteError: Naming every node that is missing.
        ArtifactError: If the nodes did not score the same documents.
    """
    n_labels = len(joint_labels(predictions))
    root = predictions[ROOT].select(part)
    joint = np.empty((len(root), n_labels), dtype=np.float32)
    start = 0
    for column, section in enumerate(root.labels):
        local = _aligned(predictions[section].select(part), root)
        end = start + len(local.labels)
        np.add(local.log_prob, root.log_prob[:, column, None], out=joint[:, start:end])
        start = end
    return joint


def flat_hits(predictions: Predictions, truth: Truth | None = None, part: str = "test") -> FlatHits:
    """Compare the predictions of the classifier over all classes with the truth, document by document.

    Args:
        predictions: Of node ``flat``, whose labels are classes.
        truth: Of at least the part's documents; without it the targets stand unchecked and ``further`` is ``None``.
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
    labels, codes, target_codes = np.array(own.labels, dtype=object), own.predicted_codes(), own.target_codes()
    names, column = np.unique(sections_of(labels), return_inverse=True)
    membership = np.eye(len(names), dtype=np.float32)[column]  # (n_labels, n_sections)
    predicted_sections = names[(np.exp(own.log_prob) @ membership).argmax(axis=1)]
    sections = sections_of(own.targets)
    return FlatHits(
        document_ids=own.document_ids,
        targets=own.targets,
        sections=sections,
        further=None if truth is None else truth.further,
        labels=labels,
        target_codes=target_codes,
        predicted_classes=labels[codes],
        predicted_sections=predicted_sections,
        class_hits=codes == target_codes,
        section_hits=predicted_sections == sections,
    )


def sections_of(classes: NDArray[Any]) -> NDArray[Any]:
    """The sections of some classes ``(n,)``, likewise ``(n,)``."""
    return np.array([label[0] for label in classes.tolist()], dtype=object)


def positions(wanted: NDArray[Any], present: NDArray[Any], where: str) -> Codes:
    """Where each wanted document stands, to bring the hits of two systems into the same order.

    Args:
        wanted: ``(n,)`` document ids.
        present: ``(m,)`` document ids without repetition.
        where: What holds ``present``, for the error's message.

    Returns:
        ``(n,)`` positions in ``present``.

    Raises:
        ArtifactError: Naming the first document that is not there.
    """
    rows: Codes = pd.Index(present).get_indexer(pd.Index(wanted))
    if (rows < 0).any():
        raise ArtifactError(
            f"document {wanted[rows < 0][0]!r} is not in {where}; run all nodes on the same corpus and split"
        )
    return rows


def _check_complete(predictions: Mapping[str, Predictions], sections: Iterable[str]) -> None:
    """Every node is there: those that the root knows or, without a root, the given sections' nodes."""
    known = predictions[ROOT].labels if ROOT in predictions else sections
    missing = [node for node in (ROOT, *known) if node not in predictions]
    if missing:
        raise IncompleteError(
            f"no result without node {', '.join(missing)}: not trained or failed; "
            "run level=hier again (finished nodes are skipped), then aggregate"
        )


def _aligned(local: Predictions, root: Predictions) -> Predictions:
    if len(local) != len(root):
        raise ArtifactError(
            f"node {local.node} scored {len(local)} documents but root {len(root)}; run both on the same split"
        )
    if np.array_equal(local.document_ids, root.document_ids):
        return local
    return local.take(positions(root.document_ids, local.document_ids, f"the predictions of node {local.node}"))


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
