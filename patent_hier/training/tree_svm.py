"""Fit one-against-siblings support vector machines for all labels of a tree: one vocabulary, sparse pruned weights."""

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from sklearn.exceptions import ConvergenceWarning
from sklearn.svm import LinearSVC

from patent_hier.evaluation.path_weights import Candidates, fit_path_weights
from patent_hier.models.classical import fit_idf, tf_idf
from patent_hier.models.tree_linear import FITS, KINDS_OF_SCORES, TreeLinear
from patent_hier.progress import item_progress
from patent_hier.settings import LinearSettings
from patent_hier.taxonomy.tree import NONE, LabelTree, Positions
from patent_hier.training.rows import Rows

PRUNED = 0.1  # smaller weights are left out: two thirds of all, for which no accuracy was lost on val
_TOLERANCE = 0.1  # of liblinear's dual; 1e-4 took five times as long and was not more accurate on val
_ITERATIONS = 200
_DEVIATION = 2.0  # of the path weights' prior: negligible from some hundred documents on
_USUAL = {"margin": 0.6, "title": 2.0, "unseen": -2.0}  # path weights before the fit, and without val
_FIT_DOCUMENTS = 4_000  # of val, evenly: more change the path weights in the third digit only
MIN_VAL_DOCUMENTS = 10  # with fewer the usual path weights stay
_CELLS = 1 << 24  # documents x labels at a time


def fit_tree_svm(
    tree: LabelTree, train: Rows, titles: Rows, val: Rows, kept: NDArray[np.intp], settings: LinearSettings, seed: int
) -> tuple[TreeLinear, dict[str, Any]]:
    """Fit the model.

    Args:
        tree: The node's labels: those seen in training and, with titles, those that have a title.
        train: Training documents.
        titles: The labels' titles; may be none.
        val: Validation documents, which fit the path weights.
        kept: Columns of the counts that the model reads, ascending.
        settings: The model.
        seed: Of the order in which liblinear visits documents.

    Returns:
        The model, and facts for the metrics.
    """
    counts = train.counts[:, kept]
    idf = fit_idf(counts)
    features = tf_idf(counts, idf)
    weights, bias, converged = _fit_heads(tree, Rows(features, train.paths, train.weights), settings, seed)
    unseen = np.ones(len(tree), np.bool_)
    unseen[train.paths[train.paths != NONE]] = False
    of_titles = _by_label(tree, tf_idf(titles.counts[:, kept], idf), titles.paths) if len(titles.paths) else None
    kinds = KINDS_OF_SCORES if of_titles is not None else KINDS_OF_SCORES[:1]
    usual = np.array([[_USUAL[kind]] * len(tree.levels) for kind in kinds])
    model = TreeLinear(idf, weights, bias, of_titles, unseen, tree.parents, usual)
    path_weights, documents = _fit_path_weights(model, tree, val, kept, seed)
    model = TreeLinear(idf, weights, bias, of_titles, unseen, tree.parents, path_weights)
    facts = {
        "solver": "liblinear",
        "converged": converged,
        "temperature_fitted": documents > 0,
        "heads": sum(1 for _ in tree.heads()),
        "weights_kept": int(weights.nnz),
        "path_weights": {
            kind: dict(zip(tree.levels, np.round(own, 4).tolist(), strict=True))
            for kind, own in zip(kinds, path_weights, strict=True)
        },
        "path_weights_documents": documents,
    }
    if of_titles is not None:
        facts["label_text"] = {"unseen_labels": int(unseen.sum())}
    return model, facts


def _fit_heads(
    tree: LabelTree, train: Rows, settings: LinearSettings, seed: int
) -> tuple[csr_matrix, NDArray[np.float32], bool]:
    """Weights ``(terms, labels)``, biases ``(labels,)``, and whether every solver converged."""
    entries: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]] = []  # terms, labels, weights
    bias = np.full(len(tree), FITS, np.float32)
    all_converged = True
    heads = list(tree.heads())
    with item_progress(f"fitting {len(heads)} heads", len(heads)) as progress:
        for _, labels in heads:
            rows, codes = train.under(labels, tree.levels.index(tree.level_of(labels.start)))
            present, codes = np.unique(codes, return_inverse=True)
            if len(present) > 1:
                terms, weights, own_bias, converged = _fit_head(rows, codes, settings, seed)
                bias[labels.start + present] = own_bias
                label, term = np.nonzero(np.abs(weights) >= PRUNED)
                entries.append((terms[term], labels.start + present[label], weights[label, term].astype(np.float32)))
                all_converged &= converged
            progress(1)
    terms, owners, values = (np.concatenate(parts) for parts in zip(*entries, strict=True))
    weights = csr_matrix((values, (terms, owners)), shape=(train.counts.shape[1], len(tree)), dtype=np.float32)
    return weights, bias, all_converged


def _fit_head(
    rows: Rows, codes: NDArray[np.intp], settings: LinearSettings, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64], bool]:
    """Solve one head on the terms that its documents have: a dense vector for each label is then short.

    Returns:
        The terms ``(k,)``, weights ``(labels, k)``, biases ``(labels,)``, and whether the solver converged.
    """
    terms, own = np.unique(rows.counts.indices, return_inverse=True)
    features = csr_matrix((rows.counts.data, own, rows.counts.indptr), shape=(rows.counts.shape[0], len(terms)))
    solver = LinearSVC(C=settings.c, dual=True, tol=_TOLERANCE, max_iter=_ITERATIONS, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # ``n_iter_`` says it
        warnings.filterwarnings("ignore", "The number of unique classes", UserWarning)  # few documents, many labels
        solver.fit(features, codes, sample_weight=rows.weights)
    weights, bias = solver.coef_, solver.intercept_  # (labels, k), (labels,)
    if len(weights) == 1:  # of two labels scikit-learn learns only what tells the second
        weights, bias = np.concatenate([-weights, weights]), np.concatenate([-bias, bias])
    return terms.astype(np.int64), weights, bias, int(np.max(solver.n_iter_)) < _ITERATIONS


def _by_label(tree: LabelTree, features: csr_matrix, paths: Positions) -> csr_matrix:
    """The titles' features ``(terms, labels)``; of a label with several titles the first counts.

    A leaf that repeats its parent's code has its parent's title.
    """
    title = np.full(len(tree), NONE, np.intp)
    labels, first = np.unique(paths.max(axis=1), return_index=True)  # a title is its deepest label's
    title[labels] = first
    parents = tree.parents
    repeats = np.flatnonzero((title == NONE) & (parents != NONE) & (tree.codes == tree.codes[parents]))
    title[repeats] = title[parents[repeats]]
    titled = np.flatnonzero(title != NONE)
    ones = np.ones(len(titled), np.float32)
    placed = csr_matrix((ones, (title[titled], titled)), shape=(features.shape[0], len(tree)))
    return (features.T @ placed).tocsr()


def _fit_path_weights(
    model: TreeLinear, tree: LabelTree, val: Rows, kept: NDArray[np.intp], seed: int
) -> tuple[NDArray[np.float64], int]:
    """The path weights, and how many documents decided them; the usual ones where they are too few."""
    n = val.counts.shape[0]
    if n < MIN_VAL_DOCUMENTS:
        return model.path_weights, 0
    chosen = np.unique(np.linspace(0, n - 1, min(n, _FIT_DOCUMENTS)).astype(np.intp))
    step = max(1, _CELLS // len(tree))
    parts, rng = [], np.random.default_rng(seed)
    for start in range(0, len(chosen), step):
        rows = chosen[start : start + step]
        measured = model.scores(val.counts[rows][:, kept])
        parts.append(Candidates.choose(tree, measured, model.path_weights, val.paths[rows], rng))
    least = np.zeros_like(model.path_weights)
    least[KINDS_OF_SCORES.index("unseen") :] = -np.inf
    return fit_path_weights(Candidates.joined(parts), model.path_weights, _DEVIATION, least), len(chosen)
