"""Packed text for pre-training: passages end to end as one long row of token ids, without padding.

On disk, for the training passages and for the held-out passages: ``<part>-ids.bin`` (token ids, each passage followed
by [SEP] or ``</s>``) and ``<part>-starts.bin`` (one byte for each token: whether a word begins there). Reading cuts it
into rows of equal length; a row may begin and end inside a passage.

Source: packing as in Liu et al. (2019), "RoBERTa", section 4.2 (FULL-SENTENCES); whole words as in Cui et al. (2021),
"Pre-training with whole word masking for Chinese BERT", with jieba instead of LTP.
"""

from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer
from tokenizers.models import WordPiece

from patent_hier.artifacts import MANIFEST, seal
from patent_hier.atomic import read_json
from patent_hier.errors import ArtifactError, DataError
from patent_hier.features.passages import is_held_out
from patent_hier.features.segmentation import cut
from patent_hier.features.token_store import ids_dtype
from patent_hier.sanitize import reason

TRAINING, HELD_OUT = "training", "held_out"
_IDS, _STARTS = "-ids.bin", "-starts.bin"


@dataclass(frozen=True)
class PackedText:
    """One part of packed text, memory-mapped.

    Attributes:
        ids: Token ids, ``(n_tokens,)``.
        starts: Whether a word begins at each token, ``(n_tokens,)`` bool.
    """

    ids: NDArray[np.unsignedinteger]
    starts: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def open(cls, folder: Path, part: str) -> "PackedText":
        """Map one part of a folder that :func:`pack` wrote.

        Raises:
            ArtifactError: If the folder is damaged.
        """
        manifest = read_json(folder / MANIFEST)
        try:
            ids = np.memmap(folder / f"{part}{_IDS}", ids_dtype(manifest), "r")
            starts = np.memmap(folder / f"{part}{_STARTS}", np.bool_, "r")
            if not len(ids) == len(starts) == manifest["tokens"][part]:
                raise ValueError(f"{len(ids)} ids and {len(starts)} word starts do not match its manifest")
        except (KeyError, OSError, TypeError, ValueError) as error:
            raise ArtifactError(
                f"packed text {folder} is damaged ({reason(error)}); delete it and run again"
            ) from error
        return cls(ids, starts)


def pack(batches: Iterable[list[str]], tokenizer: Tokenizer, separator: int, held_out: float, folder: Path) -> None:
    """Encode passages into packed text, in constant memory, and seal its folder.

    Args:
        batches: Lists of passages.
        tokenizer: Tokenizer without truncation and padding.
        separator: Token id of ``[SEP]`` or ``</s>``.
        held_out: Fraction of the passages that is held out.
        folder: An empty staging folder.

    Raises:
        DataError: If one of the two parts is empty.
    """
    dtype = np.dtype("<u2" if tokenizer.get_vocab_size() <= np.iinfo(np.uint16).max else "<u4")
    passages, tokens = {TRAINING: 0, HELD_OUT: 0}, {TRAINING: 0, HELD_OUT: 0}
    n_characters = 0
    with ExitStack() as stack:
        files = {
            part: [stack.enter_context((folder / f"{part}{ending}").open("wb")) for ending in (_IDS, _STARTS)]
            for part in (TRAINING, HELD_OUT)
        }
        for texts in batches:
            for text, encoding in zip(texts, tokenizer.encode_batch(texts, add_special_tokens=False), strict=True):
                part = HELD_OUT if is_held_out(text, held_out) else TRAINING
                ids, starts = files[part]
                ids.write(np.array([*encoding.ids, separator], dtype).tobytes())
                starts.write(np.append(word_starts(text, encoding), True).tobytes())
                passages[part] += 1
                tokens[part] += len(encoding.ids) + 1
                n_characters += len(text)
    for part, count in passages.items():
        if not count:
            raise DataError(f"the text has no {part.replace('_', '-')} passages; add more text or change held_out")
    facts = {"passages": passages, "tokens": tokens, "characters": n_characters}
    seal(folder, {"kind": "packed text", "dtype": dtype.str, **facts})


def word_starts(text: str, encoding: Encoding) -> NDArray[np.bool_]:
    """Return whether a word begins at each token of a text, ``(n_tokens,)``.

    A token belongs to the word that contains its first character other than white space, because white space separates
    words. Pieces of SentencePiece and of byte-level BPE include the space before them: ``▁text`` begins where the word
    begins. A piece of white space alone is a word; the ``▁`` before a passage belongs to the passage's first word and
    is masked with it.

    Args:
        text: The encoded text.
        encoding: Its tokens, with their offsets in the text.
    """
    ends = np.cumsum([len(word) for word in cut(text)])
    spans = np.array(encoding.offsets, np.int64).reshape(-1, 2)  # (n_tokens, 2)
    positions = np.arange(len(text) + 1)
    blank = np.fromiter((character.isspace() for character in text), np.bool_, len(text))
    visible = np.where(np.append(blank, False), len(text), positions)
    first = np.minimum.accumulate(visible[::-1])[::-1][spans[:, 0]]  # first visible character from each start on
    first = np.where(first < spans[:, 1], first, spans[:, 0])
    words = np.searchsorted(ends, first, side="right")  # the word that each token belongs to
    begins: NDArray[np.bool_] = np.diff(words, prepend=-1) != 0
    return begins


def packing_version(tokenizer: Tokenizer) -> int:
    """Return the version of the output of :func:`pack` with a tokenizer.

    Version 2 applies where pieces may include the space before them: the space does not count as their first character.
    WordPiece has no such pieces, so its output is still version 1.
    """
    return 1 if isinstance(tokenizer.model, WordPiece) else 2
