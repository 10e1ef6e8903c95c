"""Measure the cost of a large output layer: training on all IPC labels compared with training on classes."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from benchmarks.speed.rows import Row, rate_row
from benchmarks.speed.subjects import Subject, training_view
from benchmarks.speed.training import device_facts, our_seconds
from benchmarks.speed.tree import IPC_SIZES, make_tree
from patent_hier.features.token_store import TokenStore
from patent_hier.models.network_spec import NetworkSpec
from patent_hier.settings import SHARED, BertCnnSettings
from patent_hier.taxonomy.tree import LabelTree
from patent_hier.training.node_data import NodeView

BATCH = 24  # documents per step, as in the paper
_MORE = 1.15  # upper limit of the seconds of a step, as a multiple of those at class depth


def labels_row(subject: Subject, repeats: int, sizes: Sequence[int] = IPC_SIZES) -> Row:
    """Measure one epoch with one network for all labels of a tree, with a deep and a shallow tree in turn.

    The network is the encoder with one output for each label on its ``[CLS]`` vector; the loss includes all levels.
    """
    subject = replace(subject, settings=BertCnnSettings(head="cls", pooling="cls"))
    trees = make_tree(sizes), make_tree(sizes[:2])
    settings = subject.run(batch_size=BATCH)
    rounds = []
    for _ in range(repeats):
        deep, shallow = (our_seconds(_view(subject.store, tree), _spec(subject, tree), settings)[0] for tree in trees)
        rounds.append((deep, shallow))
    facts = {**subject.facts(), **device_facts(subject), "labels": [len(tree) for tree in trees], "batch": BATCH}
    work = f"large output layer, {subject.size} size, batches of {BATCH}, {len(trees[0]):,} labels"
    peer = f"{len(trees[1])} labels"
    return rate_row(work, "documents", len(subject.texts), rounds, peer, target=round(1 / _MORE, 2), facts=facts)


def _spec(subject: Subject, tree: LabelTree) -> NetworkSpec:
    return NetworkSpec(subject.reader, lambda _: subject.network(len(tree)))


def _view(store: TokenStore, tree: LabelTree) -> NodeView[TokenStore]:
    """Return a view of all documents for training, each at a random leaf of the tree."""
    leaves = np.random.default_rng(0).choice(tree.ends, len(store))
    paths = np.stack([tree.ancestors(level)[leaves] for level in tree.levels], axis=1).astype(np.int32)
    none = paths[:0]
    return replace(
        training_view(store), node=SHARED, tree=tree, train_paths=paths, further=none, val_paths=none, test_paths=none
    )
