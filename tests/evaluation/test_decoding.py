import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from patent_hier.errors import ConfigError
from patent_hier.evaluation.decoding import NO_PATH, decode, place_of
from patent_hier.taxonomy.arithmetic import best_path, conditional_log_prob
from tests.trees import FIVE, classes_of, probabilities, scores_of, tree_of, trees

SEEDS = st.integers(0, 10**6)


def ancestors_of(tree, position):
    line = []
    while position >= 0:
        line.append(position)
        position = int(tree.parents[position])
    return line[::-1]


def ends(tree):
    """Labels without others below them."""
    return [i for i in range(len(tree)) if i not in tree.parents]


def names(scores, row):
    return [None if place == NO_PATH else str(scores.tree.codes[place]) for place in row]


@given(trees(), SEEDS, st.booleans(), st.integers(1, 5), st.integers(1, 4))
def test_beams_against_a_plain_search(tree, seed, flat, top_k, beam):
    scores = scores_of(tree, 3, seed, flat)
    scores = type(scores)(tree, scores.log_prob.round(1), flat)  # with ties
    widest = max(len(tree.labels(level)) for level in tree.levels[:-1] or tree.levels)
    top_k, beam = min(top_k, len(ends(tree))), min(beam, widest)
    for row, found in enumerate(decode(scores, top_k, beam=beam).tolist()):
        values, alive = scores.log_prob[row], set()
        for level in tree.levels[:-1]:
            own = [i for i in range(len(tree)) if tree.level_of(i) == level]
            own = [i for i in own if tree.parents[i] < 0 or tree.parents[i] in alive]
            alive |= set(sorted(own, key=lambda i: (-values[i], i))[:beam])
        alive |= {
            i for i in range(tree.leaves.start, tree.leaves.stop) if tree.parents[i] < 0 or tree.parents[i] in alive
        }
        own = [i for i in ends(tree) if i in alive]
        expected = sorted(own, key=lambda i: (-values[i], i))[:top_k]
        assert [place for place in found if place != NO_PATH] == expected
        assert found == expected + [NO_PATH] * (top_k - len(expected))


@given(trees(early=False), SEEDS, st.booleans())
def test_a_beam_of_full_width_is_exact_and_one_of_width_1_greedy(tree, seed, flat):
    scores = scores_of(tree, 3, seed, flat)
    everything = tree.leaves.stop - tree.leaves.start
    exact = decode(scores, everything)
    widest = max(len(tree.labels(level)) for level in tree.levels[:-1] or tree.levels)
    assert np.array_equal(decode(scores, everything, beam=widest), exact)
    assert np.array_equal(exact[:, 0], tree.leaves.start + scores.at(tree.depth).argmax(axis=1))
    assert np.array_equal(np.sort(exact), np.tile(np.arange(tree.leaves.start, tree.leaves.stop), (3, 1)))
    if not flat:
        greedy = best_path(tree, conditional_log_prob(tree, scores.log_prob.astype(np.float64)))
        assert np.array_equal(decode(scores, 1, beam=1)[:, 0], greedy[:, -1])


@given(trees(), SEEDS, st.booleans(), st.data())
def test_a_forced_label_is_kept_to(tree, seed, flat, data):
    scores = scores_of(tree, 3, seed, flat)
    label = data.draw(st.sampled_from(tree.codes.tolist()))
    position = place_of(tree, label)
    own = [i for i in ends(tree) if position in ancestors_of(tree, i)]
    everything = len(ends(tree))
    for row, found in enumerate(decode(scores, everything, force=label).tolist()):
        assert sorted(found[: len(own)]) == own
        assert found[len(own) :] == [NO_PATH] * (everything - len(own))
        values = scores.log_prob[row, found[: len(own)]]
        assert (np.diff(values[np.isfinite(values)]) <= 1e-5).all()


def test_the_likeliest_path_need_not_lie_in_the_likeliest_section():
    scores = probabilities(classes_of(A="01 23", B="60"), [[0.6, 0.4, 0.3, 0.3, 0.4]])
    assert names(scores, decode(scores, 3)[0]) == ["B60", "A01", "A23"]
    assert names(scores, decode(scores, 3, beam=1)[0]) == ["A01", "A23", None]


def test_five_levels_by_hand():
    """The section H is the least likely one, and holds the likeliest subgroup; a beam of 2 loses it. Two end early."""
    tree = tree_of(FIVE)
    rows = [0.45, 0.3, 0.25, 0.45, 0, 0.3, 0.25, 0.45, 0.3, 0.25, 0.2, 0.15, 0.1, 0.25, 0.12, 0.08, 0.15, 0.1, 0.25]
    scores = probabilities(tree, [rows])
    assert names(scores, decode(scores, 3)[0]) == ["B60K", "H01L21/02", "A01B3/00"]
    assert names(scores, decode(scores, 3, beam=2)[0]) == ["B60K", "A01B3/00", "A01B1/00"]
    assert names(scores, decode(scores, 3, beam=1)[0]) == ["A01B1/00", "A01B1/02", None]
    assert names(scores, decode(scores, 3, force="A01B1/00")[0]) == ["A01B1/00", "A01B1/02", None]  # the main group
    assert names(scores, decode(scores, 2, force="A01B10/00")[0]) == ["A01B10/00", None]
    assert names(scores, decode(scores, 2, force="A61")[0]) == ["A61", None]


def test_an_impossible_section_still_has_an_order():
    scores = probabilities(classes_of(A="01", B="01 60"), [[1, 0, 1, 0, 0]])
    assert names(scores, decode(scores, 2, force="B")[0]) == ["B01", "B60"]
    lucky = probabilities(classes_of(A="01", B="01 60"), [[1 - 1e-30, 1e-30, 1 - 1e-30, 2e-31, 8e-31]])
    assert names(lucky, decode(lucky, 2, force="B")[0]) == ["B60", "B01"]


def test_of_many_equal_leaves_the_first_are_first():
    tree = classes_of(A=" ".join(f"{k:03}" for k in range(40)))
    scores = probabilities(tree, [[1.0] + [1 / 40] * 40])
    assert decode(scores, 4).tolist() == [[1, 2, 3, 4]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"top_k": 0}, "top_k=0 is out of range; the system knows 3 paths"),
        ({"top_k": 4}, "top_k=4 is out of range"),
        ({"beam": 0}, "beam=0 is out of range; give 1 to 2"),
        ({"beam": 3}, "beam=3 is out of range"),
        ({"force": "H"}, "label 'H' is unknown to the system; it knows A, B and what is below them"),
        ({"force": ""}, "label '' is unknown"),
    ],
)
def test_what_cannot_be_followed_is_refused(arguments, message):
    with pytest.raises(ConfigError, match=message) as caught:
        decode(scores_of(classes_of(A="01 02", B="60")), **arguments)
    assert "\n" not in str(caught.value)
