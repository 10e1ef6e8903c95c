"""The error model: the probability that an answer is wrong, estimated from several signals by logistic regression.

The regression is regularised and fitted to documents that were not used for training. It replaces plain confidence only
if cross-validation shows that it finds more wrong answers among the first documents, by more than one standard error.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from patent_hier.evaluation.review import SHARES, drawn_shares, errors_found
from patent_hier.evaluation.signals import Signals

LEAST_DOCUMENTS = 100  # minimum for a fit
LEAST_OF_EACH = 20  # minimum of wrong answers, and of right answers
_FOLDS = 5
_STRENGTH = 0.1  # scikit-learn's C, the inverse of the regularisation, which is strong because signals are correlated


@dataclass(frozen=True, eq=False)
class ErrorModel:
    """A logistic regression on standardised signals.

    Attributes:
        names: Names of the ``k`` signals.
        mean: Mean of each signal, ``(k,)``.
        scale: Standard deviation of each signal, ``(k,)``; 1 for a constant.
        weights: Increase in the log-odds of an error for one standard deviation more, ``(k,)``.
        intercept: Log-odds of an error if all signals are at their means.
    """

    names: tuple[str, ...]
    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    weights: NDArray[np.float64]
    intercept: float

    @classmethod
    def fit(cls, signals: Signals, wrong: NDArray[np.bool_]) -> "ErrorModel":
        """Fit the model to ``n`` documents with both wrong and right answers."""
        from sklearn.linear_model import LogisticRegression

        names = tuple(signals)
        values = _table(signals, names)
        mean, scale = values.mean(axis=0), values.std(axis=0)
        scale = np.where(scale > 0, scale, 1.0)
        found = LogisticRegression(C=_STRENGTH, max_iter=1000).fit((values - mean) / scale, wrong)
        return cls(names, mean, scale, found.coef_[0], float(found.intercept_[0]))

    def contributions(self, signals: Signals) -> NDArray[np.float64]:
        """Return the amount that each signal adds to the log-odds of an error, ``(n, k)``."""
        parts: NDArray[np.float64] = (_table(signals, self.names) - self.mean) / self.scale * self.weights
        return parts

    def probability(self, signals: Signals) -> NDArray[np.float64]:
        """Return the probability that each answer is wrong, ``(n,)``."""
        odds = self.contributions(signals).sum(axis=1) + self.intercept
        probability: NDArray[np.float64] = 1 / (1 + np.exp(-np.clip(odds, -700, 700)))
        return probability


@dataclass(frozen=True, eq=False)
class Fitted:
    """The outcome of a fit.

    Attributes:
        model: Error model; None if plain confidence is used.
        note: One line that states which of the two is used, and why.
    """

    model: ErrorModel | None
    note: str


def fit_or_fall_back(
    signals: Signals, confidence: NDArray[np.float64], wrong: NDArray[np.bool_], groups: NDArray[np.integer[Any]] | None
) -> Fitted:
    """Fit an error model, or fall back to plain confidence by the one-standard-error rule.

    The model is used if the share of errors that it finds in the first 20 % of the documents, cross-validated, exceeds
    that of plain confidence by more than one standard error of the difference. Both are evaluated on the same drawn
    documents.

    Args:
        signals: Signals of ``n`` documents that were not used for training.
        confidence: Confidence of each answer, ``(n,)``.
        wrong: Whether each answer is wrong, ``(n,)``.
        groups: Group numbers, ``(n,)``: documents with the same number stay in one fold; a negative number means no
            group. None if no document has a group.

    Source: Hastie, Tibshirani, Friedman, The Elements of Statistical Learning, 2nd edition, section 7.10.
    """
    n, errors = len(wrong), int(wrong.sum())
    if n < LEAST_DOCUMENTS or min(errors, n - errors) < LEAST_OF_EACH:
        return Fitted(
            None,
            f"plain confidence orders the documents: {n} calibration documents with {errors} wrong answers are too few "
            f"for an error model, which needs {LEAST_DOCUMENTS} with {LEAST_OF_EACH} wrong and {LEAST_OF_EACH} right "
            "answers",
        )
    held_out = _cross_validated(signals, wrong, groups)
    compared = [(errors_found(held_out, wrong, share), errors_found(-confidence, wrong, share)) for share in SHARES]
    shown = ", ".join(
        f"{100 * own:.1f} % of the errors in the first {100 * share:.0f} % (plain confidence {100 * plain:.1f} %)"
        for share, (own, plain) in zip(SHARES, compared, strict=True)
    )
    of = f"cross-validated on {n} calibration documents with {errors} wrong answers"
    own, plain = compared[-1]
    if own - plain <= (error := _standard_error(held_out, -confidence, wrong)):
        return Fitted(
            None,
            f"plain confidence orders the documents; {of}, an error model is not better by more than one standard "
            f"error ({100 * error:.1f} points): {shown}",
        )
    return Fitted(ErrorModel.fit(signals, wrong), f"an error model orders the documents; {of}, it finds {shown}")


def _standard_error(first: NDArray[np.float64], second: NDArray[np.float64], wrong: NDArray[np.bool_]) -> float:
    """Return the standard error of the difference between two orders at the last of :data:`SHARES`.

    Both orders are evaluated on the same drawn documents.
    """
    difference = drawn_shares(first, wrong, SHARES[-1]) - drawn_shares(second, wrong, SHARES[-1])
    return float(difference.std(ddof=1))


def _cross_validated(
    signals: Signals, wrong: NDArray[np.bool_], groups: NDArray[np.integer[Any]] | None
) -> NDArray[np.float64]:
    """Return each document's probability of an error by a model that was not fitted to its fold, ``(n,)``."""
    n = len(wrong)
    own = np.arange(n) if groups is None else np.where(groups < 0, np.arange(n) + groups.max() + 1, groups)
    _, codes = np.unique(own, return_inverse=True)
    folds = np.random.default_rng(0).integers(0, _FOLDS, codes.max() + 1)[codes]
    found = np.full(n, wrong.mean())
    for fold in range(_FOLDS):
        inside = folds == fold
        if inside.any() and wrong[~inside].any() and not wrong[~inside].all():
            model = ErrorModel.fit({name: values[~inside] for name, values in signals.items()}, wrong[~inside])
            found[inside] = model.probability({name: values[inside] for name, values in signals.items()})
    return found


def _table(signals: Signals, names: tuple[str, ...]) -> NDArray[np.float64]:
    return np.stack([signals[name] for name in names], axis=1)
