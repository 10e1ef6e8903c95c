"""Shuffled batches of documents of similar length."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from patent_hier.features.token_store import TokenStore, pad_batch
from patent_hier.taxonomy.tree import NONE, Positions
from patent_hier.training.node_data import Shares
from patent_hier.training.ranks import ALONE, Ranks

_POOL = 32  # batches per pool: a pool's documents are drawn at random, then sorted by length


class LengthGroupedBatches(Sampler[list[int]]):
    """Batches of documents of similar length, in a random order that differs from epoch to epoch.

    All documents of an epoch are shuffled, cut into pools of 32 batches, and sorted by length only within each pool.
    Each batch therefore stays close to a random sample, and little computation is spent on padding.

    Args:
        lengths: Tokens of each item, ``(n,)``.
        batch_size: Items per batch; one batch of an epoch may be smaller.
        seed: Determines the order, together with ``epoch``.
        done: An epoch and the number of its batches that are already done; that epoch skips them. ``len()`` still
            counts the whole epoch, because Lightning keeps track of the remaining batches itself.
        dealt: ``(count, epochs)``: the last ``count`` items are divided at random among this many epochs. Each item
            appears in one of them; a few appear in two, so that every epoch gets the same number. With one epoch, every
            epoch contains all items.

    Attributes:
        epoch: The current epoch; set it before each pass.
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
        """Set the epoch; Lightning calls this before each pass."""
        self.epoch = epoch

    @property
    def size(self) -> int:
        """Number of items per epoch."""
        return self._always + self._share

    def __len__(self) -> int:
        return -(-self.size // self._batch_size)

    def _items(self) -> NDArray[np.intp]:
        """Return the items of the current epoch, in ascending order except for those divided among epochs."""
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
    """A batch and the number of the current pass over it, counted from 0."""

    items: list[int]
    number: int


class Passes(Sampler[Pass]):
    """Every batch repeated several times in a row, for gradient accumulation.

    Args:
        batches: The batches.
        passes: Number of passes over each batch.
    """

    def __init__(self, batches: LengthGroupedBatches, passes: int) -> None:
        self._batches = batches
        self._passes = passes

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch; Lightning calls this before the epoch starts."""
        self._batches.set_epoch(epoch)

    def __len__(self) -> int:
        return len(self._batches) * self._passes

    def __iter__(self) -> Iterator[Pass]:
        for batch in self._batches:
            for number in range(self._passes):
                yield Pass(batch, number)


class NodeDocuments(Dataset[int]):
    """Positions ``0 … n - 1`` of a node's documents; :class:`Collate` turns a batch of them into tensors.

    Each item is its own position, so a batch is a list of positions.
    """

    def __init__(self, size: int) -> None:
        self._size = size

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, index: int) -> int:
        return index


class ItemPaths:
    """Paths of a node's items in its label tree, retrieved for a few items at a time.

    Args:
        main: Main path of each item, ``(n, n_levels)``.
        further: Paths of additional symbols, ``(m, n_levels)``.
        owners: Item that each additional path belongs to, ascending, ``(m,)``.
        shares: Share of each path in its item's target; None if the paths of an item have equal shares.
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
        """Return paths ``(len(items), n_symbols, n_levels)`` int64, the main path first, padded with rows of -1."""
        counts = self._ends[items + 1] - self._ends[items]
        paths = np.full((len(items), 1 + int(counts.max(initial=0)), self._main.shape[1]), NONE, np.int64)
        paths[:, 0] = self._main[items]
        for row in np.flatnonzero(counts):
            start = self._ends[items[row]]
            paths[row, 1 : 1 + counts[row]] = self._further[start : start + counts[row]]
        return torch.from_numpy(paths)

    def shares_of(self, items: NDArray[np.intp]) -> Tensor | None:
        """Return each path's share of its item's target, ``(len(items), n_symbols)`` float32, or None."""
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
    """Collate function that builds the tensors of a batch, or of one share of it, padded to the longest document.

    A share is the part of a batch that one rank reads in one pass. A share without documents gets one document with
    weight 0: every rank must take part in averaging the gradients, and that document adds nothing to them.

    Args:
        store: Token ids of the corpus.
        positions: Each item's position in the store, ``(n,)``.
        paths: Each item's paths in the label tree.
        pad_id: Token id of ``[PAD]``.
        weights: Each item's weight in the loss, ``(n,)`` float32; None for equal weights.
        ranks: The processes that share the batches.
        passes: Number of passes in which each rank reads its part; with more than one, batches arrive as :class:`Pass`.
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
        """Return the tensors of the drawn items.

        Returns:
            ``input_ids`` and ``attention_mask`` ``(batch, longest)``; ``target`` ``(batch, n_symbols, n_levels)``;
            ``document`` ``(batch,)``, the positions in the store; ``weight`` ``(batch,)`` if items have weights or a
            share is empty; with a teacher, ``share`` ``(batch, n_symbols)``. If batches are split into shares,
            ``batch`` is the size of one share and ``whole`` holds the paths of all items.
        """
        items, number = drawn if isinstance(drawn, Pass) else (drawn, 0)
        whole = np.atleast_1d(items)  # a single item if ``overfit_batches`` has replaced the sampler
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
