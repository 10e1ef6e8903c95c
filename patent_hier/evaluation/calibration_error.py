"""How far a model's confidence is from how often it is right."""

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
        ece: Expected calibration error: the mean over documents of their bin's distance between accuracy and mean
            confidence, 0 to 1.
        max: The largest of these distances, 0 to 1; a bin of few documents can decide it.
        n_documents: Documents in all bins.
        count: Documents in each bin. Bin ``i`` of ``m`` holds the confidences above ``i / m`` up to ``(i + 1) / m``.
        confidence: Mean confidence in each bin, ``None`` where it is empty.
        accuracy: Fraction of hits in each bin, ``None`` where it is empty.
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
    """Compare the top predictions' probabilities with how often they are right, in bins of equal width.

    The error depends on the bins, so only errors with equal ``bins`` can be compared, and it is biased upwards where
    bins hold few documents.

    Args:
        log_prob: ``(n, n_labels)`` natural logarithms of probabilities that sum to 1 in each row.
        target_codes: ``(n,)`` columns of the targets; negative: not among the labels, which counts as wrong.
        bins: Number of bins between 0 and 1.

    Raises:
        DataError: If the lengths differ, there is no document or no bin.

    Source: Guo, Pleiss, Sun and Weinberger, "On calibration of modern neural networks", ICML 2017, equations (3) and
    (5) and 15 bins. As there, a confidence of exactly 1 is in the last bin; torchmetrics gives it a bin of its own.
    """
    if len(log_prob) != len(target_codes) or not len(log_prob) or bins < 1:
        raise DataError(
            f"{len(log_prob)} predictions, {len(target_codes)} targets, {bins} bins: no calibration error of these; "
            "give a prediction for each target and at least one bin"
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
