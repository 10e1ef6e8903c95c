"""Masked language modelling: which tokens are hidden, and batches of rows that are the same for the same step."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from patent_hier.features.packing import PackedText

_MASKED, _REPLACED = 0.8, 0.1  # of the chosen tokens; the rest is kept


@dataclass(frozen=True)
class SpecialIds:
    """Token ids that masking needs.

    Attributes:
        cls: ``[CLS]``, first of each row.
        sep: ``[SEP]``, never chosen.
        mask: ``[MASK]``.
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
    """Choose words, hide their tokens.

    Args:
        ids: ``(rows, seq_len)``; not changed.
        starts: Whether a word begins at the token, ``(rows, seq_len)``; all true chooses single tokens.
        special: Token ids.
        share: Probability of each word to be chosen.
        rng: Source of chance.

    Returns:
        The ids with 80 % of the chosen tokens masked and 10 % replaced, ``(rows, seq_len)``; positions of the chosen
        tokens in the flattened rows, ``(n_chosen,)``, at least one.

    Source: Devlin et al. (2019), section 3.1; whole words as in Cui et al. (2021).
    """
    word = np.cumsum(starts, axis=1, dtype=np.int64)  # 0 for the rest of a word that began in the row before
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
    """Batches of packed rows by the number of the step: the same step always gives the same batch.

    Attributes:
        text: Where rows are cut from.
        special: Token ids.
        seq_len: Tokens of a row, with [CLS].
        batch_size: Rows of a batch.
        share: See :func:`mask_tokens`.
        whole_words: Choose words; else single tokens.
        seed: Decides the order of rows, where they are cut and what is masked.
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
        """Whole rows in the text, wherever the first one begins."""
        return max(1, (len(self.text) - self.seq_len + 2) // (self.seq_len - 1))

    def batch(self, step: int) -> dict[str, Tensor]:
        """The batch of a training step, counted from 0; rows come in another order and cut in each pass."""
        n, first = self.rows_per_pass, step * self.batch_size
        begins = [self._begin(*divmod(number, n)) for number in range(first, first + self.batch_size)]
        return self._cut(begins, np.random.default_rng([self.seed, 1, step]))

    def fixed(self, tokens: int) -> Iterator[dict[str, Tensor]]:
        """About so many tokens, spread over the text, with the same masks each time: for scores."""
        n = self.rows_per_pass
        wanted = np.unique(np.linspace(0, n - 1, max(1, min(n, tokens // self.seq_len))).astype(np.int64))
        for number, start in enumerate(range(0, len(wanted), self.batch_size)):
            begins = [int(row) * (self.seq_len - 1) for row in wanted[start : start + self.batch_size]]
            yield self._cut(begins, np.random.default_rng([self.seed, 2, number]))

    def _begin(self, number: int, row: int) -> int:
        """Where a row of a pass begins in the text."""
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
            ids[row, 1 : 1 + len(piece)] = piece  # shorter only in a text of less than one row
            if self.whole_words:
                starts[row, 1 : 1 + len(piece)] = self.text.starts[begin : begin + length]
        hidden, positions = mask_tokens(ids, starts, self.special, self.share, rng)
        return {
            "input_ids": torch.from_numpy(hidden),  # (rows, seq_len)
            "positions": torch.from_numpy(positions),  # (n_chosen,), in the flattened rows
            "targets": torch.from_numpy(ids.flat[positions]),  # (n_chosen,)
        }


class Steps(Dataset[dict[str, Tensor]]):
    """The batches of some steps in their order, for a DataLoader.

    Args:
        rows: Where they come from.
        first: Number of the first step.
        count: How many.
    """

    def __init__(self, rows: MaskedRows, first: int, count: int) -> None:
        self._rows, self._first, self._count = rows, first, count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        return self._rows.batch(self._first + number)
