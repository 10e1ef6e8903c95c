"""The view of one node: the documents of a corpus that it learns from, and their paths in its part of the tree."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from patent_hier.data.label_text import LabelTexts, count_levels
from patent_hier.data.splits import TEST, TRAIN, VAL, held_out
from patent_hier.errors import ConfigError
from patent_hier.settings import FLAT, ROOT, WHOLE
from patent_hier.taxonomy.tree import NONE, LabelTree, Positions
from patent_hier.training.node_data import NOT_IN_TREE, CorpusView, LabelShare, NodeView, Store
from patent_hier.training.soft_targets import with_answers


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


def view_of(corpus: CorpusView[Store], node: str) -> NodeView[Store]:
    """Restrict the corpus to a node, whose labels come from its training documents and from titles.

    Raises:
        ConfigError: If the corpus has no training document under the node.
    """
    scope = scope_of(corpus.labels.tree, node)
    main = scope.paths(corpus.labels.main)  # (n, n_levels)
    further, owners = _further(corpus, scope)
    under = main[:, -1 if scope.flat else 0] != NONE  # a single softmax needs the deepest label
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
    tree, new = scope.tree.restrict(_known_labels(corpus, scope, main[train], further))
    kept = slice(0, len(tree.levels))
    paths = relabel(new, main)[:, kept]
    val = np.flatnonzero(under & (paths[:, -1 if scope.flat else 0] != NONE) & (corpus.parts == VAL))
    test = np.flatnonzero((main[:, 0] != NONE) & (corpus.parts == TEST))
    unseen = (main[test][:, kept] != NONE) & (paths[test] == NONE)
    view = NodeView(
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


def _known_labels(corpus: CorpusView[Any], scope: Scope, main: Positions, further: Positions) -> NDArray[np.bool_]:
    """Return which labels of the part are on a training document's path or have a title, ``(n_labels,)``."""
    known = np.zeros(len(scope.tree), np.bool_)
    for paths in (main, further):
        known[paths[paths != NONE]] = True
    if corpus.titled is not None and not scope.flat and len(scope.tree.levels) > 1:
        known[scope.moved[corpus.titled & (scope.moved != NONE)]] = True
    return known


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
