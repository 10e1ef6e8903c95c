"""Masked language modelling: the choice of hidden tokens, and batches that depend only on the step."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from patent_hier.features.packing import PackedText

_MASKED, _REPLACED = 0.8, 0.1  # shares of the chosen tokens; the rest stay unchanged


@dataclass(frozen=True)
class SpecialIds:
    """Token ids that masking needs.

    Attributes:
        cls: Id of ``[CLS]``, the first token of each row.
        sep: Id of ``[SEP]``, which is never chosen.
        mask: Id of ``[MASK]``.
        vocabulary: Number of tokens.
    """

    cls: int
    sep: int
    mask: int
    vocabulary: int


def mask_tokens(
    ids: NDArray[np.int64],
    starts: NDArray[np.bool_],
    special: SpecialIds,
    share: float,
    rng: np.random.Generator,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Choose words at random and hide their tokens.

    Args:
        ids: Token ids, ``(rows, seq_len)``; not modified.
        starts: Whether a word starts at the token, ``(rows, seq_len)``; if all are true, single tokens are chosen.
        special: Token ids of the special tokens.
        share: Probability that a word is chosen.
        rng: Random number generator.

    Returns:
        The ids with 80 % of the chosen tokens masked and 10 % replaced, ``(rows, seq_len)``; and the positions of the
        chosen tokens in the flattened rows, ``(n_chosen,)``, at least one.

    Source: Devlin et al. (2019), section 3.1; whole words as in Cui et al. (2021).
    """
    word = np.cumsum(starts, axis=1, dtype=np.int64)  # 0 for the rest of a word from the previous row
    chosen = np.take_along_axis(rng.random((len(ids), ids.shape[1] + 1)), word, axis=1) < share
    open_to_choice = (ids != special.cls) & (ids != special.sep)
    chosen &= open_to_choice
    if not chosen.any():  # only in a very small batch
        candidates = np.flatnonzero(open_to_choice) if open_to_choice.any() else np.arange(ids.size)
        chosen.flat[rng.choice(candidates)] = True
    fate = rng.random(ids.shape)
    hidden = np.where(chosen & (fate < _MASKED), special.mask, ids)
    replaced = chosen & (fate >= _MASKED) & (fate < _MASKED + _REPLACED)
    hidden[replaced] = rng.integers(0, special.vocabulary, int(replaced.sum()))
    return hidden, np.flatnonzero(chosen)


@dataclass
class MaskedRows:
    """Batches of packed rows, indexed by step; the same step always gives the same batch.

    Attributes:
        text: Packed text that rows are cut from.
        special: Token ids of the special tokens.
        seq_len: Tokens per row, including ``[CLS]``.
        batch_size: Rows per batch.
        share: Probability that a word is chosen; see :func:`mask_tokens`.
        whole_words: Whether to choose whole words; otherwise single tokens.
        seed: Determines the order of the rows, where they are cut and which tokens are masked.
    """

    text: PackedText
    special: SpecialIds
    seq_len: int
    batch_size: int
    share: float
    whole_words: bool
    seed: int

    def __post_init__(self) -> None:
        self._pass, self._order, self._shift = -1, np.empty(0, np.int64), 0

    @property
    def rows_per_pass(self) -> int:
        """Number of whole rows in the text, wherever the first one starts."""
        return max(1, (len(self.text) - self.seq_len + 2) // (self.seq_len - 1))

    def batch(self, step: int) -> dict[str, Tensor]:
        """Return the batch of a training step, counted from 0.

        Each pass over the text shuffles the rows anew and cuts them at different places.
        """
        n, first = self.rows_per_pass, step * self.batch_size
        begins = [self._begin(*divmod(number, n)) for number in range(first, first + self.batch_size)]
        return self._cut(begins, np.random.default_rng([self.seed, 1, step]))

    def fixed(self, tokens: int) -> Iterator[dict[str, Tensor]]:
        """Yield about ``tokens`` tokens from all over the text in batches, always with the same masks, for scoring."""
        n = self.rows_per_pass
        wanted = np.unique(np.linspace(0, n - 1, max(1, min(n, tokens // self.seq_len))).astype(np.int64))
        for number, start in enumerate(range(0, len(wanted), self.batch_size)):
            begins = [int(row) * (self.seq_len - 1) for row in wanted[start : start + self.batch_size]]
            yield self._cut(begins, np.random.default_rng([self.seed, 2, number]))

    def _begin(self, number: int, row: int) -> int:
        """Return the position in the text at which a row of a pass starts."""
        if number != self._pass:
            rng = np.random.default_rng([self.seed, 0, number])
            slack = len(self.text) - self.rows_per_pass * (self.seq_len - 1)
            self._pass, self._order = number, rng.permutation(self.rows_per_pass)
            self._shift = int(rng.integers(0, max(1, slack + 1)))
        return int(self._order[row]) * (self.seq_len - 1) + self._shift

    def _cut(self, begins: list[int], rng: np.random.Generator) -> dict[str, Tensor]:
        length = self.seq_len - 1
        ids = np.full((len(begins), self.seq_len), self.special.sep, np.int64)
        starts = np.ones((len(begins), self.seq_len), np.bool_)
        ids[:, 0] = self.special.cls
        for row, begin in enumerate(begins):
            piece = self.text.ids[begin : begin + length]
            ids[row, 1 : 1 + len(piece)] = piece  # shorter only if the text is shorter than a row
            if self.whole_words:
                starts[row, 1 : 1 + len(piece)] = self.text.starts[begin : begin + length]
        hidden, positions = mask_tokens(ids, starts, self.special, self.share, rng)
        return {
            "input_ids": torch.from_numpy(hidden),  # (rows, seq_len)
            "positions": torch.from_numpy(positions),  # (n_chosen,), in the flattened rows
            "targets": torch.from_numpy(ids.flat[positions]),  # (n_chosen,)
        }


class Steps(Dataset[dict[str, Tensor]]):
    """Batches of consecutive steps, for a DataLoader.

    Args:
        rows: Source of the batches.
        first: Number of the first step.
        count: Number of steps.
    """

    def __init__(self, rows: MaskedRows, first: int, count: int) -> None:
        self._rows, self._first, self._count = rows, first, count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        return self._rows.batch(self._first + number)
