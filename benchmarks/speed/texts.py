"""Compare encoding with transformers' fast tokenizer and segmentation with jieba, on one core."""

import os
from collections.abc import Sequence
from unittest.mock import patch

import numpy as np

from benchmarks.architecture import MAX_LENGTH
from benchmarks.speed.rows import Row, in_turn, rate_row
from benchmarks.speed.subjects import VOCABULARY, peer_tokenizer
from patent_hier.features.fast_wordpiece import FastWordPiece, build_encoder
from patent_hier.features.pretrained import EncoderFiles
from patent_hier.features.ragged import Ragged
from patent_hier.features.segmentation import cut, jieba_tokenizer, rjieba_cut
from patent_hier.features.wordpiece import load_tokenizer

_BATCH = 1000  # texts


def tokens_row(texts: Sequence[str], repeats: int) -> Row:
    """Encode all texts with both, with the vocabulary of the packaged encoder.

    The peer is called as a user would call it, with truncation and without padding. Ours begins each repeat with an
    empty cache of runs; its tables are rebuilt too, but timed separately, because a corpus of any size needs them once.
    """
    description = load_tokenizer(EncoderFiles(VOCABULARY, {}, False), MAX_LENGTH).to_str()
    batches = [list(texts[start : start + _BATCH]) for start in range(0, len(texts), _BATCH)]
    tokenizer, fast = peer_tokenizer(), list[FastWordPiece | None]()

    def tables() -> None:
        fast[:] = [build_encoder(description)]

    def ours() -> list[Ragged]:
        assert fast[0] is not None  # the packaged encoder has a BERT tokenizer
        return [fast[0].encode(batch) for batch in batches]

    def peer() -> list[list[list[int]]]:
        return [tokenizer(batch, truncation=True, max_length=MAX_LENGTH)["input_ids"] for batch in batches]

    with patch.dict(os.environ, TOKENIZERS_PARALLELISM="false"):
        tables()
        different = sum(
            one.tolist() != other
            for (ids, lengths), others in zip(ours(), peer(), strict=True)
            for one, other in zip(np.split(ids, np.cumsum(lengths)[:-1]), others, strict=True)
        )
        seconds = np.array(in_turn(tables, ours, peer, repeats=repeats, warm_up=0))  # both have already run once
    facts = {"documents": len(texts), "different": different, "tables_seconds": float(np.median(seconds[:, 0]))}
    work, name = f"text to token ids, length {MAX_LENGTH}, one core", "transformers fast tokenizer"
    rounds = seconds[:, 1:].tolist()
    return rate_row(work, "documents", len(texts), rounds, name, target=10.0, agrees=different == 0, facts=facts)


def segmentation_row(texts: Sequence[str], repeats: int) -> Row:
    """Segment all texts with both."""
    tokenizer = jieba_tokenizer()

    def ours() -> list[list[str]]:
        return [cut(text) for text in texts]

    def peer() -> list[list[str]]:
        return [list(tokenizer.cut(text)) for text in texts]

    different = sum(one != other for one, other in zip(ours(), peer(), strict=True))
    facts = {"documents": len(texts), "different": different, "rjieba": rjieba_cut() is not None}
    rounds = in_turn(ours, peer, repeats=repeats, warm_up=0)  # both have already run once
    work, agrees = "segmentation into words", different == 0
    return rate_row(work, "documents", len(texts), rounds, "jieba", target=3.0, agrees=agrees, facts=facts)
