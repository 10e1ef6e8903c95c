"""Read Excel workbooks, old and new, row by row, with numbers and dates in their usual notation."""

import datetime
import io
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Any

from patent_hier.errors import ConfigError, DataError
from patent_hier.reading.dialect import MOST_LINES, goes_on, trimmed
from patent_hier.reading.rows import Options, RowFault, Rows
from patent_hier.reading.sources import Source
from patent_hier.sanitize import reason

BATCH = 2048  # rows


class WorkbookReader:
    """Reader of one sheet.

    Cells with a formula error (``#N/A``) are read as empty, as are all cells of a merged range except the first.

    Args:
        source: The source, at its first byte.
        options: How to read it.
        inherited: Column names of the previous part, used if this sheet has no header of its own.

    Raises:
        DataError: If the workbook cannot be read or has no header.
        ConfigError: If the named sheet does not exist.
    """

    def __init__(self, source: Source, options: Options, inherited: Sequence[str] = ()) -> None:
        sheet, self._rows = _open(source, options.sheet)
        self._sheet = sheet
        first = list(islice(self._rows, MOST_LINES * 2))
        self._line, self.names = _find_header(first, options, source, inherited)
        self._blank_lines = sum(not any(row) for row in first[: self._line])
        self._left = chain(first[self._line :], self._rows)
        self._limits = options.limits

    @property
    def facts(self) -> Mapping[str, object]:
        """Properties of the source; see :class:`patent_hier.reading.rows.Reader`."""
        return {"format": "Excel workbook", "sheet": self._sheet, "header_line": self._line or None}

    @property
    def notes(self) -> Sequence[str]:
        """Remarks about the source; see :class:`patent_hier.reading.rows.Reader`."""
        return ()

    def rows(self) -> Iterator[Rows]:
        """Yield all rows in order; see :class:`patent_hier.reading.rows.Reader`."""
        width, line = len(self.names), self._line
        blanks, self._blank_lines = self._blank_lines, 0
        while cells := list(islice(self._left, BATCH)):
            rows = Rows(blank_lines=blanks)
            blanks = 0
            for row in cells:
                line += 1
                if not any(row):
                    rows.blank_lines += 1
                elif trimmed(row) == self.names:
                    rows.headers += 1
                else:
                    self._add(rows, line, row, width)
            yield rows

    def _add(self, rows: Rows, line: int, row: list[str], width: int) -> None:
        raw = "\t".join(row)
        fields = (row + [""] * width)[:width]
        fault = None
        if any(row[width:]):
            fault = RowFault.TOO_MANY_FIELDS
        elif "\0" in raw:
            fault = RowFault.NUL_BYTE
        elif len(raw) > self._limits.max_bytes:
            fault = RowFault.TOO_LONG
        rows.add(line, raw, [] if fault else fields, fault)


def _open(source: Source, name: str | None) -> tuple[str, Iterator[list[str]]]:
    """Return a sheet's name and its rows, from the first row of the sheet on."""
    from python_calamine import CalamineError, CalamineWorkbook, PasswordError

    try:
        workbook = CalamineWorkbook.from_filelike(io.BytesIO(source.whole()))
        names = workbook.sheet_names
        if not names:
            raise DataError(f"{source.path} is a workbook without sheets; save the table as .xlsx or CSV")
        if name is not None and name not in names:
            shown = ", ".join(names[:10])
            raise ConfigError(f"{source.path} has no sheet {name}; choose one of {shown}")
        sheet = workbook.get_sheet_by_name(name or names[0])
    except PasswordError as error:
        raise DataError(f"{source.path} is password-protected; save it without a password") from error
    except CalamineError as error:
        raise DataError(
            f"{source.path} cannot be read as an Excel workbook ({reason(error)}); save it as .xlsx or CSV"
        ) from error
    return sheet.name, _cells(sheet)


def _cells(sheet: Any) -> Iterator[list[str]]:
    for row in sheet.iter_rows():
        yield [value if isinstance(value, str) else _text(value) for value in row]


def _text(value: object) -> str:
    """Return a cell as a person would write it: 20190709 for 20190709.0, 2019-07-09 for that date at midnight."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    if isinstance(value, datetime.datetime):
        return str(value.date() if value.time() == datetime.time() else value)
    return str(value)


def _find_header(
    first: Sequence[list[str]], options: Options, source: Source, inherited: Sequence[str]
) -> tuple[int, tuple[str, ...]]:
    """Return the number of rows up to and including the header, and its column names."""
    problems: list[tuple[int, DataError]] = []
    for number, row in enumerate(first):
        if not any(row):
            continue
        names = trimmed(row)
        try:
            options.accept(names)
        except DataError as error:
            problems.append((sum(map(bool, names)), error))
        else:
            return number + 1, names
    if not problems:
        raise DataError(f"{source.path} has no header because its sheet is empty; set data.sheet to another sheet")
    own = next(row for row in first if any(row))
    if goes_on(trimmed(own), inherited):
        return 0, tuple(inherited)
    raise max(problems, key=lambda problem: problem[0])[1]
