"""Accuracy at every level of a label tree, as a torchmetrics metric."""

import torch
from torch import Tensor
from torchmetrics import Metric

from patent_hier.taxonomy.tree import LabelTree


class LevelAccuracy(Metric):
    """How often the label of highest joint probability is the true one, at each level.

    A document whose label at a level is not known to the tree does not count there.

    Args:
        tree: The labels.
    """

    full_state_update = False
    hits: Tensor
    total: Tensor

    def __init__(self, tree: LabelTree) -> None:
        super().__init__()
        self._levels = [(own.start, own.stop) for own in map(tree.span, tree.levels)]
        for name in ("hits", "total"):
            self.add_state(name, torch.zeros(len(self._levels), dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, joint: Tensor, target: Tensor) -> None:
        """Count a batch.

        Args:
            joint: Joint log-probabilities, ``(batch, n_labels)``.
            target: Paths, ``(batch, n_symbols, n_levels)``, the main one first; -1 where there is no label.
        """
        main = target[:, 0]
        best = torch.stack([joint[:, start:stop].argmax(1) + start for start, stop in self._levels], 1)
        self.hits += (best == main).sum(0)
        self.total += (main >= 0).sum(0)

    def compute(self) -> Tensor:
        """``(n_levels,)``, of a single level ``()``; 0 where no document has a label."""
        return (self.hits / self.total.clamp(min=1)).float()
