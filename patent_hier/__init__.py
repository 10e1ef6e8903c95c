"""Hierarchical classification of Chinese patents into the International Patent Classification (IPC)."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from patent_hier.inference.classifier import HierarchicalClassifier
    from patent_hier.models.registry import register_network
    from patent_hier.pipeline.datamodule import PatentDataModule
    from patent_hier.settings.models import ModelSettings
    from patent_hier.taxonomy.tree import LabelTree
    from patent_hier.training.module import PatentClassifier

__version__ = "0.2.0"
__all__ = [
    "HierarchicalClassifier",
    "LabelTree",
    "ModelSettings",
    "PatentClassifier",
    "PatentDataModule",
    "__version__",
    "register_network",
]

_HOMES = {
    "HierarchicalClassifier": "patent_hier.inference.classifier",
    "LabelTree": "patent_hier.taxonomy.tree",
    "ModelSettings": "patent_hier.settings.models",
    "PatentClassifier": "patent_hier.training.module",
    "PatentDataModule": "patent_hier.pipeline.datamodule",
    "register_network": "patent_hier.models.registry",
}


def __getattr__(name: str) -> Any:
    """Import a public name on first use: most of them import torch, which takes seconds."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
