"""The rule that turns the probabilities of a level's labels into a label set: a threshold chosen on calibration."""

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
    """The rule for a document's label set at each level: the best label, and all others above a threshold.

    The probabilities of a softmax sum to 1: if a model learns from all symbols, a document with two symbols gets about
    0.5 for each. So thresholds are far below 0.5. The threshold of a level has the highest micro-F1 on documents that
    were not used for training. On real titles with 1.9 subclasses each, a threshold relative to the probability of the
    best label was worse (micro-F1 lower by 0.01 to 0.04), and no better if both were used.

    Attributes:
        documents: Number of documents that the thresholds were chosen on.
        thresholds: Joint probability by level, 0 to 1.
    """

    documents: int
    thresholds: dict[str, float]

    @classmethod
    def fit(cls, system: NetworkPredictions, labels: DocumentLabels) -> Self:
        """Choose the thresholds.

        Args:
            system: Recalibrated predictions for ``n`` documents, one or more.
            labels: Labels of these documents, in the same order.
        """
        thresholds = {
            own.level: _best_threshold(own, true_sets(system.tree, own.level, labels)) for own in system.levels
        }
        return cls(len(system), thresholds)

    def choose(self, level: str, log_prob: NDArray[np.float32]) -> Mask:
        """Choose the label sets of documents at a level, with at least one and at most :data:`KEPT` (20) labels.

        Args:
            level: Level of the labels, which must be in ``thresholds``.
            log_prob: ``(n, k)`` joint log-probabilities of all labels of the level or of the best ones, in any order.

        Returns:
            Mask of the chosen labels, ``(n, k)``; ties go to the first label.
        """
        best = best_columns(log_prob, KEPT)
        enough = np.take_along_axis(log_prob, best, axis=1) >= np.log(self.thresholds[level])
        enough[:, 0] = True
        inside = np.zeros(log_prob.shape, np.bool_)
        np.put_along_axis(inside, best, enough, axis=1)
        return inside

    @classmethod
    def from_dict(cls, content: Any, levels: Sequence[str]) -> Self | None:
        """Rebuild the rule from the output of ``dataclasses.asdict``; None stays None.

        Args:
            content: Content of a file, which may be untrusted.
            levels: Levels of the system.

        Raises:
            ArtifactError: If the content is not a rule for these levels.
        """
        if content is None:
            return None
        try:
            given: Mapping[str, Any] = content["thresholds"]
            rule = cls(int(content["documents"]), {level: float(given[level]) for level in levels})
            if not all(0 < value <= 1 for value in rule.thresholds.values()):  # this also rejects NaN
                raise ValueError("a threshold is out of range")
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise ArtifactError(
                f"the model's thresholds for label sets cannot be read ({shown(error)}); export the model again"
            ) from error
        return rule


def _best_threshold(own: LevelScores, truth: csr_matrix) -> float:
    """Return the threshold for further labels with the highest micro-F1; the highest of several equally good ones.

    The threshold is halfway, in logarithms, between the last label inside and the next one. Documents without a label
    at the level are left out.
    """
    present = np.diff(truth.indptr) > 0
    hits = ranked_hits(own, truth, KEPT)[present]
    _, log_prob = own.best(KEPT)
    values, further = log_prob[present, 1:].astype(np.float64), hits[:, 1 : log_prob.shape[1]]
    order = np.argsort(-values, axis=None, kind="stable")
    order = order[np.isfinite(values.ravel()[order])]
    falling = np.concatenate([[0.0], values.ravel()[order]])  # first entry: no further labels, threshold 1
    shared = hits[:, 0].sum() + np.concatenate([[0], np.cumsum(further.ravel()[order])])
    f1 = 2 * shared / np.maximum(present.sum() + np.arange(len(falling)) + truth.nnz, 1)
    f1[np.flatnonzero(falling[1:] == falling[:-1])] = -1  # a threshold cannot separate ties
    last = int(f1.argmax())
    return float(np.exp(np.append(falling, falling[-1] - 1)[last : last + 2].mean()))
