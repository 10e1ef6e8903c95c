"""Hierarchical classification of Chinese patents into the International Patent Classification (IPC)."""

__version__ = "0.1.0"
