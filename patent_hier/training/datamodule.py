"""The LightningDataModule of one node."""

import numpy as np
import pytorch_lightning as pl
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader

from patent_hier.features.token_store import TokenStore
from patent_hier.training.batching import Collate, ItemPaths, LengthGroupedBatches, NodeDocuments, Passes
from patent_hier.training.node_data import NodeView
from patent_hier.training.ranks import ALONE, Ranks


class PatentDataModule(pl.LightningDataModule):
    """Training and validation batches of one node; the corpus and its split are shared by all nodes.

    Args:
        view: The node's documents and labels.
        batch_size: Documents per training batch, over all ranks.
        score_batch_size: Documents per validation batch of one rank.
        pad_id: Token id of ``[PAD]``.
        seed: Decides the order of training batches.
        ranks: The processes that share the batches; all of them have equally many.
        passes: In how many passes each training batch is read.
        done: An epoch and how many of its batches are done, when a killed run goes on.

    Attributes:
        view: As given.
    """

    def __init__(
        self,
        view: NodeView[TokenStore],
        *,
        batch_size: int,
        score_batch_size: int,
        pad_id: int,
        seed: int,
        ranks: Ranks = ALONE,
        passes: int = 1,
        done: tuple[int, int] = (0, 0),
    ) -> None:
        super().__init__()
        self.view = view
        self.batch_size = batch_size
        self.score_batch_size = score_batch_size
        self.pad_id = pad_id
        self.seed = seed
        self.ranks = ranks
        self.passes = passes
        self._done = done

    def train_dataloader(self) -> DataLoader[dict[str, Tensor]]:
        """Shuffled batches of documents of like length, label texts among them."""
        view = self.view
        weights = None
        if view.label_share is not None:
            (label_weight,) = view.label_share.weights  # a network does not choose
            weights = view.train_weights(label_weight)
        batches = LengthGroupedBatches(view.store.lengths[view.train], self.batch_size, self.seed, self._done)
        return DataLoader(
            NodeDocuments(len(view.train)),  # type: ignore[arg-type]  # items are positions, batches are tensors
            # In this place, not as batch_sampler, Lightning tells it the epoch.
            sampler=batches if self.passes == 1 else Passes(batches, self.passes),
            batch_size=None,  # the sampler's items are whole batches
            collate_fn=Collate(
                view.store,
                view.train,
                ItemPaths(view.train_paths, view.further, view.further_owners),
                self.pad_id,
                weights,
                self.ranks,
                self.passes,
            ),
        )

    def val_dataloader(self) -> DataLoader[dict[str, Tensor]]:
        """Validation batches in order of length."""
        view = self.view
        order = np.argsort(view.store.lengths[view.val], kind="stable")
        positions: NDArray[np.intp] = view.val[order]
        return DataLoader(
            NodeDocuments(len(positions)),  # type: ignore[arg-type]  # items are positions, batches are tensors
            batch_size=self.score_batch_size * self.ranks.size,
            shuffle=False,
            collate_fn=Collate(view.store, positions, ItemPaths(view.val_paths[order]), self.pad_id, ranks=self.ranks),
        )
