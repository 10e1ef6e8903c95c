"""Metrics of hierarchical classification: torchmetrics classes and the array functions that they are built on."""

from patent_hier.evaluation.calibration_error import expected_calibration_error
from patent_hier.evaluation.macro_f1 import macro_f1
from patent_hier.evaluation.metrics import Hierarchical, bootstrap_interval, f1_of_counts, wilson_interval
from patent_hier.evaluation.torch_metrics import HierarchicalF1, LevelAccuracy

__all__ = [
    "Hierarchical",
    "HierarchicalF1",
    "LevelAccuracy",
    "bootstrap_interval",
    "expected_calibration_error",
    "f1_of_counts",
    "macro_f1",
    "wilson_interval",
]
