import datetime
from pathlib import Path

import openpyxl
import pytest

from patent_hier.errors import ConfigError, DataError
from patent_hier.reading.rows import Options, RowFault, Rows
from patent_hier.reading.tables import open_table

HEADER = ["no", "day", "text"]


def accept(names):
    if "text" not in names:
        raise DataError(f"no header: {names}")
    return (names.index("text"),)


def save(path: Path, *rows: list[object], title: str = "导出") -> openpyxl.Workbook:
    book = openpyxl.Workbook()
    book.active.title = title
    for row in rows:
        book.active.append(row)
    book.save(path)
    return book


def read(path: Path, **options) -> tuple[Rows, dict[str, object]]:
    with open_table(path, Options(accept, **options)) as table:
        parts = list(table.rows())
        assert len(parts) == 1
        return parts[0], table.facts


def test_cells_are_as_a_person_writes_them(tmp_path: Path) -> None:
    path = tmp_path / "a.xlsx"
    save(
        path,
        HEADER,
        [201710000001, datetime.datetime(2019, 7, 9), "甲"],
        [1.5, datetime.datetime(2019, 7, 9, 8, 30), "第一行\n第二行"],
        ["00012", datetime.date(2017, 1, 24), True],
        [None, "2019.07.09", "乙"],
    )
    rows, facts = read(path)
    assert rows.fields == [
        ["201710000001", "2019-07-09", "甲"],
        ["1.5", "2019-07-09 08:30:00", "第一行\n第二行"],
        ["00012", "2017-01-24", "TRUE"],
        ["", "2019.07.09", "乙"],
    ]
    assert rows.lines == [2, 3, 4, 5]
    assert facts == {"format": "Excel workbook", "sheet": "导出", "header_line": 1}


def test_titles_blank_rows_repeated_headers_and_surplus_cells(tmp_path: Path) -> None:
    path = tmp_path / "a.xlsx"
    book = save(path, ["检索结果 2024"], [], HEADER, ["1", "", "甲"], [], HEADER, ["2", "", "乙", "x"], ["3"])
    book.active.merge_cells("A1:C1")
    book.save(path)
    rows, facts = read(path)
    assert facts["header_line"] == 3
    assert rows.lines == [4, 7, 8]
    assert (rows.blank_lines, rows.headers) == (2, 1)
    assert rows.faults == {1: RowFault.TOO_MANY_FIELDS}
    assert rows.fields[2] == ["3", "", ""]


def test_a_sheet_is_chosen_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "a.xlsx"
    book = save(path, ["notes"])
    book.create_sheet("数据").append(HEADER)
    book["数据"].append(["1", "", "甲"])
    book.save(path)
    with pytest.raises(DataError, match="no header"):
        read(path)
    assert read(path, sheet="数据")[0].fields == [["1", "", "甲"]]
    with pytest.raises(ConfigError, match=r"has no sheet x; choose one of 导出, 数据"):
        read(path, sheet="x")


def test_cells_that_do_not_begin_at_the_first_row(tmp_path: Path) -> None:
    path = tmp_path / "a.xlsx"
    save(path, [], [], HEADER, ["1", "", "甲"])
    rows, facts = read(path)
    assert (facts["header_line"], rows.lines) == (3, [4])


def test_an_empty_workbook(tmp_path: Path) -> None:
    path = tmp_path / "a.xlsx"
    save(path)
    with pytest.raises(DataError, match=r"its sheet is empty; set data\.sheet to another sheet"):
        read(path)
