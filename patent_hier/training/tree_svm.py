"""Fit one-against-siblings support vector machines for all labels of a tree, with one vocabulary and sparse weights."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, vstack

from patent_hier.evaluation.path_weights import NOVELTY, Candidates, fit_path_weights
from patent_hier.models.ngram_features import fit_idf, tf_idf
from patent_hier.models.tree_linear import FITS, KINDS_OF_SCORES, TreeLinear
from patent_hier.progress import item_progress
from patent_hier.settings import LinearSettings
from patent_hier.taxonomy.tree import NONE, LabelTree, Positions
from patent_hier.training.liblinear import fit_machines
from patent_hier.training.rows import MIN_VAL_DOCUMENTS, Rows

PRUNED = 0.1  # weights with a smaller absolute value are dropped, as in PECOS
_TOLERANCE, _ITERATIONS = 0.1, 200  # of liblinear's dual, also as in PECOS
_DEVIATION = 2.0  # of the path weights' prior, negligible with a few hundred documents or more
_USUAL = {"margin": 0.6, "title": 2.0, "unseen": -2.0}  # initial path weights, also used without val
_FIT_DOCUMENTS = 4_000  # validation documents used, evenly spaced: bounds time and memory
_CELLS = 1 << 20  # documents x labels at a time: about the size of the processor's cache


@dataclass(frozen=True, eq=False)
class Earlier:
    """An earlier model, most of whose heads stay unchanged.

    Attributes:
        model: The earlier model; the rows to fit are counts of its n-grams.
        tree: Its label tree.
        heads: Heads to solve again, each a pair of the level of its labels and the label above them. Heads whose labels
            have changed are solved again too.
    """

    model: TreeLinear
    tree: LabelTree
    heads: Collection[tuple[str, str]]

    def place(self, tree: LabelTree, parent: int, labels: slice) -> slice | None:
        """Return the positions of a new head's labels in the old tree; None if the head must be solved again."""
        level = tree.level_of(labels.start)
        above = self.tree.root if parent == NONE else str(tree.codes[parent])
        if (level, above) in self.heads or level not in self.tree.levels:
            return None
        old = self.tree.find(level, tree.codes[labels].tolist())
        first, size = int(old[0]), labels.stop - labels.start
        same = first != NONE and np.array_equal(old, np.arange(first, first + size))
        if not same or len(self.tree.codes[self.tree.children(int(self.tree.parents[first]))]) != size:
            return None
        return slice(first, first + size)


def fit_tree_svm(
    tree: LabelTree,
    train: Rows,
    titles: Rows,
    val: Rows,
    kept: NDArray[np.intp],
    settings: LinearSettings,
    seed: int,
    earlier: Earlier | None = None,
) -> tuple[TreeLinear, dict[str, Any]]:
    """Fit the support vector machines and the path weights of a whole tree.

    Args:
        tree: The node's label tree: labels seen in training and, with titles, labels that have a title.
        train: Training documents.
        titles: The labels' titles; may be empty.
        val: Validation documents, which determine the path weights.
        kept: Columns of the counts that the model reads, ascending.
        settings: Settings of the model.
        seed: Seed of the order in which liblinear visits documents.
        earlier: A model whose IDF, path weights and unchanged heads are kept; None to fit everything.

    Returns:
        The model, and facts for the metrics file.
    """
    counts = train.counts[:, kept]
    idf, context = fit_idf(counts), train.context and train.context.among(kept)
    if earlier is not None:
        idf, context = earlier.model.idf, earlier.model.context
    unseen = np.ones(len(tree), np.bool_)
    unseen[train.paths[train.paths != NONE]] = False
    learnt, of_titles = replace(train, counts=tf_idf(counts, idf, context)), None
    if len(titles.paths):
        of_titles = _by_label(tree, tf_idf(titles.counts[:, kept], idf, context), titles.paths)
        learnt = _with_titles(learnt, of_titles, unseen, tree)
    weights, bias, converged, solved = _fit_heads(tree, learnt, settings, seed, earlier)
    kinds = KINDS_OF_SCORES if of_titles is not None else KINDS_OF_SCORES[:1]
    usual = np.array([[_USUAL[kind]] * len(tree.levels) for kind in kinds])
    model = TreeLinear(idf, weights, bias, of_titles, unseen, tree.parents, usual, context)
    path_weights, documents = _fit_path_weights(model, tree, val, kept, seed)
    if earlier is not None and earlier.model.path_weights.shape == path_weights.shape:
        path_weights, documents = earlier.model.path_weights, 0
    model = replace(model, path_weights=path_weights)
    facts = {
        "solver": "liblinear",
        "converged": converged,
        "temperature_fitted": documents > 0,
        "heads": sum(1 for _ in tree.heads()),
        **({} if earlier is None else {"heads_solved_again": solved}),
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


def _with_titles(train: Rows, of_titles: csr_matrix, unseen: NDArray[np.bool_], tree: LabelTree) -> Rows:
    """Return the training documents and, for labels without documents, their titles as the only examples.

    Such a title is an example only in the head of its label's parent. As examples of all labels above, titles would
    outnumber the documents, and they are a different type of text.
    """
    by_label = of_titles.T.tocsr()
    new = np.flatnonzero(unseen & (np.diff(by_label.indptr) > 0))
    paths = np.full((len(new), len(tree.levels)), NONE, np.int32)
    paths[np.arange(len(new)), np.searchsorted(tree.bounds, new, side="right") - 1] = new
    owners = train.owners
    if owners is not None:
        owners = np.concatenate([owners, owners.max(initial=0) + 1 + np.arange(len(new))])
    importance = train.importance
    if importance is not None:
        importance = np.concatenate([importance, np.ones(len(new))])
    features = vstack([train.counts, by_label[new]], format="csr")
    # The weights of a document's symbols are left out, because no solver here reads them.
    return Rows(features, np.concatenate([train.paths, paths]), owners=owners, importance=importance)


def _fit_heads(
    tree: LabelTree, train: Rows, settings: LinearSettings, seed: int, earlier: Earlier | None
) -> tuple[csr_matrix, NDArray[np.float32], bool, int]:
    """Return weights ``(ngrams, labels)``, biases ``(labels,)``, whether all converged, and the number solved."""
    # n-grams, labels, weights; only these empty arrays remain if no head has two labels with examples
    entries = [(np.empty(0, np.int64), np.empty(0, np.intp), np.empty(0, np.float32))]
    bias = np.full(len(tree), FITS, np.float32)
    all_converged, solved = True, 0
    heads = list(tree.heads())
    columns = None if earlier is None else earlier.model.weights.tocsc()
    with item_progress(f"fitting {len(heads)} heads", len(heads)) as progress:
        for parent, labels in heads:
            if earlier and columns is not None and (old := earlier.place(tree, parent, labels)) is not None:
                bias[labels] = earlier.model.bias[old]
                own = columns[:, old].tocoo()
                entries.append((own.row.astype(np.int64), labels.start + own.col.astype(np.intp), own.data))
                progress(1)
                continue
            solved += 1
            rows, codes = train.under(labels, tree.levels.index(tree.level_of(labels.start)))
            present, codes = np.unique(codes, return_inverse=True)
            if len(present) > 1:
                head = _fit_head(rows, codes, settings, seed)
                bias[labels.start + present] = head.bias
                label, ngram = np.nonzero(np.abs(head.weights) >= PRUNED)
                values = head.weights[label, ngram].astype(np.float32)
                entries.append((head.ngrams[ngram], labels.start + present[label], values))
                all_converged &= head.converged
            progress(1)
    ngrams, owners, values = (np.concatenate(parts) for parts in zip(*entries, strict=True))
    weights = csr_matrix((values, (ngrams, owners)), shape=(train.counts.shape[1], len(tree)), dtype=np.float32)
    return weights, bias, all_converged, solved


@dataclass(frozen=True, eq=False)
class _Head:
    ngrams: NDArray[np.int64]  # (k,)
    weights: NDArray[np.float64]  # (labels, k)
    bias: NDArray[np.float64]  # (labels,)
    converged: bool


def _fit_head(rows: Rows, codes: NDArray[np.intp], settings: LinearSettings, seed: int) -> _Head:
    """Solve one head on the n-grams of its documents only, which keeps each label's dense vector short."""
    ngrams, own = _distinct(rows.counts.indices, rows.counts.shape[1])
    features = csr_matrix((rows.counts.data, own, rows.counts.indptr), shape=(rows.counts.shape[0], len(ngrams)))
    if rows.owners is not None and len(np.unique(rows.owners)) < len(rows.owners):
        weights, bias, converged = _fit_each(features, codes, rows, settings, seed)
    else:
        weights, bias, converged = _solve(features, codes, rows.importance, settings, seed)
        if len(weights) == 1:  # for two labels scikit-learn fits only the second
            weights, bias = np.concatenate([-weights, weights]), np.concatenate([-bias, bias])
    return _Head(ngrams.astype(np.int64), weights, bias, converged)


def _distinct(indices: NDArray[np.int32], size: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the distinct numbers below ``size``, ascending, and the index among them of each number."""
    if 8 * len(indices) < size:
        return np.unique(indices, return_inverse=True)
    place = np.zeros(size, np.intp)  # for many numbers, a table is faster than sorting
    place[indices] = 1
    distinct = np.flatnonzero(place)
    place[distinct] = np.arange(len(distinct))
    return distinct, place[indices]


def _fit_each(
    features: csr_matrix, codes: NDArray[np.intp], rows: Rows, settings: LinearSettings, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], bool]:
    """Solve each label separately, because a document with several symbols is an example of several labels."""
    assert rows.owners is not None  # the caller checks this
    _, first, place = np.unique(rows.owners, return_index=True, return_inverse=True)
    importance = None if rows.importance is None else rows.importance[first]
    features, num_labels = features[first], int(codes.max()) + 1
    belongs = np.zeros((len(first), num_labels), np.bool_)
    belongs[place, codes] = True
    weights, bias = np.zeros((num_labels, features.shape[1])), np.full(num_labels, FITS)
    converged = True
    for label in np.flatnonzero(~belongs.all(axis=0)):  # a label that all documents have needs no weights
        own, own_bias, ended = _solve(features, belongs[:, label], importance, settings, seed)
        weights[label], bias[label] = own[0], own_bias[0]
        converged &= ended
    return weights, bias, converged


def _solve(
    features: csr_matrix,
    codes: NDArray[Any],
    importance: NDArray[np.float64] | None,
    settings: LinearSettings,
    seed: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64], bool]:
    """Return weights ``(labels, k)`` and biases ``(labels,)``, one row for two labels, and whether it converged."""
    found = fit_machines(features, codes.astype(np.int64), settings.c, _TOLERANCE, _ITERATIONS, seed, importance)
    return found.weights, found.bias, found.iterations < _ITERATIONS


def _by_label(tree: LabelTree, features: csr_matrix, paths: Positions) -> csr_matrix:
    """Return the titles' features ``(ngrams, labels)``; if a label has several titles, the first counts.

    A leaf that repeats its parent's code has its parent's title.
    """
    title = np.full(len(tree), NONE, np.intp)
    labels, first = np.unique(paths.max(axis=1), return_index=True)  # a title belongs to its deepest label
    title[labels] = first
    parents = tree.parents
    repeats = np.flatnonzero((title == NONE) & (parents != NONE) & (tree.codes == tree.codes[parents]))
    title[repeats] = title[parents[repeats]]
    titled = np.flatnonzero(title != NONE)
    ones = np.ones(len(titled), np.float32)
    placed = csr_matrix((ones, (title[titled], titled)), shape=(features.shape[0], len(tree)))
    return (features.T @ placed).tocsr()  # (n-grams, labels)


def _fit_path_weights(
    model: TreeLinear, tree: LabelTree, val: Rows, kept: NDArray[np.intp], seed: int
) -> tuple[NDArray[np.float64], int]:
    """Return the path weights and the number of documents used; the initial weights if there are too few."""
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
    fitted = fit_path_weights(Candidates.joined(parts), model.path_weights, _DEVIATION, least)
    fitted[KINDS_OF_SCORES.index("unseen") :] += NOVELTY
    return fitted, len(chosen)
