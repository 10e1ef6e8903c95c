"""A system's networks moved to another engine and back; its models on n-grams stay as they are."""

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
    """The same system with its networks computed by an engine, before anything is compared on real texts.

    Args:
        system: It stays as it is, and shares its weights.
        engine: What computes.
        cache: Folder of what can be made again, which keeps converted networks; None: they are converted each time.

    Raises:
        ConfigError: If another engine than PyTorch's is asked for and the system has no network, a network cannot be
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
        raise ConfigError(f"--engine {engine.name}: {system.name} has no network; leave --engine out")
    moved = {
        folder: replace(one, classifier=stand_in(one.classifier, engine, cache, one.files))
        for folder, one in networks.items()
    }
    return system.with_loaded({**system.loaded, **moved})


def restored(system: System) -> System:
    """The same system with its networks computed by PyTorch in fp32, whatever computed them."""
    plain = {
        folder: replace(one, classifier=replace(one.classifier, stand_in=None)) if isinstance(one, Classifier) else one
        for folder, one in system.loaded.items()
    }
    return system.with_loaded(plain)


def stand_in(
    classifier: NodeClassifier, engine: Engine, cache: Path | None = None, files: Mapping[str, str] | None = None
) -> NodeClassifier:
    """A classifier whose network is computed by an engine.

    Args:
        classifier: Of a network; it stays as it is.
        engine: What computes.
        cache: As for :func:`move`.
        files: Names and digests of the classifier's files, by which the cache knows it; None: it is not kept there.

    Raises:
        ConfigError: As :func:`move`.
    """
    if engine.is_plain:
        return replace(classifier, stand_in=None)
    return replace(classifier, stand_in=open_network(classifier, engine, cache, files))
