from datetime import date

import pytest

from patent_hier.data.layout import find_columns, read_mark
from patent_hier.data.raw import (
    PAPER_COLUMNS,
    Document,
    RawFormat,
    Rejection,
    RowCleaner,
    document_id,
    excerpt,
    join_fields,
    normalise,
    parse_date,
)
from patent_hier.data.records import Record
from patent_hier.errors import ConfigError, DataError

HEADER = ",".join(PAPER_COLUMNS.values())
ROW = {
    "申请号": "201710000001.2",
    "申请日": "2017.01.24",
    "公开号": "CN106888000A",
    "公开日": "2017-06-27",
    "专利名称": "一种收割机",
    "专利分类": "A01D42/04(2006.01)I;H04W8/26(2009.01)I;06-01  ",
    "摘要": "本发明公开了一种 收割机。",
    "申请（专利权）人": "甲公司;乙大学;",
    "法律状态": "发明公布",
}


def clean(fmt: RawFormat | None = None, **changes: str) -> Document | Rejection:
    return cleaner_and_result(fmt, **changes)[1]


def cleaner_and_result(fmt: RawFormat | None = None, **changes: str) -> tuple[RowCleaner, Document | Rejection]:
    fmt = fmt or RawFormat()
    layout = find_columns(HEADER.encode("gb18030"), "gb18030", fmt, "file.csv")
    values = {**ROW, **changes}
    fields = [values.get(name, "") for name in layout.header]
    cleaner = RowCleaner(layout, fmt)
    return cleaner, cleaner.clean(Record(7, ",".join(fields).encode("gb18030"), fields, None))


def kept(fmt: RawFormat | None = None, **changes: str) -> Document:
    result = clean(fmt, **changes)
    assert isinstance(result, Document), result
    return result


def test_a_whole_row() -> None:
    assert kept() == Document(
        document_id="CN106888000A",
        text="本发明公开了一种 收割机。",
        title="一种收割机",
        abstract="本发明公开了一种 收割机。",
        section="A",
        ipc_class="A01",
        subclass="A01D",
        main_group="A01D42/00",
        subgroup="A01D42/04",
        further_symbols=("H04W8/26",),
        skipped_symbols=("06-01",),
        applicant="甲公司;乙大学",
        application_date=date(2017, 1, 24),
        publication_date=date(2017, 6, 27),
        kind="发明公布",
        application_number="201710000001.2",
        publication_number="CN106888000A",
        line_number=7,
    )


@pytest.mark.parametrize(
    ("changes", "reason", "value"),
    [
        ({"专利分类": "01-01 (12)  ", "摘要": ""}, "locarno_design", "01-01 (12)"),
        ({"专利分类": " "}, "empty_symbol", "201710000001.2,2017.01.24,CN106888000A"),
        ({"专利分类": "A01"}, "incomplete_symbol", "A01"),
        ({"专利分类": "A98B1/00"}, "unknown_class", "A98B1/00"),
        ({"专利分类": "Q" * 500}, "malformed_symbol", "Q" * 200),
        ({"摘要": ""}, "empty_text", "201710000001.2,"),
        ({"摘要": " \n\u3000——。 "}, "empty_text", "201710000001.2,"),
    ],
)
def test_rejects(changes: dict[str, str], reason: str, value: str) -> None:
    result = clean(None, **changes)
    assert isinstance(result, Rejection)
    assert (result.line_number, str(result.reason)) == (7, reason)
    assert result.value.startswith(value)
    assert len(result.value) <= 200


def test_min_symbol_and_edition_are_passed_on() -> None:
    assert kept(RawFormat(min_symbol="class"), 专利分类="A01").subclass is None
    assert kept(专利分类="G16H10/60").ipc_class == "G16"
    assert isinstance(clean(RawFormat(edition="2017"), 专利分类="G16H10/60"), Rejection)


def test_text_of_several_fields() -> None:
    fmt = RawFormat(text=["专利名称", "摘要"])
    assert kept(fmt).text == "一种收割机。本发明公开了一种 收割机。"
    assert kept(fmt, 专利名称="").text == "本发明公开了一种 收割机。"
    assert kept(fmt, 摘要="").text == "一种收割机"


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


def test_absent_and_empty_columns_are_null() -> None:
    layout = find_columns("专利分类,摘要".encode(), "utf-8", RawFormat(), "file.csv")
    document = RowCleaner(layout, RawFormat()).clean(Record(2, b"raw", ["A01D42/04", "一种收割机"], None))
    assert isinstance(document, Document)
    assert (document.title, document.applicant, document.application_date, document.kind) == (None,) * 4
    assert kept(**{"法律状态": " ", "申请（专利权）人": ";"})[-4] is None
    assert kept(**{"申请（专利权）人": "; "}).applicant is None


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


def test_odd_values_are_warnings_not_rejects() -> None:
    cleaner, result = cleaner_and_result(申请日="昨天", 公开日="", 申请号="2.02E+12")
    assert isinstance(result, Document)
    assert result.application_date is None
    assert cleaner.warnings == {"unreadable_application_date": 1, "damaged_application_number": 1}


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
    layout = find_columns(f"摘要, 专利分类,{name}".encode(), "utf-8", RawFormat(), "file.csv")
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
        find_columns(header, encoding, fmt, "file.csv")
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
