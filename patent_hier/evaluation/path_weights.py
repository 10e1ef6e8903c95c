"""Weights that merge several kinds of score along a path into one, fitted to held-out documents.

The score of a leaf is the weighted sum of the scores of each kind at each label of its path. Its probability is the
softmax over all leaves (:func:`patent_hier.taxonomy.arithmetic.log_softmax_tree`). There is one weight for each kind
and level, so a few hundred documents suffice for the fit. For each document, the fit uses the likeliest leaves and a
random sample that represents all other leaves, so the arrays stay small whatever the size of the tree. (With only the
likeliest leaves and the true one, the fit would learn that the true label scores worse than all others.)

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

# Labels that never occur in training are more frequent in new documents than in val, which covers the same weeks and
# applicants as training. So these labels get twice the odds that val suggests. On val of gazette titles this costs 0.2
# to 0.3 points in top-5 accuracy, and finds two to three times as many of these labels among the first five answers.
NOVELTY = float(np.log(2))
LIKELIEST, DRAWN = 200, 100  # leaves of each document that the fit uses
_Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Candidates:
    """A sample of leaves that represents all leaves for ``n`` documents, with the scores on their paths.

    Attributes:
        features: ``(n, k, n_kinds, n_levels)`` float32: scores on each leaf's path, by kind and level.
        under: ``(n, k, n_levels)``: whether the path passes through the document's true label at the level.
        log_count: ``(n, k)``: logarithm of the number of leaves that each sampled leaf represents.
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
        """Choose the likeliest leaves under initial weights, the true leaf, and a sample of all others.

        Args:
            tree: Label tree.
            measured: One array ``(n, n_labels)`` for each kind of score.
            weights: Initial weights, ``(n_kinds, n_levels)``.
            paths: True paths, ``(n, n_levels)``; negative for labels that are not in the tree.
            rng: Random generator for the sample.
        """
        scores = weighted_by_level(tree.parents, measured, weights)
        joint = joint_log_prob(tree, log_softmax_tree(tree.parents, scores))[:, tree.ends]  # (n, n_leaves)
        place_of = np.full(len(tree), NONE, np.intp)
        place_of[tree.ends] = np.arange(len(tree.ends))
        deepest = paths.max(axis=1)  # deeper levels have higher positions
        leaves, log_count = _draw(joint, np.where(deepest >= 0, place_of[deepest], NONE), rng)
        on_path = np.stack([tree.ancestors(level)[tree.ends[leaves]] for level in tree.levels], axis=-1)
        rows = np.arange(len(paths))[:, None, None]
        features = np.stack([np.where(on_path >= 0, own[rows, on_path], 0) for own in measured], axis=2)
        under = (on_path == paths[:, None]) & (on_path >= 0)  # (n, k, n_levels)
        return cls(features.astype(np.float32), under, log_count)

    @classmethod
    def joined(cls, parts: "Sequence[Candidates]") -> "Candidates":
        """Concatenate the candidates of several sets of documents."""
        return cls(*(np.concatenate([getattr(own, own_field.name) for own in parts]) for own_field in fields(cls)))


def _draw(
    joint: NDArray[np.float32], true: NDArray[np.intp], rng: np.random.Generator
) -> tuple[NDArray[np.intp], _Floats]:
    """Return the likeliest leaves, the true leaf, and a sample of the rest.

    The rest is sampled in proportion to the square root of the probability.

    Args:
        joint: Log-probabilities of the leaves, ``(n, n_leaves)``.
        true: Position of the true leaf, ``(n,)``; negative if there is none.
        rng: Random generator for the sample.

    Returns:
        Leaves ``(n, k)``, and the logarithm of the number of leaves that each represents.
    """
    n, size = joint.shape
    best = best_columns(joint, LIKELIEST).astype(np.intp)
    if size <= LIKELIEST:
        return best, np.zeros(best.shape)
    chance = np.exp((joint - joint.max(axis=1, keepdims=True)) / 2, dtype=np.float64)
    np.put_along_axis(chance, best, 0, axis=1)
    rows = np.flatnonzero((true >= 0) & ~(best == true[:, None]).any(axis=1))
    chance[rows, true[rows]] = 0  # the true leaf replaces the last of the likeliest, so it is not drawn
    best[rows, -1], last = true[rows], best[rows, -1]
    chance[rows, last] = np.exp((joint[rows, last] - joint[rows].max(axis=1)) / 2)
    summed = np.cumsum(chance, axis=1)
    total = summed[:, -1]
    points = rng.random((n, DRAWN)) * total[:, None]
    drawn = np.stack([np.searchsorted(own, at, side="right") for own, at in zip(summed, points, strict=True)])
    drawn = np.minimum(drawn, size - 1)
    with np.errstate(divide="ignore"):  # a leaf that cannot be drawn represents no leaf
        log_count = np.log(total)[:, None] - np.log(DRAWN * np.take_along_axis(chance, drawn, axis=1))
    log_count[~np.isfinite(log_count)] = -np.inf
    return np.concatenate([best, drawn], axis=1), np.concatenate([np.zeros(best.shape), log_count], axis=1)


def fit_path_weights(candidates: Candidates, start: _Floats, deviation: float, least: float | _Floats = 0.0) -> _Floats:
    """Fit the weights that make the true labels of all levels most probable.

    The weights minimise the mean over documents of the sum over levels of ``-log P(true label)``, with a normal prior
    around ``start``. The prior divides the weight between kinds that agree, and avoids extreme weights if there are few
    documents.

    Args:
        candidates: Candidates for documents that were not used for training.
        start: Start values and centre of the prior, ``(n_kinds, n_levels)``.
        deviation: Standard deviation of the prior.
        least: Lower bound of the weights, a single one or ``(n_kinds, n_levels)``.

    Returns:
        Weights ``(n_kinds, n_levels)``; ``start`` if no true label is among the candidates.

    Raises:
        ArtifactError: If the optimisation fails.
    """
    n, k = candidates.under.shape[:2]
    features = candidates.features.reshape(n, k, -1).astype(np.float64)
    counts = np.isfinite(candidates.log_count)[..., None]
    known = np.asarray((candidates.under & counts).any(axis=1))  # (n, n_levels): only true labels contribute
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
        raise ArtifactError(f"the weights of the path scores could not be fitted ({found.message}); check the scores")
    fitted: _Floats = found.x.reshape(start.shape)
    return fitted
