import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from patent_hier.errors import ArtifactError, IncompleteError
from patent_hier.evaluation.aggregate import aggregate, aggregate_flat
from patent_hier.evaluation.hits import (
    Truth,
    flat_hits,
    hierarchical_hits,
    joint_labels,
    joint_log_prob,
    positions,
)
from patent_hier.evaluation.predictions import NO_TARGET, UNSEEN, Predictions
from tests.evaluation.test_aggregate import flat, system

TRUE = ["A01", "A01", "A61", "B01", "B01", "D01"]  # the section model does not know D, nor A's model A61


def node(name, labels, targets, prob):
    ids = np.array([f"CN{i}" for i in range(len(TRUE))], dtype=object)
    parts = np.full(len(TRUE), "test", dtype=object)
    return Predictions(name, labels, ids, parts, np.array(targets, dtype=object), np.log(np.array(prob, np.float32)))


@pytest.fixture
def small():
    sections = [label[0] for label in TRUE]
    a, b = [0.9, 0.1], [0.2, 0.8]
    nodes = {
        "root": node("root", ("A", "B"), sections, [a, b, a, a, b, b]),
        "A": node("A", ("A01", "A21"), ["A01", "A01", "A61", None, None, None], [a, a, a, b, a, a]),
        "B": node("B", ("B60", "B01"), [None, None, None, "B01", "B01", None], [a, a, a, b, a, b]),
    }
    truth = Truth(nodes["root"].document_ids, np.array(sections, dtype=object), np.array(TRUE, dtype=object), [()] * 6)
    return nodes, truth


def test_hits_by_hand(small):
    hits = hierarchical_hits(*small)
    assert hits.document_ids.tolist() == [f"CN{i}" for i in range(6)]
    assert hits.targets.tolist() == TRUE
    assert "".join(hits.sections) == "AAABBD"
    assert "".join(hits.predicted_sections) == "ABAABB"
    assert hits.cascade_classes.tolist() == ["A01", "B60", "A01", "A21", "B60", "B01"]
    assert hits.section_hits.tolist() == [True, False, True, False, True, False]
    assert hits.local_hits.tolist() == [True, True, False, True, False, False]
    assert hits.cascade_hits.tolist() == [True, False, False, False, False, False]
    assert hits.labels.tolist() == ["A01", "A21", "B60", "B01"]
    assert hits.target_codes.tolist() == [0, 0, UNSEEN, 3, 3, UNSEEN]


def test_joint_probability_by_hand(small):
    nodes, _ = small
    joint = np.exp(joint_log_prob(nodes))
    assert joint_labels(nodes).tolist() == ["A01", "A21", "B60", "B01"]
    assert joint[0] == pytest.approx([0.81, 0.09, 0.09, 0.01])
    assert joint[3] == pytest.approx([0.18, 0.72, 0.02, 0.08])
    assert joint.sum(axis=1) == pytest.approx(np.ones(6))


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([None, "A99", "D01"]), st.sampled_from(["test", "val"]))
def test_properties(seed, unseen, part):
    nodes, truth = system(n=60, seed=seed, unseen=unseen)
    hits, result = hierarchical_hits(nodes, truth, part), aggregate(nodes, truth, part)
    assert np.array_equal(hits.section_hits, hits.predicted_sections == hits.sections)
    assert np.array_equal(hits.cascade_hits, hits.cascade_classes == hits.targets)
    assert np.array_equal(hits.cascade_hits, hits.section_hits & hits.local_hits)
    assert not hits.local_hits[hits.target_codes < 0].any()
    known = hits.target_codes >= 0
    assert np.array_equal(hits.labels[hits.target_codes[known]], hits.targets[known])
    assert np.array_equal([label[0] for label in hits.cascade_classes], hits.predicted_sections)
    assert result.cascade_accuracy.value == pytest.approx(hits.cascade_hits.mean())
    assert result.oracle_accuracy.value == pytest.approx(hits.local_hits.mean())
    assert np.exp(joint_log_prob(nodes, part)).sum(axis=1) == pytest.approx(np.ones(len(hits.targets)), abs=1e-5)


def test_documents_stand_in_the_order_of_the_root():
    nodes, truth = system()
    rng = np.random.default_rng(7)
    mixed = {name: own.take(rng.permutation(len(own))) for name, own in nodes.items()}
    first, second = hierarchical_hits(nodes, truth), hierarchical_hits(mixed, truth)
    assert np.array_equal(second.document_ids, mixed["root"].select("test").document_ids)
    rows = positions(second.document_ids, first.document_ids, "the first run")
    for name in ("targets", "cascade_classes", "section_hits", "local_hits", "cascade_hits", "target_codes"):
        assert np.array_equal(getattr(first, name)[rows], getattr(second, name)), name
    assert np.array_equal(joint_log_prob(nodes)[rows], joint_log_prob(mixed))
    assert [first.further[row] for row in rows] == second.further


def test_missing_nodes_and_documents_are_named(small):
    nodes, truth = small
    without = {name: own for name, own in nodes.items() if name != "B"}
    for call in (
        lambda: hierarchical_hits(without, truth),
        lambda: joint_log_prob(without),
        lambda: joint_labels(without),
    ):
        with pytest.raises(IncompleteError, match="without node B:"):
            call()
    with pytest.raises(IncompleteError, match="without node root:"):
        joint_log_prob({})
    with pytest.raises(ArtifactError, match="'CN5' is not in the other run"):
        positions(truth.document_ids, truth.document_ids[:5], "the other run")


def test_flat_hits_by_hand():
    # B's classes together are more probable than A01, the most probable class
    labels, rows = ("A01", "B01", "B60"), [[0.4, 0.35, 0.25], [0.1, 0.8, 0.1], [0.8, 0.1, 0.1]]
    ids, targets = np.array(["x", "y", "z"], dtype=object), np.array(["A01", "B01", "A99"], dtype=object)
    own = Predictions("flat", labels, ids, np.full(3, "test", dtype=object), targets, np.log(np.float32(rows)))
    hits = flat_hits(own)
    assert hits.predicted_classes.tolist() == ["A01", "B01", "A01"]
    assert hits.class_hits.tolist() == [True, True, False]
    assert "".join(hits.predicted_sections) == "BBA"
    assert hits.section_hits.tolist() == [False, True, True]
    assert hits.target_codes.tolist() == [0, 1, UNSEEN]
    assert hits.further is None


def test_flat_hits_are_what_the_flat_result_counts():
    own, truth = flat()
    hits, result = flat_hits(own, truth), aggregate_flat(own, truth)
    assert result.flat_accuracy.value == pytest.approx(hits.class_hits.mean())
    assert result.section_accuracy.value == pytest.approx(hits.section_hits.mean())
    assert hits.further == truth.further
    assert (hits.target_codes != NO_TARGET).all()
    other = Truth(truth.document_ids, truth.sections, np.roll(truth.classes, 1), truth.further)
    with pytest.raises(ArtifactError, match="node flat has target"):
        flat_hits(own, other)
