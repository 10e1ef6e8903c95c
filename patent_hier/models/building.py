"""A network from the names of its parts, or, without its weights, from what a checkpoint says of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from patent_hier.errors import ConfigError
from patent_hier.features.pretrained import demo_config, locate
from patent_hier.features.word2vec import load_vectors
from patent_hier.models.bertcnn import BertCnn
from patent_hier.models.encoder import build_encoder, load_encoder
from patent_hier.models.rnn import Rnn
from patent_hier.models.textcnn import TextCnn
from patent_hier.settings import (
    BertCnnSettings,
    DemoEncoderSettings,
    EncoderSettings,
    ModelSettings,
    RnnSettings,
    TextCnnSettings,
)
from patent_hier.settings.inputs import encoder_settings

ENCODER_NAME = "_name_or_path"  # transformers' own key of a config.json


@dataclass(frozen=True)
class Inputs:
    """What a network reads; plain values that suffice to build it again and fill it with its weights.

    Attributes:
        encoder_config: Its encoder's ``config.json``; None for a network on word vectors.
        freeze: Whether the encoder's weights stay as they are.
        vector_shape: Rows and dimensions of its word vectors; None for one on an encoder.
    """

    encoder_config: Mapping[str, Any] | None = None
    freeze: bool = False
    vector_shape: tuple[int, int] | None = None

    def as_dict(self) -> dict[str, Any]:
        """The same as JSON-able values."""
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
    """A network by the names of its parts, or a saved one's without the weights.

    Args:
        model: What it is.
        num_outputs: Logits for each document.
        saved: What a saved network reads; with nothing but ``freeze``, a new one is built.
        encoder: An encoder, as :func:`patent_hier.settings.inputs.encoder_settings` takes it; None: ``small``.
        features: Folder of word vectors.

    Returns:
        The network in training mode, what it reads, and a learning rate that suits it.

    Raises:
        ConfigError: If it is not said what it reads, or the wrong thing, or the settings do not fit an encoder.
        ArtifactError: If the folder of word vectors is damaged.
    """
    lr = EncoderSettings.suggested_lr if model.suggested_lr is None else model.suggested_lr
    on_encoder = isinstance(model, BertCnnSettings)
    if (features if on_encoder else encoder) is not None:
        wanted, given = ("encoder", "features") if on_encoder else ("features", "encoder")
        raise ConfigError(f"model={model.name} does not read {given}; give {wanted}=... instead")
    if saved.encoder_config is not None or saved.vector_shape is not None:
        return _blank(model, num_outputs, saved), saved, lr
    if isinstance(model, BertCnnSettings):
        chosen = encoder_settings("small" if encoder is None else encoder)
        network, inputs = _on_encoder(model, num_outputs, chosen, saved.freeze or chosen.freeze)
        return network, inputs, chosen.suggested_lr if model.suggested_lr is None else lr
    if features is None:
        raise ConfigError(f"model={model.name} reads words: give features=data.vectors, the folder of their vectors")
    _, vectors = load_vectors(Path(features))
    n_rows, size = vectors.shape
    return _on_words(model, num_outputs, torch.from_numpy(vectors)), Inputs(vector_shape=(n_rows, size)), lr


def _on_encoder(
    model: BertCnnSettings, num_outputs: int, encoder: EncoderSettings, freeze: bool
) -> tuple[nn.Module, Inputs]:
    if isinstance(encoder, DemoEncoderSettings):
        config = demo_config(encoder)
        loaded = build_encoder(config, frozen=freeze)
    else:
        files = locate(encoder, Path())  # only the demo encoder is laid out anywhere
        config = files.config
        loaded = load_encoder(files, pretrained=encoder.pretrained, frozen=freeze)
    network = BertCnn(loaded, num_outputs, model).train()  # transformers hands an encoder over in evaluation mode
    return network, Inputs({**config, ENCODER_NAME: encoder.path or encoder.name}, freeze)


def _blank(model: ModelSettings, num_outputs: int, saved: Inputs) -> nn.Module:
    if saved.vector_shape is not None:
        return _on_words(model, num_outputs, torch.zeros(*saved.vector_shape))
    assert isinstance(model, BertCnnSettings)
    return BertCnn(build_encoder(dict(saved.encoder_config or {}), frozen=saved.freeze), num_outputs, model).train()


def _on_words(model: ModelSettings, num_outputs: int, vectors: Tensor) -> nn.Module:
    if isinstance(model, RnnSettings):
        return Rnn(vectors, num_outputs, model)
    assert isinstance(model, TextCnnSettings)
    return TextCnn(vectors, num_outputs, model)
