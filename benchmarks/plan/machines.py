"""Graphics cards by their published figures, machines made of them, and nodes dealt out over their cards."""

import heapq
from collections.abc import Iterable
from typing import NamedTuple

from patent_hier.settings import FP32


class Gpu(NamedTuple):
    """A card as its maker describes it."""

    name: str  # as torch.cuda.get_device_name contains it
    memory: float  # bytes
    bf16: float  # floating-point operations per second of dense bf16 products with fp32 accumulation
    fp32: float  # likewise in fp32 without tensor cores, which PyTorch uses for precision: 32-true
    source: str

    def peak(self, precision: str) -> float:
        """Published floating-point operations per second in ``32-true``, or in ``bf16-mixed``."""
        return self.fp32 if precision == FP32 else self.bf16


# Figures with sparsity are twice as high in the makers' tables; these are without.
RTX_4090 = Gpu("RTX 4090", 24e9, 165.2e12, 82.6e12, "NVIDIA Ada GPU architecture whitepaper, appendix A")
A100 = Gpu("A100", 80e9, 312e12, 19.5e12, "NVIDIA A100 80 GB data sheet (SXM)")
H100 = Gpu("H100", 80e9, 989e12, 67e12, "NVIDIA H100 data sheet (SXM)")
H200 = Gpu("H200", 141e9, 989e12, 67e12, "NVIDIA H200 data sheet (SXM)")
GPUS = (RTX_4090, A100, H100, H200)


class Machine(NamedTuple):
    """The machine that trains the nodes."""

    name: str
    gpu: Gpu | None  # None: the machine that was measured, which trains one node after the other
    cards: int | None = 1  # None: one for each node
    ddp: bool = False  # whether the longest node, L1 or one of all labels, is trained on all cards together first
    advice: str = ""  # how to train so, where something is to be set


MACHINES = (
    Machine("one RTX 4090", RTX_4090),
    Machine("one H200", H200),
    Machine("eight H200, a node on each", H200, 8, advice="CUDA_VISIBLE_DEVICES=N … level=node node=…"),
    Machine("eight H200, L1 on all at once", H200, 8, True, "level=section trainer=ddp, then level=class"),
    Machine("Slurm, an H100 for each node", H100, None, advice="hydra/launcher=slurm"),
)


def pack(hours: Iterable[float], cards: int) -> float:
    """Hours until all nodes are done, the longest dealt out first, each to the card that is free soonest.

    Source: Graham (1969), "Bounds on multiprocessing timing anomalies": at most 4/3 of the best order.
    """
    busy = [0.0] * cards
    for one in sorted(hours, reverse=True):
        heapq.heapreplace(busy, busy[0] + one)
    return max(busy)
