import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import log_softmax

from patent_hier.errors import ArtifactError, IncompleteError
from patent_hier.evaluation import deriving
from patent_hier.evaluation.deriving import NodeScores, derive

LABELS = ("A01", "A23", "B05", "B60", "B65", "D01")


def scores(labels, probabilities):
    with np.errstate(divide="ignore"):
        return NodeScores(tuple(labels), np.log(np.array(probabilities)).astype(np.float32))


FLAT = scores(("A01", "A23", "B05"), [[0.2, 0.3, 0.5], [0.0, 0.0, 1.0]])


def test_a_node_of_its_own_is_taken_as_it_is():
    own = scores(("A", "B"), [[0.9, 0.1], [0.1, 0.9]])
    assert derive({"flat": FLAT, "root": own}, "root") is own


def test_a_section_is_the_sum_of_its_classes():
    root = derive({"flat": FLAT}, "root")
    assert root.labels == ("A", "B")
    assert root.log_prob.dtype == np.float32
    assert np.exp(root.log_prob) == pytest.approx(np.array([[0.5, 0.5], [0.0, 1.0]]))


def test_classes_of_a_section_are_renormalised():
    local = derive({"flat": FLAT}, "A")
    assert local.labels == ("A01", "A23")
    assert np.exp(local.log_prob[0]) == pytest.approx([0.4, 0.6])
    assert derive({"flat": FLAT}, "B").log_prob.tolist() == [[0.0], [0.0]]


def test_a_section_of_probability_0_says_nothing_of_its_classes():
    assert np.exp(derive({"flat": FLAT}, "A").log_prob[1]) == pytest.approx([0.5, 0.5])


def test_labels_of_a_section_need_not_stand_together():
    mixed = scores(("B05", "A23", "A01"), [[0.5, 0.3, 0.2]])
    assert derive({"flat": mixed}, "root").labels == ("A", "B")
    local = derive({"flat": mixed}, "A")
    assert local.labels == ("A23", "A01")
    assert np.exp(local.log_prob) == pytest.approx(np.array([[0.6, 0.4]]))


def test_a_class_is_its_section_times_its_share_of_it():
    system = {
        "root": scores(("A", "B"), [[0.25, 0.75], [1.0, 0.0]]),
        "A": scores(("A01", "A23"), [[0.4, 0.6], [0.1, 0.9]]),
        "B": scores(("B05",), [[1.0], [1.0]]),
        "H": scores(("H01",), [[1.0], [1.0]]),  # a node that the root does not know takes no part
    }
    flat = derive(system, "flat")
    assert flat.labels == ("A01", "A23", "B05")
    assert flat.log_prob.dtype == np.float32
    assert np.exp(flat.log_prob) == pytest.approx(np.array([[0.1, 0.15, 0.75], [0.1, 0.9, 0.0]]))


@given(arrays(np.float64, (4, len(LABELS)), elements=st.floats(-12, 0)))
def test_there_and_back(logits):
    flat = NodeScores(LABELS, log_softmax(logits, axis=1).astype(np.float32))
    local = {node: derive({"flat": flat}, node) for node in ("root", "A", "B", "D")}
    for node in local.values():
        assert np.exp(node.log_prob).sum(axis=1) == pytest.approx(1, abs=1e-5)
    back = derive(local, "flat")
    assert back.labels == LABELS
    assert back.log_prob == pytest.approx(flat.log_prob, abs=1e-5)


def test_many_documents_are_taken_in_pieces(monkeypatch):
    rng = np.random.default_rng(1)
    flat = NodeScores(LABELS, log_softmax(rng.normal(size=(7, 6)), axis=1).astype(np.float32))
    whole = {node: derive({"flat": flat}, node).log_prob for node in ("root", "B")}
    monkeypatch.setattr(deriving, "_CHUNK", 3)
    for node, expected in whole.items():
        assert np.array_equal(derive({"flat": flat}, node).log_prob, expected)


def test_what_cannot_be_derived_is_refused():
    with pytest.raises(IncompleteError, match="flat knows no class of section C"):
        derive({"flat": FLAT}, "C")
    root = scores(("A", "B"), [[0.5, 0.5]])
    local = scores(("A01",), [[1.0]])
    with pytest.raises(IncompleteError, match="node B is missing"):
        derive({"root": root, "A": local}, "B")
    with pytest.raises(IncompleteError, match="without node B;"):
        derive({"root": root, "A": local}, "flat")
    with pytest.raises(IncompleteError, match="without node root;"):
        derive({"A": local}, "flat")
    with pytest.raises(ArtifactError, match="node B scored 2 documents but root 1"):
        derive({"root": root, "A": local, "B": scores(("B05",), [[1.0], [1.0]])}, "flat")
