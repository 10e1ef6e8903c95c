"""Versions of the feature steps' output; increase a version when a step writes different output for the same input.

The versions are part of the names of the steps' caches and of every result computed from them. They have a module of
their own so that a result can be named without importing the libraries of the steps.
"""

from importlib.metadata import PackageNotFoundError, version

TOKENS_VERSION = 1
WORDS_VERSION = 1
VECTORS_VERSION = 1
NGRAMS_VERSION = 1
LAYER_VECTORS_VERSION = 1
TOKEN_STATES_VERSION = 1


def package_version(package: str) -> str | None:
    """Return the version of an installed distribution; None if it is missing (onnxruntime may be onnxruntime-gpu)."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def segmentation_version(unit: str) -> list[object]:
    """Return the versions that decide segmentation into ``words`` or ``chars``: ours and jieba's."""
    return [WORDS_VERSION, version("jieba") if unit == "words" else None]


def vectors_version(trained: bool) -> list[object]:
    """Return the versions that decide vocabulary and vectors: ours, and gensim's if it trains the vectors."""
    return [VECTORS_VERSION, version("gensim") if trained else None]
