import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import log_softmax

from patent_hier.errors import ConfigError
from patent_hier.evaluation.decoding import NO_PATH, Tree, decode
from patent_hier.evaluation.deriving import NodeScores
from patent_hier.settings import FLAT, ROOT

SHAPES = st.lists(st.integers(1, 4), min_size=1, max_size=5)


def scores_of(shape, n=4, seed=0, flat=False):
    """Random scores of a system with so many classes in each section."""
    rng = np.random.default_rng(seed)

    def node(labels):
        return NodeScores(labels, log_softmax(rng.normal(0, 3, (n, len(labels))), axis=1).astype(np.float32))

    sections = "ABCDEFGH"[: len(shape)]
    classes = {
        section: tuple(f"{section}0{i}" for i in range(1, k + 1)) for section, k in zip(sections, shape, strict=True)
    }
    if flat:
        labels = tuple(label for own in classes.values() for label in own)
        return {FLAT: node(labels[::-1])}
    return {ROOT: node(tuple(sections)), **{section: node(labels) for section, labels in classes.items()}}


@given(SHAPES, st.integers(0, 99), st.booleans())
def test_probabilities_of_levels_and_siblings_add_up(shape, seed, flat):
    tree = Tree.of(scores_of(shape, seed=seed, flat=flat))
    assert np.exp(tree.class_log_prob).sum(axis=1) == pytest.approx(1, abs=1e-5)
    assert np.exp(tree.section_log_prob).sum(axis=1) == pytest.approx(1, abs=1e-5)
    for place in range(len(tree.sections)):
        own = tree.section_of == place
        assert np.exp(tree.within_log_prob[:, own]).sum(axis=1) == pytest.approx(1, abs=1e-5)
        total = np.exp(tree.class_log_prob[:, own]).sum(axis=1)
        assert total == pytest.approx(np.exp(tree.section_log_prob[:, place]), abs=1e-5)


@given(SHAPES, st.integers(0, 99), st.booleans(), st.integers(1, 5), st.data())
def test_beams_against_a_plain_search(shape, seed, flat, top_k, data):
    tree = Tree.of(scores_of(shape, seed=seed, flat=flat))
    top_k = min(top_k, len(tree.classes))
    beam = data.draw(st.integers(1, len(shape)))
    found = decode(tree, top_k, beam=beam)
    for row, columns in enumerate(found.tolist()):
        kept = sorted(range(len(shape)), key=lambda place: -tree.section_log_prob[row, place])[:beam]
        own = [column for column in range(len(tree.classes)) if tree.section_of[column] in kept]
        expected = sorted(own, key=lambda column: (-tree.class_log_prob[row, column], column))[:top_k]
        assert [column for column in columns if column != NO_PATH] == expected


@given(SHAPES, st.integers(0, 99), st.booleans())
def test_a_beam_of_full_width_is_exact_and_one_of_width_1_greedy(shape, seed, flat):
    tree = Tree.of(scores_of(shape, seed=seed, flat=flat))
    everything = len(tree.classes)
    exact = decode(tree, everything)
    assert np.array_equal(decode(tree, everything, beam=len(shape)), exact)
    assert np.array_equal(exact[:, 0], tree.class_log_prob.argmax(axis=1))
    greedy = decode(tree, 1, beam=1)[:, 0]
    assert np.array_equal(tree.section_of[greedy], tree.section_log_prob.argmax(axis=1))
    best = np.take_along_axis(tree.class_log_prob, exact[:, :1], axis=1)[:, 0]
    assert (best >= np.take_along_axis(tree.class_log_prob, greedy[:, None], axis=1)[:, 0]).all()


@given(SHAPES, st.integers(0, 99), st.booleans(), st.data())
def test_a_forced_section_is_kept_to(shape, seed, flat, data):
    tree = Tree.of(scores_of(shape, seed=seed, flat=flat))
    section = data.draw(st.sampled_from(tree.sections))
    place = tree.sections.index(section)
    found = decode(tree, len(tree.classes), force=section)
    own = np.flatnonzero(tree.section_of == place)
    for row, columns in enumerate(found):
        assert columns[len(own) :].tolist() == [NO_PATH] * (len(tree.classes) - len(own))
        assert sorted(columns[: len(own)]) == own.tolist()
        assert (np.diff(tree.within_log_prob[row, columns[: len(own)]]) <= 0).all()


def test_the_likeliest_path_need_not_lie_in_the_likeliest_section():
    def node(labels, *row):
        return NodeScores(labels, np.log(np.array([row], np.float32)))

    tree = Tree.of({ROOT: node(("A", "B"), 0.6, 0.4), "A": node(("A01", "A23"), 0.5, 0.5), "B": node(("B60",), 1.0)})
    assert [tree.classes[column] for column in decode(tree, 3)[0]] == ["B60", "A01", "A23"]
    assert [tree.classes[column] for column in decode(tree, 2, beam=1)[0]] == ["A01", "A23"]


def test_an_impossible_section_still_has_an_order():
    root = NodeScores(("A", "B"), np.array([[0.0, -np.inf]], np.float32))
    local = NodeScores(("B01", "B60"), np.log(np.array([[0.2, 0.8]], np.float32)))
    tree = Tree.of({ROOT: root, "A": NodeScores(("A01",), np.zeros((1, 1), np.float32)), "B": local})
    assert [tree.classes[column] for column in decode(tree, 2, force="B")[0]] == ["B60", "B01"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"top_k": 0}, "top_k=0 is out of range; the system knows 3 classes"),
        ({"top_k": 4}, "top_k=4 is out of range"),
        ({"beam": 0}, "beam=0 is out of range; the system knows 2 sections"),
        ({"beam": 3}, "beam=3 is out of range"),
        ({"force": "H"}, "section 'H' is not one of A, B"),
    ],
)
def test_what_cannot_be_followed_is_refused(arguments, message):
    with pytest.raises(ConfigError, match=message):
        decode(Tree.of(scores_of([2, 1])), **arguments)
