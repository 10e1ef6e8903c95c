"""Merging of the predictions of several networks into those of one system over the whole label tree.

A system is one network over the whole tree (``flat``, ``shared``), or ``root`` with a network below each of its labels.
The merged predictions have the same form as those of one network, so every score, threshold and comparison is computed
from :class:`NetworkPredictions` alone.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from patent_hier.data.labels import DocumentLabels
from patent_hier.errors import ArtifactError, IncompleteError
from patent_hier.evaluation.contract import NetworkPredictions
from patent_hier.evaluation.level_scores import (
    DENSE_LABELS,
    KEPT,
    NO_TARGET,
    LevelScores,
    find_targets,
    ranks,
    score_levels,
)
from patent_hier.evaluation.scaling import IDENTITY, Scalings
from patent_hier.settings import ROOT
from patent_hier.taxonomy.arithmetic import (
    best_columns,
    conditional_log_prob,
    joint_log_prob,
    log_softmax_siblings,
    sum_up,
)
from patent_hier.taxonomy.tree import NONE, LabelTree

SYSTEM = "system"
_CHUNK = 16_384  # documents merged at a time, so that temporary arrays stay small


def merge(predictions: Mapping[str, NetworkPredictions]) -> NetworkPredictions:
    """Merge the predictions of networks into those of a system.

    Args:
        predictions: Predictions by node: one network alone, or ``root`` and one network for each of its labels.

    Raises:
        IncompleteError: If networks are missing; the message names all of them.
        ArtifactError: If the networks did not score the same documents.
    """
    if len(predictions) == 1 and ROOT not in predictions:
        return next(iter(predictions.values()))
    known = predictions[ROOT].tree.labels(predictions[ROOT].tree.depth) if ROOT in predictions else ()
    if missing := [node for node in (ROOT, *known) if node not in predictions]:
        raise IncompleteError(
            f"the result cannot be built without node {', '.join(missing)} (not trained or failed); "
            "run level=hier again (finished nodes are skipped), then aggregate"
        )
    root = predictions[ROOT]
    parts = {label: aligned(predictions[label], root.document_ids) for label in known}
    tree = root.tree.graft({label: part.tree for label, part in parts.items()})
    top = root.levels[-1]
    true = [np.flatnonzero(top.target_codes == place) for place in range(len(known))]
    chosen = [np.flatnonzero(top.greedy == place) for place in range(len(known))]
    above = [root.levels[-1].log_prob[:, place, None] for place in range(len(known))]  # each (n, 1)
    levels = list(root.levels)
    for level in tree.levels[len(root.levels) :]:
        levels.append(_merged(level, list(parts.values()), above, true, chosen, top))
    return NetworkPredictions(SYSTEM, tree, root.document_ids, root.parts, tuple(levels), groups=root.groups)


def _merged(
    level: str,
    parts: list[NetworkPredictions],
    above: list[NDArray[np.float32]],
    true: list[NDArray[np.intp]],
    chosen: list[NDArray[np.intp]],
    top: LevelScores,
) -> LevelScores:
    """Merge one level of all parts; ``true`` and ``chosen`` are the rows that belong to and are routed to each part."""
    n = len(top.targets)
    sizes = [len(part.tree.labels(level)) if level in part.tree.levels else 0 for part in parts]
    starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32)
    fields: dict[str, NDArray[Any]] = {
        "targets": np.full(n, None, object),
        "target_codes": np.full(n, NO_TARGET, np.intp),
        "target_log_prob": np.full(n, -np.inf, np.float32),
        "target_conditional": np.full(n, -np.inf, np.float32),
        "sibling_rank": np.full(n, NONE, np.int32),
        "greedy": np.full(n, NONE, np.int32),
    }
    known: list[tuple[LevelScores, np.int32, NDArray[np.float32]]] = []
    for part, start, size, rows, routed, prior in zip(parts, starts[:-1], sizes, true, chosen, above, strict=True):
        if not size:
            continue
        own = part.level(level)
        known.append((own, start, prior))
        for name in ("targets", "target_conditional", "sibling_rank"):
            fields[name][rows] = getattr(own, name)[rows]
        codes = own.target_codes[rows]
        fields["target_codes"][rows] = np.where(codes >= 0, codes + start, codes)
        fields["target_log_prob"][rows] = own.target_log_prob[rows] + top.target_log_prob[rows]
        fields["greedy"][routed] = np.where(own.greedy[routed] == NONE, NONE, own.greedy[routed] + start)
    if starts[-1] <= DENSE_LABELS:
        kept = np.concatenate([own.log_prob + prior for own, _, prior in known], axis=1)
        return LevelScores(level, labels=None, log_prob=kept, target_rank=ranks(kept, fields["target_codes"]), **fields)
    names, kept = np.full((n, KEPT), NONE, np.int32), np.full((n, KEPT), -np.inf, np.float32)
    for first in range(0, n, _CHUNK):
        chunk = slice(first, first + _CHUNK)
        names[chunk], kept[chunk] = _best([(own.take(chunk), start, prior[chunk]) for own, start, prior in known])
    return LevelScores(
        level, labels=names, log_prob=kept, target_rank=_kept_ranks(names, fields["target_codes"]), **fields
    )


def _best(
    parts: list[tuple[LevelScores, np.int32, NDArray[np.float32]]],
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Return the best labels over all parts; exact, because a label below a part's best cannot be among them.

    Args:
        parts: For each part, scores of ``n`` documents, position of its first label in the level, and log-probability
            to add to the scores.
    """
    names, values = [], []
    for own, start, prior in parts:
        labels, log_prob = own.best(KEPT)
        names.append(np.where(labels == NONE, NONE, labels + start))
        values.append(log_prob + prior)
    every, scores = np.concatenate(names, axis=1), np.concatenate(values, axis=1)
    order = best_columns(scores, KEPT)
    return np.take_along_axis(every, order, axis=1), np.take_along_axis(scores, order, axis=1)


def _kept_ranks(names: NDArray[np.int32], codes: NDArray[np.intp]) -> NDArray[np.int32]:
    """Return the target's rank among the stored labels, ``(n,)``; the number of stored labels if it is not stored."""
    found = (names == codes[:, None]) & (codes >= 0)[:, None]
    places: NDArray[np.int32] = np.where(found.any(axis=1), found.argmax(axis=1), names.shape[1]).astype(np.int32)
    return places


def aligned(own: NetworkPredictions, document_ids: NDArray[Any]) -> NetworkPredictions:
    """Return predictions in the order of the given documents.

    Raises:
        ArtifactError: If the predictions are for other documents.
    """
    if len(own) != len(document_ids):
        raise ArtifactError(
            f"node {own.node} scored {len(own)} documents, but another node {len(document_ids)}; "
            "run both on the same split"
        )
    if np.array_equal(own.document_ids, document_ids):
        return own
    return own.take(positions(document_ids, own.document_ids, f"the predictions of node {own.node}"))


def positions(wanted: NDArray[Any], present: NDArray[Any], where: str) -> NDArray[np.intp]:
    """Return the position of each wanted document, to bring two systems into the same order.

    Args:
        wanted: ``(n,)`` document ids to find.
        present: ``(m,)`` document ids to search, without repetition.
        where: Description of the source of ``present``, for the error message.

    Raises:
        ArtifactError: If a document is missing; the message names the first.
    """
    places = {document: place for place, document in enumerate(present.tolist())}
    rows = np.fromiter((places.get(document, -1) for document in wanted.tolist()), np.intp, len(wanted))
    if (rows < 0).any():
        raise ArtifactError(
            f"document {wanted[rows < 0][0]!r} is not in {where}; run all nodes on the same corpus and split"
        )
    return rows


def with_truth(system: NetworkPredictions, labels: DocumentLabels) -> NetworkPredictions:
    """Return a system with the corpus's labels as targets, including labels that no network knows.

    Args:
        system: Predictions for the documents of ``labels``, in the same order.
        labels: Labels of the documents in the corpus; levels below the system's are not used.

    Raises:
        ArtifactError: If a network was scored against a label that differs from the corpus's.
    """
    levels = []
    for own in system.levels:
        column = labels.main[:, labels.tree.levels.index(own.level)]
        truth = labels.tree.names(column)
        wrong = (own.targets != None) & (own.targets != truth)  # noqa: E711 - elementwise
        if wrong.any():
            row = int(wrong.argmax())
            raise ArtifactError(
                f"node {system.node} has target {own.targets[row]!r} for document {system.document_ids[row]!r}, "
                f"but the corpus has {truth[row]!r}; run the node again on this corpus"
            )
        codes = find_targets(system.tree, own.level, truth)
        lost = (codes >= 0) & (own.target_codes < 0)
        if lost.any():
            raise ArtifactError(
                f"node {system.node} has no target for document {system.document_ids[int(lost.argmax())]!r}, but the "
                f"corpus has {truth[int(lost.argmax())]!r}; run the node again on this corpus"
            )
        levels.append(replace(own, targets=truth, target_codes=codes))
    return replace(system, levels=tuple(levels))


def scaled(network: NetworkPredictions, scalings: Scalings) -> NetworkPredictions:
    """Return the predictions of a network with the heads of some levels recalibrated.

    Levels from the first one on that stores only its best labels are not scaled. Their joint probabilities change with
    those of their ancestors.
    """
    if not changes(scalings, network.tree):
        return network
    if network.flat:
        leaves = network.levels[-1]
        if leaves.labels is not None:
            return network  # scalings cannot be fitted to incomplete leaves
        new = scale(network.tree, sum_up(network.tree, leaves.log_prob), scalings, flat=True)
        return replace(network, levels=tuple(score_levels(network.tree, new, [own.targets for own in network.levels])))
    dense = network.dense
    if not dense:
        return network
    tree = network.tree.to_depth(dense[-1].level)
    old = np.concatenate([own.log_prob for own in dense], axis=1)
    new = scale(tree, old, scalings)
    levels = score_levels(tree, new, [own.targets for own in dense])
    with np.errstate(invalid="ignore"):
        shift = np.where(np.isneginf(old), 0, new - old).astype(np.float32)
    ancestors = network.tree.ancestors(tree.depth)
    below = [_shifted(own, shift, ancestors[network.tree.span(own.level)]) for own in network.levels[len(dense) :]]
    return replace(network, levels=(*levels, *below))


def _shifted(own: LevelScores, shift: NDArray[np.float32], ancestor: NDArray[np.int32]) -> LevelScores:
    """Return a level's scores after adding ``shift`` ``(n, n_ancestors)`` to the log-probabilities of its ancestors."""
    rows = np.arange(len(shift))
    known = np.maximum(own.target_codes, 0)
    target = np.where(own.target_codes >= 0, own.target_log_prob + shift[rows, ancestor[known]], -np.inf)
    target = target.astype(np.float32)
    if own.labels is None:
        moved = own.log_prob + shift[:, ancestor]
        return replace(own, log_prob=moved, target_log_prob=target, target_rank=ranks(moved, own.target_codes))
    moved = own.log_prob + shift[rows[:, None], ancestor[np.maximum(own.labels, 0)]]
    order = np.argsort(-moved, axis=1, kind="stable")
    names = np.take_along_axis(own.labels, order, axis=1)
    return replace(
        own,
        labels=names,
        log_prob=np.take_along_axis(moved, order, axis=1),
        target_log_prob=target,
        target_rank=_kept_ranks(names, own.target_codes),
    )


def changes(scalings: Scalings, tree: LabelTree) -> bool:
    """Return whether the scalings change any level of a tree."""
    return any(scalings.get(level, IDENTITY) != IDENTITY for level in tree.levels)


def scale(tree: LabelTree, joint: NDArray[np.float32], scalings: Scalings, flat: bool = False) -> NDArray[np.float32]:
    """Return joint log-probabilities ``(n, n_labels)`` with the heads of some levels recalibrated.

    Siblings keep their order, but the order of labels with different parents may change. The probability of each label
    is still the sum over its children.
    """
    if flat:
        leaves = scalings.get(tree.depth, IDENTITY)(joint[:, tree.leaves].astype(np.float64))
        leaves -= np.logaddexp.reduce(leaves, axis=1, keepdims=True)
        return sum_up(tree, leaves).astype(np.float32)
    changed = [level for level in tree.levels if scalings.get(level, IDENTITY) != IDENTITY]
    if not changed:
        return joint
    top = tree.to_depth(changed[-1])
    above = joint[:, : len(top)].astype(np.float64)
    logits = conditional_log_prob(top, above)
    for level in changed:
        logits[:, top.span(level)] = scalings[level](logits[:, top.span(level)])
    result = joint.copy()
    result[:, : len(top)] = new = joint_log_prob(top, log_softmax_siblings(top, logits))
    with np.errstate(invalid="ignore"):
        shift = np.where(np.isneginf(above), 0, new - above).astype(np.float32)
    result[:, len(top) :] += np.take(shift, tree.ancestors(top.depth)[len(top) :], axis=1)  # conditionals unchanged
    return result
