"""How to start training a network on prepared features: its reader, and a fresh network for a number of labels."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from patent_hier.features.layer_vectors import LayerVectors
from patent_hier.features.pretrained import EncoderFiles
from patent_hier.features.word2vec import load_vectors
from patent_hier.features.wordpiece import WordPieceReader
from patent_hier.features.words import WordReader
from patent_hier.models.bertcnn import BertCnn
from patent_hier.models.encoder import load_encoder
from patent_hier.models.frozen import looking_up
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
        vectors: Document vectors of its frozen encoder; None where the network reads tokens.
    """

    reader: TokenReader
    build: Callable[[int], nn.Module]
    vectors: LayerVectors | None = None

    def reading(self, network: object) -> contextlib.AbstractContextManager[None]:
        """While it lasts, a network that was built reads the corpus's store; afterwards it reads token ids again.

        Args:
            network: From :attr:`build`. Anything else, such as the nothing of a constant classifier, stays as it is.
        """
        if self.vectors is None or not isinstance(network, nn.Module):
            return contextlib.nullcontext()
        return looking_up(network, self.vectors)


def bertcnn_blueprint(
    files: EncoderFiles, encoder: EncoderSettings, model: BertCnnSettings, vectors: LayerVectors | None = None
) -> Blueprint:
    """BERT-CNN on an encoder's files; ``vectors`` as in :class:`Blueprint`.

    Raises:
        ConfigError: When built, if the settings do not fit the encoder.
    """

    def build(num_labels: int) -> nn.Module:
        loaded = load_encoder(files, pretrained=encoder.pretrained, frozen=encoder.freeze)
        return BertCnn(loaded, num_labels, model)

    return Blueprint(WordPieceReader(files, encoder.max_length), build, vectors)


def words_blueprint(folder: Path, features: FeatureSettings, model: TextCnnSettings | RnnSettings) -> Blueprint:
    """TextCNN or RNN on the vectors of a folder that :mod:`patent_hier.features.word2vec` made."""
    words, vectors = load_vectors(folder)

    def build(num_labels: int) -> nn.Module:
        weights = torch.from_numpy(vectors.copy())  # (n_words + 2, vector_size); each network tunes a copy of its own
        if isinstance(model, TextCnnSettings):
            return TextCnn(weights, num_labels, model)
        return Rnn(weights, num_labels, model)

    return Blueprint(WordReader(words, features.name, features.max_length), build)
