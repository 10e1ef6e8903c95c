"""BERT's WordPiece by table lookup: the same ids as the tokenizers library, many times faster on Chinese text.

A Chinese character, a punctuation mark or white space ends the word before it, and its own token does not depend on its
neighbours, so a table by code point holds these tokens (:mod:`patent_hier.features.isolated`). Anything between them,
such as Latin words, digits, kana and rare signs, is a *run*: the library encodes each run once, and a dictionary keeps
its ids. The rest is arithmetic on arrays of a few hundred documents at once.
"""

import json
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from patent_hier.features.isolated import IN_RUN, isolated_characters
from patent_hier.features.ragged import Ragged, end_to_end, join, replace

_TEXTS_AT_ONCE = 512
_AT_ONCE = 1 << 17  # characters whose arrays fit into a processor's cache
_MOST_BYTES = 1 << 25  # memory limit for all cached runs together
_BYTES_OF_RUN, _BYTES_OF_CHARACTER = 200, 8  # estimates: a string and its dictionary entry; a character and its ids
_BETWEEN = "\n"  # white space for every BERT tokenizer
_ROOM = 1.5  # characters read at first for each token that is kept
_FURTHER = 4  # factor by which more characters are read if these were too few
_FEWEST_TOKENS = 3  # [CLS], [SEP] and one more; the library does not truncate to fewer


def fast_encoder(tokenizer: Tokenizer) -> "FastWordPiece | None":
    """Return a faster encoder with the same ids as ``tokenizer``, or None if only the library supports it.

    The tokenizer must be a BERT tokenizer that truncates long texts, with

    - ``BertNormalizer`` that separates Chinese characters, ``BertPreTokenizer``, and ``WordPiece`` with its unknown
      token;
    - ``[CLS] text [SEP]`` and nothing else around a text;
    - truncation on the right, to at least 3 tokens, and no padding;
    - added tokens that are matched in the original text (``normalized`` false), such as ``[MASK]``.

    For all others, such as the byte-level BPE of GPT-2 and ModernBERT, the result is None. The tables of the last two
    tokenizers are cached; building one takes about 0.2 s.

    Args:
        tokenizer: The tokenizer; later changes to it do not affect the encoder.
    """
    return None if tokenizer.encode_special_tokens else _kept(tokenizer.to_str())


def build_encoder(description: str) -> "FastWordPiece | None":
    """Build a new encoder; see :func:`fast_encoder`.

    Args:
        description: Result of the tokenizer's ``to_str``.
    """
    facts = json.loads(description)
    if not _is_bert(facts):
        return None
    exact = Tokenizer.from_str(description)
    plain = Tokenizer.from_str(json.dumps({**facts, "added_tokens": [], "post_processor": None, "truncation": None}))
    around = exact.encode("").ids
    if len(around) != 2 or exact.encode("a").ids != [around[0], *plain.encode("a").ids, around[1]]:
        return None
    literals = tuple(token["content"] for token in facts["added_tokens"] if token["content"])
    return FastWordPiece(exact, plain, literals, (around[0], around[1]), facts["truncation"]["max_length"] - 2)


_kept = lru_cache(maxsize=2)(build_encoder)


def _is_bert(facts: dict[str, Any]) -> bool:
    """Return whether a description meets the conditions of :func:`fast_encoder`, except for tokens around a text."""
    normalizer, model, truncation = facts["normalizer"] or {}, facts["model"], facts["truncation"] or {}
    return (
        normalizer.get("type") == "BertNormalizer"
        and normalizer["handle_chinese_chars"]
        and (facts["pre_tokenizer"] or {}).get("type") == "BertPreTokenizer"
        and model.get("type") == "WordPiece"
        and model["unk_token"] in model["vocab"]
        and (facts["post_processor"] or {}).get("type") in ("BertProcessing", "TemplateProcessing")
        and truncation.get("direction") == "Right"
        and truncation["max_length"] >= _FEWEST_TOKENS
        and facts["padding"] is None
        and not any(token["normalized"] for token in facts["added_tokens"])
    )


class FastWordPiece:
    """Encoder of texts that uses a table of characters and a cache of runs.

    The library encodes any text that contains an added token literally, such as ``[MASK]``. An instance is not
    thread-safe.

    Args:
        exact: The tokenizer whose ids are reproduced.
        plain: The same tokenizer without added tokens, special tokens and truncation.
        literals: The added tokens.
        around: The ids of [CLS] and [SEP].
        kept: Largest number of tokens between [CLS] and [SEP].
    """

    def __init__(
        self, exact: Tokenizer, plain: Tokenizer, literals: tuple[str, ...], around: tuple[int, int], kept: int
    ) -> None:
        self._exact = exact
        self._literals = literals
        self._openings = {literal[0] for literal in literals}
        # If the last kept token ends this far before the end of a head, the head contains every literal that begins
        # before it in full.
        self._margin = max(map(len, literals), default=1)
        self._around = around
        self._kept = kept
        self._table = isolated_characters(plain)
        self._runs = _Runs(plain, int(self._table.max()) + 1, kept)

    def encode(self, texts: list[str]) -> Ragged:
        """Return the token ids of texts.

        Args:
            texts: Any Unicode texts.

        Returns:
            The ids of all texts end to end, and the number of ids of each, ``(len(texts),)``; with [CLS] and [SEP].

        Raises:
            TypeError: If a text contains half of a surrogate pair; the library raises it.
        """
        try:
            "".join(texts).encode("utf-16-le")
        except UnicodeEncodeError:
            return self._by_library(texts)
        reach = int(_ROOM * self._kept) + self._margin
        return join([self._read(texts[i : i + _TEXTS_AT_ONCE], reach) for i in range(0, len(texts), _TEXTS_AT_ONCE)])

    def _by_library(self, texts: list[str]) -> Ragged:
        return end_to_end([encoding.ids for encoding in self._exact.encode_batch_fast(texts)])

    def _read(self, texts: list[str], reach: int) -> Ragged:
        """Encode the first ``reach`` characters of each text, and more where these do not decide all kept ids."""
        heads = [text[:reach] for text in texts]
        parts = [self._encode(heads[rows]) for rows in _chunks(heads)]
        ids, lengths, decided = (np.concatenate(column) for column in zip(*parts, strict=True))
        literal = self._holding_literals(heads)
        open_rows = np.flatnonzero(decided < self._kept).tolist()
        longer = sorted({row for row in open_rows if len(texts[row]) > reach} - set(literal))
        if longer:
            more = self._read([texts[row] for row in longer], reach * _FURTHER)
            ids, lengths = replace((ids, lengths), longer, more)
        if literal:
            ids, lengths = replace((ids, lengths), literal, self._by_library([texts[row] for row in literal]))
        return ids, lengths

    def _holding_literals(self, texts: list[str]) -> list[int]:
        joined = "".join(texts)
        if not any(opening in joined for opening in self._openings):
            return []
        return [row for row, text in enumerate(texts) if any(literal in text for literal in self._literals)]

    def _encode(self, texts: list[str]) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.int64]]:
        """Return ids and lengths of texts without literals, and how many tokens of each are final whatever follows."""
        joined = _BETWEEN + _BETWEEN.join(texts) + _BETWEEN
        source = self._table.take(np.frombuffer(joined.encode("utf-32-le"), "<u4"), mode="clip")  # (characters,)
        counts = (source >= 0).astype(np.int32)  # tokens of each character; a run's are at its last one
        self._runs.place(joined, source, counts)
        sizes = np.fromiter(map(len, texts), np.int64, len(texts))
        ends = np.cumsum(sizes + 1)
        starts = ends - sizes
        units = np.flatnonzero(counts)  # characters and runs that have tokens
        counts = counts[units]
        before = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])  # tokens before each unit
        bounds = np.searchsorted(units, np.append(starts, len(source)))
        certain = np.searchsorted(units, ends - self._margin)
        decided = before[certain] - before[bounds[:-1]]
        within = before[:-1] - np.repeat(before[bounds[:-1]], np.diff(bounds))  # tokens before a unit in its text
        counts = np.clip(self._kept - within, 0, counts)
        lengths = np.minimum(np.diff(before[bounds]), self._kept)
        return self._framed(self._runs.gather(source[units], counts), lengths), lengths + 2, decided

    def _framed(self, inner: NDArray[np.int32], lengths: NDArray[np.int64]) -> NDArray[np.int32]:
        """Put [CLS] and [SEP] around each text's ids."""
        ends = np.cumsum(lengths + 2)
        ids = np.empty(len(inner) + 2 * len(lengths), np.int32)
        is_inner = np.ones(len(ids), np.bool_)
        for places, token in zip((ends - lengths - 2, ends - 1), self._around, strict=True):
            ids[places] = token
            is_inner[places] = False
        ids[is_inner] = inner
        return ids


class _Runs:
    """Cache of the token ids of runs, each encoded once by the library; it is emptied when it is full.

    Args:
        plain: The tokenizer without added tokens, special tokens and truncation.
        n_single: A number above the largest id of the table's characters.
        kept: Largest number of tokens kept of a run.
    """

    def __init__(self, plain: Tokenizer, n_single: int, kept: int) -> None:
        self._plain = plain
        self._n_single = n_single
        self._kept = kept
        self._pool = np.arange(2 * n_single, dtype=np.int32)  # each of the first ids is at its own position
        self._forget()

    def _forget(self) -> None:
        self._places: dict[str, int] = {}  # position of a run's first id in the pool, times 2 ** 32, plus its length
        self._used = self._n_single
        self._bytes = 0

    def place(self, joined: str, source: NDArray[np.int32], counts: NDArray[np.int32]) -> None:
        """Write each run's position in the pool and number of tokens to the arrays, at the run's last character.

        Args:
            joined: The text; it must not begin or end with a run.
            source: Id of each character, or position of the run in the pool, ``(characters,)``; ``IN_RUN`` in runs.
            counts: Number of tokens of each character or run, ``(characters,)``.
        """
        in_run = source == IN_RUN
        edges = np.flatnonzero(in_run[1:] != in_run[:-1]) + 1
        starts, ends = edges[::2], edges[1::2]
        places = self._find([joined[a:b] for a, b in zip(starts.tolist(), ends.tolist(), strict=True)])
        source[ends - 1] = places >> 32
        counts[ends - 1] = places & 0xFFFFFFFF

    def gather(self, places: NDArray[np.int32], counts: NDArray[np.int64]) -> NDArray[np.int32]:
        """Return ``counts[i]`` ids from ``places[i]`` on, for every ``i``, end to end."""
        before = np.cumsum(counts) - counts
        return self._pool.take(np.repeat(places - before, counts) + np.arange(counts.sum()))

    def _find(self, runs: list[str]) -> NDArray[np.int64]:
        if self._bytes > _MOST_BYTES:
            self._forget()
        found = list(map(self._places.get, runs))
        if None in found:
            self._learn(list(dict.fromkeys(run for run, place in zip(runs, found, strict=True) if place is None)))
            found = list(map(self._places.get, runs))
        return np.array(found, np.int64)

    def _learn(self, runs: list[str]) -> None:
        encodings = self._plain.encode_batch_fast(runs, add_special_tokens=False)
        ids, lengths = end_to_end([encoding.ids[: self._kept] for encoding in encodings])
        if self._used + len(ids) > len(self._pool):
            self._pool = np.concatenate([self._pool, np.empty(len(self._pool) + len(ids), np.int32)])
        self._pool[self._used : self._used + len(ids)] = ids
        places = self._used + np.cumsum(lengths) - lengths
        self._places.update(zip(runs, ((places << 32) + lengths).tolist(), strict=True))
        self._used += len(ids)
        self._bytes += sum(map(len, runs)) * _BYTES_OF_CHARACTER + len(runs) * _BYTES_OF_RUN


def _chunks(texts: list[str]) -> Iterator[slice]:
    """Yield slices of consecutive texts with at most ``_AT_ONCE`` characters in total, or of one longer text."""
    start = size = 0
    for row, text in enumerate(texts):
        if size and size + len(text) > _AT_ONCE:
            yield slice(start, row)
            start, size = row, 0
        size += len(text) + 1
    if start < len(texts):
        yield slice(start, len(texts))
