"""The loss of a network, the weighted negative log-likelihood of the true path by level, and R-Drop's extra term."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from patent_hier.errors import ConfigError
from patent_hier.models.tree_softmax import TreeSoftmax
from patent_hier.settings.checks import between, one_of
from patent_hier.taxonomy.tree import LabelTree


class PathLoss(nn.Module):
    """Mean over documents of the sum over levels of ``-level_weight * ln P(label | parent)`` along the true path.

    A flat network has no heads above its leaves; there a level's term is ``-ln P(label)``, where P is the sum over the
    leaves below the label. A document whose path ends above a level adds nothing at that level.

    With label weights ``c``, a level's mean is ``sum(c * loss) / sum(c)``, as in PyTorch. With document weights ``w``
    it is ``sum(w * c * loss) / sum(c)``. The sum is not divided by the batch's total ``w``: batches hold documents of
    similar length, so in a batch of nothing but short label texts their common weight would cancel.

    With label smoothing ``e``, the target of a softmax over ``k`` siblings is ``1 - e`` for the true label plus
    ``e / k`` for each sibling. Smoothing applies in training only, so that validation losses stay comparable. The label
    weight is the true label's, whereas PyTorch weighs each sibling by its own weight.

    Args:
        softmax: The network's heads.
        level_weights: One weight per level of the network's tree.
        label_weights: Weight of each label, ``(n_labels,)``; None for equal weights.
        label_smoothing: The value ``e`` above; 0 turns smoothing off.

    Source: equation 1 of the hierarchical softmax, F. Morin and Y. Bengio (2005), AISTATS; the marginal likelihood of a
    parent in a flat network as in J. Deng et al. (2014), Large-Scale Object Classification using Label Relation Graphs,
    ECCV; there it replaces the term of unknown labels, here it is added. Label smoothing: C. Szegedy et al.
    (2016), Rethinking the Inception Architecture for Computer Vision, CVPR, section 7.
    """

    label_weights: Tensor | None

    def __init__(
        self,
        softmax: TreeSoftmax,
        level_weights: tuple[float, ...],
        label_weights: Tensor | None = None,
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__()
        self.softmax = softmax
        self.label_smoothing = label_smoothing
        self.level_weights = level_weights
        self.register_buffer("label_weights", label_weights, persistent=False)  # not learnt, so not saved

    def forward(
        self,
        logits: Tensor,
        target: Tensor,
        weight: Tensor | None = None,
        whole: Tensor | None = None,
        share: Tensor | None = None,
    ) -> Tensor:
        """Return the loss of a batch, a scalar.

        Args:
            logits: Logits of the network, ``(batch, num_outputs)``.
            target: True paths, ``(batch, n_symbols, n_levels)``, as positions in the tree or -1. A document with
                several symbols has several paths, each counting ``1 / n_symbols``, padded with rows of -1.
            weight: Weight of each document, ``(batch,)``; None for equal weights.
            whole: Paths of the whole batch if this is one share of it; the loss is then divided by the whole batch's
                documents.
            share: Share of each path in its document's target, ``(batch, n_symbols)``; None for equal shares per
                document.
        """
        means = self.means(logits, target, weight, whole, share)
        return torch.stack([own * mean for own, mean in zip(self.level_weights, means, strict=True) if own]).sum()

    def means(
        self,
        logits: Tensor,
        target: Tensor,
        weight: Tensor | None = None,
        whole: Tensor | None = None,
        share: Tensor | None = None,
    ) -> list[Tensor]:
        """Return the mean of each level, without the level weights; the arguments are those of :meth:`forward`."""
        scores = self.softmax.joint(logits) if self.softmax.flat else self.softmax.conditional(logits)
        if self.training and self.label_smoothing:
            scores = scores.lerp(self.softmax.sibling_means(scores), self.label_smoothing)
        known = target >= 0
        places = target.clamp(min=0)
        losses = -scores.gather(1, places.flatten(1)).view_as(target).masked_fill(~known, 0.0)
        shares = _symbol_shares(target) if share is None else share[..., None]  # (batch, n_symbols, 1)
        losses = losses * shares if weight is None else losses * shares * weight[:, None, None]
        if self.label_weights is not None:
            losses = losses * self.label_weights[places]
        divisors = self.denominators(target if whole is None else whole)
        return [losses[..., level].sum() / divisor for level, divisor in enumerate(divisors)]

    def denominators(self, target: Tensor) -> list[Tensor]:
        """Return the divisor of each level's mean: the number of documents, or the sum of their labels' weights."""
        n_levels = target.shape[-1]
        if self.label_weights is None:
            return [torch.tensor(float(len(target)), device=target.device)] * n_levels
        weights = self.label_weights[target.clamp(min=0)] * (target >= 0) * _symbol_shares(target)
        return list(weights.sum((0, 1)).clamp(min=1e-12))


def _symbol_shares(target: Tensor) -> Tensor:
    """Return ``1 / n_symbols`` for each symbol of a document and 0 for padding, ``(batch, n_symbols, 1)``."""
    present = (target >= 0).any(-1, keepdim=True)
    return present / present.sum(1, keepdim=True).clamp(min=1)


def weights_of_levels(tree: LabelTree, flat: bool, chosen: Mapping[str, float]) -> tuple[float, ...]:
    """Return each level's weight in the loss: the chosen one, or else 1 (0 above the leaves of a flat network).

    Args:
        tree: The network's label tree.
        flat: Whether a single softmax over the deepest level decides.
        chosen: Weights by level that replace the defaults.

    Raises:
        ConfigError: If the tree has no such level, a weight is out of range, or all weights are 0.
    """
    for level, weight in chosen.items():
        one_of("level_weights", level, tree.levels)
        between(f"level_weights.{level}", weight, 0, 1e6)
    usual = {level: float(not flat or level == tree.depth) for level in tree.levels}
    weights = tuple(float(weight) for weight in {**usual, **chosen}.values())
    if not any(weights):
        raise ConfigError(f"level_weights={dict(chosen)} leaves nothing to learn; give one level a weight above 0")
    return weights


def disagreement(first: Tensor, second: Tensor, weight: Tensor | None = None) -> Tensor:
    """Return the mean over documents of ``(KL(p || q) + KL(q || p)) / 2`` between two passes over one batch, in nats.

    The two passes differ only in their dropout. Keeping the distance small prevents the network from relying on single
    units.

    Args:
        first: Log-probabilities of the leaves in the first pass, ``(batch, n_leaves)``.
        second: Log-probabilities of the same documents in the second pass.
        weight: Weight of each document, ``(batch,)``; None for equal weights.

    Source: X. Liang et al. (2021), R-Drop: Regularized Dropout for Neural Networks, NeurIPS, equation 2. There the term
    is added to the sum of both passes' cross-entropies, here to their mean, so a factor of 1 here is 2 there.
    """
    distances = ((first.exp() - second.exp()) * (first - second)).sum(-1) / 2  # (batch,)
    return (distances if weight is None else distances * weight).mean()
