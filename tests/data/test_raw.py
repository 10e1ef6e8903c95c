from datetime import date

import pytest

from patent_hier.data.layout import read_columns, read_mark
from patent_hier.data.raw import (
    PAPER_COLUMNS,
    RawFormat,
    document_id,
    excerpt,
    join_fields,
    normalise,
    parse_date,
)
from patent_hier.errors import ConfigError, DataError

HEADER = ",".join(PAPER_COLUMNS.values())


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        (["甲", "乙"], "甲。乙"),
        (["甲！", "乙"], "甲！乙"),
        (["甲)", "乙", "丙"], "甲)乙。丙"),
        (["", " ", "乙", ""], "乙"),
        ([], ""),
    ],
)
def test_join_fields(fields: list[str], text: str) -> None:
    assert join_fields(fields) == text


def test_normalise_keeps_what_was_written() -> None:
    assert normalise("\u3000ＡＢ①\u2002\u2002x\r\n y ") == "ＡＢ① x y"
    assert normalise("e\u0301") == "\u00e9"


@pytest.mark.parametrize(
    ("publication", "application", "expected"),
    [
        (" cn106888000a ", "201710000001.2", "CN106888000A"),
        ("ＣＮ106888000Ａ", None, "CN106888000A"),
        (None, "201710000001.2", "201710000001.2"),
        (None, "201830264854x", "201830264854X"),
        ("1.07E+08", "ZL201710000001.2", "ZL201710000001.2"),
        (None, "2.02E+12", "sha-26f8b31ee3e4e4ea"),
        (None, "2.02e12", "sha-26f8b31ee3e4e4ea"),
        ("无", "-", "sha-26f8b31ee3e4e4ea"),
        (None, None, "sha-26f8b31ee3e4e4ea"),
    ],
)
def test_document_id(publication: str | None, application: str | None, expected: str) -> None:
    result = document_id(publication, application, b"raw")
    if expected.startswith("sha-"):
        assert result == document_id(None, None, b"raw") != document_id(None, None, b"other")
        assert len(result) == 20
    else:
        assert result == expected


@pytest.mark.parametrize(
    "text", ["2017.01.24", "2017-01-24", "20170124", "2017/1/24", "2017.1.24", "2017年1月24日", "2017/01/24"]
)
def test_dates(text: str) -> None:
    assert parse_date(text) == date(2017, 1, 24)


@pytest.mark.parametrize("text", ["2017.13.01", "2017.02.30", "42759", "2017", "24.01.2017", "2017.01/24", "2.02E+12"])
def test_what_is_no_date(text: str) -> None:
    assert parse_date(text) is None


def test_excerpt_shows_undecodable_bytes() -> None:
    assert excerpt("甲,".encode("gb18030") + b"\xff,b", "gb18030") == "甲,\\xff,b"
    assert excerpt("甲".encode("gb18030") * 9000, "gb18030") == "甲" * 200


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"columns": {"titel": "x"}}, "titel"),
        ({"text": "摘要"}, "摘要"),
        ({"text": []}, "data.text"),
        ({"min_symbol": "groups"}, "groups"),
        ({"edition": "2016"}, "2016"),
        ({"encoding": "latin-1"}, "latin-1"),
        ({"max_reject_share": 1.5}, "1.5"),
    ],
)
def test_settings_are_checked(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        RawFormat(**settings)


@pytest.mark.parametrize("name", ["申请（专利权）人", "申请(专利权)人", " 申请 (专利权）人\u3000", '"申请(专利权)人"'])
def test_header_names_in_any_width(name: str) -> None:
    layout = read_columns(f"摘要, 专利分类,{name}".encode(), "utf-8", RawFormat(), "file.csv")
    assert layout.positions == {"abstract": 0, "symbols": 1, "applicant": 2}
    assert layout.text_positions == (0,)


@pytest.mark.parametrize(
    ("header", "encoding", "fmt", "message"),
    [
        (b"a,b", "utf-8", RawFormat(), "no column 专利分类, 摘要; it has a, b; data.columns"),
        (HEADER.encode(), "gb18030", RawFormat(), "is utf-8, but data.encoding=gb18030"),
        (HEADER.encode("gb18030"), "utf-8", RawFormat(), "is gb18030, but data.encoding=utf-8"),
        (b"\xff,\xff", "utf-8", RawFormat(), "is not utf-8"),
        ("专利分类,摘要,摘要".encode(), "utf-8", RawFormat(), "more than one column 摘要"),
        (HEADER.encode(), "utf-8", RawFormat(columns={"title": "名称"}), "no column 名称"),
        (HEADER.encode(), "utf-8", RawFormat(text=["正文"]), "no column 正文"),
        (b"x" * 100_000, "utf-8", RawFormat(), "it has x{40}…;"),
    ],
)
def test_headers_that_do_not_fit(header: bytes, encoding: str, fmt: RawFormat, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        read_columns(header, encoding, fmt, "file.csv")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("start", "encoding", "expected"),
    [
        (b"a,b", "gb18030", ("gb18030", 0)),
        (b"a,b", "utf-8-sig", ("utf-8", 0)),
        (b"\xef\xbb\xbfa", "gb18030", ("utf-8", 3)),
        (b"\x84\x31\x95\x33a", "utf-8", ("gb18030", 4)),
    ],
)
def test_byte_order_marks(start: bytes, encoding: str, expected: tuple[str, int]) -> None:
    assert read_mark(start, encoding, "file.csv") == expected


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16_is_refused(encoding: str) -> None:
    with pytest.raises(DataError, match=r"file\.csv is UTF-16"):
        read_mark("a,专利分类\n".encode(encoding), "gb18030", "file.csv")
