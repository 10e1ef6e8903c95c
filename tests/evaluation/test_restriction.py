import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from patent_hier.errors import ConfigError
from patent_hier.evaluation.restriction import Restriction
from patent_hier.taxonomy.tree import NONE
from tests.evaluation.test_decoding import ancestors_of, ends_of
from tests.trees import FIVE, classes_of, probabilities, scores_of, tree_of, trees


@given(trees(), st.integers(0, 10**6), st.booleans(), st.data())
def test_against_sums_over_paths(tree, seed, flat, data):
    """P(label | what remains) is the sum of its remaining paths by the sum of all that remain."""
    places = st.lists(st.integers(0, len(tree) - 1), max_size=3)
    force, exclude = data.draw(places), data.draw(places)
    left = [
        end
        for end in ends_of(tree)
        if (not force or set(force) & set(ancestors_of(tree, end))) and not set(exclude) & set(ancestors_of(tree, end))
    ]
    if not left:
        with pytest.raises(ConfigError, match="no label is left"):
            Restriction.of(tree, force, exclude)
        return
    scores = scores_of(tree, 3, seed, flat)
    joint = np.exp(scores.log_prob.astype(float))
    assume((joint[:, left].sum(axis=1) > 1e-6).all())
    restriction = Restriction.of(tree, force, exclude)
    expected = np.zeros_like(joint)
    for end in left:
        for place in ancestors_of(tree, end):
            expected[:, place] += joint[:, end]
    assert set(np.flatnonzero(restriction.kept)) == {place for end in left for place in ancestors_of(tree, end)}
    expected /= joint[:, left].sum(axis=1, keepdims=True)
    assert np.exp(restriction.apply(scores).log_prob.astype(float)) == pytest.approx(expected, abs=1e-4)


def test_the_scores_themselves_stay():
    scores = scores_of(tree_of(FIVE), 4, 3)
    before = scores.log_prob.copy()
    Restriction.of(scores.tree, [0], [3]).apply(scores)
    assert np.array_equal(scores.log_prob, before)


def test_paths_of_probability_0_still_have_an_order():
    scores = probabilities(classes_of(A="01", B="01 60", H="01"), [[1, 0, 0, 1, 0, 0, 0]] * 2)
    found = np.exp(Restriction.of(scores.tree, [1, 2], [5]).apply(scores).log_prob)
    assert found[0] == pytest.approx([0, 1 / 3, 2 / 3, 0, 1 / 3, 0, 2 / 3], abs=1e-6)  # B60 was half of B


@pytest.mark.parametrize(
    ("labels", "shared"),
    [([], None), (["A01B1/00"], "A01B1/00"), (["A01", "A61"], "A"), (["A01B1/02", "A01B"], "A01B"), (["A", "B"], None)],
)
def test_what_forced_labels_share(labels, shared):
    tree = tree_of(FIVE)
    place = Restriction.of(tree, [tree.codes.tolist().index(label) for label in labels], []).given
    assert (None if place == NONE else tree.codes[place]) == shared
