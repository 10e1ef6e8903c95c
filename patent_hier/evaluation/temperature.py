"""Temperature scaling: one number for each node that makes its confidence say how often it is right."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from patent_hier.evaluation.deriving import NodeScores

MIN_DOCUMENTS = 20  # a temperature of fewer would be noise; the node keeps 1
_RANGE = (np.log(0.05), np.log(20.0))
_SPREAD = 0.2  # of log temperatures around 0 before any document is seen; some thirty documents weigh as much

LogProb = NDArray[np.floating[Any]]


def scale(log_prob: LogProb, temperature: float) -> NDArray[np.float32]:
    """Log-probabilities at a temperature, ``(n, n_labels)``: above 1 less certain, below 1 more; the order stays."""
    if temperature == 1.0:
        return log_prob.astype(np.float32)
    scaled: NDArray[np.float64] = log_softmax(log_prob.astype(np.float64) / temperature, axis=1)
    return scaled.astype(np.float32)


def scale_nodes(scores: Mapping[str, NodeScores], temperatures: Mapping[str, float]) -> dict[str, NodeScores]:
    """Scores of all nodes, each at its own temperature; 1 where there is none."""
    return {
        node: NodeScores(own.labels, scale(own.log_prob, temperatures.get(node, 1.0))) for node, own in scores.items()
    }


def fit_temperature(log_prob: LogProb, target_codes: NDArray[np.intp]) -> float:
    """The temperature that makes the documents likeliest, held near 1 where they are few.

    The nodes of rare sections have some dozens of documents; what fits these best is often far from what fits others
    (on the demo corpus 0.53 for section E). So the logarithm of the temperature is expected around 0 with a standard
    deviation of 0.2; from some hundreds of documents on that makes no difference.

    Args:
        log_prob: ``(n, n_labels)`` natural logarithms of documents that the node was not trained on.
        target_codes: ``(n,)`` columns of the targets; documents with negative ones, which no temperature can help, are
            left out.

    Returns:
        0.05 to 20; 1 if fewer than :data:`MIN_DOCUMENTS` documents are left, or there is but one label.

    Source: Guo, Pleiss, Sun and Weinberger, "On calibration of modern neural networks", ICML 2017, section 4.2;
    the expectation around 1 is ours. A target of probability 0 would make every likelihood infinite, so such documents
    are left out too.
    """
    known = np.flatnonzero(target_codes >= 0)
    own = log_prob[known, target_codes[known]]
    known = known[np.isfinite(own)]
    if len(known) < MIN_DOCUMENTS or log_prob.shape[1] < 2:
        return 1.0
    rows, codes = log_prob[known].astype(np.float64), target_codes[known]

    def loss(log_temperature: float) -> float:
        scaled = log_softmax(rows / np.exp(log_temperature), axis=1)
        likelihood = scaled[np.arange(len(rows)), codes].sum()
        return float(log_temperature**2 / (2 * _SPREAD**2) - likelihood)

    return float(np.exp(minimize_scalar(loss, bounds=_RANGE, method="bounded", options={"xatol": 1e-6}).x))
