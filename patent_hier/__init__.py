"""Hierarchical classification of Chinese patents into the International Patent Classification (IPC)."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from patent_hier.inference.classifier import HierarchicalClassifier

__version__ = "0.1.0"
__all__ = ["HierarchicalClassifier", "__version__"]


def __getattr__(name: str) -> Any:
    """What takes time to import comes when it is asked for."""
    if name == "HierarchicalClassifier":
        from patent_hier.inference.classifier import HierarchicalClassifier

        return HierarchicalClassifier
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
