from dataclasses import replace

import numpy as np
import pytest
from scipy.special import log_softmax

from patent_hier.evaluation.recalibration import MIN_DOCUMENTS, choose_scalings, heads_of, standard_error
from patent_hier.evaluation.scaling import IDENTITY, Scaling
from patent_hier.evaluation.system import scale
from tests.trees import classes_of, network, tree_of

SIX = tree_of([(a, a + b, a + b + c) for a in "AB" for b in "12" for c in "xyz"] + [("C", None, None)])


def drawn(tree, n=1000, flat=False, seed=1):
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


def test_each_level_has_what_it_needs():
    """Only the heads of true parents count: the heads of a wrong section carry no information."""
    joint, paths = drawn(SIX, 1200)
    wrong = {"section": Scaling(1 / 0.6), "class": Scaling(1 / 2), "subclass": IDENTITY}
    scalings, choices = choose_scalings({"shared": network("shared", SIX, scale(SIX, joint, wrong), paths)})
    assert {level: choice.method for level, choice in choices.items()} == {
        "section": "temperature",
        "class": "temperature",
        "subclass": "none",
    }
    found = {level: own.temperature for level, own in scalings["shared"].items()}
    assert found == pytest.approx({"section": 0.6, "class": 2.0}, rel=0.1)
    nll = choices["class"].nll
    assert set(nll) == {"none", "temperature", "temperature, shape"}
    assert nll["temperature"] < nll["none"] - 0.01
    assert choices["class"].documents == choices["class"].groups < choices["section"].documents == 1200


def test_a_shape_is_chosen_where_it_pays():
    joint, paths = drawn(SIX)
    distorted = scale(SIX, joint, {"section": Scaling(1.0, 0.8)})
    scalings, choices = choose_scalings({"shared": network("shared", SIX, distorted, paths)})
    assert choices["section"].method == "temperature, shape"
    assert scalings["shared"]["section"].shape < -0.3


def part(label, temperature, rows):
    """A network below one section, whose probabilities are off by a temperature; ``rows`` of 400 documents are its."""
    tree = classes_of(**{label: "01 02 03 04"}).under("section", label)[0]
    joint, paths = drawn(tree, 400, seed=ord(label))
    paths = [path if one else (None,) for path, one in zip(paths, rows, strict=True)]
    return network(label, tree, scale(tree, joint, {"class": Scaling(temperature)}), paths)


@pytest.mark.parametrize(("other", "method"), [(0.4, "temperature"), (2.5, "temperature by node")])
def test_networks_share_a_temperature_unless_they_differ(other, method):
    rows = np.arange(400) < 200  # each document lies below one section
    scalings, choices = choose_scalings({"A": part("A", 0.4, rows), "B": part("B", other, ~rows)})
    assert choices["class"].method == method
    assert choices["class"].documents == 400
    assert scalings["A"]["class"].temperature == pytest.approx(2.2, abs=0.4)
    assert (scalings["A"] == scalings["B"]) == (method == "temperature")


def test_a_large_family_does_not_compete_with_a_small_one():
    """Thirty classes of a section that is not the true one would make every high temperature look bad."""
    tree = classes_of(A="01 02", B=" ".join(f"{k:02}" for k in range(30)))
    joint, paths = drawn(tree, 3000)
    chosen = np.flatnonzero([path[0] == "A" for path in paths])
    distorted = scale(tree, joint, {"class": Scaling(1 / 3)})[chosen]
    scalings, _ = choose_scalings({"shared": network("shared", tree, distorted, [paths[i] for i in chosen])})
    assert scalings["shared"]["class"].temperature == pytest.approx(3, rel=0.1)


def _sparse(own, level):
    levels = []
    for one in own.levels:
        labels, log_prob = one.best(2)
        levels.append(replace(one, labels=labels, log_prob=log_prob) if one.level == level else one)
    return replace(own, levels=tuple(levels))


def test_a_flat_network_has_one_for_its_leaves():
    tree = tree_of([(a, a + b, a + b + c) for a in "AB" for b in "12" for c in "xy"])
    joint, paths = drawn(tree, flat=True)
    made = network("flat", tree, scale(tree, joint, {"subclass": Scaling(1 / 2.5)}, flat=True), paths, flat=True)
    scalings, _ = choose_scalings({"flat": made})
    assert list(scalings["flat"]) == ["subclass"]
    assert scalings["flat"]["subclass"].temperature == pytest.approx(2.5, rel=0.1)
    assert choose_scalings({"flat": _sparse(made, "subclass")}) == ({"flat": {}}, {})
    assert list(heads_of(_sparse(made, "section"))) == ["subclass"]


def test_levels_from_the_first_sparse_one_on_have_none():
    joint, paths = drawn(SIX, 50)
    made = network("shared", SIX, joint, paths)
    for level, above in (("subclass", ["section", "class"]), ("class", ["section"]), ("section", [])):
        assert list(heads_of(_sparse(made, level))) == above


def test_documents_that_say_nothing_are_left_out():
    """Documents are left out if their label is missing, unseen, an only child or of probability 0."""
    tree = classes_of(A="01", B="02 03", C="04")
    row = np.log(np.float32([0.5, 0.4, 0.1, 0.5, 0.3, 0.1, 0.1]))
    joint = np.tile(row, (5, 1))
    joint[4, 4] = -np.inf
    paths = [("A", "A01"), ("B", "B99"), ("D", "D01"), ("B", "B03"), ("B", "B02")]
    found = heads_of(network("x", tree, joint, paths))
    assert found["section"].rows.tolist() == [0, 1, 3, 4]
    assert found["class"].rows.tolist() == [3]
    assert found["class"].target.tolist() == [1]
    assert np.exp(found["class"].log_prob) == pytest.approx(np.array([[0.75, 0.25]]))


def test_too_few_documents_or_groups_choose_nothing():
    joint, paths = drawn(SIX, MIN_DOCUMENTS - 1)
    few = network("shared", SIX, joint * 3, paths)
    assert choose_scalings({"shared": few})[1]["section"].method == "none"
    joint, paths = drawn(SIX, 400)
    many = network("shared", SIX, scale(SIX, joint, {"section": Scaling(1 / 3)}), paths)
    together = replace(many, groups=(np.arange(400) % 4).astype(np.int32))
    for own, method in ((many, "temperature"), (together, "none")):
        assert choose_scalings({"shared": own})[1]["section"].method == method
    assert choose_scalings({"shared": together})[1]["section"].groups == 4


def test_what_one_applicant_shows_is_one_finding():
    """Right probabilities, but for one applicant's many documents: only if these count as many is anything changed."""
    joint, paths = drawn(SIX, 300)
    odd = np.arange(300) < 120  # always the least likely section: a higher temperature suits them
    least = [("A", "B", "C")[row[:3].argmin()] for row in joint]
    paths = [(label, None, None) if one else path for label, path, one in zip(least, paths, odd, strict=True)]
    own = network("shared", SIX, joint, paths)
    groups = np.where(odd, 7, -1).astype(np.int32)
    assert choose_scalings({"shared": own})[1]["section"].method != "none"
    assert choose_scalings({"shared": replace(own, groups=groups)})[1]["section"].method == "none"


def test_the_standard_error_of_groups():
    values = np.random.default_rng(0).normal(size=400)
    alone = standard_error(values, np.arange(400))
    assert alone == pytest.approx(values.std() / 20)
    assert standard_error(np.repeat(values, 4), np.repeat(np.arange(400), 4)) == pytest.approx(alone)
