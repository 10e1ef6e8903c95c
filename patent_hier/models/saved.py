"""A node's classifier as a folder of safetensors, JSON and vocabulary, with nothing executable.

The folder holds ``classifier.json`` (kind, node, label tree, settings), ``model.safetensors``, and the files that the
reader needs to turn texts into the model's input. A constant classifier (for a node with nothing to decide) has only
``classifier.json``.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from scipy.sparse import csr_matrix
from torch import nn

from patent_hier.atomic import read_json, write_json
from patent_hier.data.context import text_of
from patent_hier.errors import ArtifactError, ConfigError
from patent_hier.features.ngram_store import NgramReader, NgramStore
from patent_hier.features.token_store import TokenStore
from patent_hier.models.classical import WEIGHTS, NgramModel
from patent_hier.models.registry import REGISTRY, NetworkEntry, NgramEntry, Reader, registered_name
from patent_hier.models.scoring import score_documents, score_ngrams
from patent_hier.models.tree_softmax import TreeSoftmax
from patent_hier.sanitize import reason
from patent_hier.settings import ModelSettings
from patent_hier.taxonomy.tree import LabelTree

CLASSIFIER = "classifier.json"
CONSTANT = "constant"
Store = TokenStore | NgramStore
# Errors raised when a network is built and loaded from settings, sizes and weights that do not fit together.
_UNFIT = (ConfigError, IndexError, KeyError, OSError, RuntimeError, SafetensorError, TypeError, ValueError)


@dataclass
class NodeClassifier:
    """One node's classifier, ready to score.

    Attributes:
        node: Name of the node.
        tree: Tree of its ``n_labels`` labels, in the order of the columns of :meth:`log_prob`.
        flat: Whether one softmax over the deepest level decides, instead of one per parent.
        settings: The model group it was built with; None for a constant classifier.
        model: A network, or a model on n-gram counts; None for a constant classifier.
        reader: Turns texts into the model's input; None for a constant classifier.
        stand_in: Module that computes the logits instead of the network, for example another runtime; None uses the
            network.
    """

    node: str
    tree: LabelTree
    flat: bool = False
    settings: ModelSettings | None = None
    model: nn.Module | NgramModel | None = None
    reader: Reader | None = None
    stand_in: nn.Module | None = None

    def log_prob(
        self,
        store: Store,
        indices: NDArray[np.intp],
        batch_size: int = 64,
        progress: Callable[[int], None] | None = None,
    ) -> NDArray[np.float32]:
        """Return joint log-probabilities ``(len(indices), n_labels)`` float32 for documents of a store.

        Args:
            store: Token ids or n-gram counts from this classifier's reader.
            indices: Positions of the documents in the store.
            batch_size: Documents per batch of a network.
            progress: Called after each batch with its number of documents.
        """
        if self.model is None or not len(indices):
            return np.zeros((len(indices), len(self.tree)), np.float32)  # nothing to decide, so every probability is 1
        if isinstance(store, NgramStore):
            assert not isinstance(self.model, nn.Module)
            assert isinstance(self.reader, NgramReader)
            return score_ngrams(self.model, store, self.reader, indices, self.tree, self.flat, progress)
        assert isinstance(self.model, nn.Module)
        assert self.reader is not None
        assert not isinstance(self.reader, NgramReader)
        return score_documents(
            self.stand_in or self.model,
            store,
            indices,
            softmax=TreeSoftmax(self.tree, self.flat),
            pad_id=self.reader.pad_id,
            batch_size=batch_size,
            progress=progress,
        )

    def encode(self, texts: list[str]) -> Store:
        """Encode new documents for the model; a network reads only their texts, without context.

        Raises:
            ArtifactError: If the classifier is constant and reads no text.
        """
        if self.reader is None:
            raise ArtifactError(f"node {self.node} has a constant classifier, which does not read texts")
        documents = texts if isinstance(self.reader, NgramReader) else list(map(text_of, texts))
        return self.reader.encode(documents)

    def save(self, folder: Path) -> None:
        """Write the files of the folder; the caller seals it."""
        folder.mkdir(parents=True, exist_ok=True)
        facts: dict[str, Any] = {
            "kind": registered_name(self.settings) if self.settings else CONSTANT,
            "node": self.node,
            "tree": self.tree.as_dict(),
            "flat": self.flat,
            "model": asdict(self.settings) if self.settings else {},
        }
        write_json(folder / CLASSIFIER, facts)
        if self.model is None or self.reader is None:
            return
        self.reader.save(folder)
        if isinstance(self.model, nn.Module):
            save_file({name: value.contiguous() for name, value in self.model.state_dict().items()}, folder / WEIGHTS)
        else:
            self.model.save(folder)


def num_outputs(tree: LabelTree, flat: bool) -> int:
    """Return the number of scores per document: one per leaf if flat, otherwise one per label."""
    return len(tree.labels(tree.depth)) if flat else len(tree)


def load_classifier(folder: Path) -> NodeClassifier:
    """Load a folder written by :meth:`NodeClassifier.save`, on the CPU and in evaluation mode.

    Raises:
        ArtifactError: If a file is missing, damaged or of the wrong shape.
    """
    facts = read_json(folder / CLASSIFIER)
    try:
        classifier = NodeClassifier(str(facts["node"]), LabelTree.from_dict(facts["tree"]), bool(facts["flat"]))
        if facts["kind"] == CONSTANT:
            return classifier
        kind = REGISTRY[facts["kind"]]
        classifier.settings = kind.settings(**facts["model"])
    except (ArtifactError, KeyError, TypeError) as error:
        raise ArtifactError(
            f"{folder / CLASSIFIER} does not describe a classifier ({reason(error)}); train the node again"
        ) from error
    classifier.reader = kind.reader.load(folder)
    if isinstance(kind, NetworkEntry):
        classifier.model = _load_network(folder, kind, classifier)
    else:
        classifier.model = _load_ngram_model(folder, kind, classifier)
    return classifier


def _load_network(folder: Path, kind: NetworkEntry, classifier: NodeClassifier) -> nn.Module:
    try:
        state = load_file(folder / WEIGHTS)
        network = kind.blank(
            classifier.reader, state, num_outputs(classifier.tree, classifier.flat), classifier.settings
        )
        network.load_state_dict(state)
    except _UNFIT as error:
        why = reason(error)
        raise ArtifactError(
            f"{folder / WEIGHTS} is damaged or does not fit its folder ({why}); delete the result and train again"
        ) from error
    return network.eval()


def _load_ngram_model(folder: Path, kind: NgramEntry, classifier: NodeClassifier) -> NgramModel:
    """Load the model and check, with an empty document, that it fits the reader's n-grams and the labels."""
    assert isinstance(classifier.reader, NgramReader)
    model, n_ngrams = kind.load(folder), len(classifier.reader.ngrams)
    try:
        shape = model.log_prob(csr_matrix((1, n_ngrams), dtype=np.float32)).shape
    except ValueError:  # from scipy, for a product of matrices of incompatible shapes
        shape = ()
    wanted = num_outputs(classifier.tree, classifier.flat)
    if shape != (1, wanted):
        raise ArtifactError(
            f"{folder / WEIGHTS} does not fit the {n_ngrams} n-grams and {wanted} labels of its folder; "
            "delete the result and train again"
        )
    return model
