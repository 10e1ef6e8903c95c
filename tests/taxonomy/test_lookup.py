import pytest

from patent_hier.errors import ConfigError, UnknownLabelError
from patent_hier.taxonomy.lookup import LabelLookup
from tests.trees import FIVE, tree_of

TREE = tree_of(FIVE)


def code_of(tree, spelling):
    return str(tree.codes[LabelLookup(tree).find(spelling)])


@pytest.mark.parametrize(
    ("spelling", "code"),
    [
        ("a", "A"),
        (" A01b ", "A01B"),
        ("Ａ０１Ｂ　１／０２", "A01B1/02"),
        ("A01B 1/02", "A01B1/02"),
        ("A01B0001020000", "A01B1/02"),
        ("A01B1/02 (2006.01)", "A01B1/02"),
        ("a01b\u00a010/00", "A01B10/00"),
    ],
)
def test_usual_spellings(spelling, code):
    assert code_of(TREE, spelling) == code


def test_of_two_labels_with_one_code_the_upper_one():
    lookup = LabelLookup(TREE)
    assert TREE.level_of(lookup.find("A01B1/00")) == "main_group"
    assert TREE.level_of(lookup.find("main_group:A01B1/00")) == "main_group"
    assert TREE.level_of(lookup.find(" subgroup: a01b 1/00")) == "subgroup"
    with pytest.raises(
        UnknownLabelError, match="label 'class:A01B1/00' does not exist in this system; similar labels are A01B1/00"
    ):
        lookup.find("class:A01B1/00")


def test_labels_of_any_scheme():
    tree = tree_of([("Y02E 10/40", "Y02E 10/42"), ("cars, small", "cars, red")], ("level_1", "level_2"))
    assert code_of(tree, "y02e10/42") == "Y02E 10/42"
    assert code_of(tree, "Cars,  SMALL") == "cars, small"
    found = LabelLookup(tree).find_all(["cars, small", "Y02E10/40"])
    assert tree.codes[found].tolist() == ["cars, small", "Y02E 10/40"]


def test_several_at_once_each_once():
    found = LabelLookup(TREE).find_all(["B60K,a01", "A01，A01B1/00；B60K"])
    assert TREE.codes[found].tolist() == ["B60K", "A01", "A01B1/00"]
    assert LabelLookup(TREE).find_all([]) == []


@pytest.mark.parametrize(
    ("label", "near"),
    [
        ("A01B1/01", ["A01B1/00", "A01B1/02"]),
        ("A01B1/03", ["A01B1/02"]),
        ("Q", ["A", "B", "H"]),
        ("", ["A", "B", "H"]),
        ("，", ["A", "B", "H"]),
        ("B60Q", ["B60K"]),
    ],
)
def test_an_unknown_label_is_refused_with_its_nearest(label, near):
    with pytest.raises(ConfigError) as caught:
        LabelLookup(TREE).find_all([label, "A"])
    assert isinstance(caught.value, UnknownLabelError)
    assert set(near) <= set(caught.value.near)
    assert len(caught.value.near) <= 9
    assert "\n" not in str(caught.value)


def test_a_long_label_is_shown_shortly():
    with pytest.raises(UnknownLabelError) as caught:
        LabelLookup(TREE).find("\n" + "x" * 10_000)
    assert len(str(caught.value)) < 200
