"""Scoring in half precision, only where it was seen to change next to nothing.

On CPUs with AVX512-BF16 or AMX, and on GPUs, products in bfloat16 take a fraction of fp32's time. What they change
depends on the model and the texts, so it is measured on the file itself before the file is classified.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from patent_hier.errors import ConfigError
from patent_hier.inference.predictor import System
from patent_hier.settings import BF16, FP32

PRECISIONS = (FP32, BF16)
COMPARED = 512  # documents
MIN_AGREEMENT = 0.99  # of the first label; accuracy can then differ by one point at most


@dataclass(frozen=True)
class Agreement:
    """Half precision beside fp32.

    Attributes:
        level: The deepest level of the system.
        documents: How many were scored by both.
        same: How many have the same first label there.
        difference: The largest difference of a probability of such a label.
    """

    level: str
    documents: int
    same: int
    difference: float

    def __str__(self) -> str:
        share = 100 * self.same / self.documents
        return (
            f"the first {self.level} of {self.same} of {self.documents} documents ({share:.1f} %) is that of fp32, "
            f"probabilities differ by at most {self.difference:.2g}"
        )

    def require(self) -> None:
        """Refuse half precision where it changes too much.

        Raises:
            ConfigError: With what was measured.
        """
        if self.same < MIN_AGREEMENT * self.documents:
            raise ConfigError(
                f"--precision {BF16}: {self}, less than {MIN_AGREEMENT:.0%}; leave --precision out to score in fp32"
            )


@contextmanager
def scoring_in(precision: str) -> Iterator[None]:
    """Let networks score in a precision; n-gram models know only their own.

    Args:
        precision: One of :data:`PRECISIONS`.
    """
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    with torch.autocast(device, torch.bfloat16, enabled=precision == BF16):
        yield


def compare_precisions(system: System, texts: Sequence[str], batch_size: int = 64) -> Agreement:
    """Score texts in fp32 and in half precision.

    Args:
        system: See :func:`patent_hier.inference.predictor.load_system`.
        texts: One or more; of many, :data:`COMPARED` are taken, evenly.
        batch_size: Documents per batch of a network.
    """
    chosen = [texts[i] for i in np.linspace(0, len(texts) - 1, min(len(texts), COMPARED)).astype(int)]
    same, difference = 0, 0.0
    for part in system.portions(chosen):
        full, half = (_deepest(system, part, precision, batch_size) for precision in PRECISIONS)
        same += int((full.argmax(1) == half.argmax(1)).sum())
        difference = max(difference, float(np.abs(np.exp(full) - np.exp(half)).max()))
    return Agreement(system.tree.depth, len(chosen), same, difference)


def _deepest(system: System, texts: list[str], precision: str, batch_size: int) -> NDArray[np.float32]:
    with scoring_in(precision):
        return system.whole(system.log_prob(texts, batch_size=batch_size)).at(system.tree.depth)
