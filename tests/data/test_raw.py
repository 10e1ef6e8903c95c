import re
from datetime import date

import pytest

from patent_hier.cli.compose import compose_settings
from patent_hier.data.layout import find_columns
from patent_hier.data.raw import (
    PAPER_COLUMNS,
    RawFormat,
    document_id,
    join_fields,
    normalise,
    parse_date,
)
from patent_hier.errors import ConfigError, DataError


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
    result = document_id(publication, application, "raw")
    if expected.startswith("sha-"):
        assert result == document_id(None, None, "raw") != document_id(None, None, "other")
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
        ({"delimiter": "ab"}, "delimiter 'ab' is unknown; use one of comma, semicolon, tab, bar"),
        ({"delimiter": '"'}, "delimiter"),
    ],
)
def test_settings_are_checked(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        RawFormat(**settings)


def test_other_names_of_encodings_and_delimiters() -> None:
    names = {
        "gbk": "gb18030",
        "GB2312": "gb18030",
        "utf8": "utf-8",
        "utf-8-sig": "utf-8",
        "Big5": "big5",
        "cp950": "big5",
    }
    assert {name: RawFormat(encoding=name).encoding for name in names} == names
    assert [RawFormat(delimiter=name).delimiter for name in ("tab", "\\t", "\t", ";", "分号", None)] == [
        *("\t", "\t", "\t", ";", ";", None)
    ]
    assert RawFormat(encoding="gbk").content == RawFormat(encoding="GB18030").content


@pytest.mark.parametrize("name", ["申请（专利权）人", "申请(专利权)人", " 申请 (专利权）人\u3000"])
def test_header_names_in_any_width(name: str) -> None:
    layout = find_columns(("摘要", " 专利分类", name), RawFormat(), "file.csv")
    assert layout.positions == {"abstract": 0, "symbols": 1, "applicant": 2}
    assert layout.text_positions == (0,)


@pytest.mark.parametrize(
    ("names", "fmt", "message"),
    [
        (("a", "b"), RawFormat(), "no column 专利分类, 摘要; its columns are a, b; name the column with "),
        (("专利分类", "摘要", "摘要"), RawFormat(), "more than one column 摘要"),
        (tuple(PAPER_COLUMNS.values()), RawFormat(columns={"title": "名称"}), "no column 名称"),
        (tuple(PAPER_COLUMNS.values()), RawFormat(text=["正文"]), "no column 正文"),
        (("x" * 100_000,), RawFormat(), "its columns are x{40}…;"),
    ],
)
def test_headers_that_do_not_fit(names: tuple[str, ...], fmt: RawFormat, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        find_columns(names, fmt, "file.csv")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("names", "fmt", "advice"),
    [
        ("文献号 发明名称 分类号", RawFormat(), "try 'data.text=[发明名称]'"),
        ("摘要 CPC分类 我的IPC", RawFormat(), "try data.columns.symbols=我的IPC"),
        ("摘要 IPC主分类号", RawFormat(columns={"symbols": "IPC"}), "try data.columns.symbols=IPC主分类号"),
        ("摘要 主IPC（小组）x", RawFormat(), "try 'data.columns.symbols=主IPC（小组）x'"),
        ("标题 我的分类,b", RawFormat(), "try 'data.columns.symbols=\"我的分类,b\"' 'data.text=[标题]'"),
        ("标题 IPC 正文", RawFormat(text=["标题", "全文"]), "try 'data.text=[标题]'"),
        ("标题 其他", RawFormat(), "try 'data.text=[标题]'; name the column with data.columns.symbols=NAME"),
        ("a b", RawFormat(), "name the column with data.columns.symbols=NAME 'data.text=[NAME]'"),
    ],
)
def test_advice_on_a_missing_column_is_of_this_file_and_works(names: str, fmt: RawFormat, advice: str) -> None:
    with pytest.raises(DataError) as caught:
        find_columns(names.split(), fmt, "file.csv")
    assert str(caught.value).endswith(f"its columns are {', '.join(names.split())}; {advice}")
    if "NAME" not in advice:
        own = [word.strip("'") for word in re.findall(r"'[^']*'|\S+", advice.removeprefix("try "))]
        data = compose_settings(["data=cnipa", "data.path=x.csv", *own]).data
        find_columns(names.split(), RawFormat(columns=data.columns, text=data.text), "file.csv")
