"""The optimizer of a network: its groups of weights, the learning rate over a run, clipped gradients, label weights."""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Adam, AdamW, Optimizer

from patent_hier.errors import ConfigError
from patent_hier.models.blocks import blocks_of
from patent_hier.models.encoder import TextEncoder
from patent_hier.models.frozen import VectorEncoder
from patent_hier.settings import OptimizerSettings, filled
from patent_hier.taxonomy.tree import NONE, LabelTree, Positions
from patent_hier.training.muon import MuonWithAdamW, layer_matrices

ENCODER_PREFIX = "encoder."  # of the names of weights that are the encoder's, see patent_hier.models.bertcnn


class Schedule:
    """Factor on the learning rate at each step: linear warm-up, then constant or a linear fall to 0.

    Args:
        settings: ``warmup`` (a fraction of all steps) and ``schedule``.
        total_steps: All optimizer steps.
    """

    def __init__(self, settings: OptimizerSettings, total_steps: int) -> None:
        self._warmup = math.ceil(settings.warmup * total_steps)
        self._falls = settings.schedule == "linear"
        self._total = total_steps

    def __call__(self, step: int) -> float:
        """The factor for a step, counted from 0."""
        if step < self._warmup:
            return (step + 1) / self._warmup
        if not self._falls:
            return 1.0
        return max(0.0, (self._total - step) / max(1, self._total - self._warmup))


def clip_gradients(network: nn.Module, largest: float | None, algorithm: str | None) -> None:
    """Clip the gradients of a network; in mixed precision Lightning refuses to do so with a fused optimizer.

    With bf16 there is no gradient scale that would have to be taken off first; with fp16 the optimizer is not fused.

    Args:
        network: Has gradients.
        largest: The largest norm of all gradients together, or the largest absolute value of one; None clips nothing.
        algorithm: ``"norm"``, which None stands for, or ``"value"``.

    Raises:
        ConfigError: If the algorithm is another.
    """
    if algorithm not in (None, "norm", "value"):
        raise ConfigError(f"gradients cannot be clipped by {algorithm!r}; choose 'norm' or 'value'")
    if largest is None:
        return
    if algorithm == "value":
        nn.utils.clip_grad_value_(network.parameters(), largest)
    else:
        nn.utils.clip_grad_norm_(network.parameters(), largest)


def build_optimizer(network: nn.Module, settings: OptimizerSettings, fused: bool = True) -> Optimizer:
    """Adam, AdamW or Muon over the trainable weights; no weight decay on vectors (biases and layer norms).

    Weights outside ``network.encoder`` learn at ``head_lr``, where it is set; those in it at rates that ``layer_decay``
    lowers from layer to layer. Muon updates the matrices of stacked layers, AdamW the other weights.

    Raises:
        ConfigError: If Muon is to train a network without stacked layers, or there is a ``layer_decay`` and no encoder
            whose layers have weights of their own.
    """
    lr = filled(settings.lr)
    factors = _layer_factors(network, settings.layer_decay)
    by_muon = {id(weight) for weight in layer_matrices(network)} if settings.name == "muon" else set()
    if settings.name == "muon" and not by_muon:
        raise ConfigError("optimizer.name=muon is for Transformer layers, which the model lacks; set adamw")
    # By: in the encoder, a factor on the rate, a matrix, updated by Muon.
    groups: dict[tuple[bool, float, bool, bool], list[nn.Parameter]] = {}
    for name, weight in network.named_parameters():
        if weight.requires_grad:
            in_encoder = settings.head_lr is None or name.startswith(ENCODER_PREFIX)
            group = (in_encoder, factors.get(weight, 1.0), weight.ndim > 1, id(weight) in by_muon)
            groups.setdefault(group, []).append(weight)
    options: list[dict[str, Any]] = [
        {
            "params": weights,
            "lr": lr * factor if in_encoder else settings.head_lr,
            "weight_decay": settings.weight_decay if is_matrix else 0.0,
            **({"muon": muon} if by_muon else {}),
        }
        for (in_encoder, factor, is_matrix, muon), weights in sorted(
            groups.items(), reverse=True, key=lambda own: own[0]
        )
    ]
    if by_muon:
        return MuonWithAdamW(options, fused)
    optimizer_class = AdamW if settings.name == "adamw" else Adam
    return optimizer_class(options, lr=lr, fused=fused)


def _layer_factors(network: nn.Module, decay: float) -> dict[nn.Parameter, float]:
    """Factor on the learning rate of each weight in an encoder's embeddings and layers: ``decay ** layers above it``.

    Source: K. Clark et al. (2020), "ELECTRA", appendix B; there the top layer's rate is below the head's already.
    """
    encoder = getattr(network, "encoder", None)
    if decay == 1 or isinstance(encoder, VectorEncoder):  # which has no weights
        return {}
    blocks = blocks_of(encoder.network, encoder.num_layers) if isinstance(encoder, TextEncoder) else []
    if not blocks:
        raise ConfigError(
            f"optimizer.layer_decay={decay} goes with an encoder whose layers have weights of their own; set it to 1"
        )
    return {
        weight: decay**above
        for above, block in enumerate(reversed(blocks))
        for module in block
        for weight in module.parameters()
    }


def inverse_frequency_weights(tree: LabelTree, paths: Positions) -> Tensor:
    """Loss weights ``(n_labels,)`` within each level: ``n / (n_labels * count)``, so a document's mean weight is 1.

    Args:
        tree: The labels.
        paths: Of the training documents, ``(n, n_levels)``.
    """
    counts = np.bincount(paths[paths != NONE], minlength=len(tree))
    weights = np.empty(len(tree), np.float32)
    for own in map(tree.span, tree.levels):
        weights[own] = counts[own].sum() / ((own.stop - own.start) * np.maximum(counts[own], 1))
    return torch.from_numpy(weights)
