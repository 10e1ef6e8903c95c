"""Specifications of networks to train, from prepared features, from the names of their parts, or from a checkpoint."""

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from patent_hier.errors import ConfigError
from patent_hier.features.layer_vectors import LayerVectors
from patent_hier.features.pretrained import EncoderFiles, demo_config, locate
from patent_hier.features.token_states import TokenStates
from patent_hier.features.word2vec import load_vectors
from patent_hier.features.wordpiece import WordPieceReader
from patent_hier.features.words import WordReader
from patent_hier.models.encoder import TextEncoder, build_encoder, load_encoder
from patent_hier.models.frozen import looking_up
from patent_hier.models.lower_layers import beginning_above
from patent_hier.models.registry import REGISTRY, NetworkEntry, TokenReader, registered_name
from patent_hier.settings import (
    DemoEncoderSettings,
    EncoderSettings,
    FeatureSettings,
    ModelSettings,
)
from patent_hier.settings.inputs import encoder_settings

ENCODER_NAME = "_name_or_path"  # transformers' own key in config.json


@dataclass(frozen=True)
class NetworkSpec:
    """Specification of a network to train on the features of a corpus.

    Attributes:
        reader: Turns texts into the network's token ids.
        build: Returns the network for a number of labels, with initial weights drawn from torch's global generator.
        vectors: Document vectors of its frozen encoder; None if the network reads tokens.
        states: States of the tokens above its frozen lower layers; None if the network reads tokens.
        width: Dimensions of its word vectors; None for a network with an encoder.
    """

    reader: TokenReader
    build: Callable[[int], nn.Module]
    vectors: LayerVectors | None = None
    states: TokenStates | None = None
    width: int | None = None

    def reading(self, network: object) -> contextlib.AbstractContextManager[None]:
        """Return a context in which a built network reads the corpus's store; afterwards it reads token ids again.

        Args:
            network: A network from :attr:`build`. Anything else, such as a constant classifier's None, is left alone.
        """
        if isinstance(network, nn.Module) and self.vectors is not None:
            return looking_up(network, self.vectors)
        if isinstance(network, nn.Module) and self.states is not None:
            return beginning_above(network, self.states)
        return contextlib.nullcontext()


def encoder_spec(
    files: EncoderFiles,
    encoder: EncoderSettings,
    model: ModelSettings,
    vectors: LayerVectors | None = None,
    states: TokenStates | None = None,
) -> NetworkSpec:
    """Specify a network with an encoder; give at most one of ``vectors`` and ``states``, see :class:`NetworkSpec`.

    Raises:
        ConfigError: When the network is built, if the settings do not fit the encoder.
    """

    def build(num_labels: int) -> nn.Module:
        loaded = load_encoder(files, pretrained=encoder.pretrained, frozen=encoder.freeze)
        return _build(model, loaded, num_labels)

    return NetworkSpec(WordPieceReader(files, encoder.max_length), build, vectors, states)


def words_spec(folder: Path, features: FeatureSettings, model: ModelSettings) -> NetworkSpec:
    """Specify a network on the word vectors of a folder written by :mod:`patent_hier.features.word2vec`."""
    words, vectors = load_vectors(folder)
    reader = WordReader(words, features.name, features.max_length)
    _, width = vectors.shape
    return NetworkSpec(reader, lambda num_labels: _build(model, torch.from_numpy(vectors), num_labels), width=width)


@dataclass(frozen=True)
class Inputs:
    """Inputs of a network as plain values, sufficient to rebuild it and load its weights.

    Attributes:
        encoder_config: Content of its encoder's ``config.json``; None for a network on word vectors.
        freeze: Whether the encoder's weights stay fixed; a number is that of its frozen lower layers.
        vector_shape: Rows and dimensions of its word vectors; None for a network with an encoder.
    """

    encoder_config: Mapping[str, Any] | None = None
    freeze: bool | int = False
    vector_shape: tuple[int, int] | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the inputs as values that JSON can represent."""
        return {
            "encoder_config": None if self.encoder_config is None else dict(self.encoder_config),
            "freeze": self.freeze,
            "vector_shape": None if self.vector_shape is None else list(self.vector_shape),
        }


def build_network(
    model: ModelSettings,
    num_outputs: int,
    saved: Inputs,
    encoder: str | Path | EncoderSettings | None,
    features: str | Path | None,
) -> tuple[nn.Module, Inputs, float]:
    """Build a network from the names of its parts, or rebuild a saved one without its weights.

    Args:
        model: Settings of the model.
        num_outputs: Number of logits per document.
        saved: Inputs of a saved network; a new network is built if only ``freeze`` is set.
        encoder: An encoder, in a form that :func:`patent_hier.settings.inputs.encoder_settings` accepts; None for
            ``small``.
        features: Folder of word vectors.

    Returns:
        The network in training mode, its inputs, and a suitable learning rate.

    Raises:
        ConfigError: If its input is missing or of the wrong type, or the settings do not fit the encoder.
        ArtifactError: If the folder of word vectors is damaged.
    """
    lr = EncoderSettings.suggested_lr if model.suggested_lr is None else model.suggested_lr
    on_encoder = model.inputs == "wordpiece"
    if (features if on_encoder else encoder) is not None:
        wanted, given = ("encoder", "features") if on_encoder else ("features", "encoder")
        raise ConfigError(f"model={model.name} does not read {given}; give {wanted}=... instead")
    if saved.vector_shape is not None:
        return _build(model, torch.zeros(*saved.vector_shape), num_outputs), saved, lr
    if on_encoder:
        if saved.encoder_config is not None:
            loaded = build_encoder(dict(saved.encoder_config), frozen=saved.freeze)
        else:
            chosen = encoder_settings("small" if encoder is None else encoder)
            loaded, saved = _chosen_encoder(chosen, chosen.freeze if saved.freeze is False else saved.freeze)
            lr = chosen.suggested_lr if model.suggested_lr is None else lr
        # transformers returns encoders in evaluation mode
        return _build(model, loaded, num_outputs).train(), saved, lr
    if features is None:
        raise ConfigError(f"model={model.name} reads words; give features=data.vectors, the folder of their vectors")
    _, vectors = load_vectors(Path(features))
    n_rows, size = vectors.shape
    return _build(model, torch.from_numpy(vectors), num_outputs), Inputs(vector_shape=(n_rows, size)), lr


def _chosen_encoder(encoder: EncoderSettings, freeze: bool | int) -> tuple[TextEncoder, Inputs]:
    if isinstance(encoder, DemoEncoderSettings):
        config = demo_config(encoder)
        loaded = build_encoder(config, frozen=freeze)
    else:
        files = locate(encoder, Path())  # only the demo encoder needs a folder to write to
        config = files.config
        loaded = load_encoder(files, pretrained=encoder.pretrained, frozen=freeze)
    return loaded, Inputs({**config, ENCODER_NAME: encoder.path or encoder.name}, freeze)


def _build(model: ModelSettings, source: TextEncoder | Tensor, num_outputs: int) -> nn.Module:
    """Build a registered network on an encoder or on word vectors."""
    entry = REGISTRY[registered_name(model)]
    assert isinstance(entry, NetworkEntry)  # models on n-grams have no network specification
    return entry.network(source, num_outputs, model)
