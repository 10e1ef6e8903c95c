"""Settings of what models read: an encoder with its word pieces, or segmented words with their vectors."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from patent_hier.settings.models import BertCnnSettings, ModelSettings

_Model = TypeVar("_Model", bound=ModelSettings)


@dataclass
class EncoderSettings:
    """A pre-trained Transformer: an encoder like BERT or ModernBERT, or a decoder like GPT-2.

    Attributes:
        name: Short name for folders and tables.
        path: Hub name (``google-bert/bert-base-chinese``), local folder in transformers format, or
            ``patent_hier/NAME`` for an encoder that travels with the package.
        revision: Hub revision; ``null`` for the newest one in the local cache.
        pretrained: ``false`` keeps the architecture and vocabulary and draws random weights (a control).
        freeze: ``true`` keeps the encoder's weights fixed and its dropout off. A number does so with its embeddings and
            that many lower layers, 0 with the embeddings alone: a step is cheaper, for its backward pass ends there.
        vector_layers: Last layers of a frozen, pre-trained encoder whose document vectors are computed once per corpus
            and looked up from then on, by the heads that read nothing else (``document_matrix``, ``cls``); ``null``
            keeps all layers, so that one computation serves every ``model.num_last_layers``; 0 encodes every document
            in every epoch. Two bytes for each layer, hidden dimension and document on disk.
        lower_states: Whether what the frozen lower layers (``freeze=N``) of a pre-trained encoder make of each token is
            computed once per corpus and looked up from then on: training and scoring begin above them. Only for heads
            that read no layer below (``model.num_last_layers`` up to one more than are not frozen), with texts of the
            corpus alone and ``optimizer.layer_decay=1``; else all layers compute. Two bytes for each hidden dimension
            and token on disk: 0.2 GB for 6,000 documents of 64 tokens and 256 dimensions.
        max_length: Longest document in tokens, with special ones such as [CLS] and [SEP]; longer ones are cut.
        suggested_lr: Learning rate that suits this encoder; ``optimizer.lr`` takes it unless set.
        suggested_head_lr: That of what lies above it; ``optimizer.head_lr`` takes it unless that or ``optimizer.lr`` is
            set. ``null``: as ``suggested_lr``.
        suggested_min_steps: Likewise the least number of optimizer steps, for ``trainer.min_steps``.
        suggested_pooling: Likewise how a layer's output becomes one vector, for ``model.pooling``;
            ``mean`` where nothing has taught [CLS] to stand for the document.
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
        dropout: Dropout probability inside the encoder; so narrow a network, trained from nothing on few documents,
            learns far sooner without.
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
    """The encoder that travels with the package: for real text, unless another is named."""
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
    """The same for the demo corpus, where minutes count.

    Its lower half stays as it was pre-trained. It reads the first 64 tokens of a document, which halves a step; with
    128 the root has 81.1 % of ``val``, not 79.3.
    """
    return replace(small_encoder(), name="small-half-frozen", freeze=3, lower_states=True, max_length=64)


def encoder_settings(encoder: str | Path | Mapping[str, Any] | EncoderSettings) -> EncoderSettings:
    """The settings of an encoder that Python code names.

    Args:
        encoder: ``demo``, ``small``, a folder or a hub name; or the settings themselves, also as a plain dictionary.
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
    """A model's settings with the pooling that suits its encoder, unless one is set or it has none."""
    if isinstance(model, BertCnnSettings) and model.pooling is None:
        return replace(model, pooling=encoder.suggested_pooling)
    return model


@dataclass
class FeatureSettings:
    """Words or characters, their vocabulary and their vectors: what ``textcnn`` and ``rnn`` read.

    Attributes:
        name: ``words`` (segmented by jieba) or ``chars``.
        max_length: Longest document in words (or characters); longer ones are cut.
        min_count: Occurrences in the training part that a word needs; rarer ones are the unknown word.
        vectors: A file of word vectors in word2vec's text format; ``null`` trains them on the training part.
        vector_size: Dimensions of the vectors.
        window: Words on each side that predict, or are predicted (training of vectors).
        epochs: Passes over the training part (training of vectors); 0 leaves them random.
        skip_gram: Skip-gram, better for little text; ``false`` is CBOW, faster.
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
