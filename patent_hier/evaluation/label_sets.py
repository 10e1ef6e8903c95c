"""Sets of labels at one level, true and predicted, as sparse matrices of documents and labels."""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from patent_hier.data.labels import DocumentLabels
from patent_hier.evaluation.level_scores import KEPT, LevelScores
from patent_hier.taxonomy.tree import NONE, LabelTree

Mask = NDArray[np.bool_]


def true_sets(tree: LabelTree, level: str, labels: DocumentLabels) -> csr_matrix:
    """The labels that documents have at a level, by their main and further symbols, each once.

    Args:
        tree: Of the system that is scored.
        level: One of its levels.
        labels: Of ``n`` documents.

    Returns:
        ``(n, n_labels + n_unseen)`` of ones: the system's labels in its order, then those that only the corpus has.
    """
    place = labels.tree.levels.index(level)
    owners = np.concatenate([np.arange(len(labels)), labels.owners])
    positions = np.concatenate([labels.main[:, place], labels.further[:, place]])
    known, own = tree.span(level), labels.tree.span(level)
    columns = tree.find(level, labels.tree.codes[own]).astype(np.int64)
    unseen = columns == NONE
    columns -= known.start
    columns[unseen] = known.stop - known.start + np.arange(unseen.sum())
    inside = positions != NONE
    cells = owners[inside], columns[positions[inside] - own.start]
    shape = (len(labels), known.stop - known.start + int(unseen.sum()))
    return _ones(np.unique(np.ravel_multi_index(cells, shape)), shape)


def chosen_sets(own: LevelScores, inside: Mask, n_columns: int) -> csr_matrix:
    """Some of the kept labels of each document as a matrix of ones, ``(n, n_columns)``.

    Args:
        own: Scores of ``n`` documents.
        inside: Which of the best :data:`KEPT` labels, ``(n, k)``.
        n_columns: As of :func:`true_sets`.
    """
    names, _ = own.best(KEPT)
    rows, places = np.nonzero(inside & (names != NONE))
    shape = (len(names), n_columns)
    return _ones(np.sort(np.ravel_multi_index((rows, names[rows, places]), shape)), shape)


def ranked_hits(own: LevelScores, truth: csr_matrix, k: int) -> Mask:
    """Whether each of the best ``k`` labels is one of the document's, ``(n, k)``; false where there are fewer."""
    names, _ = own.best(k)
    hits = np.zeros((len(names), k), np.bool_)
    rows, places = np.nonzero(names != NONE)
    hits[rows, places] = np.asarray(truth[rows, names[rows, places]]).ravel() > 0
    return hits


def _ones(cells: NDArray[np.int64], shape: tuple[int, int]) -> csr_matrix:
    """A matrix of ones in the given cells, ascending and each once."""
    rows, columns = np.unravel_index(cells, shape)
    starts = np.searchsorted(rows, np.arange(shape[0] + 1))
    return csr_matrix((np.ones(len(cells), np.int64), columns, starts), shape=shape)
