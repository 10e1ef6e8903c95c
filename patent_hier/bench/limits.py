"""What this machine could do at most."""

import statistics
from time import perf_counter

import torch

from patent_hier.settings import BF16

_SIDE = {"cpu": 2048, "cuda": 8192}
_PRODUCTS = 7


def matrix_flops(device: str, precision: str) -> float:
    """Floating-point operations per second of a large matrix product: the median of 7.

    Args:
        device: ``cpu`` or ``cuda``.
        precision: ``32-true`` or ``bf16-mixed``.
    """
    side = _SIDE[device]
    kind = torch.bfloat16 if precision == BF16 else torch.float32
    left, right = (torch.randn(side, side, device=device, dtype=kind) for _ in range(2))
    seconds = []
    for _ in range(_PRODUCTS + 1):
        start = perf_counter()
        torch.mm(left, right)
        if device == "cuda":
            torch.cuda.synchronize()
        seconds.append(perf_counter() - start)
    return float(2 * side**3 / statistics.median(seconds[1:]))


def document_limit(flops: float, documents: int, device: str, precision: str) -> tuple[float, str]:
    """Documents per second if all arithmetic went at the rate of a large matrix product, and what sets that limit.

    Args:
        flops: Floating-point operations of all documents.
        documents: How many they are.
        device: See :func:`matrix_flops`.
        precision: As there.
    """
    most = matrix_flops(device, precision)
    return most * documents / flops, f"matrix product, {most / 1e9:,.0f} GFLOP/s"
