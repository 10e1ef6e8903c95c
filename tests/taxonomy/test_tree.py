import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from patent_hier.errors import ArtifactError, ConfigError, DataError
from patent_hier.taxonomy.symbols import IPC_LEVELS
from patent_hier.taxonomy.tree import NONE, LabelTree
from tests.trees import FIVE, children, classes_of, random_tree, tree_of, trees

TREE = tree_of(FIVE, edition="2017")
CODES = [
    *("A", "B", "H"),
    *("A01", "A61", "B60", "H01"),
    *("A01B", "B60K", "H01L"),
    *("A01B1/00", "A01B3/00", "A01B10/00", "H01L21/00"),
    *("A01B1/00", "A01B1/02", "A01B3/00", "A01B10/00", "H01L21/02"),
]
PARENTS = [-1, -1, -1, 0, 0, 1, 2, 3, 5, 6, 7, 7, 7, 9, 10, 10, 11, 12, 13]


def codes_of(tree, position):
    return tuple(tree.names(tree.paths(np.array([position], np.int32)))[0])


# --- by hand


def test_labels_stand_level_by_level_siblings_in_the_order_of_the_scheme():
    assert TREE.codes.tolist() == CODES
    assert TREE.parents.tolist() == PARENTS
    assert TREE.bounds.tolist() == [0, 3, 7, 10, 14, 19]
    assert (TREE.levels, TREE.depth, TREE.leaves) == (IPC_LEVELS, "subgroup", slice(14, 19))
    assert tree_of(FIVE[::-1]) == TREE


def test_children_ancestors_and_paths():
    assert TREE.children(NONE) == slice(0, 3)
    assert TREE.children(0) == slice(3, 5)
    assert TREE.children(4) == slice(7 + 1, 8)  # A61 ends early: nothing
    assert [(parent, own.start, own.stop) for parent, own in TREE.heads()] == [
        (NONE, 0, 3), (0, 3, 5), (7, 10, 13), (10, 14, 16)
    ]  # fmt: skip
    assert TREE.ancestors("class").tolist() == [-1] * 3 + [3, 4, 5, 6, 3, 5, 6, 3, 3, 3, 6, 3, 3, 3, 3, 6]
    assert codes_of(TREE, 14) == ("A", "A01", "A01B", "A01B1/00", "A01B1/00")
    assert codes_of(TREE, 4) == ("A", "A61", None, None, None)
    assert codes_of(TREE, NONE) == (None,) * 5
    assert [TREE.level_of(i) for i in (0, 2, 3, 9, 10, 18)] == [
        "section", "section", "class", "subclass", "main_group", "subgroup"
    ]  # fmt: skip


def test_a_code_is_found_within_its_level():
    assert TREE.find("main_group", ["A01B1/00", "A01B1/02", None]).tolist() == [10, NONE, NONE]
    assert TREE.find("subgroup", ["A01B1/00", "A01B1/02"]).tolist() == [14, 15]
    assert TREE.labels("subclass") == ("A01B", "B60K", "H01L")
    with pytest.raises(ConfigError, match="level group is unknown; this tree has section, class, subclass"):
        TREE.span("group")


def test_parts_by_hand():
    part, moved = TREE.under("section", "A")
    assert (part.root, part.levels, part.codes.tolist()) == ("A", IPC_LEVELS[1:], [*CODES[3:5], "A01B", *CODES[10:13],
                                                                                 *CODES[14:18]])  # fmt: skip
    assert moved.tolist() == [-1, -1, -1, 0, 1, -1, -1, 2, -1, -1, 3, 4, 5, -1, 6, 7, 8, 9, -1]
    part, _ = TREE.under("section", "B")
    assert (part.levels, part.codes.tolist()) == (("class", "subclass"), ["B60", "B60K"])
    part, _ = TREE.under("main_group", "A01B1/00")
    assert (part.levels, part.codes.tolist()) == (("subgroup",), ["A01B1/00", "A01B1/02"])
    assert TREE.to_depth("class").codes.tolist() == CODES[:7]
    with pytest.raises(ConfigError, match="the label tree has no class Z99"):
        TREE.under("class", "Z99")
    for level, code in (("class", "A61"), ("subgroup", "A01B1/02")):
        with pytest.raises(ConfigError, match=f"there are no labels below {code}"):
            TREE.under(level, code)


def test_without_a_parent_its_labels_go_too():
    smaller, moved = TREE.restrict(~np.isin(TREE.codes, ["A01B", "H01L21/02"]))
    assert smaller.codes.tolist() == ["A", "B", "H", "A01", "A61", "B60", "H01", "B60K", "H01L", "H01L21/00"]
    assert smaller.levels == IPC_LEVELS[:4]
    assert moved[[7, 10, 14, 18]].tolist() == [NONE] * 4
    assert TREE.restrict(np.ones(19, bool))[0] == TREE
    with pytest.raises(DataError, match="0 labels"):
        TREE.restrict(np.zeros(19, bool))


def test_what_is_no_tree_of_paths_is_refused():
    with pytest.raises(DataError, match="label A01 has two parents: A and B"):
        tree_of([("A", "A01"), ("B", "A01")])
    for paths in ([], [(None, None)]):
        with pytest.raises(DataError, match="there is no label below root"):
            LabelTree.from_paths(paths, ("section", "class"))
    for path in (("A", None, "A01B"), (None, "A01"), ("A", "A01", "A01B", "A01B1/00")):
        with pytest.raises(DataError, match="a gap or too many codes; it must fit the levels section, class, subclass"):
            LabelTree.from_paths([("A", "A01"), path], IPC_LEVELS[:3])


@pytest.mark.parametrize(
    ("codes", "parents", "reason"),
    [
        (["A", "B"], [NONE], "2 labels and 1 parents on 2 levels"),
        (["A"], [NONE, NONE], "1 labels and 2 parents on 2 levels"),
        (["A", "A01"], [NONE, 1], "a parent is not above its child"),
        (["A", "A01", "A02"], [NONE, 2, 0], "a parent is not above its child"),
        (["A", "B", "A01", "B01"], [NONE, NONE, 1, 0], "siblings are not neighbours in the order of their parents"),
        (["A", "B"], [NONE, NONE], "the labels do not fill 2 levels"),
        (["A", "A01", "A01"], [NONE, 0, 0], "a code occurs twice at the same level"),
        (["A", "=A01"], [NONE, 0], "the name '=A01' of a label or level has characters that are not allowed"),
    ],
)
def test_arrays_that_are_no_tree_are_refused(codes, parents, reason):
    with pytest.raises(DataError, match=f"^the label tree below root is broken: {reason}"):
        LabelTree(("section", "class"), np.array(codes, object), np.array(parents, np.int32))


def test_joined_trees_have_the_labels_of_all():
    one, other = classes_of(A="01 21", B="60"), classes_of(A="21 61", H="01").to_depth("class")
    assert LabelTree.union([one, other.to_depth("section")]).codes.tolist() == ["A", "B", "H", "A01", "A21", "B60"]
    assert LabelTree.union([other, one]) == classes_of(A="01 21 61", B="60", H="01")


def test_trees_of_other_roots_are_not_joined():
    below = {code: classes_of(A="01", B="01").under("section", code)[0] for code in "AB"}
    for order in ("AB", "BA"):
        with pytest.raises(DataError, match="trees of different schemes cannot be joined"):
            LabelTree.union([below[code] for code in order])


def test_a_path_may_end_early():
    full = LabelTree.from_paths([("A", "A01", "A01B"), ("B", None, None)], IPC_LEVELS[:3])
    assert LabelTree.from_paths([("A", "A01", "A01B"), ("B",)], IPC_LEVELS[:3]) == full


# --- properties


@given(trees())
def test_families_are_slices_that_hold_every_label_once(tree):
    seen = []
    for parent in range(NONE, len(tree)):
        own = tree.children(parent)
        assert list(range(own.start, own.stop)) == children(tree, parent)
        seen += range(own.start, own.stop)
    assert seen == list(range(len(tree)))
    assert [parent for parent, _ in tree.heads()] == [p for p in range(NONE, len(tree)) if len(children(tree, p)) > 1]
    for position in range(len(tree)):
        path, above = [], position
        while above != NONE:
            path, above = [tree.codes[above], *path], tree.parents[above]
        assert [code for code in codes_of(tree, position) if code is not None] == path
        assert tree.level_of(position) == tree.levels[len(path) - 1]


@given(trees())
def test_taken_apart_and_put_together_it_is_the_same(tree):
    first = tree.levels[0]
    parts = {}
    for position, code in enumerate(tree.labels(first)):
        if children(tree, position):
            parts[code], moved = tree.under(first, code)
            assert parts[code].codes.tolist() == tree.codes[moved != NONE].tolist()
            assert moved[moved != NONE].tolist() == list(range(len(parts[code])))
    assert tree.to_depth(first).graft(parts) == tree


@given(trees(), st.integers(0, 10**6))
def test_a_restricted_tree_has_the_kept_labels_with_their_ancestors(tree, seed):
    kept = np.random.default_rng(seed).random(len(tree)) < 0.8
    kept[0] = True
    expected = [i for i in range(len(tree)) if all(kept[j] for j in _line(tree, i))]
    smaller, moved = tree.restrict(kept)
    assert np.flatnonzero(moved != NONE).tolist() == expected
    assert [codes_of(smaller, moved[i])[: len(_line(tree, i))] for i in expected] == [
        codes_of(tree, i)[: len(_line(tree, i))] for i in expected
    ]
    assert smaller == LabelTree.from_paths([codes_of(tree, i) for i in expected], tree.levels)


def _line(tree, position):
    line = []
    while position != NONE:
        line.append(position)
        position = int(tree.parents[position])
    return line


@given(trees(), st.randoms())
def test_the_order_of_the_paths_is_nothing_and_json_keeps_all(tree, random):
    paths = [codes_of(tree, i) for i in range(len(tree))] * 2
    random.shuffle(paths)
    assert LabelTree.from_paths(paths, tree.levels) == tree
    assert LabelTree.from_dict(json.loads(json.dumps(tree.as_dict()))) == tree


def test_trees_that_differ_are_not_equal():
    one, other = random_tree(1), random_tree(2)
    assert one != other
    assert one == random_tree(1)
    assert one != TREE.under("section", "A")[0]
    assert tree_of([("A", "A01")]) != tree_of([("A", "A01")], root="X")


# --- what comes from a file


def _change(**changes):
    return lambda content: {**content, **changes}


DAMAGE = {
    "nothing": lambda content: None,
    "a list": lambda content: [content],
    "no codes": lambda content: {key: value for key, value in content.items() if key != "codes"},
    "numbers for codes": _change(codes=list(range(19))),
    "a string for codes": _change(codes="ABCDEFGHIJKLMNOPQRS"),
    "no levels": _change(levels=[]),
    "too few levels": _change(levels=list(IPC_LEVELS[:4])),
    "too many levels": _change(levels=[*IPC_LEVELS, "more"]),
    "a level twice": _change(levels=[*IPC_LEVELS[:4], "class"]),
    "a parent less": _change(parents=PARENTS[:-1]),
    "a cycle": _change(parents=[*PARENTS[:3], 3, *PARENTS[4:]]),
    "a parent below": _change(parents=[*PARENTS[:-1], 18]),
    "no first parent": _change(parents=[0, *PARENTS[1:]]),
    "below -1": _change(parents=[-2, *PARENTS[1:]]),
    "siblings apart": _change(parents=[*PARENTS[:3], 0, 1, 0, *PARENTS[6:]]),
    "too large a number": _change(parents=[*PARENTS[:-1], 2**40]),
    "lists for parents": _change(parents=[PARENTS]),
    "words for parents": _change(parents=["x"] * 19),
    "a code twice": _change(codes=[*CODES[:-1], "A01B1/02"]),
    "no root": lambda content: {key: value for key, value in content.items() if key != "root"},
}


@pytest.mark.parametrize("case", DAMAGE)
def test_what_is_no_tree_is_refused_in_one_line(case):
    with pytest.raises(ArtifactError, match="this is not a label tree") as caught:
        LabelTree.from_dict(DAMAGE[case](TREE.as_dict()))
    assert "\n" not in str(caught.value)
