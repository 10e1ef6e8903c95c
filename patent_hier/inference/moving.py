"""Functions that move a system's networks to another engine and back; n-gram models are not changed."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from torch import nn

from patent_hier.errors import ConfigError
from patent_hier.inference.engines import TORCH, Engine
from patent_hier.inference.nodes import Classifier
from patent_hier.inference.predictor import System
from patent_hier.inference.runtimes import open_network
from patent_hier.models.saved import NodeClassifier


def move(system: System, engine: Engine, cache: Path | None = None) -> System:
    """Return the same system with its networks computed by an engine, not yet compared on real texts.

    Args:
        system: The system; it is not changed, and shares its weights with the new one.
        engine: The new engine.
        cache: Folder for reproducible files, which stores converted networks; None: they are converted every time.

    Raises:
        ConfigError: If an engine other than PyTorch is requested and the system has no network, a network cannot be
            converted, or the engine's package is missing.
    """
    if engine.is_plain:
        return system
    networks = {
        folder: one
        for folder, one in system.loaded.items()
        if isinstance(one, Classifier) and isinstance(one.classifier.model, nn.Module)
    }
    if not networks and engine.name != TORCH:
        raise ConfigError(f"--engine {engine.name}: {system.name} has no network; omit --engine")
    moved = {
        folder: replace(one, classifier=stand_in(one.classifier, engine, cache, one.files))
        for folder, one in networks.items()
    }
    return system.with_loaded({**system.loaded, **moved})


def restored(system: System) -> System:
    """Return the same system with its networks computed by PyTorch in fp32, whatever its current engine."""
    plain = {
        folder: replace(one, classifier=replace(one.classifier, stand_in=None)) if isinstance(one, Classifier) else one
        for folder, one in system.loaded.items()
    }
    return system.with_loaded(plain)


def stand_in(
    classifier: NodeClassifier, engine: Engine, cache: Path | None = None, files: Mapping[str, str] | None = None
) -> NodeClassifier:
    """Return a classifier whose network is computed by an engine.

    Args:
        classifier: Classifier with a network; it is not changed.
        engine: The new engine.
        cache: As in :func:`move`.
        files: Names and digests of the classifier's files, which form its key in the cache; None: the cache is not
            used.

    Raises:
        ConfigError: As in :func:`move`.
    """
    if engine.is_plain:
        return replace(classifier, stand_in=None)
    return replace(classifier, stand_in=open_network(classifier, engine, cache, files))
