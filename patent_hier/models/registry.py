"""The registry of models: for each name in a saved folder, what the model reads and how it is built.

A folder can only name registered models, and only code that the user runs can register more.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from patent_hier import settings as s
from patent_hier.errors import ConfigError
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
from patent_hier.settings.models import NETWORKS

TokenReader = WordPieceReader | WordReader
Reader = TokenReader | NgramReader


@dataclass(frozen=True)
class NetworkEntry:
    """Registry entry of a PyTorch network.

    Attributes:
        settings: Settings class of the model.
        reader: Class that turns texts into token ids.
        network: Returns the network, given an encoder or word vectors, a number of labels and settings.
    """

    settings: type[s.ModelSettings]
    reader: type[WordPieceReader] | type[WordReader]
    network: Callable[[Any, int, Any], nn.Module]

    def blank(self, reader: Any, state: dict[str, Tensor], num_labels: int, settings: Any) -> nn.Module:
        """Return the network before its saved weights are loaded."""
        if isinstance(reader, WordPieceReader):
            return self.network(build_encoder(reader.files.config), num_labels, settings)
        size = state["embedding.weight"].shape[1]
        return self.network(torch.zeros(len(reader.words) + FIRST_WORD_ID, size), num_labels, settings)


@dataclass(frozen=True)
class NgramEntry:
    """Registry entry of a classical model on character n-grams.

    Attributes:
        settings: Settings class of the model.
        load: Returns the model from a saved folder.
        reader: Class that turns texts into n-gram counts.
    """

    settings: type[s.ModelSettings]
    load: Callable[[Path], NgramModel]
    reader: type[NgramReader] = NgramReader


def _one_or_many(one: type[NgramModel]) -> Callable[[Path], NgramModel]:
    """Return a loader for models with a single head, many heads or a whole tree, as the folder's arrays show."""

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


_BUILT_IN = frozenset(REGISTRY) | frozenset(NETWORKS)
_READERS: dict[str, type[WordPieceReader] | type[WordReader]] = {"wordpiece": WordPieceReader, "words": WordReader}


def registered_name(settings: s.ModelSettings) -> str:
    """Return the name under which the class of ``settings`` is registered."""
    return next(name for name, entry in REGISTRY.items() if entry.settings is type(settings))


def register_network(settings: type[s.ModelSettings], network: Callable[[Any, int, Any], nn.Module]) -> None:
    """Register a network of your own under the default ``name`` of its settings.

    Afterwards ``PatentClassifier(name, ...)``, its checkpoints and saved models know the network. The registration
    lasts as long as the process; registering the same name again replaces it, so that a notebook cell can be rerun.

    Args:
        settings: A dataclass derived from :class:`patent_hier.ModelSettings` with a ``name`` of its own and
            ``inputs = "wordpiece"`` (the network reads an encoder) or ``"words"`` (it reads word vectors). Its other
            fields become keyword arguments of ``PatentClassifier``.
        network: Called as ``network(encoder, num_outputs, settings)`` or ``network(vectors, num_outputs, settings)``:
            ``encoder`` is a :class:`patent_hier.models.encoder.TextEncoder`, ``vectors`` the word vectors
            ``(n_words + 2, vector_size)``. The module maps ``input_ids`` and ``attention_mask``, both
            ``(batch, seq_len)``, to logits ``(batch, num_outputs)``.

    Raises:
        ConfigError: If the name belongs to a built-in model, or ``inputs`` is neither of the two.
    """
    name, inputs = settings().name, getattr(settings, "inputs", None)
    if name in _BUILT_IN or name == s.ModelSettings.name:
        raise ConfigError(f"{settings.__name__}.name is {name}, which is taken; choose another name")
    if inputs not in _READERS:
        raise ConfigError(f"{settings.__name__}.inputs is {inputs!r}; use 'wordpiece' or 'words'")
    REGISTRY[name] = NetworkEntry(settings, _READERS[inputs], network)
    NETWORKS[name] = settings
