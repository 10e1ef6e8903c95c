import pytest

from patent_hier.errors import ConfigError, DataError
from patent_hier.taxonomy import symbols as ipc
from patent_hier.taxonomy.names import _names, name_of


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
