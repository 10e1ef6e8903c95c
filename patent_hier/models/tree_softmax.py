"""From a network's logits to log-probabilities on its label tree, in torch.

Siblings are neighbours in the tree's order, so a head, the softmax over one parent's children, is a slice of the
network's last layer. *Conditional* is ln P(label | parent), *joint* ln P(label | the network's root).
"""

import numpy as np
import torch
from torch import Tensor, nn

from patent_hier.taxonomy.tree import NONE, LabelTree

_NOTHING = -2  # no label's parent, unlike NONE, which is that of the first level's labels


class TreeSoftmax(nn.Module):
    """The heads of one network.

    Args:
        tree: Its ``n`` labels.
        flat: One softmax over all labels of the deepest level, whose ancestors have the sum of their probabilities;
            else one softmax for each parent.

    Attributes:
        num_outputs: Logits that the network has to give: its leaves if flat, else ``n``.
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
        """Conditional log-probabilities ``(batch, n)`` from logits ``(batch, num_outputs)``, in float32.

        Not of a flat network, which has no heads above its leaves.
        """
        logits = logits.float()
        if self.num_families == 1:
            return logits.log_softmax(-1)
        return logits - _log_sum(logits, self.families, self.num_families)[:, self.families]

    def joint(self, logits: Tensor) -> Tensor:
        """Joint log-probabilities ``(batch, n)`` from logits ``(batch, num_outputs)``, in float32."""
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
        """The mean of each label's score over its softmax, ``(batch, n)``: that of it and its siblings.

        Args:
            scores: ``(batch, n)``, conditional log-probabilities; of a flat network joint ones. Its labels above the
                leaves have no softmax and keep their score.
        """
        if self.flat:
            above, leaves = scores.split([self.levels[-1][0], self.num_outputs], 1)
            return torch.cat([above, leaves.mean(1, keepdim=True).expand_as(leaves)], 1)
        sums = scores.new_zeros(len(scores), self.num_families).index_add(1, self.families, scores)
        return (sums / torch.bincount(self.families, minlength=self.num_families))[:, self.families]

    def best(self, joint: Tensor) -> Tensor:
        """Return the network's answer at each level, ``(batch, n_levels)`` positions; ties go to the first label.

        With one softmax for each parent the answer is the cascade's: the likeliest label of the first level, its
        likeliest child, and so on; -1 below a label without children. A flat network answers at each level with the
        likeliest label, so its answers need not lie on one path.

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
            above = torch.where(self.parents[best] == above, best, _NOTHING)  # nothing below a label without children
            answers.append(above)
        return torch.cat(answers, 1).clamp(min=NONE)

    def best_path(self, joint: Tensor) -> Tensor:
        """The same as one path, ``(batch, n_levels)``: of a flat network that of its likeliest leaf."""
        if not self.flat:
            return self.best(joint)
        start, stop = self.levels[-1]
        path = [joint[:, start:stop].argmax(1) + start]
        for _ in self.levels[1:]:
            path.append(self.parents[path[-1]])
        return torch.stack(path[::-1], 1)


def _log_sum(values: Tensor, owners: Tensor, size: int) -> Tensor:
    """The logarithm of the summed exponentials of each owner's columns, ``(batch, size)``; minus infinity for none."""
    index = owners.expand(len(values), -1)
    highest = values.new_full((len(values), size), -torch.inf).scatter_reduce(1, index, values.detach(), "amax")
    highest = torch.where(highest.isneginf(), 0.0, highest)
    sums = values.new_zeros(len(values), size).index_add(1, owners, (values - highest[:, owners]).exp())
    return sums.log() + highest
