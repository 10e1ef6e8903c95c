"""The optimizer of a network, its groups of weights, learning rate schedule, gradient clipping and class weights."""

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

ENCODER_PREFIX = "encoder."  # prefix of the encoder's weights, see patent_hier.models.bertcnn


class Schedule:
    """Factor on the learning rate at each step: linear warm-up, then constant or a linear decay to 0.

    Args:
        settings: Optimizer settings; ``warmup`` (a fraction of all steps) and ``schedule`` are used.
        total_steps: Total number of optimizer steps.
    """

    def __init__(self, settings: OptimizerSettings, total_steps: int) -> None:
        self._warmup = math.ceil(settings.warmup * total_steps)
        self._falls = settings.schedule == "linear"
        self._total = total_steps

    def __call__(self, step: int) -> float:
        """Return the factor for a step, counted from 0."""
        if step < self._warmup:
            return (step + 1) / self._warmup
        if not self._falls:
            return 1.0
        return max(0.0, (self._total - step) / max(1, self._total - self._warmup))


def clip_gradients(network: nn.Module, largest: float | None, algorithm: str | None) -> None:
    """Clip the gradients of a network; Lightning refuses to do so for a fused optimizer in mixed precision.

    Clipping here is safe: bf16 has no gradient scale to remove first, and with fp16 the optimizer is not fused.

    Args:
        network: Network with gradients.
        largest: Upper limit for the norm of all gradients together, or for the absolute value of each; None for no
            clipping.
        algorithm: ``"norm"`` or ``"value"``; None means ``"norm"``.

    Raises:
        ConfigError: If the algorithm is unknown.
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
    """Build Adam, AdamW or Muon for the trainable weights, without weight decay on vectors (biases, layer norms).

    Weights outside ``network.encoder`` learn at ``head_lr`` if it is set. Weights inside learn at rates that
    ``layer_decay`` lowers from layer to layer. Muon updates the matrices of stacked layers, and AdamW the other
    weights.

    Raises:
        ConfigError: If Muon is chosen for a network without stacked layers, or ``layer_decay`` is set without an
            encoder whose layers have their own weights.
    """
    lr = filled(settings.lr)
    factors = _layer_factors(network, settings.layer_decay)
    by_muon = {id(weight) for weight in layer_matrices(network)} if settings.name == "muon" else set()
    if settings.name == "muon" and not by_muon:
        raise ConfigError("optimizer.name=muon is for Transformer layers, which the model lacks; use adamw")
    # Keys: whether in the encoder, factor on the rate, whether a matrix, whether updated by Muon.
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
    """Return each encoder weight's factor on the learning rate: ``decay`` to the power of the number of layers above.

    Source: K. Clark et al. (2020), "ELECTRA", appendix B; there even the top layer's rate is below the head's.
    """
    encoder = getattr(network, "encoder", None)
    if decay == 1 or isinstance(encoder, VectorEncoder):  # it has no weights
        return {}
    blocks = blocks_of(encoder.network, encoder.num_layers) if isinstance(encoder, TextEncoder) else []
    if not blocks:
        raise ConfigError(
            f"optimizer.layer_decay={decay} requires an encoder whose layers have their own weights; set it to 1"
        )
    return {
        weight: decay**above
        for above, block in enumerate(reversed(blocks))
        for module in block
        for weight in module.parameters()
    }


def inverse_frequency_weights(tree: LabelTree, paths: Positions) -> Tensor:
    """Return loss weights ``(n_labels,)`` per level, ``n / (n_labels * count)``; a document's mean weight is 1.

    Args:
        tree: The label tree.
        paths: Paths of the training documents, ``(n, n_levels)``.
    """
    counts = np.bincount(paths[paths != NONE], minlength=len(tree))
    weights = np.empty(len(tree), np.float32)
    for own in map(tree.span, tree.levels):
        weights[own] = counts[own].sum() / ((own.stop - own.start) * np.maximum(counts[own], 1))
    return torch.from_numpy(weights)
