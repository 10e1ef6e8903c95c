"""What computes a system's networks, and in which numbers: PyTorch, or another runtime with the same weights.

``torch`` in fp32 is what networks are trained and measured with. Everything else is compared with it on texts before it
is used (:mod:`patent_hier.inference.precision`). Models on n-grams compute in one way, and keep it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from patent_hier.errors import ConfigError
from patent_hier.settings import BF16, FP32

if TYPE_CHECKING:
    from patent_hier.inference.predictor import System
    from patent_hier.models.saved import NodeClassifier

TORCH, ONNX, OPENVINO = "torch", "onnx", "openvino"
INT8 = "int8"
ENGINES: Mapping[str, tuple[str, ...]] = {  # the precisions of each
    TORCH: (FP32, BF16),
    ONNX: (FP32, INT8),
    OPENVINO: (FP32, BF16, INT8),
}
PRECISIONS: Mapping[str, str] = {FP32: FP32, BF16: BF16, INT8: INT8, "fp32": FP32, "bf16": BF16}  # by all their names


@dataclass(frozen=True)
class Engine:
    """A way to compute networks.

    Attributes:
        name: One of :data:`ENGINES`.
        precision: One of :data:`PRECISIONS`.

    Raises:
        ConfigError: If there is no such pair.
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
        """Whether this is what networks are trained and measured with."""
        return self == Engine()

    @property
    def options(self) -> str:
        """How the command line asks for it."""
        asked = {"--engine": (self.name, TORCH), "--precision": (self.precision, FP32)}
        return " ".join(f"{option} {own}" for option, (own, default) in asked.items() if own != default)

    def __str__(self) -> str:
        """What differs from the default; ``torch`` if nothing does."""
        return ", ".join(own for own in (self.name, self.precision) if own not in (TORCH, FP32)) or TORCH


def move(system: "System", engine: Engine, cache: Path | None = None) -> "System":
    """The same system with its networks computed by an engine, before anything is compared on real texts.

    Args:
        system: It stays as it is, and shares its weights.
        engine: What computes.
        cache: Folder of what can be made again, which keeps converted networks; None: they are converted each time.

    Raises:
        ConfigError: If another engine than PyTorch's is asked for and the system has no network, a network cannot be
            converted, or the engine's package is missing.
    """
    from torch import nn

    from patent_hier.inference.nodes import Classifier

    if engine.is_plain:
        return system
    networks = {
        folder: one
        for folder, one in system.loaded.items()
        if isinstance(one, Classifier) and isinstance(one.classifier.model, nn.Module)
    }
    if not networks and engine.name != TORCH:
        raise ConfigError(f"--engine {engine.name}: {system.name} has no network; leave --engine out")
    moved = {
        folder: replace(one, classifier=stand_in(one.classifier, engine, cache, one.files))
        for folder, one in networks.items()
    }
    return system.with_loaded({**system.loaded, **moved})


def restored(system: "System") -> "System":
    """The same system with its networks computed by PyTorch in fp32, whatever computed them."""
    from patent_hier.inference.nodes import Classifier

    plain = {
        folder: replace(one, classifier=replace(one.classifier, stand_in=None)) if isinstance(one, Classifier) else one
        for folder, one in system.loaded.items()
    }
    return system.with_loaded(plain)


def stand_in(
    classifier: "NodeClassifier", engine: Engine, cache: Path | None = None, files: Mapping[str, str] | None = None
) -> "NodeClassifier":
    """A classifier whose network is computed by an engine.

    Args:
        classifier: Of a network; it stays as it is.
        engine: What computes.
        cache: As for :func:`move`.
        files: Names and digests of the classifier's files, by which the cache knows it; None: it is not kept there.

    Raises:
        ConfigError: As :func:`move`.
    """
    from patent_hier.inference.runtimes import open_network  # torch

    if engine.is_plain:
        return replace(classifier, stand_in=None)
    return replace(classifier, stand_in=open_network(classifier, engine, cache, files))
