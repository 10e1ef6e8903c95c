"""scikit-learn's liblinear without the checks around it, for thousands of small problems.

:class:`sklearn.svm.LinearSVC` spends a millisecond on each fit before it begins, twice as long as most heads of a label
tree take. Its binding has had one signature since 2019, but is private: where it is not found as it was, LinearSVC
itself is asked, for the same numbers.

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

_L2_SVC_DUAL = 1  # liblinear's number of the solver of squared hinge loss
_EPSILON = 0.1  # of regression; not read
_BIAS = 1.0  # of the constant feature, as in LinearSVC


class Machines(NamedTuple):
    """Support vector machines, one for each label against the others; of two labels one, for the second.

    Attributes:
        weights: ``(labels, ngrams)``.
        bias: ``(labels,)``.
        iterations: The most that one of them took.
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
    """What :class:`sklearn.svm.LinearSVC` finds by the dual.

    Args:
        features: ``(n, ngrams)``.
        codes: Of the ``labels`` from 0 up, each with an example, two or more, ``(n,)``.
        c: Weight of the loss.
        tolerance: Of the dual's violation at which the search ends.
        iterations: The most passes over the rows.
        seed: Of the order of the rows.
        weights: Of the rows, ``(n,)``; None: all are 1.
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
    """The same by LinearSVC itself."""
    solver = LinearSVC(C=c, dual=True, tol=tolerance, max_iter=iterations, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # ``n_iter_`` says it
        warnings.filterwarnings("ignore", "The number of unique classes", UserWarning)  # few documents, many labels
        solver.fit(features, codes, sample_weight=weights)
    return Machines(solver.coef_, solver.intercept_, int(np.max(solver.n_iter_)))


@functools.cache
def _binding() -> Any:
    """scikit-learn's function, tried on two rows; None where it is no longer what it was."""
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
    """The seed that LinearSVC gives liblinear."""
    return int(np.random.RandomState(seed).randint(np.iinfo("i").max))
