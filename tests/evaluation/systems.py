"""Random systems of several networks, and their answers computed document by document."""

from types import SimpleNamespace

import numpy as np

from patent_hier.data.labels import document_labels
from patent_hier.evaluation.system import merge, with_truth
from tests.trees import children, network, random_joint, tree_of

TWO = tuple((c[0], c) for c in ("A01", "A21", "A61", "B01", "B60", "H01"))
# Leaves that repeat the code above them, symbols that end early, a parent of one child (H01L).
FOUR = (
    ("A", "A01", "A01B", "A01B1/00"),
    ("A", "A01", "A01B", "A01B3/00"),
    ("A", "A01", "A01C", None),
    ("A", "A61", None, None),
    ("B", "B60", "B60K", "B60K"),
    ("B", "B60", "B60K", "B60K1/00"),
    ("B", "B65", "B65D", "B65D1/00"),
    ("H", "H01", "H01L", "H01L21/00"),
)


def system(n=300, paths=TWO, seed=0, unseen=(), flat=False):
    """Networks for the root and each section, or one flat one, that lean towards the truth.

    ``unseen`` are paths of the first documents, which no network knows.
    """
    rng = np.random.default_rng(seed)
    tree = tree_of(paths)
    truth = [paths[i] for i in rng.integers(0, len(paths), n)]
    truth[: len(unseen)] = unseen
    parts = np.where(np.arange(n) % 4 == 3, "val", "test")
    further = [[paths[i] for i in rng.integers(0, len(paths), rng.integers(0, 3))] for _ in range(n)]
    labels = document_labels([np.array(column, object) for column in zip(*truth, strict=True)], further, tree.levels)
    if flat:
        lean = np.stack(
            [tree.find(level, c) for level, c in zip(tree.levels, zip(*truth, strict=True), strict=True)], 1
        )
        nodes = {"flat": network("flat", tree, random_joint(tree, n, seed, True, lean=lean), truth, parts, True)}
    else:
        first = tree.to_depth(tree.levels[0])
        nodes = {"root": _network("root", first, [path[:1] for path in truth], parts, seed)}
        for number, section in enumerate(first.codes):
            part, _ = tree.under(tree.levels[0], section)
            own = [
                path[1 : 1 + len(part.levels)] if path[0] == section else (None,) * len(part.levels) for path in truth
            ]
            nodes[section] = _network(section, part, own, parts, seed + number + 1)
    merged = with_truth(merge(nodes), labels)
    return SimpleNamespace(nodes=nodes, merged=merged, labels=labels, truth=truth, further=further, tree=tree)


def _network(node, tree, targets, parts, seed):
    lean = np.stack([tree.find(level, c) for level, c in zip(tree.levels, zip(*targets, strict=True), strict=True)], 1)
    return network(node, tree, random_joint(tree, len(targets), seed, lean=lean), targets, parts)


def by_hand(made, part="test"):
    """Compute the answers for each document of a part from the networks' own scores.

    Returns:
        For each a namespace: ``path``, the true one; ``greedy``, a code or None for each level; ``ranked``, by level
        all codes, the most probable first; ``local``, by level whether the true label is the best of its siblings;
        ``further``, the other true paths.
    """
    rows = []
    tree = made.tree
    for i in np.flatnonzero(made.merged.parts == part):
        joint = _joint(made, i)
        greedy, above = [], -1
        while own := children(tree, above):
            above = max(own, key=lambda k: (joint[k], -k))
            greedy.append(tree.codes[above])
        greedy += [None] * (len(tree.levels) - len(greedy))
        ranked, local = {}, {}
        for place, level in enumerate(tree.levels):
            own = range(tree.span(level).start, tree.span(level).stop)
            ranked[level] = [tree.codes[k] for k in sorted(own, key=lambda k: -joint[k])]
            (target,) = tree.find(level, [made.truth[i][place]])
            siblings = children(tree, tree.parents[target]) if target >= 0 else []
            local[level] = target >= 0 and target == max(siblings, key=lambda k: joint[k])
        rows.append(
            SimpleNamespace(path=made.truth[i], greedy=greedy, ranked=ranked, local=local, further=made.further[i])
        )
    return rows


def _joint(made, row):
    """Joint log-probabilities of one document over the whole tree."""
    if "flat" in made.nodes:
        return np.concatenate([own.log_prob[row] for own in made.nodes["flat"].levels]).astype(float)
    joint = np.zeros(len(made.tree))
    root = made.nodes["root"].levels[0].log_prob[row].astype(float)
    joint[: len(root)] = root
    for place, section in enumerate(made.tree.labels(made.tree.levels[0])):
        for own in made.nodes[section].levels:
            codes = made.nodes[section].tree.labels(own.level)
            joint[made.tree.find(own.level, codes)] = own.log_prob[row].astype(float) + root[place]
    return joint
