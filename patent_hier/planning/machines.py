"""Graphics cards by their published figures, machines made of them, and nodes dealt out over their cards."""

import heapq
from collections.abc import Iterable
from dataclasses import dataclass

from patent_hier.settings import FP32


@dataclass(frozen=True)
class Gpu:
    """A card as its maker describes it.

    Attributes:
        name: As ``torch.cuda.get_device_name`` contains it.
        memory: Bytes.
        bf16: Floating-point operations per second of dense bf16 products with fp32 accumulation.
        fp32: Likewise in fp32 without tensor cores, which PyTorch uses for ``precision: 32-true``.
        source: Where the figures stand.
    """

    name: str
    memory: float
    bf16: float
    fp32: float
    source: str

    def peak(self, precision: str) -> float:
        """Published floating-point operations per second in ``32-true``, or in ``bf16-mixed``."""
        return self.fp32 if precision == FP32 else self.bf16


# Figures with sparsity are twice as high in the makers' tables; these are without.
GPUS = {
    gpu.name: gpu
    for gpu in (
        Gpu("RTX 4090", 24e9, 165.2e12, 82.6e12, "NVIDIA Ada GPU architecture whitepaper, appendix A"),
        Gpu("A100", 80e9, 312e12, 19.5e12, "NVIDIA A100 80 GB data sheet (SXM)"),
        Gpu("H100", 80e9, 989e12, 67e12, "NVIDIA H100 data sheet (SXM)"),
        Gpu("H200", 141e9, 989e12, 67e12, "NVIDIA H200 data sheet (SXM)"),
    )
}


@dataclass(frozen=True)
class Machine:
    """What trains the nodes.

    Attributes:
        name: As it stands in the table.
        gpu: The kind of its cards.
        count: How many cards; None: one for each node.
        ddp: Whether the longest node, L1 or the flat one, is trained on all cards together first.
        advice: How to train so; empty where nothing is to be set.
    """

    name: str
    gpu: Gpu
    count: int | None
    ddp: bool = False
    advice: str = ""


MACHINES = (
    Machine("one RTX 4090", GPUS["RTX 4090"], 1),
    Machine("one H200", GPUS["H200"], 1),
    Machine("eight H200, a node on each", GPUS["H200"], 8, advice="CUDA_VISIBLE_DEVICES=N … level=node node=…"),
    Machine("eight H200, L1 on all at once", GPUS["H200"], 8, True, "level=section trainer=ddp, then level=class"),
    Machine("Slurm, an H100 for each node", GPUS["H100"], None, advice="hydra/launcher=slurm"),
)


def pack(hours: Iterable[float], cards: int) -> float:
    """Hours until all nodes are done, the longest dealt out first, each to the card that is free soonest.

    Args:
        hours: Of each node.
        cards: One or more.

    Source: Graham (1969), "Bounds on multiprocessing timing anomalies": at most 4/3 of the best order.
    """
    busy = [0.0] * cards
    for one in sorted(hours, reverse=True):
        heapq.heapreplace(busy, busy[0] + one)
    return max(busy)
