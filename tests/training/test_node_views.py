from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from patent_hier.data.label_text import LabelTexts
from patent_hier.data.labels import document_labels, with_titled
from patent_hier.data.splits import CALIBRATION, TEST, TRAIN, VAL
from patent_hier.errors import ConfigError
from patent_hier.features.token_store import TokenStore
from patent_hier.taxonomy.tree import NONE
from patent_hier.training.node_data import NOT_IN_TREE, CorpusView, LabelShare, NodeView
from patent_hier.training.node_views import view_of
from tests.conftest import class_labels

ROWS = [
    ("B60", TRAIN),  # 0
    ("A01", TRAIN),  # 1
    ("A23", VAL),  # 2
    ("A23", TRAIN),  # 3
    ("A99", VAL),  # 4: a class that training has not seen
    ("A98", TEST),  # 5: likewise
    ("A97", CALIBRATION),  # 6
    ("B60", VAL),  # 7
    ("A01", TRAIN),  # 8
    ("C07", VAL),  # 9: a section that training has not seen
    ("A01", VAL),  # 10
    ("C08", TEST),  # 11
    ("A23", TEST),  # 12
]
STORE = TokenStore.from_documents([[2, 3]] * len(ROWS))
PARTS = np.array([part for _, part in ROWS], np.int8)
CORPUS = CorpusView(STORE, STORE, class_labels(name for name, _ in ROWS), PARTS)


def named(view: NodeView[Any], paths: Any) -> list[list[str | None]]:
    """Paths as labels; ``?`` for one that the tree lacks."""
    return [
        ["?" if place == NOT_IN_TREE else view.tree.names(np.array([place]))[0] for place in path] for path in paths
    ]


@pytest.mark.parametrize(
    ("node", "labels", "train", "val", "test"),
    [
        (
            "A",
            ["A01", "A23"],
            {1: ["A01"], 3: ["A23"], 8: ["A01"]},
            {2: ["A23"], 10: ["A01"]},  # without the unseen A99
            {5: ["?"], 12: ["A23"]},  # with the unseen A98, which counts as not found
        ),
        (
            "root",
            ["A", "B"],
            {0: ["B"], 1: ["A"], 3: ["A"], 8: ["A"]},
            {2: ["A"], 4: ["A"], 7: ["B"], 10: ["A"]},  # A99 is of a known section, C07 is not
            {5: ["A"], 11: ["?"], 12: ["A"]},
        ),
        (
            "flat",
            ["A", "B", "A01", "A23", "B60"],
            {0: ["B", "B60"], 1: ["A", "A01"], 3: ["A", "A23"], 8: ["A", "A01"]},
            {2: ["A", "A23"], 7: ["B", "B60"], 10: ["A", "A01"]},
            {5: ["A", "?"], 11: ["?", "?"], 12: ["A", "A23"]},
        ),
        (
            "shared",
            ["A", "B", "A01", "A23", "B60"],
            {0: ["B", "B60"], 1: ["A", "A01"], 3: ["A", "A23"], 8: ["A", "A01"]},
            {2: ["A", "A23"], 4: ["A", None], 7: ["B", "B60"], 10: ["A", "A01"]},  # the section of A99 is learnt
            {5: ["A", "?"], 11: ["?", "?"], 12: ["A", "A23"]},
        ),
    ],
)
def test_a_node_sees_the_documents_under_it(
    node: str, labels: list[str], train: dict[int, Any], val: dict[int, Any], test: dict[int, Any]
) -> None:
    view = view_of(CORPUS, node)
    assert view.tree.codes.tolist() == labels
    for positions, paths, expected in (
        (view.train, view.train_paths, train),
        (view.val, view.val_paths, val),
        (view.test, view.test_paths, test),
    ):
        assert dict(zip(positions.tolist(), named(view, paths), strict=True)) == expected
    assert view.held_out.tolist() == [2, 4, 5, 6, 7, 9, 10, 11, 12]  # whatever the node
    assert (view.store, view.flat) == (CORPUS.store, node == "flat")
    assert (view.label_share, view.label_facts) == (None, None)
    assert view.train_weights(0.1).tolist() == [1.0] * len(train)  # without label texts all documents count alike


@pytest.mark.parametrize(("node", "reason"), [("C", "no training document under it"), ("D", "no document")])
def test_a_node_without_training_documents_is_refused(node: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=f"^node={node}: .*{reason}"):
        view_of(CORPUS, node)


@pytest.mark.parametrize(("node", "constant"), [("B", True), ("A", False), ("shared", False)])
def test_a_node_is_constant_where_no_label_has_siblings(node: str, constant: bool) -> None:
    assert view_of(CORPUS, node).is_constant is constant


# --- several symbols, several levels


def test_further_symbols_are_learnt_from_but_decide_no_validation() -> None:
    """A document is one of a node if any of its symbols lies under it."""
    further = [["A23"], [], [], ["A01", "B61"], ["A01"], *[[]] * 8]
    corpus = replace(CORPUS, labels=class_labels([name for name, _ in ROWS], further), every_symbol=True)
    view = view_of(corpus, "A")
    assert view.train.tolist() == [0, 1, 3, 8]
    assert named(view, view.train_paths) == [[None], ["A01"], ["A23"], ["A01"]]  # B60 is outside
    assert (named(view, view.further), view.further_owners.tolist()) == ([["A23"], ["A01"]], [0, 2])
    assert view.val.tolist() == [2, 10]
    main = view_of(replace(corpus, every_symbol=False), "A")
    assert (main.train.tolist(), len(main.further)) == ([1, 3, 8], 0)


def test_a_node_of_three_levels_has_all_heads_below_it() -> None:
    paths = [("A", "A01", "A01B"), ("A", "A01", "A01C"), ("A", "A23", None), ("B", "B60", "B60C"), ("A", "A23", "A23L")]
    columns = [np.array(column, object) for column in zip(*paths, strict=True)]
    labels = document_labels(columns, [[]] * 5, ("section", "class", "subclass"))
    parts = np.array([TRAIN, TRAIN, TRAIN, TRAIN, VAL], np.int8)
    view = view_of(replace(CORPUS, labels=labels, parts=parts), "A")
    assert (view.tree.root, view.tree.levels) == ("A", ("class", "subclass"))
    assert view.tree.codes.tolist() == ["A01", "A23", "A01B", "A01C"]
    assert named(view, view.train_paths) == [["A01", "A01B"], ["A01", "A01C"], ["A23", None]]
    assert view.val_paths.tolist() == [[1, NONE]]  # A23 was seen, A23L was not


# --- label texts

TITLES = [
    ("section", "A", None),  # 13 in the joined store
    ("subclass", "A", "A01"),  # 14
    ("main_group", "A", "A99"),  # 15: a class that training has not seen
    ("main_group", "B", "B60"),  # 16
    ("main_group", "A", "A23"),  # 17
    ("subclass", "C", "C07"),  # 18: a section that training has not seen
]


@pytest.fixture
def titled() -> CorpusView[TokenStore]:
    levels = np.array([level for level, *_ in TITLES], object)
    paths = np.array([[*path, None, None, None] for _, *path in TITLES], object)
    return replace(CORPUS, label_texts=LabelTexts(("x",) * len(TITLES), levels, paths, {}), label_weights=(0.1, 0.3))


@pytest.mark.parametrize(
    ("node", "found", "levels", "unseen"),
    [
        ("root", {13: "A", 14: "A", 15: "A", 16: "B", 17: "A"}, {"section": 1, "subclass": 1, "main_group": 3}, 1),
        ("A", {14: "A01", 17: "A23"}, {"subclass": 1, "main_group": 1}, 1),
        ("B", {16: "B60"}, {"main_group": 1}, 0),
        ("flat", {14: "A01", 16: "B60", 17: "A23"}, {"subclass": 1, "main_group": 2}, 3),
        (
            "shared",
            {13: None, 14: "A01", 15: None, 16: "B60", 17: "A23"},
            {"section": 1, "subclass": 1, "main_group": 3},
            1,
        ),
    ],
)
def test_label_texts_stand_behind_the_documents(
    titled: CorpusView[TokenStore], node: str, found: dict[int, str | None], levels: dict[str, int], unseen: int
) -> None:
    plain, view = view_of(CORPUS, node), view_of(titled, node)
    n = len(plain.train)
    assert view.tree == plain.tree  # a class of titles alone is no label
    assert view.train.tolist() == [*plain.train.tolist(), *found]
    assert np.array_equal(view.train_paths[:n], plain.train_paths)
    assert [path[-1] for path in named(view, view.train_paths[n:])] == list(found.values())
    assert (view.val.tolist(), view.val_paths.tolist()) == (plain.val.tolist(), plain.val_paths.tolist())
    assert view.num_documents == plain.num_documents == n
    assert view.label_share == LabelShare(len(found), (0.1, 0.3))
    assert view.label_facts == {"texts": len(found), "levels": levels, "of_unseen_labels": unseen}
    assert view.train_weights(0.25).tolist() == [1.0] * n + [0.25] * len(found)


def test_labels_that_only_titles_name_are_decided_where_there_are_several_levels() -> None:
    paths = np.array([["A", "A99", None, None, None], ["A", "A55", None, None, None]], object)
    texts = LabelTexts(("九十九", "五十五"), np.array(["class", "class"], object), paths, {})
    labels, titled = with_titled(CORPUS.labels, texts)
    assert labels.tree.codes[titled].tolist() == ["A", "A55", "A99"]
    names = labels.tree.names(labels.main)
    assert names.tolist() == CORPUS.labels.tree.names(CORPUS.labels.main).tolist()  # the documents' paths are theirs
    corpus = replace(CORPUS, labels=labels, titled=titled)
    shared, root, section = (view_of(corpus, node).tree.codes.tolist() for node in ("shared", "root", "A"))
    assert shared == ["A", "B", "A01", "A23", "A55", "A99", "B60"]
    assert (root, section) == (["A", "B"], ["A01", "A23"])
    assert view_of(replace(corpus, titled=None), "shared").tree.codes.tolist() == ["A", "B", "A01", "A23", "B60"]
