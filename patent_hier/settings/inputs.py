"""Settings of model inputs: an encoder with its word pieces, or segmented words with their vectors."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from patent_hier.settings.models import BertCnnSettings, ModelSettings

_Model = TypeVar("_Model", bound=ModelSettings)


@dataclass
class EncoderSettings:
    """A pre-trained Transformer: an encoder such as BERT or ModernBERT, or a decoder such as GPT-2.

    Attributes:
        name: Short name in folders and tables.
        path: Hub name (``google-bert/bert-base-chinese``), local folder in transformers format, or
            ``patent_hier/NAME`` for an encoder included in the package.
        revision: Hub revision; ``null`` for the newest one in the local cache.
        pretrained: ``false`` keeps the architecture and vocabulary but starts from random weights (a control).
        freeze: ``true`` freezes all weights of the encoder and turns its dropout off. A number freezes the embeddings
            and that many lower layers (0: the embeddings alone); each step is then cheaper, because the backward pass
            ends there.
        vector_layers: Last layers of a frozen, pre-trained encoder whose document vectors are computed once per corpus
            and then looked up, for heads that read nothing else (``document_matrix``, ``cls``). ``null`` stores all
            layers, so that one computation serves every ``model.num_last_layers``; 0 encodes every document in every
            epoch. Takes two bytes on disk for each document, layer and hidden dimension.
        lower_states: Whether the outputs of the frozen lower layers (``freeze=N``) of a pre-trained encoder are
            computed once per corpus and then looked up for each token, so that training and scoring start above them.
            Only for heads that read no layer below (``model.num_last_layers`` at most the number of unfrozen layers
            plus one), with texts of the corpus alone and ``optimizer.layer_decay=1``; otherwise all layers are
            computed. Takes two bytes on disk for each token and hidden dimension: 0.2 GB for 6,000 documents of 64
            tokens and 256 dimensions.
        max_length: Maximum document length in tokens, including special ones such as [CLS] and [SEP]; longer documents
            are truncated.
        suggested_lr: Learning rate that suits this encoder; used if ``optimizer.lr`` is not set.
        suggested_head_lr: Learning rate of the layers above the encoder; used if neither ``optimizer.head_lr`` nor
            ``optimizer.lr`` is set. ``null``: same as ``suggested_lr``.
        suggested_min_steps: Minimum number of optimizer steps; used if ``trainer.min_steps`` is not set.
        suggested_pooling: How a layer's output becomes one vector; used if ``model.pooling`` is not set. ``mean`` suits
            encoders whose [CLS] was not trained to represent the document.
    """

    name: str = "folder"
    path: str | None = None
    revision: str | None = None
    pretrained: bool = True
    freeze: bool | int = False
    vector_layers: int | None = None
    lower_states: bool = False
    max_length: int = 200
    suggested_lr: float = 3e-5
    suggested_head_lr: float | None = None
    suggested_min_steps: int = 600
    suggested_pooling: str = "cls"


@dataclass
class DemoEncoderSettings(EncoderSettings):
    """A small BERT with the project's own vocabulary and random weights.

    Attributes:
        hidden_size: Width of the hidden states.
        num_hidden_layers: Number of Transformer layers.
        num_attention_heads: Heads per layer; must divide ``hidden_size``.
        intermediate_size: Width of the feed-forward layers.
        dropout: Dropout probability inside the encoder; a network this narrow, trained from scratch on few documents,
            learns much faster without it.
    """

    name: str = "demo"
    pretrained: bool = False
    max_length: int = 128
    suggested_lr: float = 1e-3
    suggested_pooling: str = "mean"
    hidden_size: int = 64
    num_hidden_layers: int = 6
    num_attention_heads: int = 2
    intermediate_size: int = 256
    dropout: float = 0.0


def small_encoder() -> EncoderSettings:
    """Return the settings of the encoder included in the package, the default for real text."""
    return EncoderSettings(
        "small",
        "patent_hier/small",
        max_length=128,
        suggested_lr=2e-4,
        suggested_head_lr=2e-3,
        suggested_min_steps=200,
        suggested_pooling="mean",
    )


def small_half_frozen_encoder() -> EncoderSettings:
    """Return the settings of the same encoder for the demo corpus, on which training should take minutes.

    Its lower half stays frozen. It reads the first 64 tokens of a document, which halves the time of a step; with 128
    tokens the root reaches 81.1 % on ``val`` instead of 79.3 %.
    """
    return replace(small_encoder(), name="small-half-frozen", freeze=3, lower_states=True, max_length=64)


def encoder_settings(encoder: str | Path | Mapping[str, Any] | EncoderSettings) -> EncoderSettings:
    """Return the settings of an encoder named in Python code.

    Args:
        encoder: ``demo``, ``small``, a folder or a hub name; or the settings as an object or a plain dictionary.
    """
    if isinstance(encoder, EncoderSettings):
        return encoder
    if isinstance(encoder, Mapping):
        kind = DemoEncoderSettings if "hidden_size" in encoder else EncoderSettings
        return kind(**encoder)
    if encoder == "demo":
        return DemoEncoderSettings()
    return small_encoder() if encoder == "small" else EncoderSettings(Path(encoder).name, str(encoder))


def with_pooling(model: _Model, encoder: EncoderSettings) -> _Model:
    """Return a model's settings with its encoder's pooling, if the model pools and no pooling is set."""
    if isinstance(model, BertCnnSettings) and model.pooling is None:
        return replace(model, pooling=encoder.suggested_pooling)
    return model


@dataclass
class FeatureSettings:
    """Words or characters, their vocabulary and their vectors: the input of ``textcnn`` and ``rnn``.

    Attributes:
        name: ``words`` (segmented by jieba) or ``chars``.
        max_length: Maximum document length in words (or characters); longer documents are truncated.
        min_count: Minimum occurrences of a word in the training part; rarer words become the unknown word.
        vectors: File of word vectors in word2vec's text format; ``null`` trains vectors on the training part.
        vector_size: Dimensions of the vectors.
        window: Context words on each side (training of vectors).
        epochs: Passes over the training part (training of vectors); 0 leaves the vectors random.
        skip_gram: Train by skip-gram, better for little text; ``false`` uses CBOW, which is faster.
        seed: Seed of the vectors, separate from the model's.
    """

    name: str = "words"
    max_length: int = 200
    min_count: int = 2
    vectors: str | None = None
    vector_size: int = 300
    window: int = 5
    epochs: int = 10
    skip_gram: bool = True
    seed: int = 1
