"""Published figures of graphics cards, machines built from them, and the distribution of nodes over their cards."""

import heapq
from collections.abc import Iterable
from typing import NamedTuple

from patent_hier.settings import FP32


class Gpu(NamedTuple):
    """A graphics card according to its manufacturer."""

    name: str  # part of the result of torch.cuda.get_device_name
    memory: float  # bytes
    bf16: float  # floating-point operations per second of dense bf16 products with fp32 accumulation
    fp32: float  # the same in fp32 without tensor cores, as PyTorch computes for precision: 32-true
    source: str

    def peak(self, precision: str) -> float:
        """Return the published floating-point operations per second in ``32-true`` or ``bf16-mixed``."""
        return self.fp32 if precision == FP32 else self.bf16


# Figures without sparsity; those with sparsity in the manufacturers' tables are twice as high.
RTX_4090 = Gpu("RTX 4090", 24e9, 165.2e12, 82.6e12, "NVIDIA Ada GPU architecture whitepaper, appendix A")
A100 = Gpu("A100", 80e9, 312e12, 19.5e12, "NVIDIA A100 80 GB data sheet (SXM)")
H100 = Gpu("H100", 80e9, 989e12, 67e12, "NVIDIA H100 data sheet (SXM)")
H200 = Gpu("H200", 141e9, 989e12, 67e12, "NVIDIA H200 data sheet (SXM)")
GPUS = (RTX_4090, A100, H100, H200)


class Machine(NamedTuple):
    """The machine that trains the nodes."""

    name: str
    gpu: Gpu | None  # None: the measured machine, which trains one node after the other
    cards: int | None = 1  # None: one for each node
    ddp: bool = False  # whether all cards first train the longest node together: L1 or the network of all labels
    advice: str = ""  # settings for training this way, if any are needed


MACHINES = (
    Machine("one RTX 4090", RTX_4090),
    Machine("one H200", H200),
    Machine("eight H200, a node on each", H200, 8, advice="CUDA_VISIBLE_DEVICES=N … level=node node=…"),
    Machine("eight H200, L1 on all at once", H200, 8, True, "level=section trainer=ddp, then level=class"),
    Machine("Slurm, an H100 for each node", H100, None, advice="hydra/launcher=slurm"),
)


def pack(hours: Iterable[float], cards: int) -> float:
    """Return the hours until all nodes are done, if the next longest node always goes to the first free card.

    Source: Graham (1969), "Bounds on multiprocessing timing anomalies": at most 4/3 of the best order.
    """
    busy = [0.0] * cards
    for one in sorted(hours, reverse=True):
        heapq.heapreplace(busy, busy[0] + one)
    return max(busy)
