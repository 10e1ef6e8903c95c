"""From a network's logits to log-probabilities on its label tree, in torch.

Siblings are neighbours in the tree's order, so a head, the softmax over one parent's children, is a slice of the
network's last layer. *Conditional* means ln P(label | parent), *joint* means ln P(label | the network's root).
"""

import numpy as np
import torch
from torch import Tensor, nn

from patent_hier.taxonomy.tree import NONE, LabelTree

_NOTHING = -2  # not the parent of any label, unlike NONE, the parent of the first level's labels


class TreeSoftmax(nn.Module):
    """The heads of one network.

    Args:
        tree: Label tree of the network, with ``n`` labels.
        flat: Whether to use one softmax over all labels of the deepest level, whose ancestors have the sum of their
            probabilities; otherwise one softmax per parent.

    Attributes:
        num_outputs: Number of logits that the network must return: one per leaf if flat, otherwise ``n``.
    """

    parents: Tensor
    families: Tensor

    def __init__(self, tree: LabelTree, flat: bool = False) -> None:
        super().__init__()
        self.flat = flat
        self.levels = [(own.start, own.stop) for own in map(tree.span, tree.levels)]
        self.num_labels = len(tree)
        self.num_outputs = self.levels[-1][1] - self.levels[-1][0] if flat else len(tree)
        parents = torch.from_numpy(tree.parents.astype(np.int64))
        names, families = np.unique(tree.parents, return_inverse=True)
        self.num_families = len(names)
        self.register_buffer("parents", parents, persistent=False)  # (n,)
        self.register_buffer("families", torch.from_numpy(families.astype(np.int64)), persistent=False)  # (n,)

    def conditional(self, logits: Tensor) -> Tensor:
        """Return conditional log-probabilities ``(batch, n)`` in float32 from logits ``(batch, num_outputs)``.

        Not for a flat network, which has no heads above its leaves.
        """
        logits = logits.float()
        if self.num_families == 1:
            return logits.log_softmax(-1)
        return logits - _log_sum(logits, self.families, self.num_families)[:, self.families]

    def joint(self, logits: Tensor) -> Tensor:
        """Return joint log-probabilities ``(batch, n)`` in float32 from logits ``(batch, num_outputs)``."""
        if self.flat:
            levels = [logits.float().log_softmax(-1)]
            for (start, stop), (above, end) in zip(self.levels[:0:-1], self.levels[-2::-1], strict=True):
                levels.append(_log_sum(levels[-1], self.parents[start:stop] - above, end - above))
            return torch.cat(levels[::-1], 1)
        conditional = self.conditional(logits)
        levels = [conditional[:, slice(*self.levels[0])]]
        for (start, stop), (above, _) in zip(self.levels[1:], self.levels, strict=False):
            levels.append(conditional[:, start:stop] + levels[-1][:, self.parents[start:stop] - above])
        return torch.cat(levels, 1)

    def sibling_means(self, scores: Tensor) -> Tensor:
        """Return for each label the mean score of the labels in its softmax, ``(batch, n)``.

        Args:
            scores: Conditional log-probabilities, ``(batch, n)``; for a flat network joint ones. In a flat network,
                labels above the leaves have no softmax and keep their score.
        """
        if self.flat:
            above, leaves = scores.split([self.levels[-1][0], self.num_outputs], 1)
            return torch.cat([above, leaves.mean(1, keepdim=True).expand_as(leaves)], 1)
        sums = scores.new_zeros(len(scores), self.num_families).index_add(1, self.families, scores)
        return (sums / torch.bincount(self.families, minlength=self.num_families))[:, self.families]

    def best(self, joint: Tensor) -> Tensor:
        """Return the network's answer at each level, ``(batch, n_levels)`` positions; ties go to the first label.

        With one softmax per parent the answer is that of a cascade: the likeliest label of the first level, its
        likeliest child, and so on, and -1 below a label without children. A flat network returns the likeliest label of
        each level, so its answers need not be on one path.

        Args:
            joint: Joint log-probabilities, ``(batch, n)``.
        """
        if self.flat:
            return torch.stack([joint[:, start:stop].argmax(1) + start for start, stop in self.levels], 1)
        above = torch.full((len(joint), 1), NONE, device=joint.device)
        answers = []
        for start, stop in self.levels:
            below = self.parents[start:stop] == above  # (batch, labels of the level)
            best = joint[:, start:stop].masked_fill(~below, -torch.inf).argmax(1, keepdim=True) + start
            above = torch.where(self.parents[best] == above, best, _NOTHING)  # no answer below a label without children
            answers.append(above)
        return torch.cat(answers, 1).clamp(min=NONE)

    def best_path(self, joint: Tensor) -> Tensor:
        """Return the answer as one path, ``(batch, n_levels)``; for a flat network the path of its likeliest leaf."""
        if not self.flat:
            return self.best(joint)
        start, stop = self.levels[-1]
        path = [joint[:, start:stop].argmax(1) + start]
        for _ in self.levels[1:]:
            path.append(self.parents[path[-1]])
        return torch.stack(path[::-1], 1)


def _log_sum(values: Tensor, owners: Tensor, size: int) -> Tensor:
    """Return the log of the summed exponentials of each owner's columns, ``(batch, size)``; -inf if it has none."""
    index = owners.expand(len(values), -1)
    highest = values.new_full((len(values), size), -torch.inf).scatter_reduce(1, index, values.detach(), "amax")
    highest = torch.where(highest.isneginf(), 0.0, highest)
    sums = values.new_zeros(len(values), size).index_add(1, owners, (values - highest[:, owners]).exp())
    return sums.log() + highest
