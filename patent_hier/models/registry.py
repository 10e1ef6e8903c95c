"""The kinds of models there are: by its name in a saved folder, what each reads and how it is built.

A fixed table: what a folder names is looked up here, and nothing else can be built.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from patent_hier import settings as s
from patent_hier.features.ngram_store import NgramReader
from patent_hier.features.wordpiece import WordPieceReader
from patent_hier.features.words import FIRST_WORD_ID, WordReader
from patent_hier.models.bertcnn import BertCnn
from patent_hier.models.classical import (
    LinearClassifier,
    NaiveBayesClassifier,
    NeighboursClassifier,
    NgramModel,
    arrays_in,
)
from patent_hier.models.encoder import build_encoder
from patent_hier.models.ngram_heads import HEADS, NgramHeads
from patent_hier.models.rnn import Rnn
from patent_hier.models.textcnn import TextCnn
from patent_hier.models.tree_linear import TREE, TreeLinear

TokenReader = WordPieceReader | WordReader
Reader = TokenReader | NgramReader


@dataclass(frozen=True)
class NetworkEntry:
    """A kind of PyTorch network.

    Attributes:
        settings: Its group of settings.
        reader: What turns texts into its token ids.
        network: From an encoder or word vectors, a number of labels and settings, the network.
    """

    settings: type[s.ModelSettings]
    reader: type[WordPieceReader] | type[WordReader]
    network: Callable[[Any, int, Any], nn.Module]

    def blank(self, reader: Any, state: dict[str, Tensor], num_labels: int, settings: Any) -> nn.Module:
        """The network that is to be filled with saved weights."""
        if isinstance(reader, WordPieceReader):
            return self.network(build_encoder(reader.files.config), num_labels, settings)
        size = state["embedding.weight"].shape[1]
        return self.network(torch.zeros(len(reader.words) + FIRST_WORD_ID, size), num_labels, settings)


@dataclass(frozen=True)
class NgramEntry:
    """A kind of classical model on character n-grams.

    Attributes:
        settings: Its group of settings.
        load: From a saved folder, the model.
        reader: What turns texts into n-gram counts.
    """

    settings: type[s.ModelSettings]
    load: Callable[[Path], NgramModel]
    reader: type[NgramReader] = NgramReader


def _one_or_many(one: type[NgramModel]) -> Callable[[Path], NgramModel]:
    """A model of a single head, of many, or of a whole tree: what the folder's arrays say."""

    def load(folder: Path) -> NgramModel:
        names = arrays_in(folder)
        kind = TreeLinear if TREE in names else NgramHeads if HEADS in names else one
        return kind.load(folder)

    return load


REGISTRY: dict[str, NetworkEntry | NgramEntry] = {
    "bertcnn": NetworkEntry(s.BertCnnSettings, WordPieceReader, BertCnn),
    "textcnn": NetworkEntry(s.TextCnnSettings, WordReader, TextCnn),
    "rnn": NetworkEntry(s.RnnSettings, WordReader, Rnn),
    "linear": NgramEntry(s.LinearSettings, _one_or_many(LinearClassifier)),
    "naive_bayes": NgramEntry(s.NaiveBayesSettings, _one_or_many(NaiveBayesClassifier)),
    "knn": NgramEntry(s.NeighboursSettings, NeighboursClassifier.load),
}


def registered_name(settings: s.ModelSettings) -> str:
    """The kind that a group of settings belongs to."""
    return next(name for name, kind in REGISTRY.items() if kind.settings is type(settings))
