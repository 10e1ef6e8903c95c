"""What one node learns from: positions, labels and targets, without any framework."""

from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from patent_hier.data.label_text import LabelTexts, count_levels
from patent_hier.data.splits import TRAIN, VAL
from patent_hier.features.terms import JoinedTerms, TermStore
from patent_hier.features.token_store import TokenStore
from patent_hier.settings import FLAT, ROOT

Store = TypeVar("Store", bound=TokenStore | TermStore | JoinedTerms)


@dataclass(frozen=True)
class CorpusView(Generic[Store]):
    """The columns of a corpus that training reads, all in corpus order, and the label texts beside it.

    Attributes:
        store: Token ids, or term counts; those of the label texts stand behind the corpus's ``n`` documents.
        sections: ``(n,)`` of strings.
        ipc_classes: ``(n,)`` of strings.
        parts: ``(n,)`` of part codes, positions in :data:`patent_hier.data.splits.PARTS`.
        label_texts: Titles of IPC places, for training only; None without ``data.label_text``.
        label_weights: Weights of such a text among which a model chooses on the validation part, ascending.
    """

    store: Store
    sections: NDArray[np.object_]
    ipc_classes: NDArray[np.object_]
    parts: NDArray[np.int8]
    label_texts: LabelTexts | None = None
    label_weights: tuple[float, ...] = ()

    def targets(self, node: str) -> NDArray[np.object_]:
        """Each document's label under a node, ``(n,)``; ``None`` where the document does not belong to it."""
        return node_targets(node, self.sections, self.ipc_classes)


def node_targets(node: str, sections: NDArray[np.object_], ipc_classes: NDArray[np.object_]) -> NDArray[np.object_]:
    """Each document's label under a node, by its section and class, all ``(n,)``; ``None`` where it has none."""
    if node == ROOT:
        return sections
    if node == FLAT:
        return ipc_classes
    targets = ipc_classes.copy()
    targets[sections != node] = None
    return targets


@dataclass(frozen=True)
class LabelShare:
    """A node's share of the label texts.

    Attributes:
        count: How many there are, one or more.
        weights: Weights of one among which a model chooses on the validation part, ascending.
    """

    count: int
    weights: tuple[float, ...]


@dataclass(frozen=True)
class NodeView(Generic[Store]):
    """One node's share of the corpus: the documents whose section is the node, or all of them.

    Attributes:
        node: ``root``, ``flat`` or a section.
        store: Token ids, or term counts, of the whole corpus.
        labels: Labels seen in training, sorted; a label's code is its position.
        train: Positions of training documents, then those of label texts, ``(n_train,)``.
        train_codes: Their label codes, ``(n_train,)``.
        val: Positions of validation documents under the node whose label was seen in training, ``(n_val,)``.
        val_codes: Their label codes, ``(n_val,)``.
        label_share: The label texts at the end of ``train``; None if there is none.
        label_facts: How many of each level they are, and how many are left out because no training document has
            their label; None without ``data.label_text``.
    """

    node: str
    store: Store
    labels: tuple[str, ...]
    train: NDArray[np.intp]
    train_codes: NDArray[np.int64]
    val: NDArray[np.intp]
    val_codes: NDArray[np.int64]
    label_share: LabelShare | None = None
    label_facts: dict[str, Any] | None = None

    @property
    def num_documents(self) -> int:
        """Training documents of the corpus, which stand before the label texts in ``train``."""
        return len(self.train) - (self.label_share.count if self.label_share else 0)

    def train_weights(self, label_weight: float) -> NDArray[np.float32]:
        """Weights ``(n_train,)``: 1 for documents of the corpus, ``label_weight`` for label texts."""
        weights = np.ones(len(self.train), np.float32)
        weights[self.num_documents :] = label_weight
        return weights

    @classmethod
    def of(cls, corpus: CorpusView[Store], node: str) -> "NodeView[Store]":
        """Filter the corpus by node; only its own documents decide which labels there are."""
        targets = corpus.targets(node)
        under = np.array([target is not None for target in targets], bool)
        train = np.flatnonzero(under & (corpus.parts == TRAIN))
        labels = sorted(set(targets[train]))
        code_of = {label: code for code, label in enumerate(labels)}
        seen = np.array([target in code_of for target in targets], bool)
        val = np.flatnonzero(seen & (corpus.parts == VAL))

        def codes(positions: NDArray[np.intp]) -> NDArray[np.int64]:
            return np.array([code_of[targets[position]] for position in positions], np.int64)

        view = cls(node, corpus.store, tuple(labels), train, codes(train), val, codes(val))
        return view if corpus.label_texts is None else _with_label_texts(view, corpus, corpus.label_texts)


def _with_label_texts(view: NodeView[Store], corpus: CorpusView[Store], texts: LabelTexts) -> NodeView[Store]:
    """The view with the label texts of its labels behind the training documents."""
    code_of = {label: code for code, label in enumerate(view.labels)}
    targets = node_targets(view.node, texts.sections, texts.ipc_classes)
    used = np.flatnonzero(np.array([target in code_of for target in targets], bool))
    under = sum(target is not None for target in targets)
    facts = {"texts": len(used), "levels": count_levels(texts.levels[used]), "of_unseen_labels": under - len(used)}
    if not len(used):
        return replace(view, label_facts=facts)
    return replace(
        view,
        train=np.concatenate([view.train, len(corpus.sections) + used]),
        train_codes=np.concatenate([view.train_codes, np.array([code_of[targets[i]] for i in used], np.int64)]),
        label_share=LabelShare(len(used), corpus.label_weights),
        label_facts=facts,
    )
