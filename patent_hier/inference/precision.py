"""Networks computed otherwise than they were measured, only where that was seen to change next to nothing.

Half precision and whole numbers take a fraction of fp32's time on many CPUs. What they change depends on the model and
the texts, so it is measured on such texts before any is classified. Another runtime in fp32 must change no label.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from patent_hier.errors import ConfigError
from patent_hier.inference.engines import TORCH, Engine
from patent_hier.inference.predictor import System
from patent_hier.settings import FP32

COMPARED = 512  # documents
MIN_AGREEMENT = 0.99  # of the first label; accuracy can then differ by one point at most
MAX_DIFFERENCE = 1e-3  # of a probability, where both compute in fp32; rounding makes about 1e-5


@dataclass(frozen=True)
class Agreement:
    """An engine beside PyTorch in fp32.

    Attributes:
        engine: It.
        level: The deepest level of the system.
        documents: How many were scored by both.
        same: How many have the same first label there.
        difference: The largest difference of a probability of such a label.
    """

    engine: Engine
    level: str
    documents: int
    same: int
    difference: float

    def __str__(self) -> str:
        share = 100 * self.same / self.documents
        return (
            f"{self.same} of {self.documents} documents ({share:.1f} %) have the same first {self.level} as in "
            f"{'fp32' if self.engine.name == TORCH else 'torch in fp32'}; probabilities differ by at most "
            f"{self.difference:.2g}"
        )

    def require(self) -> None:
        """Refuse an engine that changes too much.

        Raises:
            ConfigError: With what was measured.
        """
        if self.engine.precision == FP32:
            if self.same < self.documents or not self.difference <= MAX_DIFFERENCE:  # a NaN is no agreement
                raise ConfigError(
                    f"--engine {self.engine.name}: {self}; in fp32 all must be the same, and probabilities within "
                    f"{MAX_DIFFERENCE:g}; leave --engine out"
                )
        elif self.same < MIN_AGREEMENT * self.documents:
            raise ConfigError(
                f"{self.engine.options}: {self}; fewer than {100 * MIN_AGREEMENT:.0f} % agree: omit --precision to "
                "score in fp32"
            )


def compare(system: System, moved: System, engine: Engine, texts: Sequence[str], batch_size: int = 64) -> Agreement:
    """Score texts by PyTorch in fp32 and by an engine.

    Args:
        system: See :func:`patent_hier.inference.predictor.load_system`.
        moved: What :func:`patent_hier.inference.moving.move` made of it.
        engine: The engine that it computes with.
        texts: One or more; of many, :data:`COMPARED` are taken, evenly.
        batch_size: Documents per batch of a network.
    """
    chosen = [texts[i] for i in np.linspace(0, len(texts) - 1, min(len(texts), COMPARED)).astype(int)]
    same, difference = 0, 0.0
    for part in system.portions(chosen):
        full, other = (_deepest(one, part, batch_size) for one in (system, moved))
        same += int((full.argmax(1) == other.argmax(1)).sum())
        difference = np.maximum(difference, np.abs(np.exp(full) - np.exp(other)).max())  # a NaN stays
    return Agreement(engine, system.tree.depth, len(chosen), same, float(difference))


def _deepest(system: System, texts: list[str], batch_size: int) -> NDArray[np.float32]:
    return system.whole(system.log_prob(texts, batch_size=batch_size)).at(system.tree.depth)
