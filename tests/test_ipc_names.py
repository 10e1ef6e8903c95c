import lzma
from pathlib import Path

import pytest

from patent_hier import ipc
from patent_hier.errors import ConfigError, DataError
from patent_hier.ipc_names import _names, name_of, read_titles

# --- names and titles -------------------------------------------------------------------------------------------------


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


TITLES = "code,level,title_zh\nA,section,甲\nA01D 42/04,subgroup,割草机\nE01D101/0,subgroup,断\nB,section,\n"


@pytest.mark.parametrize("suffix", [".csv", ".csv.xz"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_read_titles(tmp_path: Path, suffix: str, encoding: str) -> None:
    path = tmp_path / f"titles{suffix}"
    content = TITLES.encode(encoding)
    path.write_bytes(lzma.compress(content) if suffix.endswith(".xz") else content)
    assert read_titles(path) == {"A": "甲", "A01D42/04": "割草机", "E01D101/0": "断"}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.csv", b"", "needs 'code'"),
        ("columns.csv", b"code,name\nA,x\n", r"\['code', 'name'\]"),
        ("header.csv", b"code,title\n", "holds no title"),
        ("gbk.csv", "code,title\nA,农业；林业\n".encode("gbk"), "not UTF-8"),
        ("plain.csv.xz", b"code,title\nA,x\n", "damaged"),
        ("cut.csv.xz", lzma.compress(TITLES.encode())[:-20], "damaged"),
        ("long.csv", b"code,title\nA," + b"x" * 200_000 + b"\n", "damaged"),
        ("twice.csv", b"code,title\nA01D42/04,x\nA01D 42/04,y\n", "two titles for 'A01D42/04'"),
    ],
)
def test_bad_title_files(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        read_titles(path)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_title_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere\.csv: No such file"):
        read_titles(tmp_path / "nowhere.csv")


def test_unknown_language_is_named() -> None:
    with pytest.raises(ConfigError, match="'de'"):
        name_of("A01", "de")
