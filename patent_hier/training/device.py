"""Choice of device and precision for Lightning, the same for classifiers and for pre-training."""

import torch

from patent_hier.errors import ConfigError
from patent_hier.settings import BF16, FP32, TrainerSettings

# Smallest width in dimensions at which bf16 pays off. Relative to fp32, a step in bf16 took 0.77 of the time for an
# encoder of width 64, 0.58 for 128 and 0.57 for 256; TextCNN and RNN on 300-dimensional word vectors took 0.7.
_BF16_WIDTH = 64


def choose_gpu(accelerator: str, setting: str) -> bool:
    """Return whether to train on a GPU.

    Args:
        accelerator: ``auto``, ``cpu`` or ``gpu``.
        setting: Name of the setting, for the message.

    Raises:
        ConfigError: If the accelerator is ``gpu`` and PyTorch sees no GPU.
    """
    if accelerator == "gpu" and not torch.cuda.is_available():
        raise ConfigError(f"{setting}=gpu, but PyTorch sees no CUDA device; use auto or cpu")
    return accelerator != "cpu" and torch.cuda.is_available()


def choose_devices(settings: TrainerSettings) -> int:
    """Return the number of devices of this machine that train one node together.

    Raises:
        ConfigError: If the machine has fewer GPUs than requested.
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
    """Return the precision of a run; ``auto`` chooses bf16 if the device supports it and the network benefits.

    On other devices bf16 is emulated and slower than fp32. The run's first line and its manifest show the choice.

    Args:
        precision: ``auto``, ``32-true`` or ``bf16-mixed``.
        on_gpu: Whether the run uses a GPU.
        width: Dimensions of the encoder's states or of the word vectors; None if they are only looked up.
    """
    if precision != "auto":
        return precision
    if on_gpu:
        return BF16 if torch.cuda.is_bf16_supported(including_emulation=False) else FP32
    return BF16 if width is not None and width >= _BF16_WIDTH and cpu_computes_in_bf16() else FP32


def cpu_computes_in_bf16() -> bool:
    """Return whether the CPU has native instructions for bf16 matrix products: AVX512-BF16 or AMX."""
    own = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()  # private in older versions
    return own and torch.backends.mkldnn.is_available()
