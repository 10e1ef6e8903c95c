"""How to start training a network on prepared features: its reader, and a fresh network for a number of labels."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from patent_hier.features.pretrained import EncoderFiles
from patent_hier.features.word2vec import load_vectors
from patent_hier.features.wordpiece import WordPieceReader
from patent_hier.features.words import WordReader
from patent_hier.models.bertcnn import BertCnn
from patent_hier.models.encoder import load_encoder
from patent_hier.models.kinds import TokenReader
from patent_hier.models.rnn import Rnn
from patent_hier.models.textcnn import TextCnn
from patent_hier.settings import BertCnnSettings, EncoderSettings, FeatureSettings, RnnSettings, TextCnnSettings


@dataclass(frozen=True)
class Blueprint:
    """A network to be trained.

    Attributes:
        reader: Turns texts into the network's token ids.
        build: From a number of labels, the network with its initial weights, drawn from torch's global generator.
    """

    reader: TokenReader
    build: Callable[[int], nn.Module]


def bertcnn_blueprint(files: EncoderFiles, encoder: EncoderSettings, model: BertCnnSettings) -> Blueprint:
    """BERT-CNN on an encoder's files.

    Raises:
        ConfigError: When built, if the settings do not fit the encoder.
    """

    def build(num_labels: int) -> nn.Module:
        loaded = load_encoder(files, pretrained=encoder.pretrained, frozen=encoder.freeze)
        return BertCnn(loaded, num_labels, model)

    return Blueprint(WordPieceReader(files, encoder.max_length), build)


def words_blueprint(folder: Path, features: FeatureSettings, model: TextCnnSettings | RnnSettings) -> Blueprint:
    """TextCNN or RNN on the vectors of a folder that :mod:`patent_hier.features.word2vec` made."""
    words, vectors = load_vectors(folder)

    def build(num_labels: int) -> nn.Module:
        weights = torch.from_numpy(vectors.copy())  # (n_words + 2, vector_size); each network tunes a copy of its own
        if isinstance(model, TextCnnSettings):
            return TextCnn(weights, num_labels, model)
        return Rnn(weights, num_labels, model)

    return Blueprint(WordReader(words, features.name, features.max_length), build)
