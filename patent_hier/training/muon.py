"""An optimizer that uses Muon for the matrices of Transformer layers and AdamW for all other weights."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Muon, Optimizer


def layer_matrices(network: nn.Module) -> Iterator[Tensor]:
    """Yield the weight matrices inside a network's stacked layers, the weights that Muon is designed for.

    Embeddings and the weights above the stack are left out.
    """
    for stack in network.modules():
        if isinstance(stack, nn.ModuleList):
            for module in stack.modules():
                if isinstance(module, nn.Linear):
                    yield module.weight


class MuonWithAdamW(Optimizer):
    """Optimizer that updates some groups of weights with Muon and the others with AdamW.

    Muon makes the update of a matrix orthogonal. The size of its update is matched to AdamW's, so that one learning
    rate suits both.

    Args:
        groups: Parameter groups with ``lr`` and ``weight_decay``; groups whose ``muon`` is true hold matrices only.
        fused: Whether to use AdamW's fused implementation.

    Source: Jordan et al. (2024), "Muon: an optimizer for hidden layers in neural networks"; the matched size is that of
    Liu et al. (2025), "Muon is scalable for LLM training", section 2.2.
    """

    def __init__(self, groups: list[dict[str, Any]], fused: bool = True) -> None:
        by_muon = [group for group in groups if group["muon"]]
        others = [group for group in groups if not group["muon"]]
        self._muon = Muon(by_muon, adjust_lr_fn="match_rms_adamw") if by_muon else None
        self._adamw = AdamW(others, fused=fused) if others else None
        super().__init__([group for part in self._parts() for group in part.param_groups], {})

    def _parts(self) -> list[Optimizer]:
        return [part for part in (self._muon, self._adamw) if part is not None]

    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]  # torch overloads it
        """Update the weights.

        Args:
            closure: Computes the loss and the gradients first, if given.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for part in self._parts():  # load_state_dict replaces the groups and state of the whole optimizer
            part.param_groups = [group for group in self.param_groups if group["muon"] is (part is self._muon)]
            part.state = self.state
            part.step()
        return loss
