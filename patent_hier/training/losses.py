"""The loss of a network: the negative log-likelihood of the true path, level by level, with weights; R-Drop's term."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from patent_hier.errors import ConfigError
from patent_hier.models.tree_softmax import TreeSoftmax
from patent_hier.settings.checks import between, one_of
from patent_hier.taxonomy.tree import LabelTree


class PathLoss(nn.Module):
    """Mean over documents of the sum over levels of ``-level_weight * ln P(label | parent)`` along the true path.

    Of a flat network, which has no heads above its leaves, a level's term is ``-ln P(label)``, the summed probability
    of the leaves below it. A document whose path ends above a level adds nothing there.

    With label weights ``c`` a level's mean is ``sum(c * loss) / sum(c)``, as in PyTorch. A document's own weight ``w``
    makes it ``sum(w * c * loss) / sum(c)``: it is not divided by the sum of the batch's ``w``, for batches hold
    documents of like length, and in one of short label texts alone their weight would cancel.

    With label smoothing ``e`` a softmax over ``k`` siblings is taught ``1 - e`` for the true label and ``e / k`` for
    each of them; in training only, so that validation losses compare. Label weights are those of the true label, where
    PyTorch weighs each sibling by its own.

    Args:
        softmax: The network's heads.
        level_weights: One for each level of its tree.
        label_weights: ``(n_labels,)``, or None for equal weights.
        label_smoothing: See above; 0 for none.

    Source: equation 1 of the hierarchical softmax, F. Morin and Y. Bengio (2005), AISTATS; the marginal likelihood of a
    parent in a flat network as in J. Deng et al. (2014), Large-Scale Object Classification using Label Relation Graphs,
    ECCV; there it replaces the term of labels that are not known, here it is added. Label smoothing: C. Szegedy et al.
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
        self.register_buffer("label_weights", label_weights, persistent=False)  # no part of what is learnt

    def forward(
        self,
        logits: Tensor,
        target: Tensor,
        weight: Tensor | None = None,
        whole: Tensor | None = None,
        share: Tensor | None = None,
    ) -> Tensor:
        """The loss of a batch, a scalar.

        Args:
            logits: ``(batch, num_outputs)``.
            target: True paths, ``(batch, n_symbols, n_levels)`` positions in the tree or -1; a document of several
                symbols has several, each of which counts ``1 / n_symbols``, rows of -1 behind the last.
            weight: Of each document, ``(batch,)``; None for equal weights.
            whole: The paths of the whole batch if this is a share of it: the loss is then divided by its documents.
            share: Of each path in its document's target, ``(batch, n_symbols)``; None: those of a document are equal.
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
        """The mean of each level, without the levels' weights; arguments as of :meth:`forward`."""
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
        """The divisor of each level's mean: the number of documents, or the sum of their labels' weights."""
        n_levels = target.shape[-1]
        if self.label_weights is None:
            return [torch.tensor(float(len(target)), device=target.device)] * n_levels
        weights = self.label_weights[target.clamp(min=0)] * (target >= 0) * _symbol_shares(target)
        return list(weights.sum((0, 1)).clamp(min=1e-12))


def _symbol_shares(target: Tensor) -> Tensor:
    """``1 / n_symbols`` of each document's symbols, 0 behind its last, ``(batch, n_symbols, 1)``."""
    present = (target >= 0).any(-1, keepdim=True)
    return present / present.sum(1, keepdim=True).clamp(min=1)


def weights_of_levels(tree: LabelTree, flat: bool, chosen: Mapping[str, float]) -> tuple[float, ...]:
    """The weight of each level in the loss: 1, but of a flat network 0 above the deepest level, unless chosen.

    Args:
        tree: The network's.
        flat: Whether one softmax over the deepest level decides.
        chosen: Weights by level that take the place of these.

    Raises:
        ConfigError: If the tree has no such level, or a weight is out of range.
    """
    for level, weight in chosen.items():
        one_of("level_weights", level, tree.levels)
        between(f"level_weights.{level}", weight, 0, 1e6)
    usual = {level: float(not flat or level == tree.depth) for level in tree.levels}
    weights = tuple(float(weight) for weight in {**usual, **chosen}.values())
    if not any(weights):
        raise ConfigError(f"level_weights={dict(chosen)} leaves nothing to learn; give a level a weight above 0")
    return weights


def disagreement(first: Tensor, second: Tensor, weight: Tensor | None = None) -> Tensor:
    """How far two passes over one batch differ: the mean over documents of ``(KL(p || q) + KL(q || p)) / 2`` in nats.

    The passes differ by their dropout alone. Made small, it keeps a network from relying on single units.

    Args:
        first: Log-probabilities of the leaves, ``(batch, n_leaves)``.
        second: Of the same documents.
        weight: Of each document, ``(batch,)``; None for equal weights.

    Source: X. Liang et al. (2021), R-Drop: Regularized Dropout for Neural Networks, NeurIPS, equation 2. There it is
    added to the sum of both passes' cross-entropies, here to their mean: a factor of 1 here is 2 there.
    """
    distances = ((first.exp() - second.exp()) * (first - second)).sum(-1) / 2  # (batch,)
    return (distances if weight is None else distances * weight).mean()
