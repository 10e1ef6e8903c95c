import numpy as np

from benchmarks.speed.labels import _view, labels_row
from benchmarks.speed.subjects import Subject
from benchmarks.speed.tree import make_tree


def test_each_document_has_a_whole_path(demo_texts):
    tree = make_tree((3, 5, 9))
    view = _view(Subject("demo", tuple(demo_texts[:20])).store, tree)
    assert view.train_paths.shape == (20, 3)
    assert (tree.parents[view.train_paths[:, 1:]] == view.train_paths[:, :-1]).all()
    assert len(np.unique(view.train_paths[:, -1])) > 3
    assert (view.node, view.flat, len(view.val), len(view.test)) == ("shared", False, 0, 0)


def test_the_deep_tree_is_compared_with_its_upper_levels(demo_texts):
    row = labels_row(Subject("demo", tuple(demo_texts[:24])), 1, (3, 5, 9, 30))
    assert row.facts["labels"] == [47, 8]
    assert row.work.endswith("47 labels")
    assert row.ratio > 0
