import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from patent_hier.errors import ArtifactError, IncompleteError
from patent_hier.evaluation.scores import TreeScores, derive, whole
from patent_hier.taxonomy.tree import NONE
from tests.trees import FIVE, children, classes_of, probabilities, scores_of, tree_of, trees

TREE = classes_of(A="01 23", B="05")
FLAT = probabilities(TREE, [[0.5, 0.5, 0.2, 0.3, 0.5], [0, 1, 0, 0, 1]], flat=True)


def parts_of(tree, n=3, seed=0):
    """``root`` and a network for each label of the first level that has something below it."""
    first = tree.to_depth(tree.levels[0])
    made = {"root": scores_of(first, n, seed)}
    for number, code in enumerate(first.codes, 1):
        if children(tree, number - 1):
            made[code] = scores_of(tree.under(tree.levels[0], code)[0], n, seed + number)
    return made


def test_two_levels_by_hand():
    root, local = derive({"flat": FLAT}, "root"), derive({"flat": FLAT}, "A")
    assert (root.tree.codes.tolist(), root.log_prob.dtype) == (["A", "B"], np.float32)
    assert np.exp(root.log_prob) == pytest.approx(np.array([[0.5, 0.5], [0, 1]]))
    assert (local.tree.root, local.tree.codes.tolist()) == ("A", ["A01", "A23"])
    assert np.exp(local.log_prob) == pytest.approx(np.array([[0.4, 0.6], [0.5, 0.5]]))  # of probability 0: no order
    assert derive({"flat": FLAT}, "B").log_prob.tolist() == [[0.0], [0.0]]
    assert derive({"flat": FLAT}, "flat") is FLAT


def test_a_system_of_networks_is_their_product_by_hand():
    tree = tree_of(FIVE)
    made = {
        "root": probabilities(tree.to_depth("section"), [[0.25, 0.75, 0]]),
        "A": probabilities(tree.under("section", "A")[0], [[0.4, 0.6, 0.4, 0.1, 0.1, 0.2, 0.06, 0.04, 0.1, 0.2]]),
        "B": probabilities(tree.under("section", "B")[0], [[1.0, 1.0]]),
        "H": probabilities(tree.under("section", "H")[0], [[1.0] * 4]),
        "X": probabilities(classes_of(X="01"), [[1.0] * 2]),  # root does not know it: it takes no part
    }
    system = whole(made)
    assert system.tree == tree
    assert (system.log_prob.dtype, system.flat) == (np.float32, False)
    assert np.exp(system.log_prob[0]) == pytest.approx(
        [0.25, 0.75, 0, 0.1, 0.15, 0.75, 0, 0.1, 0.75, 0, 0.025, 0.025, 0.05, 0, 0.015, 0.01, 0.025, 0.05, 0]
    )
    flat = derive(made, "flat")
    assert (flat.flat, flat.tree) == (True, tree)
    assert derive(made, "shared").flat is False
    assert derive(made, "A") is made["A"]
    assert np.exp(system.at("class")[0]) == pytest.approx([0.1, 0.15, 0.75, 0])
    assert np.array_equal(system.take(slice(0, 1)).log_prob, system.log_prob)


@given(trees(least_levels=2), st.integers(0, 10**6))
def test_the_whole_is_each_networks_part_times_its_root(tree, seed):
    made = parts_of(tree, seed=seed)
    assume(set(tree.labels(tree.levels[0])) <= set(made))
    system = whole(made)
    assert system.tree == tree
    for label in range(len(tree)):
        line = [label]
        while tree.parents[line[-1]] != NONE:
            line.append(int(tree.parents[line[-1]]))
        place = line[-1]
        expected = made["root"].log_prob[:, place].astype(float)
        if len(line) > 1:
            part = made[tree.codes[place]]
            expected = expected + part.log_prob[:, part.tree.find(tree.level_of(label), [tree.codes[label]])[0]]
        assert system.log_prob[:, label] == pytest.approx(expected, abs=1e-5)


@given(trees(early=False, least_levels=2), st.integers(0, 10**6))
def test_there_and_back(tree, seed):
    one = scores_of(tree, 3, seed)
    derived = {node: derive({"shared": one}, node) for node in ("root", *tree.labels(tree.levels[0]))}
    back = whole(derived)
    assert back.tree == tree
    assert back.log_prob == pytest.approx(one.log_prob, abs=1e-4)
    for own in derived.values():
        assert np.exp(own.at(own.tree.levels[0])).sum(axis=1) == pytest.approx(1, abs=1e-5)


def test_what_cannot_be_derived_is_refused():
    root = probabilities(TREE.to_depth("section"), [[0.5, 0.5]])
    local = probabilities(TREE.under("section", "A")[0], [[0.5, 0.5]])
    with pytest.raises(IncompleteError, match="node C cannot be derived: no network knows a label below it"):
        derive({"flat": FLAT}, "C")
    for node in ("flat", "B"):
        with pytest.raises(IncompleteError, match="node B is missing") as caught:
            derive({"root": root, "A": local}, node)
        assert "\n" not in str(caught.value)
    for missing in ({"A": local}, {}):
        with pytest.raises(IncompleteError, match="node root is missing"):
            whole(missing)
    for n in (0, 2):
        other = TreeScores(classes_of(B="05").under("section", "B")[0], np.zeros((n, 1), np.float32))
        with pytest.raises(ArtifactError, match=f"node B scored {n} documents, but root 1"):
            whole({"root": root, "A": local, "B": other})


def test_some_documents_at_a_time(monkeypatch):
    scores = scores_of(TREE, 5)
    monkeypatch.setattr("patent_hier.evaluation.scores._CELLS", 2 * len(TREE) + 1)
    pieces = list(scores.pieces())
    assert [len(piece) for piece in pieces] == [2, 2, 1]
    assert np.array_equal(np.concatenate([piece.log_prob for piece in pieces]), scores.log_prob)


def test_levels_below_a_depth_can_be_left_out():
    scores = scores_of(TREE)
    assert scores.to_depth("class") is scores
    assert scores.to_depth("subgroup") is scores  # which it does not reach
    sections = scores.to_depth("section")
    assert sections.tree == TREE.to_depth("section")
    assert np.array_equal(sections.log_prob, scores.log_prob[:, :2])


def test_a_label_may_come_behind_root_in_the_alphabet():
    """In another scheme, no node is identified by the order of its name."""
    tree = classes_of(x="1 2", z="1")
    system = {"shared": scores_of(tree)}
    assert derive(system, "x").tree.codes.tolist() == ["x1", "x2"]
    assert derive(system, "root").tree.codes.tolist() == ["x", "z"]
