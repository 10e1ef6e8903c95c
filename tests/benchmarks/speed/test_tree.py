import numpy as np
import pytest

from benchmarks.speed.tree import make_tree, tree_row
from patent_hier.taxonomy.arithmetic import joint_log_prob, log_softmax_siblings


def test_the_made_up_tree_has_a_leaf_below_every_label():
    tree = make_tree((8, 40, 90, 300, 1_562))
    assert [len(tree.labels(level)) for level in tree.levels] == [8, 40, 90, 300, 1_562]
    joint = joint_log_prob(tree, log_softmax_siblings(tree, np.zeros((1, 2_000))))
    assert np.exp(joint[:, tree.leaves]).sum() == pytest.approx(1)


@pytest.mark.parametrize("wrong", [0.0, 0.1])
def test_arithmetic_on_the_tree_agrees_with_a_loop_over_parents(monkeypatch, wrong):
    monkeypatch.setattr("benchmarks.speed.tree.joint_log_prob", lambda *of: joint_log_prob(*of) + wrong)
    row = tree_row(make_tree((3, 5, 9)), documents=4, repeats=1)
    assert row.agrees == (wrong == 0)
    assert (row.facts["labels"], row.repeats) == (17, 1)
