"""Fit one softmax head on TF-IDF features: scikit-learn solves it, and the result is stored as plain arrays."""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.sparse import csr_matrix
from scipy.special import log_softmax
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import MultinomialNB
from sklearn.svm import LinearSVC

from patent_hier.errors import ConfigError
from patent_hier.models.classical import LinearClassifier, NaiveBayesClassifier, NgramModel
from patent_hier.models.ngram_features import ContextBlock
from patent_hier.settings import LinearSettings, NaiveBayesSettings, NgramSettings
from patent_hier.settings.data import DEFAULT_LABEL_WEIGHT

_LOG_TEMPERATURE = (-5.0, 3.0)  # 0.0067 to 20; 130 labels on 5000 abstracts took 0.046
_SVM_ITERATIONS = 10_000
_LBFGS_WEIGHTS = 4_000_000  # above this, L-BFGS needs too much time and memory (160 bytes per weight)
_LBFGS = {"solver": "lbfgs", "tol": 1e-4, "max_iter": 1000}  # tol: largest gradient of the mean loss
_SAGA = {"solver": "saga", "tol": 1e-3, "max_iter": 500}  # tol: largest relative change in a pass


@dataclass(frozen=True, eq=False)
class Problem:
    """The training rows and settings of one head.

    Attributes:
        features: TF-IDF features, ``(n, ngrams)``: documents of the corpus, then label texts.
        idf: IDF of each n-gram, ``(ngrams,)`` float32, from the documents only.
        codes: Label codes, ``(n,)``.
        num_labels: Number of labels.
        num_documents: Number of rows that are documents of the corpus.
        settings: Settings of the model.
        seed: Seed of the linear solvers.
        weights: Weight of each row, ``(n,)``; None for equal weights. For label texts it is multiplied by the chosen
            weight.
        context: Columns of context; None if only the text is read.
    """

    features: csr_matrix
    idf: NDArray[np.float32]
    codes: NDArray[np.int64]
    num_labels: int
    num_documents: int
    settings: NgramSettings
    seed: int
    weights: NDArray[np.float64] | None
    context: ContextBlock | None = None


def solve(problem: Problem, sample_weight: NDArray[np.float64] | None = None) -> tuple[NgramModel, dict[str, Any]]:
    """Fit the model; return it with the name of the solver and whether the solver converged.

    Args:
        problem: Training rows and settings.
        sample_weight: Weight of each row, ``(n,)``; None for equal weights.
    """
    closed = {"solver": "closed form", "converged": True}
    features, idf, codes, settings = problem.features, problem.idf, problem.codes, problem.settings
    if isinstance(settings, LinearSettings):
        return _solve_linear(problem, settings, sample_weight)
    if isinstance(settings, NaiveBayesSettings):
        bayes = MultinomialNB(alpha=settings.alpha).fit(features, codes, sample_weight=sample_weight)
        log_prob = bayes.feature_log_prob_  # (labels, n-grams)
        weights = np.ascontiguousarray((log_prob - log_prob.mean(0)).T, np.float32)
        prior = bayes.class_log_prior_.astype(np.float32)
        return NaiveBayesClassifier(idf, weights, prior, context=problem.context), closed
    raise ConfigError(f"model={settings.name} does not read character n-grams; use linear, naive_bayes or knn")


def _solve_linear(
    problem: Problem, settings: LinearSettings, sample_weight: NDArray[np.float64] | None
) -> tuple[LinearClassifier, dict[str, Any]]:
    """Fit one-against-rest or multinomial weights; for two labels, expand scikit-learn's single weight vector."""
    solver = _linear_solver(settings, problem.num_labels * len(problem.idf), problem.seed)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        # A tiny node has almost as many classes as documents, which scikit-learn takes for a regression target.
        warnings.filterwarnings("ignore", "The number of unique classes", UserWarning)
        solver.fit(problem.features, problem.codes, sample_weight=sample_weight)
    converged = True
    for warning in caught:
        if issubclass(warning.category, ConvergenceWarning):
            converged = False
        else:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    weights, bias = solver.coef_, solver.intercept_  # (labels, n-grams), (labels,)
    if len(weights) == 1:  # halves with opposite signs keep the difference, and so the decision and probability
        weights, bias = np.concatenate([-weights / 2, weights / 2]), np.concatenate([-bias / 2, bias / 2])
    weights = np.ascontiguousarray(weights.T, np.float32)  # (n-grams, labels)
    facts = {"solver": getattr(solver, "solver", "liblinear"), "converged": converged}
    return LinearClassifier(problem.idf, weights, bias.astype(np.float32), context=problem.context), facts


def _linear_solver(settings: LinearSettings, num_weights: int, seed: int) -> LinearSVC | LogisticRegression:
    """Return scikit-learn's solver for the settings.

    Logistic regression uses L-BFGS as long as its memory allows. With 5000 abstracts, 130 labels and 175,000 n-grams,
    L-BFGS took 6.4 GB and 130 s; SAGA reached the same likelihood with 0.9 GB in 32 s. With few documents, however,
    SAGA learns the biases slowly.

    Source: LIBLINEAR, Fan et al. (2008), JMLR 9; SAGA, Defazio et al. (2014), NeurIPS; both as in scikit-learn.
    """
    if settings.classifier == "svm":
        return LinearSVC(C=settings.c, dual="auto", random_state=seed, max_iter=_SVM_ITERATIONS)
    how = _LBFGS if num_weights <= _LBFGS_WEIGHTS else _SAGA
    return LogisticRegression(C=settings.c, random_state=seed, **how)


def solve_weighted(
    problem: Problem, candidates: tuple[float, ...], val_counts: csr_matrix, val_codes: NDArray[np.int64]
) -> tuple[NgramModel, dict[str, Any]]:
    """Fit with each candidate weight of label texts and return the model with the best validation accuracy.

    If several weights are equally accurate, the smallest is chosen.
    """
    if len(candidates) > 1 and not len(val_codes):
        candidates = (DEFAULT_LABEL_WEIGHT,)  # without validation documents there is no basis for a choice
    best: tuple[NgramModel, dict[str, Any]] | None = None
    accuracies: dict[float, float] = {}
    for candidate in candidates:
        assert problem.weights is not None
        weights = problem.weights.copy()
        weights[problem.num_documents :] *= candidate
        model, facts = solve(problem, weights)
        if len(candidates) > 1:
            accuracies[candidate] = float((model.log_prob(val_counts).argmax(1) == val_codes).mean())
        if best is None or accuracies[candidate] > accuracies[best[1]["label_text"]["weight"]]:
            best = model, {**facts, "label_text": {"weight": candidate}}
    assert best is not None  # there is a candidate
    best[1]["label_text"]["val_accuracy"] = {str(weight): value for weight, value in accuracies.items()} or None
    return best


def fit_temperature(scores: NDArray[np.float64], codes: NDArray[np.int64]) -> float:
    """Return the temperature, from e^-5 to e^3, that minimises the negative log-likelihood after the softmax.

    The lower bound prevents a node without validation errors from being certain of everything.

    Args:
        scores: Scores before the softmax, ``(n, labels)``.
        codes: True label codes, ``(n,)``.

    Source: Guo et al. (2017), On Calibration of Modern Neural Networks, ICML, section 4.2, there for logits.
    """
    rows = np.arange(len(codes))

    def loss(log_temperature: float) -> float:
        return -float(log_softmax(scores / np.exp(log_temperature), axis=1)[rows, codes].mean())

    return float(np.exp(minimize_scalar(loss, bounds=_LOG_TEMPERATURE, method="bounded").x))
