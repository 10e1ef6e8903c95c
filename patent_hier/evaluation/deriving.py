"""Scores of any node from those that a system has: hierarchical ones from a flat classifier, flat ones from nine."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from patent_hier.errors import ArtifactError, IncompleteError
from patent_hier.settings import FLAT, ROOT

_CHUNK = 65_536  # documents at a time, so that temporary arrays in float64 stay small


@dataclass(frozen=True, eq=False)
class NodeScores:
    """What a classifier of one node says of ``n`` documents.

    Attributes:
        labels: The node's ``n_labels`` children, in the order of ``log_prob``'s columns.
        log_prob: ``(n, n_labels)`` float32, natural logarithms; each row's probabilities add up to 1.
    """

    labels: tuple[str, ...]
    log_prob: NDArray[np.float32]


def derive(scores: Mapping[str, NodeScores], node: str) -> NodeScores:
    """The scores of a node: its own, or what the system's other nodes say of it by the rules of probability.

    A flat classifier knows a section by the summed probability of its classes, and a section's classes by their
    probabilities divided by that sum. Where that sum is 0 the division says nothing, and the section's classes are
    equally probable. A system of local classifiers knows a class by P(section) P(class | section); a section of one
    class needs no decision, so its classifier is certain.

    Args:
        scores: By node, all of the same ``n`` documents.
        node: ``root``, a section, or ``flat``.

    Returns:
        The node's labels: classes of a flat classifier in its order, of local classifiers section by section.

    Raises:
        IncompleteError: If neither the node nor those that it can be derived from are there, or the flat classifier
            knows no class of the section.
        ArtifactError: If the nodes scored different numbers of documents.
    """
    if node in scores:
        return scores[node]
    if node == FLAT:
        return _joint(scores)
    if FLAT not in scores:
        raise IncompleteError(f"node {node} is missing and there is no flat to derive it from; train one of the two")
    return _sections(scores[FLAT]) if node == ROOT else _within(scores[FLAT], node)


def _sections(flat: NodeScores) -> NodeScores:
    """P(section): the sum over its classes."""
    sections = tuple(sorted({label[0] for label in flat.labels}))
    column = np.array([sections.index(label[0]) for label in flat.labels])
    log_prob = np.empty((len(flat.log_prob), len(sections)), np.float32)
    for start in range(0, len(log_prob), _CHUNK):
        rows = flat.log_prob[start : start + _CHUNK].astype(np.float64)
        sums = [logsumexp(rows[:, column == position], axis=1) for position in range(len(sections))]
        log_prob[start : start + _CHUNK] = np.stack(sums, axis=1)  # (rows, n_sections)
    return NodeScores(sections, log_prob)


def _within(flat: NodeScores, section: str) -> NodeScores:
    """P(class | section): the section's classes, renormalised."""
    own = [position for position, label in enumerate(flat.labels) if label[0] == section]
    if not own:
        raise IncompleteError(f"node {section} cannot be derived: flat knows no class of section {section}; train it")
    log_prob = np.empty((len(flat.log_prob), len(own)), np.float32)
    for start in range(0, len(log_prob), _CHUNK):
        rows = flat.log_prob[start : start + _CHUNK, own].astype(np.float64)
        rows[np.isneginf(rows).all(axis=1)] = 0.0  # 0 / 0: the flat classifier excludes the whole section
        log_prob[start : start + _CHUNK] = rows - logsumexp(rows, axis=1, keepdims=True)
    return NodeScores(tuple(flat.labels[position] for position in own), log_prob)


def _joint(scores: Mapping[str, NodeScores]) -> NodeScores:
    """P(section) P(class | section) for the classes of all sections that the root knows."""
    sections = scores[ROOT].labels if ROOT in scores else ()
    missing = [node for node in (ROOT, *sections) if node not in scores]
    if missing:
        raise IncompleteError(f"flat cannot be derived without node {', '.join(missing)}; train them or flat itself")
    root = scores[ROOT].log_prob
    for section in sections:
        if len(scores[section].log_prob) != len(root):
            raise ArtifactError(
                f"node {section} scored {len(scores[section].log_prob)} documents but root {len(root)}; "
                "run both on the same split"
            )
    labels = tuple(label for section in sections for label in scores[section].labels)
    log_prob = np.empty((len(root), len(labels)), np.float32)
    end = 0
    for column, section in enumerate(sections):
        start, end = end, end + len(scores[section].labels)
        log_prob[:, start:end] = scores[section].log_prob.astype(np.float64) + root[:, column, None]
    return NodeScores(labels, log_prob)
