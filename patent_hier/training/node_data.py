"""Training data of one node: its documents, its part of the label tree, and each document's path in it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from patent_hier.data.answers import Answers
from patent_hier.data.label_text import LabelTexts
from patent_hier.data.labels import DocumentLabels
from patent_hier.features.ngram_store import JoinedNgrams, NgramStore
from patent_hier.features.token_store import TokenStore
from patent_hier.settings import DistillSettings
from patent_hier.taxonomy.tree import LabelTree, Positions

if TYPE_CHECKING:
    from patent_hier.models.network_spec import NetworkSpec  # torch

NOT_IN_TREE = -2  # position of a true label that no training document has

Store = TypeVar("Store", bound=TokenStore | NgramStore | JoinedNgrams)


@dataclass(frozen=True, eq=False)
class Relearning:
    """Corrections appended to the documents of a corpus.

    Attributes:
        first: Position of the first correction among the documents; the others follow it.
        weights: Weights of all documents and corrections in training, ``(n,)`` float32.
        base: Model folders of the earlier networks, by node; if empty, every model is trained from scratch.
        replay: Number of training documents of the corpus that a network reads in addition to the corrections.
        passes: Number of epochs for a network that continues from an earlier one.
        rate: Factor on such a network's learning rates.
        heads: Heads of a network to train, on the documents below them, while all its other weights stay fixed; each is
            a pair of the level of its labels and the label above them. None trains the whole network.
    """

    first: int
    weights: NDArray[np.float32]
    base: Mapping[str, Path]
    replay: int
    passes: int
    rate: float = 1.0
    heads: frozenset[tuple[str, str]] | None = None


@dataclass(frozen=True, eq=False)
class Teaching:
    """A teacher's answers for the documents of one corpus.

    Attributes:
        answers: The answers.
        rows: Positions of the answered training documents in the corpus, ``(n_documents,)``.
        settings: Settings that determine how much the answers count.
    """

    answers: Answers
    rows: NDArray[np.intp]
    settings: DistillSettings


@dataclass(frozen=True, eq=False)
class Shares:
    """Shares of paths in their documents' targets.

    Attributes:
        main: Share of each item's main path, ``(n_train,)`` float32.
        further: Share of each additional path, ``(n_further,)`` float32.
        texts: Number of items at the end that have only the teacher's answer.
        text_weight: Weight of these items in the loss.
        facts: Facts for the metrics file.
    """

    main: NDArray[np.float32]
    further: NDArray[np.float32]
    texts: int
    text_weight: float
    facts: dict[str, Any]


@dataclass(frozen=True)
class CorpusView(Generic[Store]):
    """A split corpus in the form that a model reads, in corpus order, followed by the label texts.

    Corrections follow the documents of the corpus and are counted among its ``n`` documents.

    Attributes:
        documents: Token ids, or n-gram counts, of the documents of the corpus, which are scored.
        store: The same with those of corrections and of label texts appended, for training.
        labels: The documents' labels.
        parts: Part codes, ``(n,)``, positions in :data:`patent_hier.data.splits.PARTS`; negative if a document is in no
            part.
        every_symbol: Whether to learn from all symbols of a document instead of its main symbol only.
        label_texts: Titles of IPC places, for training only; None without ``data.label_text``.
        label_weights: Candidate weights of a label text, ascending, from which a model chooses on the validation part.
        spec: Specification of the network to train; None for a classical model.
        facts: Facts about the corpus for the metrics file.
        titled: Which labels have a title, ``(n_labels,)``; a node with several levels can also choose these, whether
            training has seen them or not. None for a model that cannot learn labels from titles alone.
        teaching: A teacher's answers, used as targets; None without ``distill.answers``.
        relearning: The corrections; None without ``learn.corrections``.
    """

    documents: TokenStore | NgramStore
    store: Store
    labels: DocumentLabels
    parts: NDArray[np.int8]
    every_symbol: bool = False
    label_texts: LabelTexts | None = None
    label_weights: tuple[float, ...] = ()
    spec: "NetworkSpec | None" = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    titled: NDArray[np.bool_] | None = None
    teaching: Teaching | None = None
    relearning: Relearning | None = None


@dataclass(frozen=True)
class LabelShare:
    """A node's share of the label texts.

    Attributes:
        count: Number of label texts, one or more.
        weights: Candidate weights of a label text, ascending, from which a model chooses on the validation part.
    """

    count: int
    weights: tuple[float, ...]


@dataclass(frozen=True)
class NodeView(Generic[Store]):
    """One node's share of the corpus: the documents with a label under the node.

    Attributes:
        node: ``root``, ``flat``, ``shared`` or a label.
        store: Token ids, or n-gram counts, of the whole corpus.
        tree: Labels under the node that training has seen, and those added by :attr:`CorpusView.titled`.
        flat: Whether one softmax over all labels of the deepest level decides.
        train: Positions in the store of the training documents, followed by those of label texts, ``(n_train,)``.
        train_paths: Paths of ``train`` in ``tree``, ``(n_train, n_levels)``.
        further: Paths of additional symbols to learn from, ``(n_further, n_levels)``; empty with main symbols only.
        further_owners: Item of ``train`` that each additional path belongs to, ascending, ``(n_further,)``.
        val: Positions of the validation documents under the node whose uppermost label was seen in training,
            ``(n_val,)``.
        val_paths: Paths of ``val``, ``(n_val, n_levels)``; :data:`NONE` where a label was not seen.
        test: Positions of the test documents under the node, ``(n_test,)``.
        test_paths: Paths of ``test``; :data:`NOT_IN_TREE` where a label was not seen.
        held_out: Positions of all documents outside the training part, under the node or not, ``(n_held_out,)``.
        label_share: The label texts at the end of ``train``; None if there are none.
        label_facts: Number of label texts, in total and per level, and number left out because no training document has
            their label; None without ``data.label_text``.
        shares: With a teacher, the share of each path in its document's target; texts labelled only by the teacher are
            at the end of ``train``. None if the symbols of a document have equal shares.
        weights: Weights of the training documents, ``(num_documents,)``; None for equal weights.
    """

    node: str
    store: Store
    tree: LabelTree
    flat: bool
    train: NDArray[np.intp]
    train_paths: Positions
    further: Positions
    further_owners: NDArray[np.intp]
    val: NDArray[np.intp]
    val_paths: Positions
    test: NDArray[np.intp]
    test_paths: Positions
    held_out: NDArray[np.intp]
    label_share: LabelShare | None = None
    label_facts: dict[str, Any] | None = None
    shares: Shares | None = None
    weights: NDArray[np.float32] | None = None

    @property
    def num_documents(self) -> int:
        """Number of training documents, which precede label texts and a teacher's texts in ``train``."""
        n_texts = self.shares.texts if self.shares else 0
        return len(self.train) - (self.label_share.count if self.label_share else 0) - n_texts

    @property
    def is_constant(self) -> bool:
        """Whether there is nothing to decide because no label has two children."""
        return next(self.tree.heads(), None) is None

    def train_weights(self, label_weight: float) -> NDArray[np.float32]:
        """Return the weights ``(n_train,)``: ``label_weight`` for label texts, the teacher's weight for its texts."""
        weights = np.ones(len(self.train), np.float32)
        if self.weights is not None:
            weights[: self.num_documents] = self.weights
        weights[self.num_documents :] = label_weight
        if self.shares:
            weights[len(weights) - self.shares.texts :] = self.shares.text_weight
        return weights
