"""Describe the machine and the implementations of attention that run on it."""

import shutil
import subprocess
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

from benchmarks.architecture import MAX_LENGTH
from benchmarks.gpu.steps import Found
from benchmarks.plan.machines import GPUS, Gpu
from patent_hier.features.versions import package_version
from patent_hier.training.device import cpu_computes_in_bf16

if TYPE_CHECKING:
    from benchmarks.gpu.check import Check

BACKENDS = {
    "math": SDPBackend.MATH,
    "efficient": SDPBackend.EFFICIENT_ATTENTION,
    "flash": SDPBackend.FLASH_ATTENTION,
    "cudnn": SDPBackend.CUDNN_ATTENTION,
}
_ASKED = "name,driver_version,memory.total,power.limit,clocks.max.sm"
_PACKAGES = ("accelerate", "triton", "flash-attn")
_GIB = 1 << 30


def machine(check: "Check") -> Found:
    """Record names, versions, memory, support of bf16, and the kinds of attention that run forward and backward."""
    bf16 = torch.cuda.is_bf16_supported(including_emulation=False) if check.on_gpu else cpu_computes_in_bf16()
    attention = {
        name: {"runs": runs(name, dtype := _dtype(check.device)), "with padding": runs(name, dtype, masked=True)}
        for name in BACKENDS
    }
    facts: dict[str, Any] = {
        "device": torch.cuda.get_device_name() if check.on_gpu else "cpu",
        "published_peak": None if (gpu := known_gpu()) is None else {"bf16": gpu.bf16, "source": gpu.source},
        "nvidia_smi": _nvidia_smi(),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
        "packages": {name: package_version(name) for name in _PACKAGES},
        "bf16": bf16,
        "attention": attention,
        "threads": torch.get_num_threads(),
    }
    if check.on_gpu:
        properties = torch.cuda.get_device_properties(0)
        facts["memory_bytes"] = properties.total_memory
        facts["multiprocessors"] = properties.multi_processor_count
        facts["capability"] = list(torch.cuda.get_device_capability())
    kinds = ", ".join(
        f"{name} {'no' if not one['runs'] else 'yes' if one['with padding'] else 'only without padding'}"
        for name, one in attention.items()
    )
    memory = f", {facts['memory_bytes'] / _GIB:.0f} GiB" if check.on_gpu else ""
    known = "in the table of published peaks" if gpu else "not in the table of published peaks"
    said = (
        f"{facts['device']}{memory}, {known}; torch {facts['torch']}, CUDA {facts['cuda']}; "
        f"bf16 {'yes' if bf16 else 'no'}; attention: {kinds}"
    )
    return Found(facts, said)


def runs(backend: str, dtype: torch.dtype, *, masked: bool = False) -> bool:
    """Return whether a kind of attention runs on this machine, forward and backward.

    Args:
        backend: A name in :data:`BACKENDS`.
        dtype: Type of queries, keys and values.
        masked: Whether some tokens are padding, which needs a mask.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    n = MAX_LENGTH
    one = torch.randn(2, 12, n, 64, device=device, dtype=dtype, requires_grad=True)  # (batch, heads, tokens, width)
    mask = torch.arange(n, device=device).lt(n // 2).expand(2, 1, n, n) if masked else None
    try:
        with sdpa_kernel(BACKENDS[backend]), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PyTorch explains why a kernel cannot be used
            scaled_dot_product_attention(one, one, one, mask).sum().backward()
    except RuntimeError:  # the kernel does not exist or does not support these inputs
        return False
    return True


def known_gpu() -> Gpu | None:
    """Return the card if its published figures are known, else None."""
    if not torch.cuda.is_available():
        return None
    name = torch.cuda.get_device_name()
    return next((gpu for gpu in GPUS if gpu.name in name), None)


def _dtype(device: str) -> torch.dtype:
    return torch.bfloat16 if device == "cuda" else torch.float32


def _nvidia_smi() -> Sequence[str] | None:
    """Return the driver's facts about each card; None without a driver."""
    if (program := shutil.which("nvidia-smi")) is None:
        return None
    command = [program, f"--query-gpu={_ASKED}", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)  # noqa: S603 - fixed words
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip().splitlines()
