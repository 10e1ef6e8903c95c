"""Where Lightning trains, and in which precision: the same choice for classifiers and for pre-training."""

from typing import Any

import torch

from patent_hier.errors import ConfigError
from patent_hier.settings import BF16, FP32, TrainerSettings


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


def choose_devices(settings: TrainerSettings) -> int:
    """How many devices of this machine train one node together.

    Raises:
        ConfigError: If there are not so many GPUs.
    """
    if not choose_gpu(settings.accelerator, "trainer.accelerator"):
        return settings.devices or 1
    visible = torch.cuda.device_count()
    if settings.devices is not None and settings.devices > visible:
        raise ConfigError(
            f"trainer.devices={settings.devices}, but PyTorch sees {visible} GPU(s); use {visible} or null"
        )
    return settings.devices or visible


def choose_precision(precision: str, on_gpu: bool) -> Any:
    """``auto``: bf16 where a GPU computes in it, else fp32: not every CPU is faster in bf16."""
    if precision != "auto":
        return precision
    return BF16 if on_gpu and torch.cuda.is_bf16_supported(including_emulation=False) else FP32
