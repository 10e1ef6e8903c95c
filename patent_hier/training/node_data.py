"""Training data of one node: its documents, its part of the label tree, and each document's path in it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from patent_hier.data.label_text import LabelTexts, count_levels
from patent_hier.data.labels import DocumentLabels
from patent_hier.data.splits import TEST, TRAIN, VAL, held_out
from patent_hier.errors import ConfigError
from patent_hier.features.ngram_store import JoinedNgrams, NgramStore
from patent_hier.features.token_store import TokenStore
from patent_hier.settings import FLAT, ROOT, WHOLE
from patent_hier.taxonomy.tree import NONE, LabelTree, Positions
from patent_hier.training.soft_targets import Shares, Teaching, with_answers

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


@dataclass(frozen=True, eq=False)
class Scope:
    """The part of a label tree that a node decides.

    Attributes:
        tree: The part, below its own root.
        moved: Position in the part for each position in the whole tree; :data:`NONE` outside the part.
        columns: Levels of the whole tree that the part has.
        flat: Whether one softmax over all labels of the deepest level decides, instead of one per parent.
    """

    tree: LabelTree
    moved: Positions
    columns: slice
    flat: bool

    def paths(self, paths: Positions) -> Positions:
        """Convert paths of the whole tree, ``(n, n_levels)``, to paths of the part; all :data:`NONE` outside it."""
        return relabel(self.moved, paths[:, self.columns])


def relabel(moved: Positions, positions: Positions) -> Positions:
    """Return the positions in another tree; :data:`NONE` stays :data:`NONE`."""
    return np.where(positions == NONE, NONE, moved[positions]).astype(np.int32)


def scope_of(tree: LabelTree, node: str) -> Scope:
    """Return the labels that a node decides: the first level for ``root``, all labels for ``flat`` and ``shared``.

    Any other node decides all labels below it.

    Raises:
        ConfigError: If the tree has no such label, or nothing below it.
    """
    if node in WHOLE:
        return Scope(tree, np.arange(len(tree), dtype=np.int32), slice(0, len(tree.levels)), node == FLAT)
    if node == ROOT:
        first = tree.to_depth(tree.levels[0])
        moved = np.where(np.arange(len(tree)) < len(first), np.arange(len(tree)), NONE).astype(np.int32)
        return Scope(first, moved, slice(0, 1), flat=False)
    for place, level in enumerate(tree.levels):
        if tree.find(level, [node])[0] != NONE:
            part, moved = tree.under(level, node)
            return Scope(part, moved, slice(place + 1, place + 1 + len(part.levels)), flat=False)
    raise ConfigError(
        f"node={node}: no document of the corpus has this label at level {tree.depth} or above; choose another node or "
        "a deeper data.depth"
    )


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

    @classmethod
    def of(cls, corpus: CorpusView[Store], node: str) -> "NodeView[Store]":
        """Restrict the corpus to a node, whose labels come from its training documents and from titles.

        Raises:
            ConfigError: If the corpus has no training document under the node.
        """
        scope = scope_of(corpus.labels.tree, node)
        main = scope.paths(corpus.labels.main)  # (n, n_levels)
        further, owners = _further(corpus, scope)
        needed = main[:, -1 if scope.flat else 0]  # a single softmax needs the deepest label
        under = needed != NONE
        under_any = under.copy()
        under_any[owners] = True
        train = np.flatnonzero(under_any & (corpus.parts == TRAIN))
        if not len(train):
            raise ConfigError(
                f"node={node}: the corpus has no training document under it, down to level {scope.tree.depth}; choose "
                "another node"
            )
        item_of = np.full(len(main), NONE, np.intp)
        item_of[train] = np.arange(len(train))
        further, owners = further[item_of[owners] != NONE], item_of[owners][item_of[owners] != NONE]
        seen = np.zeros(len(scope.tree), np.bool_)
        for known in (main[train], further):
            seen[known[known != NONE]] = True
        if corpus.titled is not None and not scope.flat and len(scope.tree.levels) > 1:
            seen[scope.moved[corpus.titled & (scope.moved != NONE)]] = True
        tree, new = scope.tree.restrict(seen)
        kept = slice(0, len(tree.levels))
        paths = relabel(new, main)[:, kept]
        val = np.flatnonzero(under & (paths[:, -1 if scope.flat else 0] != NONE) & (corpus.parts == VAL))
        test = np.flatnonzero((main[:, 0] != NONE) & (corpus.parts == TEST))
        unseen = (main[test][:, kept] != NONE) & (paths[test] == NONE)
        view = cls(
            node,
            corpus.store,
            tree,
            scope.flat,
            train,
            relabel(new, main[train])[:, kept],
            relabel(new, further)[:, kept],
            owners,
            val,
            paths[val],
            test,
            np.where(unseen, NOT_IN_TREE, paths[test]).astype(np.int32),
            np.flatnonzero(held_out(corpus.parts)),
            weights=None if corpus.relearning is None else corpus.relearning.weights[train],
        )
        if corpus.label_texts is not None:
            view = _with_label_texts(view, corpus, scope, new, corpus.label_texts)
        if corpus.teaching is None:
            return view
        return with_answers(view, corpus.teaching, len(corpus.labels) + len(corpus.label_texts or ()))


def _further(corpus: CorpusView[Any], scope: Scope) -> tuple[Positions, NDArray[np.intp]]:
    """Return the additional paths under the node to learn from, and the document of each."""
    n_levels = len(scope.tree.levels)
    if not corpus.every_symbol:
        return np.empty((0, n_levels), np.int32), np.empty(0, np.intp)
    paths, owners = scope.paths(corpus.labels.further), corpus.labels.owners
    inside = paths[:, -1 if scope.flat else 0] != NONE
    return paths[inside], owners[inside]


def _with_label_texts(
    view: NodeView[Store], corpus: CorpusView[Store], scope: Scope, new: Positions, texts: LabelTexts
) -> NodeView[Store]:
    """Return the view with the label texts of its labels appended to the training documents."""
    whole = corpus.labels.tree
    named = texts.paths[:, : len(whole.levels)]
    found = np.stack([whole.find(level, named[:, i]) for i, level in enumerate(whole.levels)], axis=1)
    paths = relabel(new, scope.paths(found))[:, : len(view.tree.levels)]
    used = np.flatnonzero(paths[:, -1 if view.flat else 0] != NONE)
    first = scope.columns.start
    inside = np.array([path[first] is not None for path in named])
    if view.node not in (ROOT, *WHOLE):
        inside &= named[:, first - 1] == view.node
    facts = {
        "texts": len(used),
        "levels": count_levels(texts.levels[used]),
        "of_unseen_labels": int(np.count_nonzero(inside)) - len(used),
    }
    if not len(used):
        return replace(view, label_facts=facts)
    return replace(
        view,
        train=np.concatenate([view.train, len(corpus.labels) + used]),
        train_paths=np.concatenate([view.train_paths, paths[used]]),
        label_share=LabelShare(len(used), corpus.label_weights),
        label_facts=facts,
    )
