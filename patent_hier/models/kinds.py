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
from patent_hier.features.terms import TermReader
from patent_hier.features.wordpiece import WordPieceReader
from patent_hier.features.words import FIRST_WORD_ID, WordReader
from patent_hier.models.bertcnn import BertCnn
from patent_hier.models.classical import (
    LinearClassifier,
    NaiveBayesClassifier,
    NeighboursClassifier,
    TermModel,
    arrays_in,
)
from patent_hier.models.encoder import build_encoder
from patent_hier.models.rnn import Rnn
from patent_hier.models.term_heads import HEADS, TermHeads
from patent_hier.models.textcnn import TextCnn
from patent_hier.models.tree_linear import TREE, TreeLinear

TokenReader = WordPieceReader | WordReader
Reader = TokenReader | TermReader


@dataclass(frozen=True)
class NetworkKind:
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
class TermKind:
    """A kind of classical model on character n-grams.

    Attributes:
        settings: Its group of settings.
        load: From a saved folder, the model.
        reader: What turns texts into term counts.
    """

    settings: type[s.ModelSettings]
    load: Callable[[Path], TermModel]
    reader: type[TermReader] = TermReader


def _one_or_many(one: type[TermModel]) -> Callable[[Path], TermModel]:
    """A model of a single head, of many, or of a whole tree: what the folder's arrays say."""

    def load(folder: Path) -> TermModel:
        names = arrays_in(folder)
        kind = TreeLinear if TREE in names else TermHeads if HEADS in names else one
        return kind.load(folder)

    return load


KINDS: dict[str, NetworkKind | TermKind] = {
    "bertcnn": NetworkKind(s.BertCnnSettings, WordPieceReader, BertCnn),
    "textcnn": NetworkKind(s.TextCnnSettings, WordReader, TextCnn),
    "rnn": NetworkKind(s.RnnSettings, WordReader, Rnn),
    "linear": TermKind(s.LinearSettings, _one_or_many(LinearClassifier)),
    "naive_bayes": TermKind(s.NaiveBayesSettings, _one_or_many(NaiveBayesClassifier)),
    "knn": TermKind(s.NeighboursSettings, NeighboursClassifier.load),
}


def kind_of(settings: s.ModelSettings) -> str:
    """The kind that a group of settings belongs to."""
    return next(name for name, kind in KINDS.items() if kind.settings is type(settings))
