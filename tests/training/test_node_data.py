from dataclasses import replace

import numpy as np
import pytest

from patent_hier.data.label_text import LabelTexts
from patent_hier.data.splits import CALIBRATION, TEST, TRAIN, VAL
from patent_hier.features.token_store import TokenStore
from patent_hier.training.node_data import CorpusView, LabelShare, NodeView

ROWS = [
    ("B60", TRAIN),  # 0
    ("A01", TRAIN),  # 1
    ("A23", VAL),  # 2
    ("A23", TRAIN),  # 3
    ("A99", VAL),  # 4: a class that training has not seen
    ("A98", TEST),  # 5
    ("A97", CALIBRATION),  # 6
    ("B60", VAL),  # 7
    ("A01", TRAIN),  # 8
    ("C07", VAL),  # 9: a section that training has not seen
    ("A01", VAL),  # 10
]


@pytest.fixture
def corpus() -> CorpusView[TokenStore]:
    classes = np.array([name for name, _ in ROWS], object)
    sections = np.array([name[0] for name, _ in ROWS], object)
    parts = np.array([part for _, part in ROWS], np.int8)
    return CorpusView(TokenStore.from_documents([[2, 3]] * len(ROWS)), sections, classes, parts)


def test_a_section_sees_its_own_documents(corpus: CorpusView[TokenStore]) -> None:
    view = NodeView.of(corpus, "A")
    assert view.labels == ("A01", "A23")
    assert view.train.tolist() == [1, 3, 8]
    assert view.train_codes.tolist() == [0, 1, 0]
    assert view.val.tolist() == [2, 10]  # without the unseen A99
    assert view.val_codes.tolist() == [1, 0]
    assert view.store is corpus.store


def test_root_decides_the_section(corpus: CorpusView[TokenStore]) -> None:
    view = NodeView.of(corpus, "root")
    assert view.labels == ("A", "B")
    assert view.train.tolist() == [0, 1, 3, 8]
    assert view.train_codes.tolist() == [1, 0, 0, 0]
    assert view.val.tolist() == [2, 4, 7, 10]  # A99 is of a known section, C07 is not
    assert view.val_codes.tolist() == [0, 0, 1, 0]


def test_flat_decides_the_class_of_all(corpus: CorpusView[TokenStore]) -> None:
    view = NodeView.of(corpus, "flat")
    assert view.labels == ("A01", "A23", "B60")
    assert view.train.tolist() == [0, 1, 3, 8]
    assert view.train_codes.tolist() == [2, 0, 1, 0]
    assert view.val.tolist() == [2, 7, 10]


def test_targets_are_none_elsewhere(corpus: CorpusView[TokenStore]) -> None:
    classes = [name for name, _ in ROWS]
    assert corpus.targets("A").tolist() == [name if name[0] == "A" else None for name in classes]
    assert corpus.targets("root").tolist() == [name[0] for name in classes]
    assert corpus.targets("flat").tolist() == classes
    assert corpus.ipc_classes.tolist() == classes  # the corpus itself is left as it was


def test_a_node_without_training_documents_is_empty(corpus: CorpusView[TokenStore]) -> None:
    view = NodeView.of(corpus, "C")
    assert (view.labels, len(view.train), len(view.val)) == ((), 0, 0)
    assert view.train_codes.dtype == view.val_codes.dtype == np.int64


# --- label texts

TITLES = [
    ("section", "A", None),  # 11 in the joined store
    ("subclass", "A", "A01"),  # 12
    ("maingroup", "A", "A99"),  # 13: a class that training has not seen
    ("maingroup", "B", "B60"),  # 14
    ("maingroup", "A", "A23"),  # 15
    ("subclass", "C", "C07"),  # 16: a section that training has not seen
]


@pytest.fixture
def titled(corpus: CorpusView[TokenStore]) -> CorpusView[TokenStore]:
    levels, sections, classes = (np.array(column, object) for column in zip(*TITLES, strict=True))
    texts = LabelTexts(("x",) * len(TITLES), levels, sections, classes, {})
    return replace(corpus, label_texts=texts, label_weights=(0.1, 0.3))


@pytest.mark.parametrize(
    ("node", "positions", "codes", "levels", "unseen"),
    [
        ("root", [11, 12, 13, 14, 15], [0, 0, 0, 1, 0], {"section": 1, "subclass": 1, "maingroup": 3}, 1),
        ("A", [12, 15], [0, 1], {"subclass": 1, "maingroup": 1}, 1),
        ("B", [14], [0], {"maingroup": 1}, 0),
        ("flat", [12, 14, 15], [0, 2, 1], {"subclass": 1, "maingroup": 2}, 2),
    ],
)
def test_label_texts_stand_behind_the_documents(
    corpus: CorpusView[TokenStore],
    titled: CorpusView[TokenStore],
    node: str,
    positions: list[int],
    codes: list[int],
    levels: dict[str, int],
    unseen: int,
) -> None:
    plain, view = NodeView.of(corpus, node), NodeView.of(titled, node)
    assert view.labels == plain.labels  # a class of titles alone is no label
    assert view.train.tolist() == [*plain.train.tolist(), *positions]
    assert view.train_codes.tolist() == [*plain.train_codes.tolist(), *codes]
    assert (view.val.tolist(), view.val_codes.tolist()) == (plain.val.tolist(), plain.val_codes.tolist())
    assert view.num_documents == plain.num_documents == len(plain.train)
    assert view.label_share == LabelShare(len(positions), (0.1, 0.3))
    assert view.label_facts == {"texts": len(positions), "levels": levels, "of_unseen_labels": unseen}
    assert view.train_weights(0.25).tolist() == [1.0] * len(plain.train) + [0.25] * len(positions)
    assert titled.targets(node).tolist() == corpus.targets(node).tolist()


def test_a_node_without_a_title(titled: CorpusView[TokenStore]) -> None:
    view = NodeView.of(titled, "C")
    assert (view.labels, view.label_share) == ((), None)
    assert view.label_facts == {"texts": 0, "levels": {}, "of_unseen_labels": 1}


def test_without_label_texts_all_documents_count_alike(corpus: CorpusView[TokenStore]) -> None:
    view = NodeView.of(corpus, "A")
    assert (view.label_share, view.label_facts) == (None, None)
    assert view.train_weights(0.1).tolist() == [1.0, 1.0, 1.0]
