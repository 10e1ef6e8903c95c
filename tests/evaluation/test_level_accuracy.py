import numpy as np
import pytest
import torch
from patent_hier.evaluation.level_accuracy import LevelAccuracy

from tests.trees import FIVE, random_joint, tree_of

TREE = tree_of(FIVE)


def test_by_hand_documents_count_where_they_have_a_label():
    metric = LevelAccuracy(tree_of([("A", "A01"), ("A", "A02"), ("B", "B01")]))
    joint = torch.tensor([[0.4, 0.6, 0.3, 0.1, 0.2], [0.9, 0.1, 0.2, 0.7, 0.1], [0.9, 0.1, 0.2, 0.7, 0.1]]).log()
    target = torch.tensor([[[1, 4], [0, 2]], [[0, 3], [-1, -1]], [[0, -1], [-1, -1]]])
    metric.update(joint, target)
    assert metric.compute().tolist() == pytest.approx([1.0, 0.5])  # of the first, A01 is only a further symbol


def test_batches_and_ranks_add_up():
    paths = torch.from_numpy(TREE.paths(np.arange(19, dtype=np.int32)).astype(np.int64))[:, None]
    joint = torch.from_numpy(random_joint(TREE, 19, 3))
    whole, first, second = (LevelAccuracy(TREE) for _ in range(3))
    whole.update(joint, paths)
    first.update(joint[:5], paths[:5])
    first.update(joint[5:8], paths[5:8])
    second.update(joint[8:], paths[8:])
    expected = []
    for place, level in enumerate(TREE.levels):
        own = TREE.span(level)
        best = joint[:, own].argmax(1) + own.start
        known = paths[:, 0, place] >= 0
        expected.append(float((best == paths[:, 0, place])[known].double().mean()))
    assert whole.compute().tolist() == pytest.approx(expected)
    first.merge_state(second)  # as between ranks
    assert first.compute().tolist() == pytest.approx(expected)


def test_nothing_counted_is_0_and_reset_forgets():
    metric = LevelAccuracy(TREE)
    metric.update(torch.zeros(2, 19), torch.full((2, 1, 5), -1))
    assert metric.compute().tolist() == [0] * 5
    metric.update(torch.from_numpy(random_joint(TREE, 1)), torch.zeros(1, 1, 5, dtype=torch.long))
    assert metric.total.tolist() == [1] * 5
    metric.reset()
    assert metric.total.tolist() == [0] * 5
