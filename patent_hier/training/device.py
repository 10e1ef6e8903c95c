"""Where Lightning trains, and in which precision: the same choice for classifiers and for pre-training."""

from typing import Any

import torch

from patent_hier.errors import ConfigError


def choose_gpu(accelerator: str, setting: str) -> bool:
    """Whether to train on a GPU.

    Args:
        accelerator: ``auto``, ``cpu`` or ``gpu``.
        setting: The setting's name, for the message.

    Raises:
        ConfigError: If a GPU is asked for and PyTorch sees none.
    """
    if accelerator == "gpu" and not torch.cuda.is_available():
        raise ConfigError(f"{setting}=gpu, but PyTorch sees no CUDA device; use auto or cpu")
    return accelerator != "cpu" and torch.cuda.is_available()


def choose_precision(precision: str, on_gpu: bool) -> Any:
    """``auto``: bf16 where a GPU computes in it, else fp32: not every CPU is faster in bf16."""
    if precision != "auto":
        return precision
    return "bf16-mixed" if on_gpu and torch.cuda.is_bf16_supported(including_emulation=False) else "32-true"
