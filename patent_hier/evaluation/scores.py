"""Log-probabilities of all labels in memory, for one network, a whole system, or part of its tree."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from patent_hier.errors import ArtifactError, IncompleteError
from patent_hier.settings import FLAT, ROOT, WHOLE
from patent_hier.taxonomy.arithmetic import conditional_log_prob, joint_log_prob
from patent_hier.taxonomy.tree import LabelTree

_CELLS = 1 << 22  # documents x labels in a chunk: 16 MiB of float32


@dataclass(frozen=True, eq=False)
class TreeScores:
    """The log-probabilities of all labels of a tree for ``n`` documents.

    Attributes:
        tree: Label tree.
        log_prob: ``(n, n_labels)`` float32, natural logarithm of P(label | the tree's root), in the tree's order.
        flat: Whether one softmax over the deepest level decides, instead of one for each parent.
    """

    tree: LabelTree
    log_prob: NDArray[np.float32]
    flat: bool = False

    def __len__(self) -> int:
        return len(self.log_prob)

    def at(self, level: str) -> NDArray[np.float32]:
        """Return the log-probabilities of one level, ``(n, n_labels_of_level)``."""
        return self.log_prob[:, self.tree.span(level)]

    def to_depth(self, level: str) -> "TreeScores":
        """Return the scores without the levels below ``level``; unchanged if the tree does not reach that level."""
        if level not in self.tree.levels or level == self.tree.depth:
            return self
        tree = self.tree.to_depth(level)
        return TreeScores(tree, self.log_prob[:, : len(tree)])

    def take(self, rows: slice) -> "TreeScores":
        """Return the scores of a slice of the documents."""
        return TreeScores(self.tree, self.log_prob[rows], self.flat)

    def pieces(self) -> Iterator["TreeScores"]:
        """Yield the scores in chunks of documents, so that temporary arrays stay small."""
        size = max(1, _CELLS // len(self.tree))
        for start in range(0, len(self), size):
            yield self.take(slice(start, start + size))


def missing_nodes(trees: Mapping[str, LabelTree]) -> list[str]:
    """Return the names of the networks that a system lacks, given the trees of the others."""
    if any(node in trees for node in WHOLE):
        return []
    known = trees[ROOT].labels(trees[ROOT].depth) if ROOT in trees else ()
    return [node for node in (ROOT, *known) if node not in trees]


def whole_tree(trees: Mapping[str, LabelTree]) -> LabelTree:
    """Return the tree of a system, given the trees of its networks by node.

    Raises:
        IncompleteError: If a network is missing.
    """
    if missing := missing_nodes(trees):
        raise IncompleteError(f"node {', '.join(missing)} is missing; train it, or use level=flat or level=shared")
    for node in WHOLE:
        if node in trees:
            return trees[node]
    root = trees[ROOT]
    return root.graft({node: trees[node] for node in root.labels(root.depth)})


def whole(scores: Mapping[str, TreeScores], tree: LabelTree | None = None) -> TreeScores:
    """Return the scores of a system over its whole tree.

    Args:
        scores: Scores by node for the same ``n`` documents: one network over the whole tree, or ``root`` and one
            network for each of its labels.
        tree: Tree of the system, if the caller already has it; see :func:`whole_tree`.

    Raises:
        IncompleteError: If a network is missing.
        ArtifactError: If the networks scored different numbers of documents.
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
                f"node {node} scored {len(scores[node])} documents, but root {len(root)}; run both on the same split"
            )
    log_prob = np.full((len(root), len(tree)), -np.inf, np.float32)
    log_prob[:, : len(root.tree)] = root.log_prob
    for place, node in enumerate(known, root.tree.leaves.start):
        own, below = scores[node], tree.children(place)
        for level in own.tree.levels:  # the labels of a part are contiguous in the whole tree, in the same order
            np.add(own.at(level), root.log_prob[:, place, None], out=log_prob[:, below])
            below = slice(*tree.child_bounds[[below.start + 1, below.stop + 1]].tolist())
    return TreeScores(tree, log_prob)


def derive(scores: Mapping[str, TreeScores], node: str) -> TreeScores:
    """Return the scores of a node: its own, or scores derived from the other nodes by the rules of probability.

    The children of a label with probability 0 are taken to be equally probable.

    Args:
        scores: Scores by node, as for :func:`whole`.
        node: ``root``, ``flat``, ``shared`` or a label of the first level.

    Raises:
        IncompleteError: If the node is missing and cannot be derived, because other nodes are also missing or no
            network knows a label below it.
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
    """Return the scores of a system without the levels below ``depth``."""
    return {node: own.to_depth(depth) for node, own in scores.items()}


def as_node(scores: TreeScores, node: str) -> TreeScores:
    """Return the scores marked as flat if the node is ``flat``, whatever network they are derived from."""
    return TreeScores(scores.tree, scores.log_prob, node == FLAT)
