"""Documents as rows of a sparse matrix with their labels, the training data of classical models."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from patent_hier.models.ngram_features import ContextBlock
from patent_hier.taxonomy.tree import Positions

MIN_VAL_DOCUMENTS = 10  # with fewer validation documents, neither temperatures nor path weights are fitted


@dataclass(frozen=True, eq=False)
class Rows:
    """Documents as rows of counts, with their labels; a document with several symbols has several rows.

    Attributes:
        counts: N-gram counts, or features computed from them, ``(n, ngrams)``.
        paths: Path of each row, ``(n, n_levels)``.
        weights: Weight of each row, ``(n,)``; the rows of a document sum to 1. None if each document has one row.
        owners: Document that each row belongs to, ``(n,)``; None if each document has one row.
        context: Columns of context, and their weight; None without context.
        importance: How much each row's document counts compared with others, ``(n,)``; None if all count the same. It
            is already included in ``weights``.
    """

    counts: csr_matrix
    paths: Positions
    weights: NDArray[np.float64] | None = None
    owners: NDArray[np.int64] | None = None
    context: ContextBlock | None = None
    importance: NDArray[np.float64] | None = None

    def under(self, labels: slice, level: int) -> tuple["Rows", NDArray[np.int64]]:
        """Return the rows whose label is one of the siblings ``labels``, and the label codes, ``(n,)``."""
        column = self.paths[:, level]
        chosen = np.flatnonzero((column >= labels.start) & (column < labels.stop))
        weights = None if self.weights is None else self.weights[chosen]
        owners = None if self.owners is None else self.owners[chosen]
        importance = None if self.importance is None else self.importance[chosen]
        rows = Rows(self.counts[chosen], self.paths[chosen], weights, owners, self.context, importance)
        return rows, column[chosen].astype(np.int64) - labels.start
