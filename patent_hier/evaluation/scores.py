"""Log-probabilities of all labels in memory: of one network, of a whole system, or of a part of its tree."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from patent_hier.errors import ArtifactError, IncompleteError
from patent_hier.settings import FLAT, ROOT, WHOLE
from patent_hier.taxonomy.arithmetic import conditional_log_prob, joint_log_prob
from patent_hier.taxonomy.tree import LabelTree

_CELLS = 1 << 22  # documents x labels of a piece: 16 MiB of float32


@dataclass(frozen=True, eq=False)
class TreeScores:
    """The log-probabilities of ``n`` documents.

    Attributes:
        tree: Its labels.
        log_prob: ``(n, n_labels)`` float32, natural logarithm of P(label | the tree's root), in the tree's order.
        flat: Whether one softmax over the deepest level decides, instead of one for each parent.
    """

    tree: LabelTree
    log_prob: NDArray[np.float32]
    flat: bool = False

    def __len__(self) -> int:
        return len(self.log_prob)

    def at(self, level: str) -> NDArray[np.float32]:
        """The log-probabilities of one level, ``(n, n_labels_of_level)``."""
        return self.log_prob[:, self.tree.span(level)]

    def to_depth(self, level: str) -> "TreeScores":
        """The same without the levels below one; as it is where it does not reach that level."""
        if level not in self.tree.levels or level == self.tree.depth:
            return self
        tree = self.tree.to_depth(level)
        return TreeScores(tree, self.log_prob[:, : len(tree)])

    def take(self, rows: slice) -> "TreeScores":
        """Only some documents."""
        return TreeScores(self.tree, self.log_prob[rows], self.flat)

    def pieces(self) -> Iterator["TreeScores"]:
        """Some documents at a time, so that the temporary arrays of what is made of them stay small."""
        size = max(1, _CELLS // len(self.tree))
        for start in range(0, len(self), size):
            yield self.take(slice(start, start + size))


def missing_nodes(trees: Mapping[str, LabelTree]) -> list[str]:
    """The networks that a system lacks, by its others' trees."""
    if any(node in trees for node in WHOLE):
        return []
    known = trees[ROOT].labels(trees[ROOT].depth) if ROOT in trees else ()
    return [node for node in (ROOT, *known) if node not in trees]


def whole_tree(trees: Mapping[str, LabelTree]) -> LabelTree:
    """The tree of a system, from those of its networks by node.

    Raises:
        IncompleteError: If a network is missing.
    """
    if missing := missing_nodes(trees):
        raise IncompleteError(f"node {', '.join(missing)} is missing; train it, or level=flat or level=shared")
    for node in WHOLE:
        if node in trees:
            return trees[node]
    root = trees[ROOT]
    return root.graft({node: trees[node] for node in root.labels(root.depth)})


def whole(scores: Mapping[str, TreeScores], tree: LabelTree | None = None) -> TreeScores:
    """The scores of a system over its whole tree.

    Args:
        scores: By node: one network over everything, or ``root`` and one for each of its labels; all of the same ``n``
            documents.
        tree: Of the system, where the caller has made it before; see :func:`whole_tree`.

    Raises:
        IncompleteError: If a network is missing.
        ArtifactError: If they scored different numbers of documents.
    """
    for node in WHOLE:
        if node in scores:
            return scores[node]
    tree = tree or whole_tree({node: own.tree for node, own in scores.items()})
    root = scores[ROOT]
    known = root.tree.labels(root.tree.depth)
    for node in known:
        if len(scores[node]) != len(root):
            raise ArtifactError(
                f"node {node} scored {len(scores[node])} documents but root {len(root)}; run both on the same split"
            )
    log_prob = np.full((len(root), len(tree)), -np.inf, np.float32)
    log_prob[:, : len(root.tree)] = root.log_prob
    for place, node in enumerate(known, root.tree.leaves.start):
        own, below = scores[node], tree.children(place)
        for level in own.tree.levels:  # a part's labels keep their order in the whole tree, and stand side by side
            np.add(own.at(level), root.log_prob[:, place, None], out=log_prob[:, below])
            below = slice(*tree.child_bounds[[below.start + 1, below.stop + 1]].tolist())
    return TreeScores(tree, log_prob)


def derive(scores: Mapping[str, TreeScores], node: str) -> TreeScores:
    """The scores of a node: its own, or what the system's other nodes say of it by the rules of probability.

    Below a label of probability 0 the rules say nothing; its children are equally probable there.

    Args:
        scores: As for :func:`whole`.
        node: ``root``, ``flat``, ``shared`` or a label of the first level.

    Raises:
        IncompleteError: If neither the node nor those that it can be derived from are there, or none of them knows a
            label below it.
    """
    if node in scores:
        return scores[node]
    system = whole(scores)
    if node in WHOLE:
        return TreeScores(system.tree, system.log_prob, node == FLAT)
    if node == ROOT:
        first = system.tree.to_depth(system.tree.levels[0])
        return TreeScores(first, system.log_prob[:, : len(first)])
    level = system.tree.levels[0]
    if node not in system.tree.labels(level):
        raise IncompleteError(f"node {node} cannot be derived: no network knows a label below it; train it")
    part, moved = system.tree.under(level, node)
    conditional = conditional_log_prob(system.tree, system.log_prob.astype(np.float64))[:, moved >= 0]
    return TreeScores(part, joint_log_prob(part, conditional).astype(np.float32))


def cut(scores: Mapping[str, TreeScores], depth: str) -> dict[str, TreeScores]:
    """The scores of a system without the levels below one."""
    return {node: own.to_depth(depth) for node, own in scores.items()}


def as_node(scores: TreeScores, node: str) -> TreeScores:
    """Of ``flat`` with one softmax, whatever network it is derived from."""
    return TreeScores(scores.tree, scores.log_prob, node == FLAT)
