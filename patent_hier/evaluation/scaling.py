"""Recalibration of the heads of a level by two parameters: a temperature, and a shape that acts on high probabilities.

Both keep the order of siblings, so recalibration never changes the answer of a head.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import log_softmax

SPREAD = 0.2  # prior standard deviation of both parameters; about thirty documents carry the same weight
_SUREST = 1e-4  # minimum probability left for the siblings of a label; rounding errors would dominate below it
_LOG_TEMPERATURES = (math.log(0.05), math.log(20.0))
_SHAPES = (-0.95, 3.0)  # at -1, two siblings with p and 1 - p would become equal
_NOTHING = -1e4  # log-probability of a position without a label; finite, because 0 times infinity is NaN

LogProb = NDArray[np.float64]


class Scaling(NamedTuple):
    """A map from a label's probability ``p`` to ``(p / (1 - p) ** shape) ** (1 / temperature)``, up to normalisation.

    The results are normalised among siblings. A temperature above 1 makes all probabilities less extreme. A shape below
    0 lowers probabilities close to 1 and leaves the proportions of small ones nearly unchanged; a shape above 0 raises
    probabilities close to 1. Siblings keep their order: for ``p > q``, ``(1 - q) / (1 - p)`` is at most ``p / q``
    because ``p + q <= 1``, so ``shape > -1`` is sufficient.

    Attributes:
        temperature: Temperature, above 0.
        shape: Shape, above -1; 0 for temperature scaling alone.

    Source: Guo, Pleiss, Sun and Weinberger, "On calibration of modern neural networks", ICML 2017, section 4.2, for the
    temperature. Kull, Silva Filho and Flach, "Beta calibration", AISTATS 2017, for the form: its exponents ``a`` and
    ``b`` are ``1 / temperature`` and ``shape / temperature``. Sharing them among all labels of a level, where the third
    parameter of that method has no effect, and normalising among siblings are our additions.
    """

    temperature: float = 1.0
    shape: float = 0.0

    def __call__(self, conditional: LogProb) -> LogProb:
        """Return logits for siblings' log-probabilities given their parent, any shape; the caller normalises them."""
        if not self.shape:
            return conditional / self.temperature
        return (conditional - self.shape * log_rest(conditional)) / self.temperature


IDENTITY = Scaling()
Scalings = Mapping[str, Scaling]  # by level


def log_rest(conditional: LogProb) -> LogProb:
    """Return ``ln(1 - p)`` for log-probabilities, with ``1 - p`` of at least 1e-4."""
    with np.errstate(divide="ignore"):
        rest: LogProb = np.log(-np.expm1(np.minimum(conditional, 0)))
    return np.maximum(rest, math.log(_SUREST), out=rest)


class Heads(NamedTuple):
    """One network's heads of the true parents at one level, for ``n`` documents.

    Attributes:
        log_prob: ``(n, k)`` float64 log-probabilities of the siblings given their parent; minus infinity after the last
            sibling of each row.
        target: ``(n,)`` columns of the true labels, whose log-probability is finite.
        rows: ``(n,)`` positions of the documents among those of the network.
    """

    log_prob: NDArray[np.float64]
    target: NDArray[np.intp]
    rows: NDArray[np.intp]

    def take(self, chosen: NDArray[np.bool_]) -> "Heads":
        """Return the heads of the documents in a mask ``(n,)``."""
        return Heads(self.log_prob[chosen], self.target[chosen], self.rows[chosen])

    def losses(self, scaling: Scaling) -> NDArray[np.float64]:
        """Return the negative log-likelihood of each document's label, ``(n,)``, in nats."""
        scaled = log_softmax(scaling(self.log_prob), axis=1)
        result: NDArray[np.float64] = -scaled[np.arange(len(self.target)), self.target]
        return result


def fit_scaling(heads: Sequence[Heads], *, shaped: bool = True, centre: Scaling = IDENTITY) -> Scaling:
    """Fit the scaling that makes the documents most likely, with a prior around another scaling.

    The best fit to a few dozen documents is often far from the best fit to others (on the demo corpus, a temperature of
    0.53 for section E). So the logarithm of the temperature and the shape have a normal prior around ``centre`` with a
    standard deviation of :data:`SPREAD`. With a few hundred documents or more, it makes no difference.

    Args:
        heads: Heads of one level, from one or several networks.
        shaped: Whether to fit the shape; otherwise it is the shape of ``centre``.
        centre: Centre of the prior.

    Returns:
        The scaling, with a temperature from 0.05 to 20 and a shape from -0.95 to 3; ``centre`` without documents.

    Source: see :class:`Scaling`; the prior is our addition.
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
