"""scikit-learn's liblinear without the surrounding checks, for thousands of small problems.

:class:`sklearn.svm.LinearSVC` spends a millisecond on each fit before it starts, twice as long as most heads of a label
tree take. Its internal binding has had the same signature since 2019, but it is private. If the binding is missing or
has changed, LinearSVC itself is used and gives the same numbers.

Source: LIBLINEAR, Fan et al. (2008), JMLR 9.
"""

import functools
import warnings
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from sklearn.exceptions import ConvergenceWarning
from sklearn.svm import LinearSVC

_L2_SVC_DUAL = 1  # liblinear's number for the dual solver with squared hinge loss
_EPSILON = 0.1  # for regression only; ignored here
_BIAS = 1.0  # value of the constant feature, as in LinearSVC


class Machines(NamedTuple):
    """Support vector machines, one per label against the others; for two labels a single one, for the second.

    Attributes:
        weights: Weights, ``(labels, ngrams)``.
        bias: Biases, ``(labels,)``.
        iterations: The largest number of iterations of any machine.
    """

    weights: NDArray[np.float64]
    bias: NDArray[np.float64]
    iterations: int


def fit_machines(
    features: csr_matrix,
    codes: NDArray[np.int64],
    c: float,
    tolerance: float,
    iterations: int,
    seed: int,
    weights: NDArray[np.float64] | None = None,
) -> Machines:
    """Return the solution that :class:`sklearn.svm.LinearSVC` finds in the dual.

    Args:
        features: Rows of features, ``(n, ngrams)``.
        codes: Label codes from 0 up, ``(n,)``; there are two or more labels, each with an example.
        c: Weight of the loss.
        tolerance: Violation of the dual at which the search ends.
        iterations: Maximum number of passes over the rows.
        seed: Seed of the order of the rows.
        weights: Weight of each row, ``(n,)``; None for equal weights.
    """
    train = _binding()
    if train is None:
        return fit_checked(features, codes, c, tolerance, iterations, seed, weights)
    labels = int(codes.max()) + 1
    ones, own = np.ones(labels), np.ones(len(codes)) if weights is None else weights
    rows = csr_matrix(features, dtype=np.float64)
    target, draw = codes.astype(np.float64), _first_draw(seed)
    found, passes = train(rows, target, True, _L2_SVC_DUAL, tolerance, _BIAS, c, ones, iterations, draw, _EPSILON, own)
    return Machines(found[:, :-1], _BIAS * found[:, -1], int(max(passes)))


def fit_checked(
    features: csr_matrix,
    codes: NDArray[np.int64],
    c: float,
    tolerance: float,
    iterations: int,
    seed: int,
    weights: NDArray[np.float64] | None = None,
) -> Machines:
    """Return the same solution as :func:`fit_machines`, from LinearSVC itself."""
    solver = LinearSVC(C=c, dual=True, tol=tolerance, max_iter=iterations, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # ``n_iter_`` shows it
        warnings.filterwarnings("ignore", "The number of unique classes", UserWarning)  # few documents, many labels
        solver.fit(features, codes, sample_weight=weights)
    return Machines(solver.coef_, solver.intercept_, int(np.max(solver.n_iter_)))


@functools.cache
def _binding() -> Any:
    """Return scikit-learn's function after a trial on two rows; None if it is missing or has changed."""
    try:
        from sklearn.svm import _liblinear

        _liblinear.set_verbosity_wrap(0)
        rows, codes, ones = csr_matrix(np.eye(2)), np.array([0.0, 1.0]), np.ones(2)
        found, passes = _liblinear.train_wrap(
            rows, codes, True, _L2_SVC_DUAL, 0.1, _BIAS, 1.0, ones, 10, 0, _EPSILON, ones
        )
    except (ImportError, AttributeError, TypeError, ValueError):
        return None
    return _liblinear.train_wrap if found.shape == (1, 3) and len(passes) == 1 else None


@functools.cache
def _first_draw(seed: int) -> int:
    """Return the seed that LinearSVC passes to liblinear."""
    return int(np.random.RandomState(seed).randint(np.iinfo("i").max))
