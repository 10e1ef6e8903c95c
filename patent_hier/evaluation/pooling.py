"""Several classifiers of one node as one: the logarithmic opinion pool, and the weights of its members.

Source: C. Genest and J. V. Zidek, "Combining probability distributions: a critique and an annotated bibliography",
Statistical Science 1(1), 1986 (the logarithmic pool); T. Heskes, "Selecting weighting factors in logarithmic opinion
pools", NIPS 10, 1998 (weights fitted to held-out documents); G. E. Hinton, "Products of experts", ICANN 1999. Our
deviations: the weights need not add up to 1, so that the pool can also be sharper or flatter than its members; every
member's probabilities are at least 1e-6, so that no member alone can exclude a label.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import logsumexp

from patent_hier.errors import ArtifactError, ConfigError
from patent_hier.evaluation.deriving import NodeScores

FLOOR = float(np.log(1e-6))  # least log-probability of a member; also that of a label which it does not know
PRIOR_DEVIATION = 0.5  # of each weight around 1 / n_members: negligible once there are some hundred documents
_CHUNK = 8_192  # documents at a time, so that temporary arrays in float64 stay small

_Floats = NDArray[np.float64]


def pool(scores: Sequence[NodeScores], weights: Sequence[float]) -> NodeScores:
    """Combine members: ``log p(label) = sum_m w_m log p_m(label) - log Z`` for each document.

    Args:
        scores: Of the members, for the same ``n`` documents in the same order.
        weights: One for each member, none negative; all 0 makes every label equally probable.

    Returns:
        The labels that any member knows, sorted; ``log_prob`` ``(n, n_labels)``.

    Raises:
        ConfigError: If there is no member, or the weights are not one finite non-negative number for each.
        ArtifactError: If the members scored different numbers of documents.
    """
    n = _common_length(scores)
    factors = np.asarray(weights, np.float64)
    if factors.shape != (len(scores),) or not (np.isfinite(factors) & (factors >= 0)).all():
        raise ConfigError(f"weights {list(weights)} for {len(scores)} members; give each one number that is >= 0")
    labels = _union(scores)
    log_prob = np.empty((n, len(labels)), np.float32)
    for rows, members in _chunks(scores, labels, np.arange(n)):
        pooled = np.tensordot(factors, members, 1)  # (rows, n_labels)
        log_prob[rows] = pooled - logsumexp(pooled, axis=1, keepdims=True)
    return NodeScores(labels, log_prob)


def fit_weights(scores: Sequence[NodeScores], targets: NDArray[Any]) -> _Floats:
    """The weights with which :func:`pool` finds the targets most probable.

    They minimise the mean over documents of ``-log p(target)`` plus ``sum_m (w_m - 1/M)^2 / (2 n s^2)``: the most
    probable weights under a normal prior around the equal weights ``1/M`` with the standard deviation ``s``
    :data:`PRIOR_DEVIATION`. The prior decides between members that say the same, and keeps few documents from
    extremes. The problem is convex (a linear function plus log-sum-exp plus a quadratic), so the answer does not
    depend on where the search starts. L-BFGS-B keeps the weights at 0 or above.

    Args:
        scores: Of the ``M`` members, for the same documents in the same order.
        targets: ``(n,)`` true labels. Documents whose target no member knows, or that have none, are left out;
            without any other the weights are equal.

    Returns:
        ``(M,)`` non-negative weights.

    Raises:
        ConfigError: If there is no member.
        ArtifactError: If members and targets are of different numbers of documents, or the search fails.
    """
    n = _common_length(scores)
    if len(targets) != n:
        raise ArtifactError(f"{len(targets)} targets for {n} scored documents; run all members on the same split")
    labels = _union(scores)
    position = {label: column for column, label in enumerate(labels)}
    codes = np.array([position.get(target, -1) for target in targets.tolist()], np.intp)
    known = np.flatnonzero(codes >= 0)
    equal = np.full(len(scores), 1 / len(scores))
    if not len(known):
        return equal

    def loss(weights: _Floats) -> tuple[float, _Floats]:
        total, gradient = 0.0, np.zeros_like(weights)
        for rows, members in _chunks(scores, labels, known):
            own = members[:, np.arange(len(rows)), codes[rows]]  # (M, rows), log-probabilities of the targets
            pooled = np.tensordot(weights, members, 1)  # (rows, n_labels)
            norm = logsumexp(pooled, axis=1)
            total += float(norm.sum() - (weights @ own).sum())
            expected = np.einsum("rl,mrl->m", np.exp(pooled - norm[:, None]), members)
            gradient += expected - own.sum(axis=1)
        pull = (weights - equal) / PRIOR_DEVIATION**2
        return (total + float(pull @ (weights - equal)) / 2) / len(known), (gradient + pull) / len(known)

    options = {"ftol": 1e-12, "gtol": 1e-8, "maxiter": 1000}
    found = minimize(loss, equal, jac=True, method="L-BFGS-B", bounds=[(0, None)] * len(equal), options=options)
    # At such tolerances a line search may end without progress, at the minimum: what counts is where it ended.
    if not np.isfinite(found.x).all() or _slope(found.x, loss(found.x)[1]) > 1e-3:
        raise ArtifactError(
            f"the weights of {len(scores)} members were not found ({found.message}); check their scores"
        )
    weights: _Floats = np.maximum(found.x, 0.0)
    return weights


def _slope(weights: _Floats, gradient: _Floats) -> float:
    """How far from a minimum: the largest derivative that does not only press a weight against 0."""
    free = (weights > 0) | (gradient < 0)
    return float(np.abs(gradient[free]).max(initial=0.0))


def _common_length(scores: Sequence[NodeScores]) -> int:
    lengths = {len(member.log_prob) for member in scores}
    if not lengths:
        raise ConfigError("a pool needs at least one member; name the results to combine")
    if len(lengths) > 1:
        raise ArtifactError(f"members scored {sorted(lengths)} documents; run all of them on the same split")
    return lengths.pop()


def _union(scores: Sequence[NodeScores]) -> tuple[str, ...]:
    return tuple(sorted({label for member in scores for label in member.labels}))


def _chunks(
    scores: Sequence[NodeScores], labels: Sequence[str], rows: NDArray[np.intp]
) -> Iterator[tuple[NDArray[np.intp], _Floats]]:
    """Some rows at a time: which, and all members' clipped log-probabilities ``(M, rows, n_labels)``."""
    position = {label: column for column, label in enumerate(labels)}
    columns = [[position[label] for label in member.labels] for member in scores]
    for start in range(0, len(rows), _CHUNK):
        chosen = rows[start : start + _CHUNK]
        members = np.full((len(scores), len(chosen), len(labels)), FLOOR)
        for own, columns_of_own, member in zip(members, columns, scores, strict=True):
            own[:, columns_of_own] = np.maximum(member.log_prob[chosen], FLOOR)
        yield chosen, members
