"""Recalibration of the heads of a level by two numbers: a temperature, and a shape for how sure probabilities are.

Both leave the order of siblings as it is, so no head answers otherwise than before.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import log_softmax

SPREAD = 0.2  # of both numbers before any document is seen; some thirty documents weigh as much
_SUREST = 1e-4  # what a label leaves to its siblings, at least: closer to 0 rounding would decide
_LOG_TEMPERATURES = (math.log(0.05), math.log(20.0))
_SHAPES = (-0.95, 3.0)  # at -1 two siblings of p and 1 - p would come out equal
_NOTHING = -1e4  # logarithm of the probability of a place without a label; finite, because 0 times infinity is NaN

LogProb = NDArray[np.float64]


class Scaling(NamedTuple):
    """Makes a label's probability ``p`` proportional to ``(p / (1 - p) ** shape) ** (1 / temperature)`` among siblings.

    A temperature above 1 makes all probabilities less extreme. A shape below 0 lowers those that are nearly 1 and
    leaves small ones in proportion; one above 0 does the opposite. Let siblings have ``p > q``. As ``p + q <= 1``,
    ``(1 - q) / (1 - p)`` is at most ``p / q``, so with ``shape > -1`` their order stays.

    Attributes:
        temperature: Above 0.
        shape: Above -1; 0 for temperature scaling alone.

    Source: Guo, Pleiss, Sun and Weinberger, "On calibration of modern neural networks", ICML 2017, section 4.2, for the
    temperature. Kull, Silva Filho and Flach, "Beta calibration", AISTATS 2017, for the form: its exponents ``a`` and
    ``b`` are ``1 / temperature`` and ``shape / temperature``. Sharing them among all labels of a level, for which the
    third number of that method has no effect, and normalising among siblings are ours.
    """

    temperature: float = 1.0
    shape: float = 0.0

    def __call__(self, conditional: LogProb) -> LogProb:
        """Logits of some siblings' log-probabilities given their parent, any shape; to be normalised among them."""
        if not self.shape:
            return conditional / self.temperature
        return (conditional - self.shape * log_rest(conditional)) / self.temperature


IDENTITY = Scaling()
Scalings = Mapping[str, Scaling]  # by level


def log_rest(conditional: LogProb) -> LogProb:
    """``ln(1 - p)`` of log-probabilities, not below the logarithm of what is distinguished from 0."""
    with np.errstate(divide="ignore"):
        rest: LogProb = np.log(-np.expm1(np.minimum(conditional, 0)))
    return np.maximum(rest, math.log(_SUREST), out=rest)


class Heads(NamedTuple):
    """The heads of ``n`` documents' true parents at one level, of one network.

    Attributes:
        log_prob: ``(n, k)`` float64 of the siblings given their parent; minus infinity behind the last one of each row.
        target: ``(n,)`` columns of the true labels, of finite log-probability.
        rows: ``(n,)`` positions of the documents among the network's.
    """

    log_prob: NDArray[np.float64]
    target: NDArray[np.intp]
    rows: NDArray[np.intp]

    def take(self, chosen: NDArray[np.bool_]) -> "Heads":
        """The documents of a mask ``(n,)``."""
        return Heads(self.log_prob[chosen], self.target[chosen], self.rows[chosen])

    def losses(self, scaling: Scaling) -> NDArray[np.float64]:
        """Negative log-likelihood of each document's label, ``(n,)`` nats."""
        scaled = log_softmax(scaling(self.log_prob), axis=1)
        result: NDArray[np.float64] = -scaled[np.arange(len(self.target)), self.target]
        return result


def fit_scaling(heads: Sequence[Heads], *, shaped: bool = True, centre: Scaling = IDENTITY) -> Scaling:
    """The scaling that makes the documents likeliest, held near another one where they are few.

    What fits some dozens of documents best is often far from what fits others (on the demo corpus a temperature of 0.53
    for section E). So the logarithm of the temperature and the shape are expected around ``centre`` with a standard
    deviation of :data:`SPREAD`; from some hundreds of documents on that makes no difference.

    Args:
        heads: Of one level, of one or several networks.
        shaped: Whether the shape is fitted; else it is that of ``centre``.
        centre: What is expected before any document is seen.

    Returns:
        ``centre`` without documents; temperatures from 0.05 to 20 and shapes from -0.95 to 3.

    Source: see :class:`Scaling`; the expectation is ours.
    """
    parts = [
        (np.where(np.isfinite(own.log_prob), own.log_prob, _NOTHING), log_rest(own.log_prob), own.target)
        for own in heads
        if len(own.target)
    ]
    if not parts:
        return centre
    start = np.array([-np.log(centre.temperature), centre.shape])

    def loss(point: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        inverse, shape = np.exp(point[0]), point[1]
        value = float(((point - start) ** 2).sum() / (2 * SPREAD**2))
        slope = (point - start) / SPREAD**2
        for log_prob, rest, target in parts:
            logits = inverse * (log_prob - shape * rest)
            scaled, rows = log_softmax(logits, axis=1), np.arange(len(target))
            value -= scaled[rows, target].sum()
            probability = np.exp(scaled, out=scaled)
            slope[0] += (probability * logits).sum() - logits[rows, target].sum()
            slope[1] -= inverse * ((probability * rest).sum() - rest[rows, target].sum())
        return value, slope

    shapes = _SHAPES if shaped else (centre.shape, centre.shape)
    bounds: Any = [tuple(-bound for bound in reversed(_LOG_TEMPERATURES)), shapes]
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds).x
    return Scaling(float(np.exp(-found[0])), float(found[1]))
