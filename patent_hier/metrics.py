"""Scores of hierarchical classification: torchmetrics classes, and the plain functions of arrays that they stand on."""

from patent_hier.evaluation.calibration_error import expected_calibration_error
from patent_hier.evaluation.metrics import (
    Hierarchical,
    accuracy,
    bootstrap_interval,
    confusion,
    hierarchical_scores,
    macro_f1,
    top_k_accuracy,
    wilson_interval,
)
from patent_hier.evaluation.torch_metrics import HierarchicalF1, LevelAccuracy

__all__ = [
    "Hierarchical",
    "HierarchicalF1",
    "LevelAccuracy",
    "accuracy",
    "bootstrap_interval",
    "confusion",
    "expected_calibration_error",
    "hierarchical_scores",
    "macro_f1",
    "top_k_accuracy",
    "wilson_interval",
]
