"""Engines that compute a system's networks, and their precisions: PyTorch, or another runtime with the same weights.

Networks are trained and evaluated with ``torch`` in fp32. Every other choice is compared with it on texts before it is
used (:mod:`patent_hier.inference.precision`). N-gram models are always computed in the same way.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from patent_hier.errors import ConfigError
from patent_hier.settings import BF16, FP32

TORCH, ONNX, OPENVINO = "torch", "onnx", "openvino"
INT8 = "int8"
ENGINES: Mapping[str, tuple[str, ...]] = {  # engine -> supported precisions
    TORCH: (FP32, BF16),
    ONNX: (FP32, INT8),
    OPENVINO: (FP32, BF16, INT8),
}
PRECISIONS: Mapping[str, str] = {
    FP32: FP32,
    BF16: BF16,
    INT8: INT8,
    "fp32": FP32,
    "bf16": BF16,
}  # accepted spelling -> precision


@dataclass(frozen=True)
class Engine:
    """A runtime and a precision that compute networks.

    Attributes:
        name: Runtime: a key of :data:`ENGINES`.
        precision: Precision: a key of :data:`PRECISIONS`.

    Raises:
        ConfigError: If the runtime is unknown or does not support the precision.
    """

    name: str = TORCH
    precision: str = FP32

    def __post_init__(self) -> None:
        if self.name not in ENGINES:
            raise ConfigError(f"--engine {self.name} is unknown; choose one of {', '.join(ENGINES)}")
        object.__setattr__(self, "precision", PRECISIONS.get(self.precision, self.precision))
        if self.precision not in ENGINES[self.name]:
            known = "; ".join(f"{name} with {' or '.join(precisions)}" for name, precisions in ENGINES.items())
            raise ConfigError(
                f"--engine {self.name} does not support --precision {self.precision}; supported are {known}"
            )

    @property
    def is_plain(self) -> bool:
        """Whether this is the engine that networks are trained and evaluated with."""
        return self == Engine()

    @property
    def options(self) -> str:
        """Command-line options that select this engine."""
        asked = {"--engine": (self.name, TORCH), "--precision": (self.precision, FP32)}
        return " ".join(f"{option} {own}" for option, (own, default) in asked.items() if own != default)

    def __str__(self) -> str:
        """Return the parts that differ from the default; ``torch`` if none do."""
        return ", ".join(own for own in (self.name, self.precision) if own not in (TORCH, FP32)) or TORCH
