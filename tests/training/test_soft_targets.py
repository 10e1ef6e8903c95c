"""A teacher's answers as targets of a network."""

from collections import defaultdict
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from patent_hier.data.answers import Answers
from patent_hier.data.splits import TRAIN, VAL
from patent_hier.features.token_store import TokenStore
from patent_hier.models.tree_softmax import TreeSoftmax
from patent_hier.settings import DistillSettings
from patent_hier.taxonomy.tree import NONE
from patent_hier.training.batching import Collate, ItemPaths
from patent_hier.training.losses import PathLoss
from patent_hier.training.node_data import CorpusView, LabelShare, NodeView, Teaching
from patent_hier.training.node_views import view_of
from patent_hier.training.soft_targets import with_answers
from tests.conftest import class_labels
from tests.training.toys import Toy, settings, weights

CLASSES = ["B60", "A01", "A23", "A23"]
PARTS = np.array([TRAIN, TRAIN, VAL, TRAIN], np.int8)
STORE = TokenStore.from_documents([[2, 3]] * 4 + [[2, 9, 3]] * 3)  # the last three are the teacher's texts


def teaching(documents: list[int], labels: list[list[str]], p: list[list[float]], **changes: Any) -> Teaching:
    n_texts = len(labels) - len(documents)
    ids, texts = np.array([str(row) for row in documents], object), tuple(map(str, range(n_texts)))
    with np.errstate(divide="ignore"):
        answers = Answers(ids, texts, np.array(labels, object), np.log(p).astype(np.float32), {"teacher": "t"})
    return Teaching(answers, np.array(documents, np.intp), DistillSettings("answers", **changes))


def corpus(taught: Teaching | None, further: Any = None, **more: Any) -> CorpusView[TokenStore]:
    labels = class_labels(CLASSES, further)
    return CorpusView(STORE, STORE, labels, PARTS, every_symbol=further is not None, teaching=taught, **more)


def targets(view: NodeView[Any]) -> list[dict[str, float]]:
    """The share of each leaf in each item's target."""
    paths = ItemPaths(view.train_paths, view.further, view.further_owners, view.shares)
    items = np.arange(len(view.train))
    shares = paths.shares_of(items)
    assert shares is not None
    found = []
    for own, share in zip(paths.of(items)[:, :, -1].tolist(), shares.tolist(), strict=True):
        target: dict[str, float] = defaultdict(float)
        for leaf, part in zip(own, share, strict=True):
            if part:
                assert leaf != NONE
                target[str(view.tree.codes[leaf])] += round(part, 6)
        found.append(dict(target))
    return found


@pytest.mark.parametrize("node", ["flat", "shared"])
def test_a_documents_target_is_shared_by_its_label_and_the_teacher(node: str) -> None:
    taught = teaching([1, 3], [["A23", "A01"], ["B60", "A23"]], [[0.8, 0.2], [0.5, 0.5]], weight=0.5)
    view = view_of(corpus(taught), node)
    assert view.train.tolist() == [0, 1, 3]
    assert targets(view) == [{"B60": 1}, {"A01": 0.6, "A23": 0.4}, {"A23": 0.75, "B60": 0.25}]
    assert view.num_documents == 3
    assert view.train_weights(1).tolist() == [1, 1, 1]


def test_the_own_part_is_shared_by_all_symbols() -> None:
    taught = teaching([1], [["B60", "A23"]], [[1.0, 0.0]], weight=0.4)
    view = view_of(corpus(taught, further=[[], ["A23"], [], []]), "flat")
    assert targets(view)[1] == pytest.approx({"A01": 0.3, "A23": 0.3, "B60": 0.4})


def test_texts_stand_behind_the_documents_and_have_the_teachers_answer_alone() -> None:
    labels = [["A01", "B60"], ["Z99", "Z98"], ["A23", "A01"]]
    taught = teaching([], labels, [[0.9, 0.1], [0.5, 0.5], [0.3, 0.7]], text_weight=0.25)
    view = view_of(corpus(taught), "shared")
    assert view.train.tolist() == [0, 1, 3, 4, 6]  # of the second nothing is known
    assert targets(view)[3:] == [pytest.approx({"A01": 0.9, "B60": 0.1}), pytest.approx({"A01": 0.7, "A23": 0.3})]
    assert view.train_paths[3:].tolist() == view.tree.paths(view.tree.find("class", ["A01", "A01"])).tolist()
    assert view.num_documents == 3
    assert view.train_weights(1).tolist() == [1, 1, 1, 0.25, 0.25]
    assert view.shares is not None
    assert (view.shares.facts["texts"], view.shares.facts["texts_of_unknown_labels"]) == (2, 1)
    batch = Collate(STORE, view.train, ItemPaths(view.train_paths, view.further, view.further_owners, view.shares), 0)
    assert batch([0, 3])["share"].tolist() == [[1, 0], [pytest.approx(0.9), pytest.approx(0.1)]]
    assert batch([0, 3])["input_ids"].tolist() == [[2, 3, 0], [2, 9, 3]]


def test_label_texts_stand_between_and_keep_their_target() -> None:
    plain = view_of(corpus(None), "flat")
    titled = replace(
        plain,
        train=np.append(plain.train, 4),
        train_paths=np.append(plain.train_paths, plain.train_paths[:1], axis=0),
        label_share=LabelShare(1, (0.3,)),
    )
    view = with_answers(titled, teaching([0], [["A01", "B60"], ["A23", "A01"]], [[1, 0], [1, 0]]), first_text=5)
    assert view.train.tolist() == [0, 1, 3, 4, 5]
    assert targets(view) == [{"B60": 0.5, "A01": 0.5}, {"A01": 1}, {"A23": 1}, {"B60": 1}, {"A23": 1}]
    assert view.train_weights(0.3) == pytest.approx([1, 1, 1, 0.3, 1])


def test_weight_0_leaves_the_documents_alone() -> None:
    taught = teaching([1], [["B60", "A23"]], [[1.0, 0.0]], weight=0.0)
    assert targets(view_of(corpus(taught), "flat")) == [{"B60": 1}, {"A01": 1}, {"A23": 1}]


@pytest.mark.parametrize("is_flat", [True, False])
def test_the_loss_is_the_cross_entropy_to_the_distribution(is_flat: bool) -> None:
    taught = teaching([], [["A01", "B60"], ["A23", "A01"]], [[0.9, 0.1], [0.3, 0.7]])
    view = view_of(corpus(taught), "flat" if is_flat else "shared")
    paths = ItemPaths(view.train_paths, view.further, view.further_owners, view.shares)
    softmax = TreeSoftmax(view.tree, is_flat)
    logits = torch.randn(2, 3 if is_flat else 5, generator=torch.Generator().manual_seed(1))
    items = np.array([3, 4])
    found = PathLoss(softmax, (0.0, 1.0) if is_flat else (1.0, 1.0))(
        logits, paths.of(items), share=paths.shares_of(items)
    )
    log_prob = softmax.joint(logits)[:, view.tree.leaves]  # A01, A23, B60
    wanted = torch.tensor([[0.9, 0.0, 0.1], [0.7, 0.3, 0.0]])
    torch.testing.assert_close(found, -(wanted * log_prob).sum(1).mean())
    if is_flat:
        torch.testing.assert_close(found, nn.functional.cross_entropy(logits, wanted))


@pytest.mark.parametrize("r_drop", [0.0, 1.0])
def test_a_teacher_that_says_the_truth_changes_nothing(toy: Toy, r_drop: float) -> None:
    rows = np.flatnonzero(toy.corpus.parts == TRAIN)
    main = toy.corpus.labels.main[rows, 1]
    names = toy.corpus.labels.tree.names(main)
    known = rows[main != NONE]
    taught = teaching(known.tolist(), [[name] for name in names if name], [[1.0]] * len(known), weight=0.5)
    chosen = settings("shared", r_drop=r_drop, max_epochs=1, encoder={"dropout": 0.0})
    plain = weights(toy.fit(chosen))
    learnt = weights(replace(toy, corpus=replace(toy.corpus, teaching=taught)).fit(chosen))
    for name, weight in plain.items():
        torch.testing.assert_close(learnt[name], weight, rtol=1e-3, atol=2e-4)
