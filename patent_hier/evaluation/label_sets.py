"""Sets of labels at one level, true and predicted, as sparse matrices of documents and labels."""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from patent_hier.data.labels import DocumentLabels
from patent_hier.evaluation.level_scores import KEPT, LevelScores
from patent_hier.taxonomy.tree import NONE, LabelTree

Mask = NDArray[np.bool_]


def true_sets(tree: LabelTree, level: str, labels: DocumentLabels) -> csr_matrix:
    """Return the labels of documents at a level, from their main and further symbols, without repetition.

    Args:
        tree: Label tree of the scored system.
        level: Level of the tree.
        labels: Labels of ``n`` documents.

    Returns:
        ``(n, n_labels + n_unseen)`` matrix of ones: the system's labels in its order, then the labels that only the
        corpus has.
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
    """Return the chosen labels of each document as a matrix of ones, ``(n, n_columns)``.

    Args:
        own: Scores of ``n`` documents.
        inside: Mask of the chosen labels among the best :data:`KEPT`, ``(n, k)``.
        n_columns: Number of columns, as in :func:`true_sets`.
    """
    names, _ = own.best(KEPT)
    rows, places = np.nonzero(inside & (names != NONE))
    shape = (len(names), n_columns)
    return _ones(np.sort(np.ravel_multi_index((rows, names[rows, places]), shape)), shape)


def ranked_hits(own: LevelScores, truth: csr_matrix, k: int) -> Mask:
    """Return whether each of the best ``k`` labels is a true label, ``(n, k)``; false if there are fewer labels."""
    names, _ = own.best(k)
    hits = np.zeros((len(names), k), np.bool_)
    rows, places = np.nonzero(names != NONE)
    hits[rows, places] = np.asarray(truth[rows, names[rows, places]]).ravel() > 0
    return hits


def _ones(cells: NDArray[np.int64], shape: tuple[int, int]) -> csr_matrix:
    """Return a matrix with ones in the given cells, which must be ascending and distinct."""
    rows, columns = np.unravel_index(cells, shape)
    starts = np.searchsorted(rows, np.arange(shape[0] + 1))
    return csr_matrix((np.ones(len(cells), np.int64), columns, starts), shape=shape)
