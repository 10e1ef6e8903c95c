"""Texts to token ids: the fast encoder beside the fast tokenizer of transformers, on one core."""

import os
import statistics
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Any

import numpy as np

from patent_hier.bench.architecture import MAX_LENGTH
from patent_hier.errors import ConfigError
from patent_hier.features.fast_wordpiece import FastWordPiece, build_encoder
from patent_hier.features.pretrained import PACKAGED_ENCODERS, EncoderFiles
from patent_hier.features.wordpiece import load_tokenizer

BATCH = 1000
_ENCODER = "small"
_PARALLELISM = "TOKENIZERS_PARALLELISM"
_Encode = Callable[[list[str]], list[list[int]]]


def measure(texts: list[str], repeats: int) -> dict[str, Any]:
    """Encode the texts by both, one after the other, several times.

    Both use the vocabulary of the package's encoder, batches of 1000 and one thread. The peer is called as a user
    would, with truncation and without padding. The fast encoder begins each repeat without remembered runs; its tables
    are made anew each time too, but timed apart, since a corpus of any size needs them once.

    Args:
        texts: At least one.
        repeats: At least one.

    Returns:
        ``documents`` and how many of them have ``different`` ids; ``ours`` and ``peer``, medians in documents per
        second; ``ratio`` of the two, and ``ratio_with_tables`` where making the tables counts as our time, both as
        medians over the repeats; ``tables_seconds``, median.

    Raises:
        ConfigError: If there is no text or no repeat.
    """
    if not texts or repeats < 1:
        raise ConfigError(f"{len(texts)} texts and repeats={repeats}: the benchmark needs at least one of both")
    files = EncoderFiles(PACKAGED_ENCODERS / _ENCODER, {}, False)
    description = load_tokenizer(files, MAX_LENGTH).to_str()
    peer = _peer(files)
    with _one_thread():
        different = _different(_fast(description), peer, texts)
        seconds = [_repeat(description, peer, texts) for _ in range(repeats)]
    tables, ours, theirs = (np.array(column) for column in zip(*seconds, strict=True))
    return {
        "documents": len(texts),
        "different": different,
        "ours": len(texts) / statistics.median(ours),
        "peer": len(texts) / statistics.median(theirs),
        "ratio": float(np.median(theirs / ours)),
        "ratio_with_tables": float(np.median(theirs / (ours + tables))),
        "tables_seconds": float(np.median(tables)),
    }


def _fast(description: str) -> FastWordPiece:
    fast = build_encoder(description)
    assert fast is not None  # the package's encoder is one of BERT's
    return fast


def _peer(files: EncoderFiles) -> _Encode:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(files.folder, trust_remote_code=False, local_files_only=True)
    assert tokenizer.is_fast

    def encode(texts: list[str]) -> list[list[int]]:
        ids: list[list[int]] = tokenizer(texts, truncation=True, max_length=MAX_LENGTH)["input_ids"]
        return ids

    return encode


def _batches(texts: list[str]) -> Iterator[list[str]]:
    return (texts[start : start + BATCH] for start in range(0, len(texts), BATCH))


def _different(fast: FastWordPiece, peer: _Encode, texts: list[str]) -> int:
    different = 0
    for batch in _batches(texts):
        ids, lengths = fast.encode(batch)
        ours = np.split(ids, np.cumsum(lengths)[:-1])
        different += sum(one.tolist() != other for one, other in zip(ours, peer(batch), strict=True))
    return different


def _repeat(description: str, peer: _Encode, texts: list[str]) -> tuple[float, float, float]:
    """Seconds of making the tables, of encoding with them, and of the peer."""
    began = perf_counter()
    fast = _fast(description)
    made = perf_counter()
    for batch in _batches(texts):
        fast.encode(batch)
    encoded = perf_counter()
    for batch in _batches(texts):
        peer(batch)
    return made - began, encoded - made, perf_counter() - encoded


@contextmanager
def _one_thread() -> Iterator[None]:
    """The tokenizers library, which both use, reads this variable at each call."""
    before = os.environ.get(_PARALLELISM)
    os.environ[_PARALLELISM] = "false"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_PARALLELISM]
        else:
            os.environ[_PARALLELISM] = before
