"""Where Lightning trains, and in which precision: the same choice for classifiers and for pre-training."""

import torch

from patent_hier.errors import ConfigError
from patent_hier.settings import BF16, FP32, TrainerSettings

# Dimensions of an encoder. A step in bf16 took 0.77 of the time of fp32 at 64, 0.58 at 128, 0.57 at 256; with word
# vectors of 300 dimensions, TextCNN's and RNN's took 0.7.
_BF16_WIDTH = 64


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


def choose_precision(precision: str, on_gpu: bool, width: int | None = None) -> str:
    """The precision of a run: ``auto`` takes bf16 where the device computes in it and a network gains from it.

    Elsewhere bf16 is emulated, and slower than fp32. A run's line and its manifest have what is taken.

    Args:
        precision: ``auto``, ``32-true`` or ``bf16-mixed``.
        on_gpu: Whether it runs on a GPU.
        width: Dimensions of the encoder's states or of the word vectors; None where both are only looked up.
    """
    if precision != "auto":
        return precision
    if on_gpu:
        return BF16 if torch.cuda.is_bf16_supported(including_emulation=False) else FP32
    return BF16 if width is not None and width >= _BF16_WIDTH and cpu_computes_in_bf16() else FP32


def cpu_computes_in_bf16() -> bool:
    """Whether the CPU multiplies matrices of bf16 by instructions of its own: AVX512-BF16 or AMX."""
    own = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()  # public only in newer versions
    return own and torch.backends.mkldnn.is_available()
