"""Versions of what each step of the features writes for equal inputs; raise one when that changes.

They are part of the names of the steps' caches and of every result made from them. Apart from the steps, so that a
result can be named without importing their libraries.
"""

from importlib.metadata import PackageNotFoundError, version

TOKENS_VERSION = 1
WORDS_VERSION = 1
VECTORS_VERSION = 1
NGRAMS_VERSION = 1
LAYER_VECTORS_VERSION = 1
TOKEN_STATES_VERSION = 1


def package_version(package: str) -> str | None:
    """Of an installed distribution; None where there is none of that name (onnxruntime may be onnxruntime-gpu)."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def segmentation_version(unit: str) -> list[object]:
    """Of segmenting into ``words`` or ``chars``: ours, and jieba's."""
    return [WORDS_VERSION, version("jieba") if unit == "words" else None]


def vectors_version(trained: bool) -> list[object]:
    """Of vocabulary and vectors: ours, and gensim's where it trains them."""
    return [VECTORS_VERSION, version("gensim") if trained else None]
