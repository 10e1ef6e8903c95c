"""Shuffled batches of documents of like length."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from patent_hier.features.token_store import TokenStore, pad_batch
from patent_hier.taxonomy.tree import NONE, Positions
from patent_hier.training.ranks import ALONE, Ranks
from patent_hier.training.soft_targets import Shares

_POOL = 32  # batches that are drawn at random together and then sorted by length among themselves


class LengthGroupedBatches(Sampler[list[int]]):
    """Batches that hold documents of like length, in random order, different in each epoch.

    All documents of an epoch are shuffled, cut into pools of 32 batches, and sorted by length only inside a pool: a
    batch stays a random sample up to that, and little padding is computed.

    Args:
        lengths: Tokens of each item, ``(n,)``.
        batch_size: Items per batch; one batch of an epoch may be smaller.
        seed: Together with ``epoch`` it decides the order.
        done: An epoch and how many of its batches are done: that epoch begins behind them. The length stays that of a
            whole epoch, of which Lightning counts the rest by itself.
        dealt: How many items at the end are dealt out, at random, and among how many epochs: each is in one of these; a
            few are in two, so that all shares are equal. Among one epoch, all items are in each.

    Attributes:
        epoch: Set it before each pass.
    """

    def __init__(
        self,
        lengths: NDArray[np.int64],
        batch_size: int,
        seed: int,
        done: tuple[int, int] = (0, 0),
        dealt: tuple[int, int] = (0, 1),
    ) -> None:
        self._lengths = lengths
        self._batch_size = batch_size
        self._seed = seed
        self._done = done
        count, self._turns = dealt
        self._always = len(lengths) - count
        self._share = -(-count // self._turns)
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch; Lightning calls this before each pass."""
        self.epoch = epoch

    @property
    def size(self) -> int:
        """Items of an epoch."""
        return self._always + self._share

    def __len__(self) -> int:
        return -(-self.size // self._batch_size)

    def _items(self) -> NDArray[np.intp]:
        """The items of the epoch, ascending up to those that are dealt out."""
        if self._turns == 1:
            return np.arange(len(self._lengths))
        deal, turn = divmod(self.epoch, self._turns)
        dealt = np.random.default_rng((self._seed, deal, self._turns)).permutation(len(self._lengths) - self._always)
        own = dealt.take(np.arange(turn * self._share, (turn + 1) * self._share), mode="wrap")
        return np.concatenate([np.arange(self._always), self._always + own])

    def __iter__(self) -> Iterator[list[int]]:
        generator = np.random.default_rng((self._seed, self.epoch))
        items = self._items()
        order = items[generator.permutation(len(items))]
        batches: list[list[int]] = []
        for start in range(0, len(order), self._batch_size * _POOL):
            pool = order[start : start + self._batch_size * _POOL]
            pool = pool[np.argsort(self._lengths[pool], kind="stable")]
            batches += [pool[i : i + self._batch_size].tolist() for i in range(0, len(pool), self._batch_size)]
        epoch, done = self._done
        for number in generator.permutation(len(batches))[done if self.epoch == epoch else 0 :]:
            yield batches[number]


class Pass(NamedTuple):
    """A batch, and which of the passes over it this is, from 0."""

    items: list[int]
    number: int


class Passes(Sampler[Pass]):
    """Every batch several times, one pass after the other, for gradient accumulation.

    Args:
        batches: The batches.
        passes: How often.
    """

    def __init__(self, batches: LengthGroupedBatches, passes: int) -> None:
        self._batches = batches
        self._passes = passes

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch; Lightning calls this before it begins."""
        self._batches.set_epoch(epoch)

    def __len__(self) -> int:
        return len(self._batches) * self._passes

    def __iter__(self) -> Iterator[Pass]:
        for batch in self._batches:
            for number in range(self._passes):
                yield Pass(batch, number)


class NodeDocuments(Dataset[int]):
    """Positions ``0 … n - 1`` of a node's documents; :class:`Collate` turns a batch of them into tensors.

    An item is its own position, and a batch of positions is itself.
    """

    def __init__(self, size: int) -> None:
        self._size = size

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, index: int) -> int:
        return index


class ItemPaths:
    """The paths of a node's items in its label tree, some at a time.

    Args:
        main: ``(n, n_levels)``.
        further: Paths of further symbols, ``(m, n_levels)``.
        owners: Which item each of these belongs to, ascending, ``(m,)``.
        shares: Of all paths in their items' targets; None where those of an item share it equally.
    """

    def __init__(
        self,
        main: Positions,
        further: Positions | None = None,
        owners: NDArray[np.intp] | None = None,
        shares: Shares | None = None,
    ) -> None:
        self._main = main
        self._further = main[:0] if further is None else further
        self._shares = shares
        self._ends = np.searchsorted(np.empty(0, np.intp) if owners is None else owners, np.arange(len(main) + 1))

    def of(self, items: NDArray[np.intp]) -> Tensor:
        """``(len(items), n_symbols, n_levels)`` int64: the main path first, -1 behind the last symbol."""
        counts = self._ends[items + 1] - self._ends[items]
        paths = np.full((len(items), 1 + int(counts.max(initial=0)), self._main.shape[1]), NONE, np.int64)
        paths[:, 0] = self._main[items]
        for row in np.flatnonzero(counts):
            start = self._ends[items[row]]
            paths[row, 1 : 1 + counts[row]] = self._further[start : start + counts[row]]
        return torch.from_numpy(paths)

    def shares_of(self, items: NDArray[np.intp]) -> Tensor | None:
        """``(len(items), n_symbols)`` float32, the share of each of these paths in its item's target."""
        if self._shares is None:
            return None
        counts = self._ends[items + 1] - self._ends[items]
        shares = np.zeros((len(items), 1 + int(counts.max(initial=0))), np.float32)
        shares[:, 0] = self._shares.main[items]
        for row in np.flatnonzero(counts):
            start = self._ends[items[row]]
            shares[row, 1 : 1 + counts[row]] = self._shares.further[start : start + counts[row]]
        return torch.from_numpy(shares)


class Collate:
    """Make the tensors of a batch, or of a share of it, padded to their own longest document.

    A share is what one rank reads in one pass. If there is no document for it, it is lent one with the weight 0: it
    must take part in the average of the gradients, and adds nothing to it.

    Args:
        store: Token ids of the corpus.
        positions: Each item's position in the store, ``(n,)``.
        paths: Each item's paths in the label tree.
        pad_id: Token id of ``[PAD]``.
        weights: Each item's weight in the loss, ``(n,)`` float32; None where all are equal.
        ranks: The processes that share the batches.
        passes: In how many each rank reads its part; with several, batches come as :class:`Pass`.
    """

    def __init__(
        self,
        store: TokenStore,
        positions: NDArray[np.intp],
        paths: "ItemPaths",
        pad_id: int,
        weights: NDArray[np.float32] | None = None,
        ranks: Ranks = ALONE,
        passes: int = 1,
    ) -> None:
        self._store = store
        self._positions = positions
        self._paths = paths
        self._pad_id = pad_id
        self._weights = weights
        self._ranks = ranks
        self._passes = passes

    def __call__(self, drawn: int | Sequence[int] | Pass) -> dict[str, Tensor]:
        """The tensors of some items.

        Returns:
            ``input_ids`` and ``attention_mask`` ``(batch, longest)``; ``target`` ``(batch, n_symbols, n_levels)``;
            ``document`` ``(batch,)``, positions in the store; perhaps ``weight`` ``(batch,)`` and, with a teacher,
            ``share`` ``(batch, n_symbols)``. With several shares
            ``batch`` is one, and ``whole`` has the paths of all items.
        """
        items, number = drawn if isinstance(drawn, Pass) else (drawn, 0)
        whole = np.atleast_1d(items)  # one item, where ``overfit_batches`` has replaced the sampler
        if self._ranks.size * self._passes == 1:
            return self._tensors(whole)
        own = whole[self._ranks.share(self._store.lengths[self._positions[whole]], number, self._passes)]
        batch = self._tensors(own if len(own) else whole[:1])
        if not len(own):
            batch["weight"] = torch.zeros(1)
        return {**batch, "whole": self._paths.of(whole)}

    def _tensors(self, items: NDArray[np.intp]) -> dict[str, Tensor]:
        input_ids, attention_mask = pad_batch(self._store, self._positions[items], self._pad_id)
        batch = {
            "input_ids": torch.from_numpy(input_ids),
            "attention_mask": torch.from_numpy(attention_mask),
            "target": self._paths.of(items),
            "document": torch.from_numpy(self._positions[items]),
        }
        if (shares := self._paths.shares_of(items)) is not None:
            batch["share"] = shares
        if self._weights is not None:
            batch["weight"] = torch.from_numpy(self._weights[items])
        return batch
