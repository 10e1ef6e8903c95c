"""Labels of the documents of a corpus: one tree of all labels, and the path of each document in it."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from patent_hier.data.corpus import Corpus
from patent_hier.data.label_text import LabelTexts
from patent_hier.taxonomy.symbols import IPC_LEVELS, IpcSymbol
from patent_hier.taxonomy.tree import NONE, LabelTree, Positions

LABEL_COLUMNS = ("section", "ipc_class", "subclass", "main_group", "subgroup")


@dataclass(frozen=True, eq=False)
class DocumentLabels:
    """Labels of the ``n`` documents of a corpus.

    Attributes:
        tree: Labels of all main and further symbols.
        main: Path of each document's main symbol, ``(n, n_levels)``; :data:`NONE` below the level of the symbol.
        further: Concatenated paths of the further symbols of all documents, ``(n_further, n_levels)``; those of a
            document differ from its main path and from each other.
        offsets: Start of each document's further paths, ``(n + 1,)``; document ``i`` has ``offsets[i]`` to
            ``offsets[i + 1]``.
    """

    tree: LabelTree
    main: Positions
    further: Positions
    offsets: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.main)

    def take(self, rows: NDArray[np.intp]) -> "DocumentLabels":
        """Return the labels of some documents in the given order, with the same tree."""
        counts = np.diff(self.offsets)[rows]
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        places = np.repeat(self.offsets[:-1][rows] - offsets[:-1], counts) + np.arange(offsets[-1])
        return DocumentLabels(self.tree, self.main[rows], self.further[places], offsets)

    def extended(self, paths: Sequence[tuple[str | None, ...]]) -> "DocumentLabels":
        """Return the labels of the same documents in a tree with additional labels.

        Args:
            paths: Paths to add, from the first level to the deepest; an empty sequence changes nothing.
        """
        if not paths:
            return self
        others = LabelTree.from_paths(paths, self.tree.levels)
        tree = LabelTree.union([self.tree, others])
        moved = np.concatenate([tree.find(level, self.tree.labels(level)) for level in self.tree.levels])

        def placed(positions: Positions) -> Positions:
            return np.where(positions == NONE, NONE, moved[positions]).astype(np.int32)

        return DocumentLabels(tree, placed(self.main), placed(self.further), self.offsets)

    @property
    def owners(self) -> NDArray[np.intp]:
        """Document of each further path, ``(n_further,)``."""
        return np.repeat(np.arange(len(self)), np.diff(self.offsets))


def corpus_labels(corpus: Corpus, depth: str) -> DocumentLabels:
    """Return the labels of a corpus down to a level; each process reads them only once for all nodes.

    Args:
        corpus: The clean corpus.
        depth: Deepest level, one of :data:`patent_hier.taxonomy.symbols.IPC_LEVELS`.
    """
    return _labels_of(corpus.folder, corpus.fingerprint, depth)


@functools.lru_cache(maxsize=2)
def _labels_of(folder: Path, fingerprint: str, depth: str) -> DocumentLabels:
    levels = IPC_LEVELS[: IPC_LEVELS.index(depth) + 1]
    table = Corpus.open(folder).table([*LABEL_COLUMNS, "further_symbols"])
    # The main symbol at its full depth.
    main = pc.coalesce(*(table[name] for name in reversed(LABEL_COLUMNS))).combine_chunks()
    lists: Any = table["further_symbols"].combine_chunks()
    lists = pc.if_else(lists.is_null(), pa.scalar([], lists.type), lists) if lists.null_count else lists
    symbols = pa.concat_arrays([main, lists.flatten()]).dictionary_encode()
    codes = symbols.indices.to_numpy()
    paths = [ipc_path(symbol, len(levels)) for symbol in symbols.dictionary.to_pylist()]
    offsets = np.concatenate([[0], np.cumsum(pc.list_value_length(lists).to_numpy())]).astype(np.int64)
    return _assembled(paths, codes[: len(main)], codes[len(main) :], offsets, levels)


def with_titled(labels: DocumentLabels, texts: LabelTexts) -> tuple[DocumentLabels, NDArray[np.bool_]]:
    """Return the labels extended by those of the titles, and a mask ``(n_labels,)`` of labels with a title."""
    paths = texts.whole_paths(len(labels.tree.levels))
    labels = labels.extended(paths)
    titled = np.zeros(len(labels.tree), np.bool_)
    for level, codes in zip(labels.tree.levels, zip(*paths, strict=True), strict=False):
        titled[labels.tree.find(level, codes)] = True
    return labels, titled


def node_targets(labels: DocumentLabels, node: str, levels: Sequence[str]) -> list[NDArray[np.object_]]:
    """Return the true labels of documents under a node, ``(n,)`` for each of its levels; None if there is none.

    Args:
        labels: Labels of the documents.
        node: A label; any other node name (``root``, ``flat``, ``shared``) covers all documents.
        levels: Levels of the node.
    """
    columns = [labels.main[:, labels.tree.levels.index(level)] for level in levels]
    names = [labels.tree.names(column) for column in columns]
    place = labels.tree.levels.index(levels[0]) - 1
    if place >= 0:
        above = labels.main[:, place]
        outside = (above == NONE) | (labels.tree.codes[above] != node)
        for column in names:
            column[outside] = None
    return names


def document_labels(
    columns: Sequence[NDArray[Any]], further: Sequence[Sequence[tuple[str | None, ...]]], levels: Sequence[str]
) -> DocumentLabels:
    """Return the labels of ``n`` documents.

    Args:
        columns: Codes of the main symbols at each level, ``n_levels`` arrays ``(n,)``; None below a symbol's level.
        further: Paths of each document's further symbols; paths that equal the main path or another one at these
            levels are left out.
        levels: Names of the levels.
    """
    main = list(zip(*(column.tolist() for column in columns), strict=True))
    places: dict[tuple[str | None, ...], int] = {}
    codes = [places.setdefault(path, len(places)) for path in (*main, *(path for own in further for path in own))]
    offsets = np.concatenate([[0], np.cumsum([len(own) for own in further])]).astype(np.int64)
    found = np.array(codes, np.intp)
    return _assembled(list(places), found[: len(main)], found[len(main) :], offsets, levels)


def _assembled(
    paths: Sequence[tuple[str | None, ...]],
    main: NDArray[np.integer[Any]],
    further: NDArray[np.integer[Any]],
    offsets: NDArray[np.int64],
    levels: Sequence[str],
) -> DocumentLabels:
    """Return the labels of documents whose symbols are given as positions in a list of paths."""
    tree = LabelTree.from_paths(paths, levels)
    columns = zip(tree.levels, zip(*paths, strict=True), strict=False)  # the tree may end above the deepest level
    places = np.stack([tree.find(level, codes) for level, codes in columns], axis=1)
    rows, kind = np.unique(places, axis=0, return_inverse=True)  # different symbols may be equal at these levels
    kind = kind.ravel()
    owners = np.repeat(np.arange(len(main)), np.diff(offsets))
    keys = owners * len(rows) + kind[further]
    first = np.zeros(len(further), np.bool_)
    first[np.unique(keys, return_index=True)[1]] = True
    kept = first & (kind[further] != kind[main][owners])
    counts = np.bincount(owners[kept], minlength=len(main))
    ends = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return DocumentLabels(tree, rows[kind[main]], rows[kind[further[kept]]], ends)


@functools.lru_cache(maxsize=1 << 16)
def ipc_path(symbol: str, n_levels: int) -> tuple[str | None, ...]:
    """Return the path of an IPC symbol, spelled as ``str(IpcSymbol)``, down to ``n_levels``; None below its end."""
    return IpcSymbol.parse(symbol).path[:n_levels]
