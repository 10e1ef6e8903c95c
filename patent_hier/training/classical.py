"""Fit one node's classical model on term counts: scikit-learn learns, the result is our plain arrays."""

import time
import warnings
from dataclasses import replace
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
from threadpoolctl import threadpool_limits

from patent_hier.errors import ConfigError, DataError
from patent_hier.features.terms import TermStore
from patent_hier.models.classical import (
    LinearClassifier,
    NaiveBayesClassifier,
    NeighboursClassifier,
    TermModel,
    fit_idf,
    tf_idf,
)
from patent_hier.settings import LinearSettings, NaiveBayesSettings, NeighboursSettings, TermSettings

MIN_VAL_DOCUMENTS = 10  # below that a temperature says nothing
_LOG_TEMPERATURE = (-5.0, 3.0)  # 0.0067 to 20; 130 labels on 5000 abstracts took 0.046
_SVM_ITERATIONS = 10_000
_LBFGS_WEIGHTS = 4_000_000  # beyond that L-BFGS's memory, 160 bytes a weight, and time are out of proportion
_LBFGS = {"solver": "lbfgs", "tol": 1e-4, "max_iter": 1000}  # tol: largest slope of the mean loss
_SAGA = {"solver": "saga", "tol": 1e-3, "max_iter": 500}  # tol: largest change in a pass over the largest weight


def fit_terms(
    store: TermStore,
    train: NDArray[np.intp],
    codes: NDArray[np.int64],
    val: NDArray[np.intp],
    val_codes: NDArray[np.int64],
    num_labels: int,
    settings: TermSettings,
    seed: int,
) -> tuple[TermModel, NDArray[np.intp], dict[str, Any]]:
    """Fit the model that the settings name; vocabulary and IDF come from the node's training documents alone.

    Args:
        store: Term counts of the corpus.
        train: Positions of the node's training documents, ``(n_train,)``.
        codes: Their label codes, ``(n_train,)``; every code from 0 to ``num_labels - 1`` occurs.
        val: Positions of validation documents, ``(n_val,)``; they fit the temperature of the support vector machine
            and nothing else.
        val_codes: Their label codes, ``(n_val,)``.
        num_labels: Number of labels, 2 or more.
        settings: The model.
        seed: Seed of the order in which the linear solvers visit documents.

    Returns:
        The model; its columns of the store, ascending, ``(terms,)``; and facts for the metrics file. A solver that
        stopped before it converged has ``converged`` False there.

    Raises:
        DataError: If a label has no training document, or no n-gram stands in enough of them.
        ConfigError: If the settings are those of another kind of model.
    """
    start = time.perf_counter()
    if num_labels < 2 or not np.array_equal(np.unique(codes), np.arange(num_labels)):
        raise DataError(f"not each of {num_labels} labels has a training document; give two or more labels that have")
    counts = store.rows(train)
    kept = _frequent(counts, settings.min_documents)
    counts = counts[:, kept]
    # One thread: on another number of them sums have another order, and the model would differ.
    with threadpool_limits(limits=1):
        model, solved = _fit(counts, codes, num_labels, settings, seed)
        fitted = False
        if isinstance(model, LinearClassifier) and _is_svm(settings) and len(val) >= MIN_VAL_DOCUMENTS:
            temperature = fit_temperature(model.scores(store.rows(val)[:, kept]), val_codes)
            model, fitted = replace(model, temperature=temperature), True
    seconds = time.perf_counter() - start
    facts = {
        **solved,
        "train_documents": len(train),
        "val_documents": len(val),
        "seconds": round(seconds, 3),
        "documents_per_second": round(len(train) / seconds, 1),
        "parameters": model.num_parameters,
        "terms": len(kept),
        "temperature": model.temperature if isinstance(model, LinearClassifier) else None,
        "temperature_fitted": fitted,
        "threads": 1,
        "device": "cpu",
        "precision": "float32",
    }
    return model, kept, facts


def fit_temperature(scores: NDArray[np.float64], codes: NDArray[np.int64]) -> float:
    """The temperature at which scores have the least negative log-likelihood after the softmax, from e^-5 to e^3.

    The lower bound keeps a node without a validation error from being certain of everything.

    Args:
        scores: ``(n, labels)``.
        codes: True label codes, ``(n,)``.

    Source: Guo et al. (2017), On Calibration of Modern Neural Networks, ICML, section 4.2, there for logits.
    """
    rows = np.arange(len(codes))

    def loss(log_temperature: float) -> float:
        return -float(log_softmax(scores / np.exp(log_temperature), axis=1)[rows, codes].mean())

    return float(np.exp(minimize_scalar(loss, bounds=_LOG_TEMPERATURE, method="bounded").x))


def _is_svm(settings: TermSettings) -> bool:
    return isinstance(settings, LinearSettings) and settings.classifier == "svm"


def _frequent(counts: csr_matrix, min_documents: int) -> NDArray[np.intp]:
    """Columns of the terms that stand in enough of the node's training documents."""
    kept = np.flatnonzero(np.bincount(counts.indices, minlength=counts.shape[1]) >= min_documents)
    if not len(kept):
        raise DataError(
            f"no character n-gram stands in {min_documents} of the node's {counts.shape[0]} training documents; "
            "lower model.min_documents"
        )
    return kept


def _fit(
    counts: csr_matrix, codes: NDArray[np.int64], num_labels: int, settings: TermSettings, seed: int
) -> tuple[TermModel, dict[str, Any]]:
    """The model of the settings; which solver found it, and whether that converged."""
    closed = {"solver": "closed form", "converged": True}
    idf = fit_idf(counts)
    features = tf_idf(counts, idf)
    if isinstance(settings, LinearSettings):
        return _fit_linear(features, idf, codes, settings, seed)
    if isinstance(settings, NaiveBayesSettings):
        bayes = MultinomialNB(alpha=settings.alpha).fit(features, codes)
        log_prob = bayes.feature_log_prob_  # (labels, terms)
        weights = np.ascontiguousarray((log_prob - log_prob.mean(0)).T, np.float32)
        return NaiveBayesClassifier(idf, weights, bayes.class_log_prior_.astype(np.float32)), closed
    if isinstance(settings, NeighboursSettings):
        return NeighboursClassifier(idf, features.T.tocsr(), codes, num_labels, settings.num_neighbours), closed
    raise ConfigError(f"model={settings.name} does not read character n-grams; use linear, naive_bayes or knn")


def _fit_linear(
    features: csr_matrix, idf: NDArray[np.float32], codes: NDArray[np.int64], settings: LinearSettings, seed: int
) -> tuple[LinearClassifier, dict[str, Any]]:
    """One against the rest, or multinomial; of two labels scikit-learn learns only what tells the second."""
    solver = _linear_solver(settings, int(codes.max() + 1) * len(idf), seed)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        # A tiny node has almost as many classes as documents; scikit-learn then wonders whether they are numbers.
        warnings.filterwarnings("ignore", "The number of unique classes", UserWarning)
        solver.fit(features, codes)
    converged = True
    for warning in caught:
        if issubclass(warning.category, ConvergenceWarning):
            converged = False
        else:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    weights, bias = solver.coef_, solver.intercept_  # (labels, terms), (labels,)
    if len(weights) == 1:  # halves with opposite signs: the same difference, so the same decision and probability
        weights, bias = np.concatenate([-weights / 2, weights / 2]), np.concatenate([-bias / 2, bias / 2])
    weights = np.ascontiguousarray(weights.T, np.float32)  # (terms, labels)
    facts = {"solver": getattr(solver, "solver", "liblinear"), "converged": converged}
    return LinearClassifier(idf, weights, bias.astype(np.float32)), facts


def _linear_solver(settings: LinearSettings, num_weights: int, seed: int) -> LinearSVC | LogisticRegression:
    """scikit-learn's solver of the settings.

    Logistic regression takes L-BFGS as long as its memory allows. With 5000 abstracts, 130 labels and 175,000 terms it
    took 6.4 GB and 130 s, SAGA 0.9 GB and 32 s to the same likelihood; but of few documents SAGA learns the biases
    slowly.

    Source: LIBLINEAR, Fan et al. (2008), JMLR 9; SAGA, Defazio et al. (2014), NeurIPS; both as in scikit-learn.
    """
    if settings.classifier == "svm":
        return LinearSVC(C=settings.c, dual="auto", random_state=seed, max_iter=_SVM_ITERATIONS)
    how = _LBFGS if num_weights <= _LBFGS_WEIGHTS else _SAGA
    return LogisticRegression(C=settings.c, random_state=seed, **how)
