"""The loss of a network: cross-entropy of the class, with weights, and of the section above it; R-Drop's term."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy


def same_section(labels: Sequence[str]) -> Tensor:
    """Which classes are of one section, ``(labels, labels)`` bool; a class's section is its first letter."""
    sections = [label[0] for label in labels]
    return torch.tensor([[one == other for other in sections] for one in sections])


class ClassificationLoss(nn.Module):
    """Mean over documents of ``-ln P(class) - section_loss * ln P(section)``.

    ``ln P(section)`` is the logsumexp of ``ln P(class)`` over the section's classes, so it has no parameters of its
    own. With class weights ``c`` the mean is ``sum(c * loss) / sum(c)``, as in PyTorch. A document's own weight ``w``
    makes it ``sum(w * c * loss) / sum(c)``: it is not divided by the sum of the batch's ``w``, for batches hold
    documents of like length, and in one of short label texts alone their weight would cancel.

    Args:
        class_weights: ``(labels,)``, or None for equal weights.
        section_loss: Weight of the section's term, 0 or more.
        sections: Which classes are of one section, ``(labels, labels)`` bool; needed where ``section_loss`` is above 0.

    Source: the marginal likelihood of the parent in a hierarchy of labels, as in J. Deng et al. (2014), Large-Scale
    Object Classification using Label Relation Graphs, ECCV; there it replaces the term of labels that are not known,
    here it is added to that of the class.
    """

    class_weights: Tensor | None
    sections: Tensor | None

    def __init__(
        self, class_weights: Tensor | None = None, section_loss: float = 0.0, sections: Tensor | None = None
    ) -> None:
        super().__init__()
        assert sections is not None or not section_loss
        self.section_loss = section_loss
        self.register_buffer("class_weights", class_weights, persistent=False)  # no part of what is learnt
        self.register_buffer("sections", sections if section_loss else None, persistent=False)

    def forward(self, logits: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
        """The loss of a batch, a scalar.

        Args:
            logits: ``(batch, labels)``.
            target: Label codes, ``(batch,)``.
            weight: Of each document, ``(batch,)``; None for equal weights.
        """
        if weight is None and self.sections is None:
            return cross_entropy(logits, target, weight=self.class_weights)
        losses = cross_entropy(logits, target, reduction="none")  # (batch,)
        if self.sections is not None:
            losses = losses + self.section_loss * self._of_section(logits, self.sections[target])
        if weight is not None:
            losses = losses * weight
        if self.class_weights is None:
            return losses.mean()
        class_weights = self.class_weights[target]
        return (class_weights * losses).sum() / class_weights.sum()

    def denominator(self, target: Tensor) -> Tensor:
        """What the mean over some documents divides by, a scalar: how many they are, or their class weights' sum.

        Args:
            target: Their label codes, ``(batch,)``.
        """
        if self.class_weights is None:
            return torch.tensor(float(len(target)), device=target.device)
        return self.class_weights[target].sum()

    def _of_section(self, logits: Tensor, own: Tensor) -> Tensor:
        """``-ln P(section)`` of each document, ``(batch,)``; ``own`` marks its section's classes."""
        log_prob = logits.float().log_softmax(-1)  # (batch, labels)
        return -log_prob.masked_fill(~own, -torch.inf).logsumexp(-1)


def disagreement(first: Tensor, second: Tensor, weight: Tensor | None = None) -> Tensor:
    """How far two passes over one batch differ: the mean over documents of ``(KL(p || q) + KL(q || p)) / 2`` in nats.

    The passes differ by their dropout alone. Made small, it keeps a network from relying on single units.

    Args:
        first: Logits ``(batch, labels)``.
        second: Of the same documents.
        weight: Of each document, ``(batch,)``; None for equal weights.

    Source: X. Liang et al. (2021), R-Drop: Regularized Dropout for Neural Networks, NeurIPS, equation 2. There it is
    added to the sum of both passes' cross-entropies, here to their mean: a factor of 1 here is 2 there.
    """
    p, q = first.float().log_softmax(-1), second.float().log_softmax(-1)  # (batch, labels)
    distances = ((p.exp() - q.exp()) * (p - q)).sum(-1) / 2  # (batch,)
    return (distances if weight is None else distances * weight).mean()
