"""Concordances in the form in which offices publish them."""

import datetime
from pathlib import Path

import pytest

from patent_hier.errors import ConfigError, DataError
from patent_hier.taxonomy.concordance import Concordance, Fate, common_symbol


def table(folder: Path, text: str) -> Concordance:
    path = folder / "concordance.csv"
    path.write_text(text, "utf-8")
    return Concordance.read(path)


@pytest.fixture
def revision(tmp_path: Path) -> Concordance:
    return table(
        tmp_path,
        "\ufeffOld Symbol,New Symbol,Kind of Change,In Force\n"
        "G06F 19/10,G16B 5/00,moved,2018-01-01\n"
        "G06F0019000000,G16H10/00,split,2018-01-01\n"
        "G06F19/00,G16Z99/00,split,2018-01-01\n"
        "\n"
        "H01L51/*,H10K,moved,2023-01-01\n"
        "H01L51/50,H10K50/00,moved,2023-01-01\n"
        "B68,,deleted,\n"
        "A01B,A01B,unchanged,\n",
    )


@pytest.mark.parametrize(
    ("symbol", "fate", "symbols"),
    [
        ("G06F19/10", Fate.MOVED, ("G16B5/00",)),
        ("G06F19/00", Fate.SPLIT, ("G16H10/00", "G16Z99/00")),
        ("G06F19/12", Fate.UNCHANGED, ("G06F19/12",)),  # a main group alone says nothing of what is below it
        ("H01L51/42", Fate.MOVED, ("H10K",)),
        ("H01L51/50", Fate.MOVED, ("H10K50/00",)),  # the more exact entry counts
        ("H01L5/00", Fate.UNCHANGED, ("H01L5/00",)),
        ("B68C1/02", Fate.DELETED, ()),
        ("A01B1/00", Fate.UNCHANGED, ("A01B1/00",)),
    ],
)
def test_symbols_are_followed(revision: Concordance, symbol: str, fate: Fate, symbols: tuple[str, ...]) -> None:
    assert revision.follow(symbol) == (fate, symbols)


def test_a_symbol_of_a_later_day_is_one_of_the_new_edition(revision: Concordance) -> None:
    before, since = datetime.date(2017, 12, 31), datetime.date(2018, 1, 1)
    assert revision.follow("G06F19/10", before).fate is Fate.MOVED
    assert revision.follow("G06F19/10", since).fate is Fate.UNCHANGED
    assert revision.follow("B68C1/02", since).fate is Fate.DELETED  # no day is known of this entry


def test_editions_follow_one_another(tmp_path: Path) -> None:
    own = table(
        tmp_path,
        "old,new,date\nG06F19/10,G06F20/10,2018-01-01\nG06F20/10,G16B30/00,2020-01-01\nG16B30/00,,2023-01-01\n",
    )
    assert own.follow("G06F19/10", datetime.date(2017, 1, 1)) == (Fate.DELETED, ())
    assert own.follow("G06F20/10", datetime.date(2019, 1, 1)) == (Fate.DELETED, ())
    assert own.follow("G06F20/10", datetime.date(2021, 1, 1)) == (Fate.UNCHANGED, ("G06F20/10",))


def test_a_place_that_stays_is_named_most_exactly(tmp_path: Path) -> None:
    own = table(tmp_path, "old,new\nH01L51/*,H10K\nH01L51/10,H01L51/10\n")
    assert own.follow("H01L51/10") == (Fate.UNCHANGED, ("H01L51/10",))
    assert own.follow("H01L51/12") == (Fate.MOVED, ("H10K",))


@pytest.mark.parametrize(
    ("symbols", "common"),
    [
        (("G16H10/00", "G16H50/20"), "G16H"),
        (("G16H10/20", "G16H10/40"), "G16H10/00"),
        (("G16H10/00", "G16Z99/00"), "G16"),
        (("G16H", "G06F"), None),
        (("A01B", "H01L"), None),
    ],
)
def test_what_several_places_share(symbols: tuple[str, ...], common: str | None) -> None:
    assert common_symbol(symbols) == common


@pytest.mark.parametrize(
    ("text", "error", "said"),
    [
        ("a,b\nA01B,A01C\n", DataError, "has these columns: a, b; it needs 'old' and 'new'"),
        ("old,new\nA01B,nonsense\n", DataError, "row 2: 'nonsense'"),
        ("old,new\nA01B,A01B\n", DataError, "does not change any symbol"),
        ("old,new,date\nA01B,A01C,soon\n", ConfigError, "row 2: 'soon' is not a date; use YYYY-MM-DD"),
        ("old,new,date\nA01B,A01C,2018-01-01\nA01B,A01D,2019-01-01\n", DataError, "row 3: A01B has a different date"),
        ("old,new\nA01B,H01L51/*\n", DataError, "row 2"),  # a successor is one place
    ],
)
def test_an_unusable_table_is_refused_in_one_line(tmp_path: Path, text: str, error: type, said: str) -> None:
    with pytest.raises(error) as caught:
        table(tmp_path, text)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
