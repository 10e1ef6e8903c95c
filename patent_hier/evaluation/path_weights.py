"""Weights of the scores along a path, fitted to held-out documents: how several scores of a label become one.

A leaf's score is the weighted sum of what was measured at each label of its path, and its probability the softmax over
all leaves (:func:`patent_hier.taxonomy.arithmetic.log_softmax_tree`). There is one weight for each kind of measurement
and level: a handful of numbers, which some hundred documents decide. Of each document the likeliest leaves take part in
the fit, and a random sample that stands for all others, so the arrays stay small whatever the size of the tree. (The
likeliest leaves and the true one alone would teach that the true label scores worse than all others.)

Source: sampled softmax, Bengio and Senécal (2008), IEEE Transactions on Neural Networks 19(4), here with the likeliest
leaves kept and a uniform sample of the rest.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import logsumexp

from patent_hier.errors import ArtifactError
from patent_hier.taxonomy.arithmetic import best_columns, joint_log_prob, log_softmax_tree, weighted_by_level
from patent_hier.taxonomy.tree import NONE, LabelTree, Positions

# New documents bring labels that training has never shown more often than val does, which is of the same weeks and
# applicants: such labels get twice the odds that val gives them. On val of gazette titles that cost .2 to .3 points
# among the first five answers, and found two to three times as many of those labels there.
NOVELTY = float(np.log(2))
LIKELIEST, DRAWN = 200, 100  # leaves of each document that take part
_Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Candidates:
    """Leaves that stand for all leaves of ``n`` documents, with what was measured on their paths.

    Attributes:
        features: ``(n, k, n_kinds, n_levels)`` float32: of each leaf's path, each kind and level.
        under: ``(n, k, n_levels)``: whether the path passes through the document's true label of the level.
        log_count: ``(n, k)``: logarithm of how many leaves each stands for.
    """

    features: NDArray[np.float32]
    under: NDArray[np.bool_]
    log_count: _Floats

    @classmethod
    def choose(
        cls,
        tree: LabelTree,
        measured: Sequence[NDArray[np.float32]],
        weights: _Floats,
        paths: Positions,
        rng: np.random.Generator,
    ) -> "Candidates":
        """The leaves that some first weights find likeliest, the true one, and some that are drawn for all others.

        Args:
            tree: The labels.
            measured: One array ``(n, n_labels)`` for each kind.
            weights: ``(n_kinds, n_levels)``.
            paths: True paths, ``(n, n_levels)``; negative where a label is not in the tree.
            rng: Draws.
        """
        scores = weighted_by_level(tree.parents, measured, weights)
        joint = joint_log_prob(tree, log_softmax_tree(tree.parents, scores))[:, tree.ends]  # (n, n_leaves)
        place_of = np.full(len(tree), NONE, np.intp)
        place_of[tree.ends] = np.arange(len(tree.ends))
        deepest = paths.max(axis=1)  # levels stand one after another
        leaves, log_count = _draw(joint, np.where(deepest >= 0, place_of[deepest], NONE), rng)
        on_path = np.stack([tree.ancestors(level)[tree.ends[leaves]] for level in tree.levels], axis=-1)
        rows = np.arange(len(paths))[:, None, None]
        features = np.stack([np.where(on_path >= 0, own[rows, on_path], 0) for own in measured], axis=2)
        under = (on_path == paths[:, None]) & (on_path >= 0)  # (n, k, n_levels)
        return cls(features.astype(np.float32), under, log_count)

    @classmethod
    def joined(cls, parts: "Sequence[Candidates]") -> "Candidates":
        """Those of several sets of documents, one after another."""
        return cls(*(np.concatenate([getattr(own, own_field.name) for own in parts]) for own_field in fields(cls)))


def _draw(
    joint: NDArray[np.float32], true: NDArray[np.intp], rng: np.random.Generator
) -> tuple[NDArray[np.intp], _Floats]:
    """The likeliest leaves, the true one, and draws from the rest, in proportion to the root of their probability.

    Args:
        joint: Log-probabilities of the leaves, ``(n, n_leaves)``.
        true: The true leaf, ``(n,)``; negative where there is none.
        rng: Draws.

    Returns:
        Leaves ``(n, k)``, and the logarithm of how many leaves each stands for.
    """
    n, size = joint.shape
    best = best_columns(joint, LIKELIEST).astype(np.intp)
    if size <= LIKELIEST:
        return best, np.zeros(best.shape)
    chance = np.exp((joint - joint.max(axis=1, keepdims=True)) / 2, dtype=np.float64)
    np.put_along_axis(chance, best, 0, axis=1)
    rows = np.flatnonzero((true >= 0) & ~(best == true[:, None]).any(axis=1))
    chance[rows, true[rows]] = 0  # it stands for itself, in place of the last of the likeliest
    best[rows, -1], last = true[rows], best[rows, -1]
    chance[rows, last] = np.exp((joint[rows, last] - joint[rows].max(axis=1)) / 2)
    summed = np.cumsum(chance, axis=1)
    total = summed[:, -1]
    points = rng.random((n, DRAWN)) * total[:, None]
    drawn = np.stack([np.searchsorted(own, at, side="right") for own, at in zip(summed, points, strict=True)])
    drawn = np.minimum(drawn, size - 1)
    with np.errstate(divide="ignore"):  # a leaf without any chance stands for none
        log_count = np.log(total)[:, None] - np.log(DRAWN * np.take_along_axis(chance, drawn, axis=1))
    log_count[~np.isfinite(log_count)] = -np.inf
    return np.concatenate([best, drawn], axis=1), np.concatenate([np.zeros(best.shape), log_count], axis=1)


def fit_path_weights(candidates: Candidates, start: _Floats, deviation: float, least: float | _Floats = 0.0) -> _Floats:
    """The weights that find the true labels of all levels most probable.

    They minimise the mean over documents of the sum over levels of ``-log P(true label)``, plus the logarithm of a
    normal prior around ``start``. The prior decides between kinds that say the same, and keeps few documents from
    extremes.

    Args:
        candidates: Of documents that nothing else was learnt from.
        start: ``(n_kinds, n_levels)``.
        deviation: Standard deviation of the prior.
        least: Lower bound of the weights, one or ``(n_kinds, n_levels)``.

    Returns:
        ``(n_kinds, n_levels)``; ``start`` if no true label is among the candidates.

    Raises:
        ArtifactError: If the search fails.
    """
    n, k = candidates.under.shape[:2]
    features = candidates.features.reshape(n, k, -1).astype(np.float64)
    counts = np.isfinite(candidates.log_count)[..., None]
    known = np.asarray((candidates.under & counts).any(axis=1))  # (n, n_levels): without a true label nothing to learn
    if not known.any():
        return start

    def loss(weights: _Floats) -> tuple[float, _Floats]:
        scores = features @ weights + candidates.log_count  # (n, k)
        whole = scores - logsumexp(scores, axis=1, keepdims=True)
        share = np.exp(whole)
        total, pull = 0.0, -known.sum(1)[:, None] * share
        for level in range(known.shape[1]):
            rows = np.flatnonzero(known[:, level])
            inside = np.where(candidates.under[rows, :, level], whole[rows], -np.inf)
            log_prob = logsumexp(inside, axis=1, keepdims=True)
            total -= float(log_prob.sum())
            pull[rows] += np.exp(inside - log_prob)
        gradient = -np.einsum("nk,nkf->f", pull, features)
        away = (weights - start.ravel()) / deviation**2
        return (total + float(away @ (weights - start.ravel())) / 2) / n, (gradient + away) / n

    bounds = [(low, None) for low in np.broadcast_to(least, start.shape).ravel()]
    found = minimize(loss, start.ravel(), jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 500})
    if not np.isfinite(found.x).all():
        raise ArtifactError(f"the weights of the path's scores were not found ({found.message}); check the scores")
    fitted: _Floats = found.x.reshape(start.shape)
    return fitted
