"""Pooling of several classifiers of one node, head by head: the logarithmic opinion pool and its members' weights.

Source: C. Genest and J. V. Zidek, "Combining probability distributions: a critique and an annotated bibliography",
Statistical Science 1(1), 1986 (the logarithmic pool); T. Heskes, "Selecting weighting factors in logarithmic opinion
pools", NIPS 10, 1998 (weights fitted to held-out documents); G. E. Hinton, "Products of experts", ICANN 1999. Our
deviations: the weights need not sum to 1, so that the pool can be sharper or flatter than its members; and every
member's probabilities are at least 1e-6, so that no single member can exclude a label.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import logsumexp

from patent_hier.errors import ArtifactError, ConfigError
from patent_hier.evaluation.scores import TreeScores
from patent_hier.taxonomy.arithmetic import conditional_log_prob, joint_log_prob, log_softmax_siblings, sum_up
from patent_hier.taxonomy.tree import LabelTree, Positions

FLOOR = float(np.log(1e-6))  # minimum log-probability of a member; also used for labels that it does not know
PRIOR_DEVIATION = 0.5  # of each weight around 1 / n_members; negligible with a few hundred documents or more
_CELLS = 1 << 22  # documents x labels of a member processed at a time, so that temporary float64 arrays stay small

_Floats = NDArray[np.float64]


def pool(scores: Sequence[TreeScores], weights: Sequence[float]) -> TreeScores:
    """Pool members at each head: ``log p(label | parent) = sum_m w_m log p_m(label | parent) - log Z``.

    Args:
        scores: Scores of each member for the same ``n`` documents in the same order; either all members are flat or
            none is.
        weights: Weight of each member, not negative; if all are 0, siblings are equally probable.

    Returns:
        Pooled scores of all labels that any member knows.

    Raises:
        ConfigError: If there is no member, or the weights are not one finite non-negative number for each member.
        ArtifactError: If the members scored different numbers of documents, or only some of them are flat.
    """
    n = _common_length(scores)
    factors = np.asarray(weights, np.float64)
    if factors.shape != (len(scores),) or not (np.isfinite(factors) & (factors >= 0)).all():
        raise ConfigError(f"weights {list(weights)} do not fit {len(scores)} members; give each one number >= 0")
    tree, flat = LabelTree.union([member.tree for member in scores]), scores[0].flat
    log_prob = np.empty((n, len(tree)), np.float32)
    for rows, members in _chunks(scores, tree, np.arange(n)):
        pooled = np.tensordot(factors, members, 1)  # (rows, labels of the heads)
        if flat:
            log_prob[rows] = sum_up(tree, pooled - logsumexp(pooled, axis=1, keepdims=True))
        else:
            log_prob[rows] = joint_log_prob(tree, log_softmax_siblings(tree, pooled))
    return TreeScores(tree, log_prob, flat)


def fit_weights(scores: Sequence[TreeScores], tree: LabelTree, paths: Positions) -> _Floats:
    """Fit the weights with which :func:`pool` makes the true paths most probable.

    The weights minimise the mean over documents of ``-log p(path)`` plus ``sum_m (w_m - 1/M)^2 / (2 n s^2)``. They are
    the most probable weights under a normal prior around the equal weights ``1/M`` with standard deviation ``s`` =
    :data:`PRIOR_DEVIATION`. The prior divides the weight between members that agree, and avoids extreme weights if
    there are few documents. The problem is convex (a linear function plus log-sum-exp plus a quadratic), so the result
    does not depend on the start values. L-BFGS-B keeps the weights at 0 or above.

    Args:
        scores: Scores of the ``M`` members for the same documents in the same order.
        tree: Union of the members' trees.
        paths: True paths in the tree, ``(n, n_levels)``. Labels that no member knows are ignored; if there are no
            others, the weights are equal.

    Returns:
        ``(M,)`` non-negative weights.

    Raises:
        ConfigError: If there is no member.
        ArtifactError: If the members or the paths have different numbers of documents, only some members are flat, or
            the optimisation fails.
    """
    n, flat = _common_length(scores), scores[0].flat
    if len(paths) != n:
        raise ArtifactError(f"there are {len(paths)} targets for {n} documents; run all members on the same split")
    heads = paths[:, -1:] - tree.leaves.start if flat else paths
    known = np.flatnonzero((heads >= 0).any(axis=1))
    equal = np.full(len(scores), 1 / len(scores))
    if not len(known):
        return equal
    families = np.zeros(tree.leaves.stop - tree.leaves.start, np.intp) if flat else tree.parents.astype(np.intp) + 1

    def loss(weights: _Floats) -> tuple[float, _Floats]:
        total, gradient = 0.0, np.zeros_like(weights)
        for rows, members in _chunks(scores, tree, known):
            own = heads[rows]
            pooled = np.tensordot(weights, members, 1)  # (rows, labels of the heads)
            norm = logsumexp(pooled, axis=1, keepdims=True)
            log_prob = pooled - norm if flat else log_softmax_siblings(tree, pooled)
            decided = np.zeros((len(rows), families.max() + 1), bool)  # heads on the true path
            row, level = np.nonzero(own >= 0)
            decided[row, families[own[row, level]]] = True
            total -= float(log_prob[row, own[row, level]].sum())
            expected = np.einsum("rl,mrl->m", np.exp(log_prob) * decided[:, families], members)
            gradient += expected - members[:, row, own[row, level]].sum(axis=1)
        pull = (weights - equal) / PRIOR_DEVIATION**2
        return (total + float(pull @ (weights - equal)) / 2) / len(known), (gradient + pull) / len(known)

    options = {"ftol": 1e-12, "gtol": 1e-8, "maxiter": 1000}
    found = minimize(loss, equal, jac=True, method="L-BFGS-B", bounds=[(0, None)] * len(equal), options=options)
    # With these tolerances the line search may report a failure at the minimum, so the gradient decides instead.
    if not np.isfinite(found.x).all() or _slope(found.x, loss(found.x)[1]) > 1e-3:
        raise ArtifactError(
            f"the weights of {len(scores)} members could not be fitted ({found.message}); check their scores"
        )
    weights: _Floats = np.maximum(found.x, 0.0)
    return weights


def _slope(weights: _Floats, gradient: _Floats) -> float:
    """Return the largest derivative, ignoring those that only push a weight of 0 below 0; 0 at the minimum."""
    free = (weights > 0) | (gradient < 0)
    return float(np.abs(gradient[free]).max(initial=0.0))


def _common_length(scores: Sequence[TreeScores]) -> int:
    lengths = {len(member) for member in scores}
    if not lengths:
        raise ConfigError("an ensemble needs at least one member; name the results to combine")
    if len(lengths) > 1:
        raise ArtifactError(
            f"the members scored different numbers of documents: {sorted(lengths)}; run all of them on the same split"
        )
    if len({member.flat for member in scores}) > 1:
        raise ArtifactError(
            "flat and hierarchical classifiers cannot be pooled head by head; use members that are all flat or all "
            "hierarchical"
        )
    return lengths.pop()


def _chunks(
    scores: Sequence[TreeScores], tree: LabelTree, rows: NDArray[np.intp]
) -> Iterator[tuple[NDArray[np.intp], _Floats]]:
    """Yield chunks of rows with all members' clipped log-probabilities ``(M, rows, labels of the heads)``.

    The labels of the heads are the leaves for flat members, and all labels for others.
    """
    flat = scores[0].flat
    columns = [_columns(member.tree, tree, flat) for member in scores]
    width = tree.leaves.stop - tree.leaves.start if flat else len(tree)
    step = max(1, _CELLS // width)
    for start in range(0, len(rows), step):
        chosen = rows[start : start + step]
        members = np.full((len(scores), len(chosen), width), FLOOR)
        for own, columns_of_own, member in zip(members, columns, scores, strict=True):
            values = member.log_prob[chosen]
            heads = values[:, member.tree.leaves] if flat else conditional_log_prob(member.tree, values)
            own[:, columns_of_own] = np.maximum(heads, FLOOR)
        yield chosen, members


def _columns(own: LabelTree, tree: LabelTree, flat: bool) -> Positions:
    """Return the positions of the labels of a member's heads in the tree of all members."""
    levels = (tree.depth,) if flat else own.levels
    found = np.concatenate([tree.find(level, own.labels(level)) for level in levels])
    return found - tree.leaves.start if flat else found
