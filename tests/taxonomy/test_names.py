import pytest

from patent_hier.errors import ConfigError, DataError
from patent_hier.taxonomy import symbols as ipc
from patent_hier.taxonomy.names import LabelNames, _names, is_ipc, name_of
from tests.trees import FIVE, tree_of


@pytest.mark.parametrize(("language", "length"), [("zh", len), ("en", lambda name: 2 * len(name.split()))])
def test_names_are_complete_short_and_distinct(language, length) -> None:
    codes = (*ipc.SECTIONS, *ipc.all_classes())
    names = [name_of(code, language) for code in codes]
    assert len(set(names)) == len(codes) == 140
    assert all(name == name.strip() and 1 <= length(name) <= 10 for name in names)
    assert set(_names()) == set(codes)


def test_name_of() -> None:
    assert name_of("A01") == "农林牧渔"
    assert name_of("A01", "en") == "Farming and forestry"
    with pytest.raises(DataError, match="'A01D'"):
        name_of("A01D")


def test_unknown_language_is_named() -> None:
    with pytest.raises(ConfigError, match="'de'"):
        name_of("A01", "de")


def test_titles_stand_before_our_names() -> None:
    names = LabelNames(tree_of(FIVE, titles={"A": "人类生活必需", "A01B1/02": "锹"}))
    assert [names.of(code) for code in ("A", "A01", "A01B1/02", "H01L")] == ["人类生活必需", "农林牧渔", "锹", ""]
    assert names.nearest(["A", "A01", "A01B"]) == "农林牧渔"
    assert names.nearest(["H01L"]) == ""
    assert names.all_of("A") == {"title": "人类生活必需", "zh": name_of("A"), "en": name_of("A", "en")}


def test_our_names_are_those_of_the_ipc_only() -> None:
    other = tree_of([("A", "A01"), ("Q", "Q01")], ("group", "kind"))
    assert not is_ipc(other)
    assert LabelNames(other).of("A01") == ""
    assert not is_ipc(tree_of([("Y", "Y02")]))
    assert is_ipc(tree_of(FIVE))
