"""Signals that an answer may be wrong, computed from the scores of a system and of its members.

Each signal has a name and one number for each document, ``(n,)`` float64. A level follows after a dot:

- ``confidence.<level>``: probability of the likeliest label, as log-odds;
- ``margin.<level>``, at the first and the deepest level: log-odds between the two likeliest labels;
- ``entropy.<level>``: entropy of the distribution over the labels, in nats, if the scores of all labels are known;
- ``path``: share of the levels at which greedy search differs from the path to the likeliest label of the deepest one;
- ``members``: share of the members whose likeliest label differs from the system's;
- ``divergence.<level>``: Jensen-Shannon divergence of the members' distributions, in nats.
"""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from patent_hier.evaluation.contract import NetworkPredictions
from patent_hier.evaluation.level_scores import DENSE_LABELS
from patent_hier.evaluation.scores import TreeScores
from patent_hier.taxonomy.arithmetic import best_columns, best_path, conditional_log_prob
from patent_hier.taxonomy.tree import NONE, LabelTree, Positions

Signals = dict[str, NDArray[np.float64]]
_MOST = 20.0  # limit for margins and log-odds, in nats; higher values carry no further information


def score_signals(scores: TreeScores) -> Signals:
    """Return the signals from the scores of ``n`` documents; see the module docstring."""
    return joined(_of_scores(piece) for piece in scores.pieces()) if len(scores) else _of_scores(scores)


def prediction_signals(system: NetworkPredictions) -> Signals:
    """Return the signals from a system's predictions, with entropies only at levels that store all labels."""
    tree, signals = system.tree, Signals()
    for own in system.levels:
        signals |= _of_level(tree, own.level, own.best(2)[1], own.log_prob if own.labels is None else None)
    starts = [tree.span(own.level).start for own in system.levels]
    leaves = system.levels[-1].best(1)[0][:, 0] + starts[-1]
    greedy = np.stack(
        [
            np.where(own.greedy == NONE, NONE, own.greedy + start)
            for own, start in zip(system.levels, starts, strict=True)
        ],
        axis=1,
    )
    return signals | {"path": _apart(tree, leaves, greedy)}


def member_signals(scores: TreeScores, members: Sequence[TreeScores], kept: NDArray[np.bool_] | None = None) -> Signals:
    """Return the signals that measure how much the members of an ensemble disagree.

    Args:
        scores: Scores of the ensemble for ``n`` documents.
        members: Scores of each member for the same documents; their trees may lack labels.
        kept: Mask of the labels to use, ``(n_labels,)``; None for all.
    """
    tree = scores.tree
    deepest = next(level for level in reversed(tree.levels) if all(level in own.tree.levels for own in members))
    shallow = [level for level in tree.levels if len(tree.labels(level)) <= DENSE_LABELS]
    shallow = [level for level in shallow if all(level in own.tree.levels for own in members)]
    parts = []
    size = max(1, (1 << 22) // len(tree))
    for start in range(0, max(1, len(scores)), size):
        rows = slice(start, start + size)
        first = scores.take(rows).at(deepest).argmax(axis=1)
        aligned = [_aligned(own.take(rows), tree, deepest, kept) for own in members]
        own_signals: Signals = {"members": np.mean([own.argmax(axis=1) != first for own in aligned], axis=0)}
        for level in shallow:
            shares = np.stack([_aligned(own.take(rows), tree, level, kept) for own in members])
            own_signals[f"divergence.{level}"] = _divergence(shares)
        parts.append(own_signals)
    return joined(parts)


def joined(parts: Iterable[Signals]) -> Signals:
    """Join the signals of documents that were processed in chunks."""
    listed = list(parts)
    return {name: np.concatenate([own[name] for own in listed]) for name in listed[0]}


def _of_scores(scores: TreeScores) -> Signals:
    tree, signals = scores.tree, Signals()
    for level in tree.levels:
        values = scores.at(level)
        two = np.take_along_axis(values, best_columns(values, 2), axis=1)
        signals |= _of_level(tree, level, two, values)
    leaves = scores.at(tree.depth).argmax(axis=1) + tree.leaves.start
    greedy = best_path(tree, conditional_log_prob(tree, scores.log_prob))
    return signals | {"path": _apart(tree, leaves, greedy)}


def _of_level(tree: LabelTree, level: str, two: NDArray[np.float32], values: NDArray[np.float32] | None) -> Signals:
    """Return a level's signals.

    Args:
        tree: Label tree.
        level: Name of the level.
        two: Log-probabilities of the level's two likeliest labels, ``(n, 2)``.
        values: Log-probabilities of all its labels; None if they are not known.
    """
    first = two[:, 0].astype(np.float64)
    second = two[:, 1].astype(np.float64) if two.shape[1] > 1 else np.full(len(two), -np.inf)
    with np.errstate(divide="ignore", invalid="ignore"):
        odds = first - np.log(-np.expm1(np.minimum(first, 0)))
        margin = first - second
    signals: Signals = {f"confidence.{level}": _bounded(odds)}
    if level in (tree.levels[0], tree.depth):
        signals[f"margin.{level}"] = _bounded(margin)
    if values is not None:
        signals[f"entropy.{level}"] = _entropy(np.exp(values.astype(np.float64)))
    return signals


def _apart(tree: LabelTree, leaves: NDArray[np.integer], greedy: Positions) -> NDArray[np.float64]:
    apart: NDArray[np.float64] = (tree.paths(leaves.astype(np.int32)) != greedy).mean(axis=1)
    return apart


def _bounded(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.clip(np.nan_to_num(values, nan=0.0, posinf=_MOST, neginf=-_MOST), -_MOST, _MOST)


def _entropy(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the entropy of distributions along the last axis, in nats."""
    with np.errstate(divide="ignore", invalid="ignore"):
        parts = np.where(shares > 0, -shares * np.log(shares), 0.0)
    total: NDArray[np.float64] = parts.sum(axis=-1)
    return total


def _divergence(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the Jensen-Shannon divergence of distributions ``(n_members, n, n_labels)``, equally weighted, ``(n,)``.

    Source: Lin (1991), "Divergence measures based on the Shannon entropy", IEEE Transactions on Information Theory
    37(1), section V.
    """
    divergence: NDArray[np.float64] = np.maximum(0.0, _entropy(shares.mean(axis=0)) - _entropy(shares).mean(axis=0))
    return divergence


def _aligned(own: TreeScores, tree: LabelTree, level: str, kept: NDArray[np.bool_] | None) -> NDArray[np.float64]:
    """Return a member's distribution over the labels in use at a level of the system, ``(n, n_labels)``."""
    span = tree.span(level)
    places = tree.find(level, own.tree.labels(level))
    known = places != NONE
    shares = np.zeros((len(own), span.stop - span.start))
    shares[:, places[known] - span.start] = np.exp(own.at(level)[:, known].astype(np.float64))
    if kept is not None:
        shares[:, ~kept[span]] = 0
    total = shares.sum(axis=1, keepdims=True)
    equal = np.full_like(shares, 1 / shares.shape[1])  # for a member that knows none of the labels
    np.divide(shares, total, out=equal, where=total > 0)
    return equal
