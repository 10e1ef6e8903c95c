from collections.abc import Iterator

import pytest
import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_post_hook


@pytest.fixture
def steps() -> Iterator[list[Tensor]]:
    """The gradients with which each step of any optimizer was made, in one row."""
    found: list[Tensor] = []

    def note(optimizer: Optimizer, *_: object) -> None:
        weights = [weight for group in optimizer.param_groups for weight in group["params"]]
        found.append(torch.cat([weight.grad.flatten() for weight in weights if weight.grad is not None]).clone())

    handle = register_optimizer_step_post_hook(note)
    yield found
    handle.remove()
