"""The rule that turns the probabilities of a level's labels into a set of labels: a threshold from calibration."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from patent_hier.data.labels import DocumentLabels
from patent_hier.errors import ArtifactError
from patent_hier.evaluation.contract import NetworkPredictions
from patent_hier.evaluation.label_sets import Mask, ranked_hits, true_sets
from patent_hier.evaluation.level_scores import KEPT, LevelScores
from patent_hier.sanitize import shown
from patent_hier.taxonomy.arithmetic import best_columns


@dataclass(frozen=True)
class SetRule:
    """Which labels of a level a document gets: the best one, and all others from a probability on.

    A softmax gives shares: where a model learns from all symbols, a document with two of them has some .5 for each. So
    the threshold is far below one half. There is one for each level; of the thresholds it has the highest micro-F1 on
    documents that nothing was trained on. On real titles with 1.9 subclasses each, a share of the best label's
    probability did worse in the place of a threshold (micro-F1 lower by .01 to .04), and beside it no better.

    Attributes:
        documents: How many chose the thresholds.
        thresholds: By level a joint probability, 0 to 1.
    """

    documents: int
    thresholds: dict[str, float]

    @classmethod
    def fit(cls, system: NetworkPredictions, labels: DocumentLabels) -> Self:
        """Choose the thresholds.

        Args:
            system: Recalibrated predictions of ``n`` documents, one or more.
            labels: Of these, in their order.
        """
        thresholds = {
            own.level: _best_threshold(own, true_sets(system.tree, own.level, labels)) for own in system.levels
        }
        return cls(len(system), thresholds)

    def choose(self, level: str, log_prob: NDArray[np.float32]) -> Mask:
        """Which labels documents get at a level; at least one, at most :data:`KEPT` (20).

        Args:
            level: One of ``thresholds``.
            log_prob: ``(n, k)`` joint log-probabilities of all labels of the level or of the best ones, in any order.

        Returns:
            ``(n, k)``; of equals the first.
        """
        best = best_columns(log_prob, KEPT)
        enough = np.take_along_axis(log_prob, best, axis=1) >= np.log(self.thresholds[level])
        enough[:, 0] = True
        inside = np.zeros(log_prob.shape, np.bool_)
        np.put_along_axis(inside, best, enough, axis=1)
        return inside

    @classmethod
    def from_dict(cls, content: Any, levels: Sequence[str]) -> Self | None:
        """The rule of ``dataclasses.asdict``; None for None.

        Args:
            content: Of any origin.
            levels: Those of the system.

        Raises:
            ArtifactError: If it is something else.
        """
        if content is None:
            return None
        try:
            given: Mapping[str, Any] = content["thresholds"]
            rule = cls(int(content["documents"]), {level: float(given[level]) for level in levels})
            if not all(0 < value <= 1 for value in rule.thresholds.values()):  # NaN is not either
                raise ValueError("a threshold is out of range")
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise ArtifactError(
                f"a model's thresholds for sets of labels cannot be read ({shown(error)}); export it again"
            ) from error
        return rule


def _best_threshold(own: LevelScores, truth: csr_matrix) -> float:
    """The probability from which on further labels make the highest micro-F1; of equals the highest probability.

    It lies half way (of logarithms) between the last label that gets in and the next one. Documents without a label
    at the level are left out.
    """
    present = np.diff(truth.indptr) > 0
    hits = ranked_hits(own, truth, KEPT)[present]
    _, log_prob = own.best(KEPT)
    values, further = log_prob[present, 1:].astype(np.float64), hits[:, 1 : log_prob.shape[1]]
    order = np.argsort(-values, axis=None, kind="stable")
    order = order[np.isfinite(values.ravel()[order])]
    falling = np.concatenate([[0.0], values.ravel()[order]])  # the place of nothing further: probability 1
    shared = hits[:, 0].sum() + np.concatenate([[0], np.cumsum(further.ravel()[order])])
    f1 = 2 * shared / np.maximum(present.sum() + np.arange(len(falling)) + truth.nnz, 1)
    f1[np.flatnonzero(falling[1:] == falling[:-1])] = -1  # a threshold cannot part equals
    last = int(f1.argmax())
    return float(np.exp(np.append(falling, falling[-1] - 1)[last : last + 2].mean()))
