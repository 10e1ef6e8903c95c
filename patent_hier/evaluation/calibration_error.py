"""Calibration error: the distance between a model's confidence and its accuracy."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from patent_hier.errors import DataError


@dataclass(frozen=True)
class Reliability:
    """Confidence and accuracy of the top prediction, bin by bin: the numbers of a reliability diagram.

    Attributes:
        ece: Expected calibration error, 0 to 1: the distance between accuracy and mean confidence of a bin, averaged
            over all documents.
        max: Largest of these distances, 0 to 1; a single bin with few documents can determine it.
        n_documents: Number of documents in all bins.
        count: Number of documents in each bin. Bin ``i`` of ``m`` holds confidences above ``i / m`` up to
            ``(i + 1) / m``.
        confidence: Mean confidence in each bin; ``None`` for an empty bin.
        accuracy: Fraction of hits in each bin; ``None`` for an empty bin.
    """

    ece: float
    max: float
    n_documents: int
    count: tuple[int, ...]
    confidence: tuple[float | None, ...]
    accuracy: tuple[float | None, ...]


def expected_calibration_error(
    log_prob: NDArray[np.floating[Any]], target_codes: NDArray[np.intp], bins: int = 15
) -> Reliability:
    """Compare the probabilities of the top predictions with their accuracy, in bins of equal width.

    The error depends on the number of bins, so compare only errors with the same ``bins``. It is biased upwards if
    bins hold few documents.

    Args:
        log_prob: ``(n, n_labels)`` natural logarithms of probabilities that sum to 1 in each row.
        target_codes: ``(n,)`` columns of the targets; a negative code is not among the labels and counts as wrong.
        bins: Number of bins between 0 and 1.

    Raises:
        DataError: If the lengths differ, or there is no document or no bin.

    Source: Guo, Pleiss, Sun and Weinberger, "On calibration of modern neural networks", ICML 2017, equations (3) and
    (5) and 15 bins. As there, a confidence of exactly 1 is in the last bin; torchmetrics gives it a bin of its own.
    """
    if len(log_prob) != len(target_codes) or not len(log_prob) or bins < 1:
        raise DataError(
            f"cannot compute the calibration error of {len(log_prob)} predictions for {len(target_codes)} targets in "
            f"{bins} bins; give one prediction for each target and at least one bin"
        )
    confidence = np.exp(log_prob.max(axis=1).astype(np.float64)).clip(max=1)  # float32 may round to just above 1
    top = pd.DataFrame({"confidence": confidence, "accuracy": log_prob.argmax(axis=1) == target_codes})
    bin_of = pd.cut(top["confidence"], np.linspace(0, 1, bins + 1).tolist())
    by_bin = top.groupby(bin_of, observed=False)
    count, means = by_bin.size(), by_bin.mean()  # NaN in empty bins
    gaps = (means["accuracy"] - means["confidence"]).abs()
    confidences, accuracies = (
        tuple(None if np.isnan(mean) else mean for mean in means[name].tolist()) for name in ("confidence", "accuracy")
    )
    ece = float((gaps * count).sum() / len(top))
    return Reliability(ece, float(gaps.max()), len(top), tuple(count.tolist()), confidences, accuracies)
