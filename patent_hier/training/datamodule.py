"""Batches of one node as a LightningDataModule; :class:`PatentDataModule` builds the node from a raw file."""

from typing import Any

import numpy as np
import pytorch_lightning as pl
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader

from patent_hier.features.token_store import TokenStore
from patent_hier.taxonomy.tree import NONE, Positions
from patent_hier.training.batching import Collate, ItemPaths, LengthGroupedBatches, NodeDocuments, Passes
from patent_hier.training.node_data import NodeView
from patent_hier.training.ranks import ALONE, Ranks


class NodeBatches(pl.LightningDataModule):
    """Batches of one node; all nodes share the corpus and its split.

    Args:
        view: The node's documents and labels.
        batch_size: Documents per training batch, summed over all ranks.
        score_batch_size: Documents per batch of one rank in validation, test and prediction.
        pad_id: Token id of ``[PAD]``.
        seed: Determines the order of the training batches.
        ranks: The processes that share the batches; all get the same number of batches.
        passes: Number of passes in which each training batch is read.
        done: An epoch and the number of its batches that are already done, if an interrupted run is resumed.
        text_turns: Number of epochs among which label texts and a teacher's texts are divided.

    Attributes:
        num_ids: Size of the vocabulary in token ids; None if unknown.
    """

    num_ids: int | None = None

    def __init__(
        self,
        view: NodeView[TokenStore] | None,
        *,
        batch_size: int,
        score_batch_size: int,
        pad_id: int,
        seed: int,
        ranks: Ranks = ALONE,
        passes: int = 1,
        done: tuple[int, int] = (0, 0),
        text_turns: int = 1,
    ) -> None:
        super().__init__()
        self._view = view
        self.batch_size = batch_size
        self.score_batch_size = score_batch_size
        self.pad_id = pad_id
        self.seed = seed
        self.ranks = ranks
        self.passes = passes
        self._done = done
        self.text_turns = text_turns

    @property
    def view(self) -> NodeView[TokenStore]:
        """The node's documents and labels."""
        assert self._view is not None  # otherwise a subclass overrides this property
        return self._view

    def train_batches(self) -> LengthGroupedBatches:
        """Return the training batches as item numbers: shuffled, grouped by length, including label texts."""
        view = self.view
        dealt = (len(view.train) - view.num_documents, self.text_turns)
        return LengthGroupedBatches(view.store.lengths[view.train], self.batch_size, self.seed, self._done, dealt)

    def train_dataloader(self) -> DataLoader[dict[str, Tensor]]:
        """Return the training batches as tensors."""
        view, batches = self.view, self.train_batches()
        weights = None
        if view.label_share is not None or view.shares is not None or view.weights is not None:
            (label_weight,) = view.label_share.weights if view.label_share else (1.0,)  # a single candidate
            weights = view.train_weights(label_weight)
        return DataLoader(
            NodeDocuments(len(view.train)),  # type: ignore[arg-type]  # items are positions, batches are tensors
            # Passed as sampler and not as batch_sampler, so that Lightning sets its epoch.
            sampler=batches if self.passes == 1 else Passes(batches, self.passes),
            batch_size=None,  # the sampler's items are whole batches
            collate_fn=Collate(
                view.store,
                view.train,
                ItemPaths(view.train_paths, view.further, view.further_owners, view.shares),
                self.pad_id,
                weights,
                self.ranks,
                self.passes,
            ),
        )

    def val_dataloader(self) -> DataLoader[dict[str, Tensor]] | list[Any]:
        """Return the validation documents in order of length, or the empty list that Lightning expects."""
        return self._in_order(self.view.val, self.view.val_paths) if len(self.view.val) else []

    def test_dataloader(self) -> DataLoader[dict[str, Tensor]]:
        """Return the node's test documents in order of length; their paths have -2 for labels not seen in training."""
        return self._in_order(self.view.test, self.view.test_paths)

    def predict_dataloader(self) -> DataLoader[dict[str, Tensor]]:
        """Return every document outside the training part, under the node or not, in order of length."""
        held_out = self.view.held_out
        return self._in_order(held_out, np.full((len(held_out), len(self.view.tree.levels)), NONE, np.int32))

    def _in_order(self, positions: NDArray[np.intp], paths: Positions) -> DataLoader[dict[str, Tensor]]:
        order = np.argsort(self.view.store.lengths[positions], kind="stable")
        return DataLoader(
            NodeDocuments(len(order)),  # type: ignore[arg-type]  # items are positions, batches are tensors
            batch_size=self.score_batch_size * self.ranks.size,
            shuffle=False,
            collate_fn=Collate(
                self.view.store, positions[order], ItemPaths(paths[order]), self.pad_id, ranks=self.ranks
            ),
        )
