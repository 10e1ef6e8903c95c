"""Scores on a label tree as torchmetrics metrics, which accumulate over batches and devices."""

import torch
from torch import Tensor
from torchmetrics import Metric

from patent_hier.evaluation.metrics import Hierarchical, f1_of_counts
from patent_hier.models.tree_softmax import TreeSoftmax
from patent_hier.taxonomy.tree import NONE, LabelTree


class LevelAccuracy(Metric):
    """The accuracy at each level; :meth:`compute` returns one scalar per level.

    A document without a label at a level does not count there. A label that the tree lacks counts as an error.

    Args:
        tree: Label tree.
        flat: Whether the network is flat, which determines its answer; see :meth:`TreeSoftmax.best`.
        top_k: Number of most probable labels, by joint probability, among which the true label counts as a hit; 1 uses
            the network's answer instead.
    """

    full_state_update = False
    hits: Tensor
    total: Tensor

    def __init__(self, tree: LabelTree, flat: bool = False, top_k: int = 1) -> None:
        super().__init__()
        self._softmax = TreeSoftmax(tree, flat)
        self._levels = tree.levels
        self._top_k = top_k
        for name in ("hits", "total"):
            self.add_state(name, torch.zeros(len(tree.levels), dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, joint: Tensor, target: Tensor) -> None:
        """Add a batch.

        Args:
            joint: Joint log-probabilities, ``(batch, n_labels)``.
            target: Paths as positions in the tree, ``(batch, n_symbols, n_levels)``, the main path first; -1 for no
                label, -2 for a label that the tree lacks.
        """
        main = target[:, 0]
        found = self._softmax.best(joint) == main if self._top_k == 1 else self._ranks(joint, main) < self._top_k
        self.hits += (found & (main >= 0)).sum(0)
        self.total += (main != NONE).sum(0)

    def compute(self) -> dict[str, Tensor]:
        """Return the accuracy by level; 0 for a level at which no document has a label."""
        return dict(zip(self._levels, (self.hits / self.total.clamp(min=1)).float(), strict=True))

    def _ranks(self, joint: Tensor, main: Tensor) -> Tensor:
        """Return the number of labels ranked before each true label, ``(batch, n_levels)``; ties by position."""
        own = joint.gather(1, main.clamp(min=0))
        columns = torch.arange(joint.shape[1], device=joint.device)
        ranks = []
        for level, (start, stop) in enumerate(self._softmax.levels):
            scores, score, place = joint[:, start:stop], own[:, level, None], main[:, level, None]
            ranks.append(((scores > score) | ((scores == score) & (columns[start:stop] < place))).sum(1))
        return torch.stack(ranks, 1)


class LevelMeans(Metric):
    """The weighted mean of a quantity at each level, such as a loss; :meth:`compute` returns one scalar per level.

    Args:
        tree: Label tree.
    """

    full_state_update = False
    sums: Tensor
    weights: Tensor

    def __init__(self, tree: LabelTree) -> None:
        super().__init__()
        self._levels = tree.levels
        for name in ("sums", "weights"):
            self.add_state(name, torch.zeros(len(tree.levels), dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, values: Tensor, weights: Tensor) -> None:
        """Add means ``(n_levels,)`` with weights ``(n_levels,)``, such as numbers of documents."""
        self.sums += values * weights
        self.weights += weights

    def compute(self) -> dict[str, Tensor]:
        """Return the mean by level; 0 for a level whose weights are all 0."""
        means = (self.sums / self.weights.clamp(min=1e-12)).float()
        return dict(zip(self._levels, means, strict=True))


class HierarchicalF1(Metric):
    """Micro-averaged F1 over the labels of the true and predicted paths; :meth:`compute` returns a scalar.

    Args:
        tree: Label tree.
        flat: Whether the network is flat; its predicted path ends at the likeliest leaf, otherwise the cascade decides.

    Source: Kiritchenko, Matwin, Nock and Famili, "Learning and evaluation in the presence of class hierarchies", 2006.
    """

    full_state_update = False
    counts: Tensor

    def __init__(self, tree: LabelTree, flat: bool = False) -> None:
        super().__init__()
        self._softmax = TreeSoftmax(tree, flat)
        self.add_state("counts", torch.zeros(3, dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, joint: Tensor, target: Tensor) -> None:
        """Add a batch; for the arguments see :meth:`LevelAccuracy.update`."""
        main, predicted = target[:, 0], self._softmax.best_path(joint)
        shared = (predicted == main) & (main >= 0)
        self.counts += torch.stack([shared.sum(), (predicted != NONE).sum(), (main != NONE).sum()])

    def scores(self) -> Hierarchical:
        """Return precision, recall and F1."""
        return f1_of_counts(*map(int, self.counts.tolist()))

    def compute(self) -> Tensor:
        """Return F1 as a scalar."""
        return torch.tensor(self.scores().f1, device=self.counts.device)
