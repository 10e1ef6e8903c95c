"""The kinds of models there are: by its name in a saved folder, what each reads and how it is built.

A fixed table: what a folder names is looked up here, and nothing else can be built.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from patent_hier import settings as s
from patent_hier.features.terms import TermReader
from patent_hier.features.wordpiece import WordPieceReader
from patent_hier.features.words import WordReader
from patent_hier.models.bertcnn import BertCnn
from patent_hier.models.classical import (
    LinearClassifier,
    NaiveBayesClassifier,
    NeighboursClassifier,
    TermModel,
    arrays_in,
)
from patent_hier.models.rnn import Rnn
from patent_hier.models.term_heads import HEADS, TermHeads
from patent_hier.models.textcnn import TextCnn

WEIGHTS = "model.safetensors"
TokenReader = WordPieceReader | WordReader
Reader = TokenReader | TermReader
_EMBEDDING = "embedding.weight"


@dataclass(frozen=True)
class NetworkKind:
    """A kind of PyTorch network.

    Attributes:
        settings: Its group of settings.
        reader: What turns texts into its token ids.
        blank: From reader, saved weights, number of labels and settings, the network to be filled with the weights.
    """

    settings: type[s.ModelSettings]
    reader: type[WordPieceReader] | type[WordReader]
    blank: Callable[[Any, dict[str, Tensor], int, Any], nn.Module]


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


def _blank_bertcnn(
    reader: WordPieceReader, state: dict[str, Tensor], num_labels: int, settings: s.BertCnnSettings
) -> nn.Module:
    return BertCnn.from_config(reader.files.config, num_labels, settings)


def _blank_on_words(network: type[TextCnn] | type[Rnn]) -> Callable[[Any, dict[str, Tensor], int, Any], nn.Module]:
    def blank(reader: WordReader, state: dict[str, Tensor], num_labels: int, settings: Any) -> nn.Module:
        return network.blank(len(reader.words), state[_EMBEDDING].shape[1], num_labels, settings)

    return blank


def _one_or_many(one: type[TermModel]) -> Callable[[Path], TermModel]:
    """A model of a single head, or of many: what the folder's arrays say."""

    def load(folder: Path) -> TermModel:
        return TermHeads.load(folder) if HEADS in arrays_in(folder) else one.load(folder)

    return load


KINDS: dict[str, NetworkKind | TermKind] = {
    "bertcnn": NetworkKind(s.BertCnnSettings, WordPieceReader, _blank_bertcnn),
    "textcnn": NetworkKind(s.TextCnnSettings, WordReader, _blank_on_words(TextCnn)),
    "rnn": NetworkKind(s.RnnSettings, WordReader, _blank_on_words(Rnn)),
    "linear": TermKind(s.LinearSettings, _one_or_many(LinearClassifier)),
    "naive_bayes": TermKind(s.NaiveBayesSettings, _one_or_many(NaiveBayesClassifier)),
    "knn": TermKind(s.NeighboursSettings, NeighboursClassifier.load),
}


def kind_of(settings: s.ModelSettings) -> str:
    """The kind that a group of settings belongs to."""
    return next(name for name, kind in KINDS.items() if kind.settings is type(settings))
