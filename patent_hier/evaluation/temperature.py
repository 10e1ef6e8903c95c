"""Temperature scaling: one number for the heads of a level that makes their confidence say how often they are right."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from patent_hier.evaluation.contract import NetworkPredictions
from patent_hier.taxonomy.arithmetic import conditional_log_prob

MIN_DOCUMENTS = 20  # a temperature of fewer would be noise; the node keeps 1
_RANGE = (np.log(0.05), np.log(20.0))
_SPREAD = 0.2  # of log temperatures around 0 before any document is seen; some thirty documents weigh as much

LogProb = NDArray[np.floating[Any]]


def fit_temperatures(network: NetworkPredictions) -> dict[str, float]:
    """A temperature for the heads of each level, down to the first that keeps only its best labels.

    A flat network has one for its leaves, if it keeps all of them.

    Args:
        network: Documents that it was not trained on.
    """
    if network.flat:
        own = network.levels[-1]
        return {} if own.labels is not None else {own.level: fit_temperature(own.log_prob, own.target_codes)}
    dense = network.dense
    if not dense:
        return {}
    tree = network.tree.to_depth(dense[-1].level)
    conditional = conditional_log_prob(tree, np.concatenate([own.log_prob for own in dense], axis=1))
    temperatures = {}
    for own in dense:
        labels = tree.span(own.level)
        families = tree.parents[labels]
        scores = conditional[:, labels].copy()
        known = np.maximum(own.target_codes, 0)
        scores[families != families[known][:, None]] = -np.inf  # only the head of the true parent
        temperatures[own.level] = fit_temperature(scores, own.target_codes)
    return temperatures


def fit_temperature(log_prob: LogProb, target_codes: NDArray[np.intp]) -> float:
    """The temperature that makes the documents likeliest, held near 1 where they are few.

    The nodes of rare sections have some dozens of documents; what fits these best is often far from what fits others
    (on the demo corpus 0.53 for section E). So the logarithm of the temperature is expected around 0 with a standard
    deviation of 0.2; from some hundreds of documents on that makes no difference.

    Args:
        log_prob: ``(n, n_labels)`` natural logarithms; minus infinity for labels that do not compete.
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
