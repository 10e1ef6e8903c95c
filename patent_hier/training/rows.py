"""Documents as rows of a sparse matrix, with their labels: what classical models are fitted to."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from patent_hier.models.ngram_features import ContextBlock
from patent_hier.taxonomy.tree import Positions

MIN_VAL_DOCUMENTS = 10  # with fewer, validation documents fit neither temperatures nor path weights


@dataclass(frozen=True, eq=False)
class Rows:
    """Documents as rows of counts, with their labels; a document of several symbols has several rows.

    Attributes:
        counts: Term counts, or features made of them, ``(n, ngrams)``.
        paths: ``(n, n_levels)``.
        weights: ``(n,)``, 1 for each document in all; None where each has one row.
        owners: Which document each row is of, ``(n,)``; None where each has one row.
        context: Which columns are of context, and their weight; None where there is none.
        importance: ``(n,)``, how much a row's document counts beside others; None where all count alike. ``weights``
            has it too.
    """

    counts: csr_matrix
    paths: Positions
    weights: NDArray[np.float64] | None = None
    owners: NDArray[np.int64] | None = None
    context: ContextBlock | None = None
    importance: NDArray[np.float64] | None = None

    def under(self, labels: slice, level: int) -> tuple["Rows", NDArray[np.int64]]:
        """The rows with a label among siblings, and its code, ``(n,)``."""
        column = self.paths[:, level]
        chosen = np.flatnonzero((column >= labels.start) & (column < labels.stop))
        weights = None if self.weights is None else self.weights[chosen]
        owners = None if self.owners is None else self.owners[chosen]
        importance = None if self.importance is None else self.importance[chosen]
        rows = Rows(self.counts[chosen], self.paths[chosen], weights, owners, self.context, importance)
        return rows, column[chosen].astype(np.int64) - labels.start
