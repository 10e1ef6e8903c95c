"""Trim a tokenizer's vocabulary to the pieces that given texts need, so that these texts are still split the same way.

This is safe for the three kinds of ``tokenizer.json``, because each one chooses among pieces, and pieces that are never
chosen can be removed:

- Unigram takes the most likely sequence of pieces; with fewer sequences to choose from, it stays the most likely.
- WordPiece takes the longest matching piece. A word without one is unknown as a whole, whatever pieces matched before.
- BPE merges the pair of the lowest rank. The pieces from which a kept piece is merged are kept as well.

Characters are kept as a fallback, so that other text is split into smaller pieces before it becomes unknown.

Source: Kudo (2018), "Subword regularization", section 3.2 (Unigram); Wu et al. (2016), section 4.1 (WordPiece);
Sennrich et al. (2016), section 3.2 (BPE).
"""

import json
import unicodedata
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from patent_hier.errors import ConfigError

_LONGEST = 32  # characters of a piece; no known vocabulary has longer ones
_CONTINUES = "##"
_BYTES = frozenset(f"<0x{number:02X}>" for number in range(256))


class Vocabulary:
    """A tokenizer's description and its pieces in the order of their ids.

    Args:
        tokenizer: Tokenizer without truncation and padding.

    Attributes:
        tokenizer: The tokenizer.
        pieces: The piece of each id, ``n`` in all; the model's own pieces come first, as in all our vocabularies.
        unknown: Id of the unknown token; None if there is none.

    Raises:
        ConfigError: If the tokenizer is of another kind, or its ids have gaps.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        self._facts: dict[str, Any] = json.loads(tokenizer.to_str())
        self._model: dict[str, Any] = self._facts["model"]
        self._kind = str(self._model["type"])
        affixes = self._model.get("continuing_subword_prefix") or "", self._model.get("end_of_word_suffix") or ""
        if self._kind not in ("Unigram", "WordPiece", "BPE") or (self._kind == "BPE" and any(affixes)):
            raise ConfigError(f"a {self._kind} tokenizer with affixes {affixes} cannot be trimmed; use it unchanged")
        ids = tokenizer.get_vocab(with_added_tokens=True)
        self.pieces = sorted(ids, key=lambda piece: ids[piece])
        if sorted(ids.values()) != list(range(len(ids))):
            raise ConfigError(
                f"the tokenizer's {len(ids)} ids are not consecutive, so it cannot be trimmed; use it unchanged"
            )
        self._ids = ids
        unknown = self._model.get("unk_token")
        self.unknown: int | None = self._model.get("unk_id") if self._kind == "Unigram" else ids.get(unknown)

    def encode(self, texts: list[str]) -> list[list[int]]:
        """Return the token ids of texts, without special tokens around them."""
        return [one.ids for one in self.tokenizer.encode_batch_fast(texts, add_special_tokens=False)]

    def needed(self, counts: NDArray[np.int64], min_count: int, special: Iterable[str]) -> NDArray[np.bool_]:
        """Return which pieces must be kept.

        Args:
            counts: Occurrences of each piece in the texts, ``(n,)``.
            min_count: Occurrences that a piece needs; fallbacks need none.
            special: Further tokens to keep.

        Returns:
            Whether to keep each piece, ``(n,)``: pieces that occur often enough, special and unknown tokens, the
            characters of all scripts that the texts use, bytes, and the pieces from which BPE merges these.
        """
        kept = counts >= min_count
        kept[[self._ids[piece] for piece in special if piece in self._ids]] = True
        kept[[self._ids[token["content"]] for token in self._facts["added_tokens"]]] = True
        if self.unknown is not None:
            kept[self.unknown] = True
        kept[self._fallbacks(counts > 0)] = True
        return self._closed(kept)

    def with_all_pieces_of(self, kept: NDArray[np.bool_], texts: list[str]) -> NDArray[np.bool_]:
        """Return ``kept`` with every piece that is a part of the texts, so that the choice of pieces cannot change."""
        kept = kept.copy()
        for word in set().union(*map(self._words, texts)):
            for start in range(len(word)):
                for end in range(start + 1, min(len(word), start + _LONGEST) + 1):
                    for piece in (word[start:end], _CONTINUES + word[start:end]):
                        if piece in self._ids:
                            kept[self._ids[piece]] = True
        return self._closed(kept)

    def cut(self, kept: NDArray[np.bool_]) -> tuple[Tokenizer, NDArray[np.int64]]:
        """Return the tokenizer with only the kept pieces, in their order.

        Args:
            kept: Whether to keep each piece, ``(n,)``, from :meth:`needed`.

        Returns:
            The tokenizer, and the new id of each old id, ``(n,)``; -1 for removed pieces.

        Raises:
            ConfigError: If the ids of the added tokens cannot be kept in order.
        """
        new_ids = np.where(kept, np.cumsum(kept) - 1, -1)
        facts = json.loads(json.dumps(self._facts))
        model = facts["model"]
        if self._kind == "Unigram":
            model["vocab"] = [entry for number, entry in enumerate(model["vocab"]) if kept[number]]
            if self.unknown is not None:
                model["unk_id"] = int(new_ids[self.unknown])
        else:
            old = sorted(model["vocab"].items(), key=lambda item: item[1])
            model["vocab"] = {piece: int(new_ids[number]) for piece, number in old if kept[number]}
        if self._kind == "BPE":
            there = model["vocab"].keys()
            model["merges"] = [pair for pair in model["merges"] if {*pair, "".join(pair)} <= there]
        for token in facts["added_tokens"]:
            token["id"] = int(new_ids[token["id"]])
        _renumber(facts["post_processor"], new_ids)
        tokenizer = Tokenizer.from_str(json.dumps(facts))
        if any(tokenizer.token_to_id(token["content"]) != token["id"] for token in facts["added_tokens"]):
            raise ConfigError(
                "the tokenizer's added tokens have ids among its pieces, so it cannot be trimmed; use it unchanged"
            )
        return tokenizer, new_ids

    def _fallbacks(self, used: NDArray[np.bool_]) -> list[int]:
        """Return the ids of all signs, digits, bytes and characters of the scripts that occur in the used pieces."""
        every = self._kind == "BPE"  # its characters may stand for bytes
        scripts = {_script(character) for number in np.flatnonzero(used) for character in self.pieces[number]}
        found = [
            number
            for number, piece in enumerate(self.pieces)
            if piece in _BYTES
            or (len(piece) == 1 and (every or _script(piece) in scripts))
            or self._joins(piece, scripts)
        ]
        if self._kind == "Unigram":  # an unknown character costs 10 more than the rarest piece; keep that cost
            scores = [score for _, score in self._model["vocab"]]
            found.append(int(np.argmin(scores)))
        return found

    def _joins(self, piece: str, scripts: set[str]) -> bool:
        """Return whether a WordPiece piece is one character inside a word, which a Chinese character never is."""
        if self._kind != "WordPiece" or len(piece) != len(_CONTINUES) + 1 or not piece.startswith(_CONTINUES):
            return False
        return _script(piece[-1]) in scripts and len(self._words(f"a{piece[-1]}")) == 1

    def _words(self, text: str) -> set[str]:
        """Return the words of a text that the model splits: normalised and pre-tokenized."""
        normalizer, cutter = self.tokenizer.normalizer, self.tokenizer.pre_tokenizer
        text = text if normalizer is None else normalizer.normalize_str(text)
        return {text} if cutter is None else {word for word, _ in cutter.pre_tokenize_str(text)}

    def _closed(self, kept: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return ``kept`` with the pieces from which BPE merges the kept ones."""
        if self._kind != "BPE":
            return kept
        ranks = {tuple(pair): rank for rank, pair in enumerate(self._model["merges"])}
        kept = kept.copy()
        for number in np.flatnonzero(kept):
            for piece in _merged_from(self.pieces[number], ranks):
                if piece in self._ids:
                    kept[self._ids[piece]] = True
        return kept


def _merged_from(piece: str, ranks: dict[tuple[str, ...], int]) -> list[str]:
    """Return the characters of a piece and the intermediate pieces of its merges."""
    parts = list(piece)
    found = list(parts)
    while len(parts) > 1:
        pairs = list(pairwise(parts))
        best = min(range(len(pairs)), key=lambda place: ranks.get(pairs[place], len(ranks)))
        if pairs[best] not in ranks:
            break
        parts[best : best + 2] = ["".join(pairs[best])]
        found.append(parts[best])
    return found


def _script(character: str) -> str:
    """Return the script of a character, such as ``CJK`` or ``LATIN``; empty if it is not a letter."""
    return unicodedata.name(character, "").partition(" ")[0] if character.isalpha() else ""


def _renumber(processor: Any, new_ids: NDArray[np.int64]) -> None:
    """Update the ids of special tokens in a post-processor, in place: templates, and those of BERT and RoBERTa."""
    if isinstance(processor, list):
        for item in processor:
            _renumber(item, new_ids)
    elif isinstance(processor, dict):
        for key, value in processor.items():
            if key == "ids":
                processor[key] = [int(new_ids[number]) for number in value]
            elif key in ("sep", "cls") and isinstance(value, list):
                processor[key] = [value[0], int(new_ids[value[1]])]
            else:
                _renumber(value, new_ids)
