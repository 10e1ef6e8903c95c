"""Check that another engine or precision changes almost nothing before a system's networks are computed with it.

bfloat16 and int8 take a fraction of fp32's time on many CPUs. How much they change depends on the model and the texts,
so the change is measured on such texts before any are classified. Another runtime in fp32 must change no label.
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
MIN_AGREEMENT = 0.99  # of the first label; accuracy then differs by at most one percentage point
MAX_DIFFERENCE = 1e-3  # of a probability, if both compute in fp32; rounding causes about 1e-5


@dataclass(frozen=True)
class Agreement:
    """Comparison of an engine with PyTorch in fp32.

    Attributes:
        engine: The engine.
        level: Deepest level of the system.
        documents: Number of documents scored by both.
        same: Number of documents with the same first label at that level.
        difference: Largest difference of a label's probability at that level.
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
        """Raise an error if the engine changes too much.

        Raises:
            ConfigError: If it does; the message gives the measured values.
        """
        if self.engine.precision == FP32:
            if self.same < self.documents or not self.difference <= MAX_DIFFERENCE:  # also rejects NaN
                raise ConfigError(
                    f"--engine {self.engine.name}: {self}; in fp32 all first labels must be the same and probabilities "
                    f"must agree within {MAX_DIFFERENCE:g}; omit --engine"
                )
        elif self.same < MIN_AGREEMENT * self.documents:
            raise ConfigError(
                f"{self.engine.options}: {self}; at least {100 * MIN_AGREEMENT:.0f} % must agree; omit --precision to "
                "score in fp32"
            )


def compare(system: System, moved: System, engine: Engine, texts: Sequence[str], batch_size: int = 64) -> Agreement:
    """Score texts with PyTorch in fp32 and with an engine, and compare the results.

    Args:
        system: System to compare with; see :func:`patent_hier.inference.predictor.load_system`.
        moved: The same system from :func:`patent_hier.inference.moving.move`.
        engine: Engine of the moved system.
        texts: One or more texts; if there are more than :data:`COMPARED`, that many are taken at even intervals.
        batch_size: Documents per batch of a network.
    """
    chosen = [texts[i] for i in np.linspace(0, len(texts) - 1, min(len(texts), COMPARED)).astype(int)]
    same, difference = 0, 0.0
    for part in system.portions(chosen):
        full, other = (_deepest(one, part, batch_size) for one in (system, moved))
        same += int((full.argmax(1) == other.argmax(1)).sum())
        difference = np.maximum(difference, np.abs(np.exp(full) - np.exp(other)).max())  # propagates NaN
    return Agreement(engine, system.tree.depth, len(chosen), same, float(difference))


def _deepest(system: System, texts: list[str], batch_size: int) -> NDArray[np.float32]:
    return system.whole(system.log_prob(texts, batch_size=batch_size)).at(system.tree.depth)
