"""Fit one node's classical model on n-gram counts: scikit-learn fits it, and the result is stored as plain arrays."""

import time
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, vstack
from threadpoolctl import threadpool_limits

from patent_hier.errors import ConfigError, DataError
from patent_hier.features.ngram_store import JoinedNgrams, NgramStore, context_start
from patent_hier.models.classical import LinearClassifier, NaiveBayesClassifier, NeighboursClassifier, NgramModel
from patent_hier.models.ngram_features import ContextBlock, fit_idf, tf_idf
from patent_hier.models.ngram_heads import Head, NgramHeads
from patent_hier.models.tree_linear import TreeLinear
from patent_hier.progress import item_progress
from patent_hier.settings import LinearSettings, NeighboursSettings, NgramSettings
from patent_hier.taxonomy.tree import NONE, Positions
from patent_hier.training.context_weight import Fit, fit_with_context
from patent_hier.training.node_data import NodeView
from patent_hier.training.rows import MIN_VAL_DOCUMENTS, Rows
from patent_hier.training.solvers import Problem, fit_temperature, solve, solve_weighted
from patent_hier.training.tree_svm import Earlier, fit_tree_svm

_MOST_BYTES = 16e9  # limit for dense weights


def fit_ngrams(view: NodeView[NgramStore | JoinedNgrams], settings: NgramSettings, seed: int) -> Fit:
    """Fit the configured model, one head per parent; n-grams and IDF come from the training documents only.

    Args:
        view: The node's documents. The ``val`` documents are used only to fit the temperature of support vector
            machines and to choose the weights of label texts and of context. Label texts add no n-grams and do not
            affect the IDF.
        settings: Settings of the model.
        seed: Seed of the order in which the linear solvers visit documents.

    Returns:
        The model; its columns of the store, ascending, ``(ngrams,)``; and facts for the metrics file. If a solver
        stopped before it converged, ``converged`` is False there.

    Raises:
        DataError: If no n-gram occurs in enough of the training documents.
        ConfigError: If the settings belong to another type of model, or the model cannot learn from such documents.
    """
    start = time.perf_counter()
    rows, first = _rows(view), context_start(view.store.ngrams)
    # One thread: the order of summation, and with it the model, depends on the number of threads.
    with threadpool_limits(limits=1):
        if first == len(view.store.ngrams):
            model, kept, solved = _fit(view, settings, seed, rows)
        else:
            model, kept, solved = fit_with_context(view, rows, first, settings, partial(_fit, view, settings, seed))
    seconds = time.perf_counter() - start
    return model, kept, solved | _facts(model, view.num_documents, len(view.val), len(kept), seconds)


def _fit(view: NodeView[Any], settings: NgramSettings, seed: int, rows: tuple[Rows, Rows, Rows]) -> Fit:
    if isinstance(settings, NeighboursSettings):
        return _fit_neighbours(view, settings, rows[0].context)
    _refuse_size(view, rows[0], settings)
    heads = [view.tree.leaves] if view.flat else [labels for _, labels in view.tree.heads()]
    single = view.flat or (len(heads) == 1 and heads[0] == slice(0, len(view.tree)))
    fit = _fit_single if single else _fit_tree if _is_svm(settings) else fit_heads
    return fit(view, heads, rows, settings, seed)


def _rows(view: NodeView[Any]) -> tuple[Rows, Rows, Rows]:
    """Return training documents, label texts and validation documents."""
    n = view.num_documents
    counts = view.store.rows(view.train[:n])
    importance = weights = None if view.weights is None else view.weights.astype(np.float64)
    paths, owners = _symbols(view)
    if owners is not None:
        counts, weights = counts[owners], 1.0 / np.bincount(owners, minlength=n)[owners]
        if importance is not None:
            importance = importance[owners]
            weights = weights * importance
    texts = Rows(view.store.rows(view.train[n:]), view.train_paths[n:])
    train = Rows(counts, paths, weights, owners, importance=importance)
    return train, texts, Rows(view.store.rows(view.val), view.val_paths)


def _symbols(view: NodeView[Any]) -> tuple[Positions, NDArray[np.int64] | None]:
    """Return the paths of all symbols of the training documents and the owner of each; None if each has one symbol."""
    paths = view.train_paths[: view.num_documents]
    if not len(view.further):
        return paths, None
    is_main = np.flatnonzero(paths[:, -1 if view.flat else 0] != NONE)  # the main symbol may be outside the node
    owners = np.concatenate([is_main, view.further_owners]).astype(np.int64)
    return np.concatenate([paths[is_main], view.further]), owners


def _refuse_size(view: NodeView[Any], train: Rows, settings: NgramSettings) -> None:
    """Raise ConfigError if a single softmax has so many labels that its dense weights exceed the memory limit."""
    if not view.flat:
        return
    ngrams = len(_frequent(train.counts, settings))
    labels = len(view.tree.labels(view.tree.depth))
    if 4 * ngrams * labels > _MOST_BYTES:
        raise ConfigError(
            f"level=flat with {labels} labels and {ngrams} n-grams needs {4 * ngrams * labels / 1e9:.0f} GB of "
            f"weights; use level=hier or level=shared, a shallower data.depth, or a higher model.min_documents"
        )


def _fit_single(
    view: NodeView[Any], heads: list[slice], rows: tuple[Rows, Rows, Rows], settings: NgramSettings, seed: int
) -> Fit:
    level = len(view.tree.levels) - 1
    weights = view.label_share.weights if view.label_share else ()
    train, texts, val = (own.under(heads[0], level) for own in rows)
    fitted = fit_head(train, texts, val, _size(heads[0]), weights, settings, seed)
    if fitted is None:
        raise _no_ngrams(view, settings)
    return fitted


def _fit_tree(
    view: NodeView[Any], heads: list[slice], rows: tuple[Rows, Rows, Rows], settings: NgramSettings, seed: int
) -> Fit:
    assert isinstance(settings, LinearSettings)
    kept = _frequent(rows[0].counts, settings)
    if not len(kept):
        raise _no_ngrams(view, settings)
    model, facts = fit_tree_svm(view.tree, *rows, kept, settings, seed)
    return model, kept, facts


def refit_tree(
    view: NodeView[Any], settings: LinearSettings, seed: int, earlier: Earlier
) -> tuple[TreeLinear, dict[str, Any]]:
    """Fit the changed heads of an earlier model; return the model, and facts for the metrics file.

    Args:
        view: The node's documents, in the new edition of its labels, with counts of the earlier model's n-grams.
        settings: Settings of the model.
        seed: As for :func:`fit_ngrams`.
        earlier: The earlier model, and which of its heads change.
    """
    start = time.perf_counter()
    kept = np.arange(len(view.store.ngrams))
    with threadpool_limits(limits=1):
        model, facts = fit_tree_svm(view.tree, *_rows(view), kept, settings, seed, earlier)
    seconds = time.perf_counter() - start
    return model, facts | _facts(model, view.num_documents, len(view.val), len(kept), seconds)


def _frequent(counts: csr_matrix, settings: NgramSettings) -> NDArray[np.intp]:
    """Return the columns that occur in enough documents, ascending."""
    return np.flatnonzero(np.bincount(counts.indices, minlength=counts.shape[1]) >= settings.min_documents)


def _no_ngrams(view: NodeView[Any], settings: NgramSettings) -> DataError:
    return DataError(
        f"no character n-gram occurs in at least {settings.min_documents} of the node's {view.num_documents} "
        "training documents; lower model.min_documents"
    )


def _size(labels: slice) -> int:
    return int(labels.stop) - int(labels.start)


def fit_heads(
    view: NodeView[Any], heads: list[slice], rows: tuple[Rows, Rows, Rows], settings: NgramSettings, seed: int
) -> Fit:
    """Fit one head per parent; a head without frequent n-grams uses only the frequencies of its labels."""
    weights = view.label_share.weights if view.label_share else ()
    made: list[tuple[Head, NDArray[np.intp]]] = []
    converged = fitted = 0
    with item_progress(f"fitting {len(heads)} heads", len(heads)) as progress:
        for labels in heads:
            level = view.tree.levels.index(view.tree.level_of(labels.start))
            train, texts, val = (part.under(labels, level) for part in rows)
            found = fit_head(train, texts, val, _size(labels), weights, settings, seed)
            if found is None:
                made.append((_prior(labels, train[1]), np.empty(0, np.intp)))
                converged += 1
            else:
                model, kept, facts = found
                assert isinstance(model, LinearClassifier | NaiveBayesClassifier)
                temperature = model.temperature if isinstance(model, LinearClassifier) else 1.0
                weights_of = (model.idf, model.weights, model.bias, temperature, model.context)
                head = Head(labels.start, np.empty(0, np.int32), *weights_of)
                made.append((head, kept))
                converged += facts["converged"]
                fitted += facts["temperature_fitted"]
            progress(1)
    kept = np.unique(np.concatenate([columns for _, columns in made]))
    placed = [replace(head, columns=np.searchsorted(kept, columns).astype(np.int32)) for head, columns in made]
    facts = {"heads": len(heads), "converged": converged == len(heads), "temperature_fitted": fitted == len(heads)}
    context = rows[0].context
    return NgramHeads(placed, len(view.tree), len(kept), context and context.among(kept)), kept, facts


def _prior(labels: slice, codes: NDArray[np.int64]) -> Head:
    counts = np.bincount(codes, minlength=_size(labels)).astype(np.float64)
    empty = np.empty((0, _size(labels)), np.float32)
    bias = np.log((counts + 1) / (counts + 1).sum()).astype(np.float32)
    return Head(labels.start, np.empty(0, np.int32), np.empty(0, np.float32), empty, bias)


def fit_head(
    train: tuple[Rows, NDArray[np.int64]],
    texts: tuple[Rows, NDArray[np.int64]],
    val: tuple[Rows, NDArray[np.int64]],
    num_labels: int,
    label_weights: tuple[float, ...],
    settings: NgramSettings,
    seed: int,
) -> Fit | None:
    """Fit one head.

    Args:
        train: Documents under the parent, and their label codes.
        texts: Label texts under the parent, and their label codes.
        val: Validation documents under the parent, and their label codes.
        num_labels: Number of labels, 2 or more; each has a training document.
        label_weights: Candidate weights of a label text, ascending.
        settings: Settings of the model.
        seed: As for :func:`fit_ngrams`.

    Returns:
        The model, its columns of the store, and facts; None if no n-gram occurs in enough documents.
    """
    (documents, codes), (titles, title_codes), (held_out, val_codes) = train, texts, val
    counts = documents.counts
    kept = _frequent(counts, settings)
    if not len(kept):
        return None
    counts = counts[:, kept]
    idf, context = fit_idf(counts), documents.context and documents.context.among(kept)
    features, weights = tf_idf(counts, idf, context), documents.weights
    has_titles = len(title_codes) > 0
    if has_titles:
        features = vstack([features, tf_idf(titles.counts[:, kept], idf, context)], format="csr")
        codes = np.concatenate([codes, title_codes])
        weights = np.concatenate([np.ones(counts.shape[0]) if weights is None else weights, np.ones(len(title_codes))])
    problem = Problem(features, idf, codes, num_labels, counts.shape[0], settings, seed, weights, context)
    if has_titles:
        model, solved = solve_weighted(problem, label_weights, held_out.counts[:, kept], val_codes)
    else:
        model, solved = solve(problem, weights)
    fitted = False
    if isinstance(model, LinearClassifier) and _is_svm(settings) and len(val_codes) >= MIN_VAL_DOCUMENTS:
        temperature = fit_temperature(model.scores(held_out.counts[:, kept]), val_codes)
        model, fitted = replace(model, temperature=temperature), True
    return model, kept, {**solved, "temperature_fitted": fitted}


def _facts(model: NgramModel, n_train: int, n_val: int, n_ngrams: int, seconds: float) -> dict[str, Any]:
    return {
        "terms": n_ngrams,
        "train_documents": n_train,
        "val_documents": n_val,
        "seconds": round(seconds, 3),
        "documents_per_second": round(n_train / seconds, 1),
        "parameters": model.num_parameters,
        "temperature": model.temperature if isinstance(model, LinearClassifier) else None,
        "threads": 1,
        "device": "cpu",
        "precision": "float32",
    }


def _is_svm(settings: NgramSettings) -> bool:
    return isinstance(settings, LinearSettings) and settings.classifier == "svm"


def _fit_neighbours(view: NodeView[Any], settings: NeighboursSettings, context: ContextBlock | None) -> Fit:
    if view.label_share is not None:
        raise ConfigError(f"model={settings.name} does not support document weights; use data.label_text=null")
    documents = view.store.rows(view.train)
    kept = _frequent(documents, settings)
    if not len(kept):
        raise _no_ngrams(view, settings)
    counts = documents[:, kept]
    idf, context = fit_idf(counts), context and context.among(kept)
    found, owners = _symbols(view)
    paths = found.astype(np.int64)
    families = np.unique(view.tree.parents, return_inverse=True)[1].astype(np.int64)
    if view.flat:
        own = view.tree.leaves
        paths, families = paths[:, -1:] - own.start, np.zeros(own.stop - own.start, np.int64)
    index = tf_idf(counts, idf, context).T.tocsr()
    facts = {"solver": "closed form", "converged": True, "temperature_fitted": False}
    return NeighboursClassifier(idf, index, paths, families, settings.num_neighbours, owners, context), kept, facts
