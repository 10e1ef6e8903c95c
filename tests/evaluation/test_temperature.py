from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import log_softmax

from patent_hier.evaluation.system import scale
from patent_hier.evaluation.temperature import MIN_DOCUMENTS, fit_temperature, fit_temperatures
from tests.trees import classes_of, network, tree_of

SIX = tree_of([(a, a + b, a + b + c) for a in "AB" for b in "12" for c in "xyz"] + [("C", None, None)])


def sampled(true_temperature, n=4000, k=5, seed=0):
    """Scores that are too certain by a factor, and targets drawn from what they should be."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (n, k))
    probability = np.exp(log_softmax(logits, axis=1))
    targets = np.array([rng.choice(k, p=row) for row in probability])
    return log_softmax(logits * true_temperature, axis=1), targets


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_the_temperature_that_was_applied_is_found(temperature):
    assert fit_temperature(*sampled(temperature)) == pytest.approx(temperature, rel=0.08)


def loss(log_prob, targets, temperature):
    likelihood = log_softmax(log_prob / temperature, axis=1)[np.arange(len(targets)), targets].sum()
    return np.log(temperature) ** 2 / (2 * 0.2**2) - likelihood


@given(st.integers(0, 50), st.sampled_from([0.3, 1.0, 4.0]))
def test_no_other_temperature_is_better(seed, true):
    log_prob, targets = sampled(true, n=60, seed=seed)
    best = fit_temperature(log_prob, targets)
    own = loss(log_prob, targets, best)
    for other in np.geomspace(0.06, 19, 15):
        assert own <= loss(log_prob, targets, other) + 1e-3


def test_few_documents_move_it_little():
    few, many = (fit_temperature(*sampled(3.0, n=n)) for n in (30, 4000))
    assert 1 < few < 2 < many


def test_targets_that_say_nothing_are_left_out():
    log_prob, targets = sampled(2.0)
    strange = np.concatenate([targets, [-1, -2, 0]])
    more = np.concatenate([log_prob, np.full((2, 5), np.log(0.2)), [[-np.inf, 0, -np.inf, -np.inf, -np.inf]]])
    assert fit_temperature(more, strange) == fit_temperature(log_prob, targets)


def test_few_documents_and_single_labels_keep_1():
    log_prob, targets = sampled(3.0, n=MIN_DOCUMENTS - 1)
    assert fit_temperature(log_prob, targets) == 1.0
    assert fit_temperature(np.zeros((100, 1)), np.zeros(100, np.intp)) == 1.0


def drawn(tree, n=3000, flat=False, seed=1):
    """A network that is right, and paths drawn from its own joint probabilities."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 1.5, (n, len(tree)))
    paths = []
    if flat:
        leaves = tree.leaves
        joint = np.zeros_like(logits)
        joint[:, leaves] = log_softmax(logits[:, leaves], axis=1)
        for i in reversed(range(leaves.start)):
            own = tree.children(i)
            joint[:, i] = np.logaddexp.reduce(joint[:, own], axis=1) if own.stop > own.start else -np.inf
        ends = [rng.choice(np.arange(leaves.start, leaves.stop), p=np.exp(row[leaves])) for row in joint]
        return joint.astype(np.float32), [tuple(tree.names(path)) for path in tree.paths(np.array(ends, np.int32))]
    joint = np.zeros_like(logits)
    for parent in range(-1, len(tree)):
        own = tree.children(parent)
        if own.stop > own.start:
            joint[:, own] = log_softmax(logits[:, own], axis=1) + (joint[:, [parent]] if parent >= 0 else 0)
    for row in joint:
        above, path = -1, []
        while (own := tree.children(above)).stop > own.start:
            shares = np.exp(row[own] - (row[above] if above >= 0 else 0))
            above = int(rng.choice(np.arange(own.start, own.stop), p=shares / shares.sum()))
            path.append(tree.codes[above])
        paths.append((*path, *[None] * (len(tree.levels) - len(path))))
    return joint.astype(np.float32), paths


def test_each_level_has_the_temperature_that_was_applied_to_its_heads():
    """The heads of the true parents alone: those of a wrong section say nothing of its classes."""
    joint, paths = drawn(SIX)
    wrong = {"section": 0.6, "class": 2.0, "subclass": 1.0}
    distorted = scale(SIX, joint, {level: 1 / t for level, t in wrong.items()})
    found = fit_temperatures(network("shared", SIX, distorted, paths))
    assert found == pytest.approx(wrong, rel=0.1)


def test_a_large_family_does_not_compete_with_a_small_one():
    """Thirty classes of a section that is not the true one would make every high temperature look bad."""
    tree = classes_of(A="01 02", B=" ".join(f"{k:02}" for k in range(30)))
    joint, paths = drawn(tree, 4000)
    distorted = scale(tree, joint, {"class": 1 / 3})
    chosen = np.flatnonzero([path[0] == "A" for path in paths])
    found = fit_temperatures(network("shared", tree, distorted[chosen], [paths[i] for i in chosen]))
    assert found["class"] == pytest.approx(3, rel=0.1)


def test_a_flat_network_has_one_for_its_leaves():
    tree = tree_of([(a, a + b, a + b + c) for a in "AB" for b in "12" for c in "xy"])
    joint, paths = drawn(tree, flat=True)
    distorted = scale(tree, joint, {"subclass": 1 / 2.5}, flat=True)
    made = network("flat", tree, distorted, paths, flat=True)
    assert fit_temperatures(made) == {"subclass": pytest.approx(2.5, rel=0.1)}
    assert fit_temperatures(_sparse(made, "subclass")) == {}
    assert list(fit_temperatures(_sparse(made, "section"))) == ["subclass"]


def _sparse(own, level):
    levels = []
    for one in own.levels:
        labels, log_prob = one.best(2)
        levels.append(replace(one, labels=labels, log_prob=log_prob) if one.level == level else one)
    return replace(own, levels=tuple(levels))


def test_levels_from_the_first_sparse_one_on_have_none():
    joint, paths = drawn(SIX, 200)
    made = network("shared", SIX, joint, paths)
    whole = fit_temperatures(made)
    for level, above in (("subclass", ["section", "class"]), ("class", ["section"]), ("section", [])):
        assert fit_temperatures(_sparse(made, level)) == {name: whole[name] for name in above}


def test_labels_without_siblings_and_unseen_ones_keep_1():
    tree = classes_of(A="01", B="02")
    joint = np.tile(np.log(np.float32([0.9, 0.1, 0.9, 0.1])), (60, 1))
    found = fit_temperatures(network("x", tree, joint, [("A", "A01"), ("B", "B99"), ("D", "D01")] * 20))
    assert found["class"] == pytest.approx(1, abs=1e-3)
    assert found["section"] > 1.05  # it is surer of A than half of the known documents allow
