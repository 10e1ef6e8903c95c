from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from patent_hier.data.labels import document_labels
from patent_hier.errors import ArtifactError, IncompleteError
from patent_hier.evaluation import level_scores
from patent_hier.evaluation import system as module
from patent_hier.evaluation.level_scores import KEPT, NO_TARGET, UNSEEN, score_levels
from patent_hier.evaluation.scaling import Scaling
from patent_hier.evaluation.scores import whole
from patent_hier.evaluation.system import aligned, merge, positions, scale, scaled, with_truth
from tests.evaluation.systems import FOUR, TWO, system
from tests.trees import FIVE, classes_of, network, probabilities, random_joint, tree_of

UNSEEN_TWO = (("A", "A99"), ("D", "D01"))
UNSEEN_FOUR = (("A", "A01", "A01B", "A01B9/00"), ("B", "B99", "B99Z", None), ("D", "D01", None, None))
CASES = [(TWO, ()), (TWO, UNSEEN_TWO), (FOUR, ()), (FOUR, UNSEEN_FOUR)]
SHARED = ("targets", "target_codes", "target_log_prob", "target_conditional", "target_rank", "sibling_rank", "greedy")


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(CASES), st.integers(0, 10**6))
def test_a_merge_is_the_dense_product_of_all_networks(case, seed):
    paths, unseen = case
    made = system(40, paths, seed, unseen)
    product = whole({node: own.scores() for node, own in made.nodes.items()})
    assert made.merged.tree == product.tree == made.tree
    targets = [np.array(column, object) for column in zip(*made.truth, strict=True)]
    for own, expected in zip(made.merged.levels, score_levels(product.tree, product.log_prob, targets), strict=True):
        assert own.labels is None
        assert own.log_prob == pytest.approx(expected.log_prob, abs=1e-5)
        for name in SHARED:
            found = getattr(own, name)
            if found.dtype.kind == "f":
                assert found == pytest.approx(getattr(expected, name), abs=1e-5), name
            else:
                assert found.tolist() == getattr(expected, name).tolist(), name
    made.merged.validate()


@pytest.mark.parametrize(("paths", "unseen"), CASES)
def test_what_a_sparse_merge_keeps_is_what_a_dense_one_has(paths, unseen, monkeypatch):
    """With two labels kept, the three of section A are already more."""
    dense = system(60, paths, 3, unseen)
    for place in (level_scores, module):
        monkeypatch.setattr(place, "DENSE_LABELS", 3)
        monkeypatch.setattr(place, "KEPT", 2)
    sparse = merge(dense.nodes)
    for one, other in zip(dense.merged.levels, sparse.levels, strict=True):
        if len(dense.tree.labels(one.level)) <= 3:
            assert other.labels is None
            continue
        labels, log_prob = one.best(2)
        assert np.array_equal(other.labels, labels)
        assert other.log_prob == pytest.approx(log_prob, abs=1e-6)
        known = (one.target_codes >= 0) & (one.target_rank < 2)
        assert other.target_rank[known].tolist() == one.target_rank[known].tolist()
        assert (other.target_rank[~known] == 2).all()
        for name in ("target_conditional", "sibling_rank", "greedy"):
            assert np.array_equal(getattr(other, name), getattr(one, name)), name


def test_sparse_by_hand_with_more_than_200_labels():
    """Two networks with 150 classes each; the best of both are in one list, B's shifted by A's labels."""
    tree = tree_of([(s, f"{s}{k:03}") for s in "AB" for k in range(150)])
    root = network("root", tree.to_depth("section"), np.log(np.float32([[0.5, 0.5]])), [("B",)])
    nodes = {"root": root}
    for section in "AB":
        part, _ = tree.under("section", section)
        joint = np.full((1, 150), np.log(1e-4), np.float32)
        joint[0, 10:30] = np.log(np.linspace(0.02, 0.06, 20) + (section == "B") / 1000)
        nodes[section] = network(section, part, joint, [("B012",) if section == "B" else (None,)])
    own = merge(nodes).level("class")
    assert own.labels.shape == (1, KEPT)
    assert own.labels[0].tolist() == [place for k in range(29, 19, -1) for place in (150 + k, k)]
    assert np.exp(own.log_prob[0, :2]) == pytest.approx([0.0305, 0.03])
    assert (own.target_codes[0], own.target_rank[0], own.sibling_rank[0], own.greedy[0]) == (162, KEPT, 17, 29)


def test_one_network_over_everything_is_taken_as_it_is():
    made = system(10, flat=True)
    assert merge(made.nodes) is made.nodes["flat"]


@pytest.mark.parametrize("paths", [TWO, FOUR])
def test_documents_stand_in_the_order_of_the_root(paths):
    made = system(60, paths)
    rng = np.random.default_rng(7)
    mixed = merge({node: own.take(rng.permutation(60)) for node, own in made.nodes.items()})
    rows = positions(mixed.document_ids, made.merged.document_ids, "the first")
    for one, other in zip(made.merged.levels, mixed.levels, strict=True):
        for name in ("log_prob", *SHARED):
            assert np.array_equal(getattr(one, name)[rows], getattr(other, name)), name
    assert np.array_equal(made.merged.parts[rows], mixed.parts)


def test_missing_nodes_and_other_documents_are_named():
    nodes = system(20).nodes
    with pytest.raises(IncompleteError, match=r"without node A, H \(not .*level=hier") as caught:
        merge({node: own for node, own in nodes.items() if node not in "AH"})
    assert "\n" not in str(caught.value)
    for missing in ({}, {"A": nodes["A"], "B": nodes["B"]}):
        with pytest.raises(IncompleteError, match="without node root"):
            merge(missing)
    with pytest.raises(ArtifactError, match="node B scored 19 documents, but another node 20"):
        merge(nodes | {"B": nodes["B"].take(np.arange(1, 20))})
    renamed = replace(nodes["B"], document_ids=np.array([f"X{i}" for i in range(20)], object))
    with pytest.raises(ArtifactError, match="'CN0' is not in the predictions of node B"):
        aligned(renamed, nodes["root"].document_ids)


def test_the_corpus_has_the_last_word_on_what_is_true():
    made = system(40, FOUR, unseen=UNSEEN_FOUR)
    ipc_class = made.merged.level("class")
    assert ipc_class.targets[:3].tolist() == ["A01", "B99", "D01"]
    assert ipc_class.target_codes[1:3].tolist() == [UNSEEN, UNSEEN]
    assert made.merged.level("main_group").target_codes[:3].tolist() == [UNSEEN, NO_TARGET, NO_TARGET]
    system_alone = merge(made.nodes)
    columns = [np.array(column, object) for column in zip(*made.truth, strict=True)]
    for change, message in (
        ([columns[0], np.roll(columns[1], 1), *columns[2:]], r"node system has target .* for document 'CN"),
        ([*columns[:3], np.full(40, None)], r"has target .*, but the corpus has None"),
    ):
        labels = replace(made.labels, main=_main(made.labels.tree, change))
        with pytest.raises(ArtifactError, match=message):
            with_truth(system_alone, labels)
    blind = replace(made.nodes["A"], levels=tuple(
        replace(own, targets=np.full(40, None), target_codes=np.full(40, NO_TARGET)) for own in made.nodes["A"].levels
    ))  # fmt: skip
    with pytest.raises(ArtifactError, match="node system has no target for document"):
        with_truth(merge(made.nodes | {"A": blind}), made.labels)


def _main(tree, columns):
    return np.stack([tree.find(level, column) for level, column in zip(tree.levels, columns, strict=True)], 1)


def test_truth_may_be_deeper_than_the_system():
    made = system(10, TWO)
    deeper = document_labels([np.array(c, object) for c in zip(*((*p, p[1] + "B") for p in made.truth), strict=True)],
                             [[]] * 10, ("section", "class", "subclass"))  # fmt: skip
    assert with_truth(merge(made.nodes), deeper).level("class").targets.tolist() == [p[1] for p in made.truth]


# --- scalings


def test_each_level_has_its_own_temperature_by_hand():
    tree = classes_of(A="01 02", B="03")
    joint = probabilities(tree, [[0.9, 0.1, 0.09, 0.81, 0.1]]).log_prob
    found = np.exp(scale(tree, joint, {"section": Scaling(2.0)}))[0]
    assert found == pytest.approx([0.75, 0.25, 0.075, 0.675, 0.25])
    found = np.exp(scale(tree, joint, {"class": Scaling(2.0)}))[0]
    assert found == pytest.approx([0.9, 0.1, 0.9 * 0.25, 0.9 * 0.75, 0.1])
    flat = np.exp(scale(tree, joint, {"class": Scaling(2.0), "section": Scaling(9.0)}, flat=True))[0]
    roots = np.sqrt([0.09, 0.81, 0.1])
    assert flat[2:] == pytest.approx(roots / roots.sum())
    assert flat[:2] == pytest.approx([flat[2] + flat[3], flat[4]])
    sure = np.log(np.float32([[1, 1e-30, 0.5, 0.5, 1e-30]]))
    sure[0, 1] = sure[0, 4] = -np.inf
    assert scale(tree, sure, {"section": Scaling(3.0)})[0, [0, 1, 4]].tolist() == [0, -np.inf, -np.inf]


@pytest.mark.parametrize(
    "scalings", [{"section": Scaling(0.5), "class": Scaling(3.0, 0.5)}, {"subgroup": Scaling(2.0, -0.5)}]
)
@pytest.mark.parametrize("flat", [True, False])
def test_scaled_predictions_are_those_of_scaled_scores(scalings, flat):
    tree = tree_of(FIVE)
    paths = [FIVE[i % 7] for i in range(12)]
    own = network("x", tree, random_joint(tree, 12, 1, flat), paths, flat=flat)
    joint = own.scores().log_prob
    wanted = network("x", tree, scale(tree, joint, scalings, flat), paths, flat=flat)
    for one, other in zip(scaled(own, scalings).levels, wanted.levels, strict=True):
        for name in SHARED:
            assert np.array_equal(getattr(one, name), getattr(other, name)), name
    assert scaled(own, {"section": Scaling(1.0), "x": 3.0}) is own


def thinned(own, levels):
    """The same predictions with only the best three labels kept at some levels."""
    kept = []
    for one in own.levels:
        if one.level in levels:
            labels, log_prob = one.best(3)
            one = replace(one, labels=labels, log_prob=log_prob)
        kept.append(one)
    return replace(own, levels=tuple(kept))


@pytest.mark.parametrize("sparse", [("subgroup",), ("main_group", "subgroup"), ("class",), ("section",)])
def test_below_a_sparse_level_probabilities_follow_their_ancestors(sparse):
    tree, paths = tree_of(FIVE), [FIVE[i % 7] for i in range(12)]
    own = network("x", tree, random_joint(tree, 12, 1), paths)
    scalings = dict.fromkeys(tree.levels, Scaling(2.0, -0.4))
    found = scaled(thinned(own, sparse), scalings)
    above = tree.levels[: tree.levels.index(sparse[0])]
    wanted = scaled(own, dict.fromkeys(above, Scaling(2.0, -0.4)))
    for one, other in zip(found.levels, wanted.levels, strict=True):
        assert one.target_log_prob == pytest.approx(other.target_log_prob, abs=1e-5)
        for name in ("greedy", "sibling_rank", "target_conditional"):
            assert getattr(one, name) == pytest.approx(getattr(other, name), abs=1e-5)
        if one.level in sparse:
            assert (np.diff(one.log_prob) <= 0).all()
            values = np.take_along_axis(other.log_prob, one.labels, axis=1)
            assert one.log_prob == pytest.approx(values, abs=1e-5)
        else:
            assert one.log_prob == pytest.approx(other.log_prob, abs=1e-5)
            assert one.target_rank.tolist() == other.target_rank.tolist()


def test_a_flat_network_whose_leaves_are_many_keeps_its_scores():
    tree, paths = tree_of(FIVE), [FIVE[i % 7] for i in range(12)]
    own = network("flat", tree, random_joint(tree, 12, 1, True), paths, flat=True)
    assert scaled(thin := thinned(own, ("subgroup",)), {"subgroup": Scaling(2.0)}) is thin
    other = scaled(thinned(own, ("class",)), {"subgroup": Scaling(2.0)})
    assert np.array_equal(
        other.level("class").log_prob, scaled(own, {"subgroup": Scaling(2.0)}).level("class").log_prob
    )
