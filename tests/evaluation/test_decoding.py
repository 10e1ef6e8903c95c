import numpy as np
import pytest
from hypothesis import given as hypotheses
from hypothesis import strategies as st

from patent_hier.errors import ConfigError
from patent_hier.evaluation.decoding import NO_PATH, decode
from patent_hier.evaluation.restriction import Restriction
from patent_hier.taxonomy.arithmetic import best_path, conditional_log_prob
from tests.trees import FIVE, children, classes_of, probabilities, scores_of, tree_of, trees

SEEDS = st.integers(0, 10**6)


def ends_of(tree):
    return [i for i in range(len(tree)) if not children(tree, i)]


def ancestors_of(tree, position):
    line = []
    while position >= 0:
        line.append(position)
        position = int(tree.parents[position])
    return line[::-1]


def names(scores, row):
    return [None if place == NO_PATH else str(scores.tree.codes[place]) for place in row]


@hypotheses(trees(), SEEDS, st.booleans(), st.integers(1, 5), st.integers(1, 4))
def test_beams_against_a_plain_search(tree, seed, flat, top_k, beam):
    scores = scores_of(tree, 3, seed, flat)
    scores = type(scores)(tree, scores.log_prob.round(1), flat)  # with ties
    ends = ends_of(tree)
    widest = max(len(tree.labels(level)) for level in tree.levels[:-1] or tree.levels)
    top_k, beam = min(top_k, len(ends)), min(beam, widest)
    for row, found in enumerate(decode(scores, top_k, beam=beam).tolist()):
        values, alive, reached = scores.log_prob[row], {NO_PATH}, set()
        for level in tree.levels:
            own = [i for i in range(len(tree)) if tree.level_of(i) == level and tree.parents[i] in alive]
            alive = set(sorted(own, key=lambda i: (-values[i], i))[: beam if level != tree.depth else None])
            reached |= alive
        expected = sorted((i for i in ends if i in reached), key=lambda i: (-values[i], i))[:top_k]
        assert found == expected + [NO_PATH] * (top_k - len(expected))


@hypotheses(trees(), SEEDS, st.booleans())
def test_a_beam_of_full_width_is_exact_and_one_of_width_1_greedy(tree, seed, flat):
    scores, ends = scores_of(tree, 3, seed, flat), ends_of(tree)
    everything = len(ends)
    exact = decode(scores, everything)
    widest = max(len(tree.labels(level)) for level in tree.levels[:-1] or tree.levels)
    assert np.array_equal(decode(scores, everything, beam=widest), exact)
    assert np.array_equal(exact[:, 0], np.array(ends)[scores.log_prob[:, ends].argmax(axis=1)])
    assert np.array_equal(np.sort(exact), np.tile(ends, (3, 1)))
    if not flat:
        greedy = best_path(tree, conditional_log_prob(tree, scores.log_prob.astype(np.float64)))
        assert decode(scores, 1, beam=1)[:, 0].tolist() == [path[path != NO_PATH][-1] for path in greedy]


def place_of(tree, label):
    """The upper of two labels with the same code is used."""
    return tree.codes.tolist().index(label)


def decode_below(scores, top_k, label, **options):
    restriction = Restriction.of(scores.tree, [place_of(scores.tree, label)], [])
    return decode(restriction.apply(scores), top_k, kept=restriction.kept, **options)


@hypotheses(trees(), SEEDS, st.booleans(), st.integers(1, 4), st.data())
def test_only_kept_labels_are_answered(tree, seed, flat, beam, data):
    scores = scores_of(tree, 3, seed, flat)
    label = data.draw(st.sampled_from(tree.codes.tolist()))
    position = place_of(tree, label)
    own = [i for i in ends_of(tree) if position in ancestors_of(tree, i)]
    for found in decode_below(scores, len(ends_of(tree)), label).tolist():
        assert sorted(found) == own
    beam = min(beam, max(len(tree.labels(level)) for level in tree.levels[:-1] or tree.levels))
    for found in decode_below(scores, len(ends_of(tree)), label, beam=beam).tolist():
        assert found[0] != NO_PATH
        assert set(found) - {NO_PATH} <= set(own)


def test_the_likeliest_path_need_not_lie_in_the_likeliest_section():
    scores = probabilities(classes_of(A="01 23", B="60"), [[0.6, 0.4, 0.3, 0.3, 0.4]])
    assert names(scores, decode(scores, 3)[0]) == ["B60", "A01", "A23"]
    assert names(scores, decode(scores, 3, beam=1)[0]) == ["A01", "A23", None]


def test_five_levels_by_hand():
    """The section H is the least likely one, and a beam of 2 loses it. B's only path ends at its subclass."""
    tree = tree_of(FIVE)
    rows = [0.45, 0.3, 0.25, 0.45, 0, 0.3, 0.25, 0.45, 0.3, 0.25, 0.2, 0.15, 0.1, 0.25, 0.12, 0.08, 0.15, 0.1, 0.25]
    scores = probabilities(tree, [rows])
    assert names(scores, decode(scores, 3)[0]) == ["B60K", "H01L21/02", "A01B3/00"]
    assert names(scores, decode(scores, 3, beam=2)[0]) == ["B60K", "A01B3/00", "A01B1/00"]
    assert names(scores, decode(scores, 3, beam=1)[0]) == ["A01B1/00", "A01B1/02", None]
    assert names(scores, decode_below(scores, 3, "A01B1/00")[0]) == ["A01B1/00", "A01B1/02"]  # the main group
    assert names(scores, decode_below(scores, 2, "A01B10/00")[0]) == ["A01B10/00"]
    assert names(scores, decode_below(scores, 2, "A61")[0]) == ["A61"]  # it ends early; of probability 0


def test_an_impossible_section_still_has_an_order():
    scores = probabilities(classes_of(A="01", B="01 60"), [[1, 0, 1, 0, 0]])
    assert names(scores, decode_below(scores, 2, "B")[0]) == ["B01", "B60"]
    lucky = probabilities(classes_of(A="01", B="01 60"), [[1 - 1e-30, 1e-30, 1 - 1e-30, 2e-31, 8e-31]])
    assert names(lucky, decode_below(lucky, 2, "B")[0]) == ["B60", "B01"]


def test_of_many_equal_leaves_the_first_are_first():
    tree = classes_of(A=" ".join(f"{k:03}" for k in range(40)))
    scores = probabilities(tree, [[1.0] + [1 / 40] * 40])
    assert decode(scores, 4).tolist() == [[1, 2, 3, 4]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"top_k": 0}, "top_k=0 is out of range; use a number from 1 to 3, the number of paths"),
        ({"top_k": 4}, "top_k=4 is out of range"),
        ({"beam": 0}, "beam=0 is out of range; use a number from 1 to 2"),
        ({"beam": 3}, "beam=3 is out of range"),
    ],
)
def test_what_cannot_be_followed_is_refused(arguments, message):
    with pytest.raises(ConfigError, match=message) as caught:
        decode(scores_of(classes_of(A="01 02", B="60")), **arguments)
    assert "\n" not in str(caught.value)
