from datetime import date
from typing import Any

import numpy as np
import pytest

from patent_hier.data.columns import SCHEMA, CleanRows, clean_rows
from patent_hier.data.layout import find_columns
from patent_hier.data.raw import PAPER_COLUMNS, RawFormat, TextFault
from patent_hier.reading.rows import RowFault, Rows

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


def fields_of(**changes: str) -> list[str]:
    values = {**ROW, **changes}
    return [values.get(name, "") for name in PAPER_COLUMNS.values()]


def rows_of(*rows: list[str], first: int = 6) -> Rows:
    found = Rows()
    for number, fields in enumerate(rows):
        found.add(first + number, ",".join(fields), fields)
    return found


def cleaned(rows: Rows, fmt: RawFormat | None = None, part: int = 0) -> CleanRows:
    fmt = fmt or RawFormat()
    return clean_rows(rows, find_columns(tuple(PAPER_COLUMNS.values()), fmt, "file.csv"), fmt, part)


def clean(fmt: RawFormat | None = None, **changes: str) -> CleanRows:
    """One row on line 6."""
    return cleaned(rows_of(fields_of(**changes)), fmt)


def kept(fmt: RawFormat | None = None, **changes: str) -> dict[str, Any]:
    result = clean(fmt, **changes)
    assert not result.rejections
    return {name: column.to_pylist()[0] for name, column in result.columns.items()}


def test_a_whole_row() -> None:
    document = {
        "document_id": "CN106888000A",
        "text": "本发明公开了一种 收割机。",
        "title": "一种收割机",
        "abstract": "本发明公开了一种 收割机。",
        "section": "A",
        "ipc_class": "A01",
        "subclass": "A01D",
        "main_group": "A01D42/00",
        "subgroup": "A01D42/04",
        "further_symbols": ["H04W8/26"],
        "skipped_symbols": ["06-01"],
        "applicant": "甲公司;乙大学",
        "application_date": date(2017, 1, 24),
        "publication_date": date(2017, 6, 27),
        "kind": "发明公布",
        "application_number": "201710000001.2",
        "publication_number": "CN106888000A",
        "part": 0,
        "line_number": 6,
    }
    assert tuple(document) == tuple(SCHEMA.names)
    assert kept() == document


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
    [(row, rejection)] = result.rejections.items()
    assert (row, rejection.line_number, str(rejection.reason)) == (0, 6, reason)
    assert rejection.value.startswith(value)
    assert len(rejection.value) <= 200
    assert not result.candidates
    assert {len(column) for column in result.columns.values()} == {0}


def test_min_symbol_and_edition_are_passed_on() -> None:
    assert kept(RawFormat(min_symbol="class"), 专利分类="A01")["subclass"] is None
    assert kept(专利分类="G16H10/60")["ipc_class"] == "G16"
    assert len(clean(RawFormat(edition="2017"), 专利分类="G16H10/60").rejections) == 1


def test_text_of_several_fields() -> None:
    fmt = RawFormat(text=["专利名称", "摘要"])
    assert kept(fmt)["text"] == "一种收割机。本发明公开了一种 收割机。"
    assert kept(fmt, 专利名称="")["text"] == "本发明公开了一种 收割机。"
    assert kept(fmt, 摘要="") == {**kept(fmt), "text": "一种收割机", "abstract": None}
    assert kept(RawFormat(text=["专利名称"]))["text"] == "一种收割机"


def test_absent_and_empty_columns_are_null() -> None:
    layout = find_columns(("专利分类", "摘要"), RawFormat(), "file.csv")
    found = clean_rows(rows_of(["A01D42/04", "一种收割机"]), layout, RawFormat(), 0).columns
    for name in ("title", "applicant", "application_date", "kind", "publication_number"):
        assert found[name].to_pylist() == [None]
        assert found[name].type == SCHEMA.field(name).type
    assert kept(**{"法律状态": " ", "申请（专利权）人": ";"})["kind"] is None
    assert kept(**{"申请（专利权）人": "; "})["applicant"] is None


def test_odd_values_are_warnings_not_rejects() -> None:
    result = clean(申请日="昨天", 公开日="", 申请号="2.02E+12")
    assert result.columns["application_date"].to_pylist() == [None]
    names = ["damaged_application_number", "unreadable_application_date"]
    assert sorted(result.warnings) == [(0, name) for name in names]


def test_rows_of_all_kinds_keep_their_numbers() -> None:
    quoted = fields_of(公开号="CN100000002A", 摘要="甲\n乙")
    rows = rows_of(fields_of(), fields_of(), fields_of(专利分类="x"), quoted, fields_of(), fields_of(), first=2)
    rows.faults[1], rows.faults[4] = RowFault.UNDECODABLE, RowFault.TOO_FEW_FIELDS
    result = cleaned(rows, part=3)
    assert result.readable == [0, 2, 3, 5]
    assert result.candidates == [0, 3, 5]
    assert result.columns["line_number"].to_pylist() == [2, 5, 7]
    assert result.columns["part"].to_pylist() == [3, 3, 3]
    assert result.columns["text"].to_pylist()[1] == "甲 乙"
    found = {row: (rejection.line_number, str(rejection.reason)) for row, rejection in result.rejections.items()}
    assert found == {1: (3, "undecodable"), 2: (4, "malformed_symbol"), 4: (6, "too_few_fields")}
    assert result.row_hashes[0] == result.row_hashes[3] != result.row_hashes[2]
    assert np.array_equal(result.id_hashes[[0, 2]], result.id_hashes[[2, 0]])


def test_contents_are_those_of_id_text_and_main_symbol() -> None:
    rows = [
        fields_of(),
        fields_of(专利分类="A01D42/04", 专利名称="甲"),
        fields_of(摘要="乙"),
        fields_of(专利分类="B60K1/00"),
    ]
    hashes = cleaned(rows_of(*rows)).content_hashes.tolist()
    assert hashes[0] == hashes[1]
    assert len(set(hashes)) == 3


def test_traces_of_spreadsheets_and_databases() -> None:
    found = kept(公开号='="CN106888000A"', 专利分类='="A01D42/04"', 摘要="含CO<sub>2</sub>&nbsp;的_x000D_气体")
    assert (found["document_id"], found["text"], found["subgroup"]) == ("CN106888000A", "含CO2 的 气体", "A01D42/04")
    assert kept(RawFormat(text=["专利名称", "摘要"]), 摘要="暂无")["text"] == "一种收割机"


@pytest.mark.parametrize("text", ["无", "N/A", "-", "（暂无）", "null"])
def test_a_placeholder_is_an_empty_text(text: str) -> None:
    assert [rejection.reason for rejection in clean(摘要=text).rejections.values()] == [TextFault.EMPTY_TEXT]


def test_texts_of_another_encoding_and_headers_are_warnings() -> None:
    garbled = "本发明公开了一种收割机，包括机架".encode().decode("gb18030", "ignore")
    assert clean(摘要=garbled).warnings == [(0, "mojibake")]
    assert clean(摘要="专利名称").warnings == [(0, "header_as_text")]


def test_characters_are_converted_where_that_is_set() -> None:
    assert kept(RawFormat(convert="t2s"), 摘要="一種電動裝置")["text"] == "一种电动装置"
