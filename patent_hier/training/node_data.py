"""What one node learns from: positions, labels and targets, without any framework."""

from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from patent_hier.data.splits import TRAIN, VAL
from patent_hier.features.terms import TermStore
from patent_hier.features.token_store import TokenStore
from patent_hier.settings import FLAT, ROOT

Store = TypeVar("Store", bound=TokenStore | TermStore)


@dataclass(frozen=True)
class CorpusView(Generic[Store]):
    """The columns of a corpus that training reads, all in corpus order.

    Attributes:
        store: Token ids, or term counts.
        sections: ``(n,)`` of strings.
        ipc_classes: ``(n,)`` of strings.
        parts: ``(n,)`` of part codes, positions in :data:`patent_hier.data.splits.PARTS`.
    """

    store: Store
    sections: NDArray[np.object_]
    ipc_classes: NDArray[np.object_]
    parts: NDArray[np.int8]

    def targets(self, node: str) -> NDArray[np.object_]:
        """Each document's label under a node, ``(n,)``; ``None`` where the document does not belong to it."""
        if node == ROOT:
            return self.sections
        if node == FLAT:
            return self.ipc_classes
        targets = self.ipc_classes.copy()
        targets[self.sections != node] = None
        return targets


@dataclass(frozen=True)
class NodeView(Generic[Store]):
    """One node's share of the corpus: the documents whose section is the node, or all of them.

    Attributes:
        node: ``root``, ``flat`` or a section.
        store: Token ids, or term counts, of the whole corpus.
        labels: Labels seen in training, sorted; a label's code is its position.
        train: Positions of training documents, ``(n_train,)``.
        train_codes: Their label codes, ``(n_train,)``.
        val: Positions of validation documents under the node whose label was seen in training, ``(n_val,)``.
        val_codes: Their label codes, ``(n_val,)``.
    """

    node: str
    store: Store
    labels: tuple[str, ...]
    train: NDArray[np.intp]
    train_codes: NDArray[np.int64]
    val: NDArray[np.intp]
    val_codes: NDArray[np.int64]

    @classmethod
    def of(cls, corpus: CorpusView[Store], node: str) -> "NodeView[Store]":
        """Filter the corpus by node."""
        targets = corpus.targets(node)
        under = np.array([target is not None for target in targets], bool)
        train = np.flatnonzero(under & (corpus.parts == TRAIN))
        labels = sorted(set(targets[train]))
        code_of = {label: code for code, label in enumerate(labels)}
        seen = np.array([target in code_of for target in targets], bool)
        val = np.flatnonzero(seen & (corpus.parts == VAL))

        def codes(positions: NDArray[np.intp]) -> NDArray[np.int64]:
            return np.array([code_of[targets[position]] for position in positions], np.int64)

        return cls(node, corpus.store, tuple(labels), train, codes(train), val, codes(val))
