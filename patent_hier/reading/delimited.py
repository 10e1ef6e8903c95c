"""Split decoded lines into the records of delimited text, so that a broken row loses only itself.

The rules are those of CSV (fields in quotes, doubled quotes, any line end), with one addition. As in CSV, a quote that
is still open at the end of a line continues on the next lines, but only while that is plausible. The quote is treated
as a mistake if a following line is a complete row that begins like this one (a number where this one has a number), if
the quote closes into a row with the wrong number of fields, or if a limit is reached. Then only the first line is
rejected, and reading resumes at the line after it.
"""

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby, islice
from typing import NamedTuple

from patent_hier.errors import DataError
from patent_hier.reading.dialect import DELIMITERS, MOST_LINES, Heading, Strict, find_heading, goes_on, trimmed
from patent_hier.reading.encodings import Block, Decoder, open_text
from patent_hier.reading.rows import Options, RowFault, Rows
from patent_hier.reading.sources import Source

QUOTE = '"'
_TO_CLOSING_QUOTE = re.compile(r'[^"]*+(?:""[^"]*+)*+')  # possessive: linear time on any input


class DelimitedReader:
    """Reader of one source of delimited text.

    Args:
        source: The source, at its first byte.
        options: How to read it.
        inherited: Column names of the previous part, used if this source has no header of its own.

    Raises:
        DataError: If the source is empty, has no header, or is in another encoding than the one set.
    """

    def __init__(self, source: Source, options: Options, inherited: Sequence[str] = ()) -> None:
        self._encoding, chunks = open_text(source, options)
        self._decoder = Decoder(chunks, self._encoding, options.limits.max_bytes)
        self._blocks = self._decoder.blocks()
        first = next(self._blocks, None)
        if first is None or not any(map(str.strip, first.lines)):
            raise DataError(f"{source.path} has no header, only blank lines; add a first line that names the columns")
        heading: Heading | None = None
        try:
            heading = find_heading(first.lines, options.delimiter, options.accept)
        except DataError:
            if not _is_headless(first.lines, inherited, options.delimiter):
                raise
        self._heading = heading
        self.names = heading.names if heading else tuple(inherited)
        fields = heading.fields if heading else list(inherited)
        delimiter = heading.delimiter if heading else options.delimiter or _delimiter_of(first.lines, inherited)
        self._records = RecordSplitter(delimiter, fields, options)
        self._skipped = self._heading.end if self._heading else 0
        self._first = first

    @property
    def facts(self) -> Mapping[str, object]:
        """Properties of the source; see :class:`patent_hier.reading.rows.Reader`."""
        line = self._heading.line + 1 if self._heading else None
        delimiter = self._records.delimiter
        shown = DELIMITERS.get(delimiter, delimiter)
        return {"format": "delimited text", "encoding": self._encoding, "delimiter": shown, "header_line": line}

    @property
    def notes(self) -> Sequence[str]:
        """Remarks about the source; see :class:`patent_hier.reading.rows.Reader`."""
        return self._decoder.notes

    def rows(self) -> Iterator[Rows]:
        """Yield all rows in order; see :class:`patent_hier.reading.rows.Reader`."""
        skipped, first = self._skipped, self._first
        own = {line - skipped: fault for line, fault in first.faults.items() if line >= skipped}
        head = first.lines[:skipped]
        blanks = sum(not line for line in head)
        rest = Block(first.lines[skipped:], own, first.has_quotes)
        del self._first
        block: Block | None = rest
        self._records.line = skipped
        while block is not None:
            following = next(self._blocks, None)
            rows = self._records.split(block, is_last=following is None)
            rows.blank_lines += blanks
            blanks, block = 0, following
            yield rows


def _delimiter_of(lines: Sequence[str], names: Sequence[str]) -> str:
    filled = [line for line in lines if line.strip()][:MOST_LINES]
    return max(DELIMITERS, key=lambda mark: sum(line.count(mark) == len(names) - 1 for line in filled))


def _is_headless(lines: Sequence[str], names: Sequence[str], delimiter: str | None) -> bool:
    """Return whether a source begins with a row of a table whose header is in a previous part."""
    mark = delimiter or _delimiter_of(lines, names)
    first = next(line for line in lines if line.strip())
    return goes_on(scan_line(first, mark, inside=False).fields, names)


class RecordSplitter:
    """Splitter of blocks of lines into rows; a record that a block leaves open is continued in the next block.

    Args:
        delimiter: Delimiter between fields.
        header: The header's fields, to recognise repetitions of it.
        options: Options with the limits.

    Attributes:
        line: Number of physical lines before the next block.
    """

    def __init__(self, delimiter: str, header: list[str], options: Options) -> None:
        self.delimiter = delimiter
        self.line = 0
        self._names = trimmed(header)
        self._starts = {header[0], "\ufeff" + header[0]}
        self._width = len(self._names)
        self._limits = options.limits
        self._dialect = type("_Dialect", (Strict,), {"delimiter": delimiter})
        self._kept: list[str] = []
        self._kept_faults: dict[int, RowFault] = {}

    def split(self, block: Block, *, is_last: bool) -> Rows:
        """Return the rows that begin in a block or in the lines kept from earlier blocks."""
        before = len(self._kept)
        lines = self._kept + block.lines if before else block.lines
        faults = self._kept_faults | {line + before: fault for line, fault in block.faults.items()}
        start = self.line - before
        self.line += len(block.lines)
        self._kept, self._kept_faults = [], {}
        return self._checked(self._split(lines, faults, start, is_last))

    def _split(self, lines: list[str], faults: dict[int, RowFault], start: int, is_last: bool) -> Rows:
        rows = Rows()
        place = 0
        special = [place for place, line in enumerate(lines) if QUOTE in line]
        for number in sorted({*special, *faults}) if faults else special:
            if number < place:  # part of the previous record
                continue
            self._extend(rows, lines[place:number], start + place + 1)
            place = number + 1
            line, fault = lines[number], faults.get(number)
            if fault is RowFault.TOO_LONG or (fault and QUOTE not in line):
                rows.add(start + place, line, [], fault)
            elif (fields := self._closed(line)) is not None:
                rows.add(start + place, line, [] if fault else fields, fault)
            else:
                closing = self._close(line, (lines[n] for n in range(place, len(lines))))
                if not closing.is_decided and not is_last:
                    self._keep(lines, faults, number)
                    return rows
                own = [faults[n] for n in range(number, place + len(closing.lines)) if n in faults]
                fault = own[0] if own else None if closing.fields else RowFault.UNCLOSED_QUOTE
                rows.add(start + place, "\n".join([line, *closing.lines]), [] if fault else closing.fields, fault)
                place += len(closing.lines)
        self._extend(rows, lines[place:], start + place + 1)
        return rows

    def _extend(self, rows: Rows, lines: list[str], number: int) -> None:
        """Add lines without quotes, numbered from ``number`` on; blank lines are only counted."""
        delimiter, numbers = self.delimiter, range(number, number + len(lines))
        if "" in lines:
            rows.lines += [number for number, line in zip(numbers, lines, strict=True) if line]
            rows.blank_lines += lines.count("")
            lines = [line for line in lines if line]
        else:
            rows.lines += numbers
        rows.raws += lines
        rows.fields += [line.split(delimiter) for line in lines]

    def _keep(self, lines: list[str], faults: dict[int, RowFault], place: int) -> None:
        self._kept = lines[place:]
        self._kept_faults = {line - place: fault for line, fault in faults.items() if line >= place}

    def _closed(self, line: str) -> list[str] | None:
        """Return the fields of a line whose quotes are well-formed and closed; None for any other line."""
        try:
            return next(csv.reader((line,), self._dialect))
        except csv.Error:
            return None

    def _close(self, line: str, following: Iterator[str]) -> "Closing":
        """Return the record that begins in a line: the line, and more lines until its open quote is closed."""
        scan = scan_line(line, self.delimiter, inside=False)
        if not scan.is_open:
            return Closing(scan.fields, [], is_decided=True)
        fields, taken, size = scan.fields, list[str](), len(line)
        look = _look(line, self.delimiter)
        for further in islice(following, self._limits.max_lines - 1):
            taken.append(further)
            size += 1 + len(further)
            if size > self._limits.max_bytes or (self._is_row(further) and _look(further, self.delimiter) == look):
                return Closing([], [], is_decided=True)
            scan = scan_line(further, self.delimiter, inside=True)
            fields[-1] += "\n" + scan.fields[0]
            fields += scan.fields[1:]
            if not scan.is_clean or len(trimmed_row(fields, self._width)) > self._width:
                return Closing([], [], is_decided=True)
            if not scan.is_open:
                is_whole = len(trimmed_row(fields, self._width)) == self._width
                return Closing(fields, taken, is_decided=True) if is_whole else Closing([], [], is_decided=True)
        return Closing([], [], is_decided=len(taken) == self._limits.max_lines - 1)

    def _is_row(self, line: str) -> bool:
        """Return whether a physical line is a complete, clean row by itself.

        It must be clean, because the last line of a field with line breaks ends in a quote that would be stray here.
        """
        delimiters = line.count(self.delimiter)
        if delimiters < self._width - 1 or QUOTE not in line:
            return delimiters == self._width - 1
        scan = scan_line(line, self.delimiter, inside=False)
        return scan.is_clean and not scan.is_open and len(scan.fields) == self._width

    def _checked(self, rows: Rows) -> Rows:
        """Remove repeated headers and empty surplus fields, and reject rows with another number of fields."""
        width = self._width
        few: dict[int, int] = {}
        if set(map(len, rows.fields)) - {width}:
            for number, fields in enumerate(rows.fields):
                if len(fields) == width or number in rows.faults:
                    continue
                fields = trimmed_row(fields, width)
                if len(fields) < width:
                    few[number] = len(fields)
                    rows.faults[number] = RowFault.TOO_FEW_FIELDS
                elif len(fields) > width:
                    rows.faults[number] = RowFault.TOO_MANY_FIELDS
                rows.fields[number] = fields if len(fields) == width else []
        _name_line_breaks(rows, few, width)
        repeated = [n for n, fields in enumerate(rows.fields) if fields and fields[0] in self._starts]
        return self._without_headers(rows, [n for n in repeated if trimmed(rows.fields[n]) == self._names])

    def _without_headers(self, rows: Rows, repeated: list[int]) -> Rows:
        if not repeated:
            return rows
        out = set(repeated)
        result = Rows(blank_lines=rows.blank_lines, headers=len(repeated))
        for number, row in enumerate(zip(rows.lines, rows.raws, rows.fields, strict=True)):
            if number not in out:
                result.add(*row, rows.faults.get(number))
        return result


class Closing(NamedTuple):
    """Outcome of the search for the end of an open quote.

    Attributes:
        fields: Fields of the record; none if the quote is treated as a mistake.
        lines: The further lines of the record.
        is_decided: Whether lines beyond those examined cannot change the outcome.
    """

    fields: list[str]
    lines: list[str]
    is_decided: bool


class LineScan(NamedTuple):
    """One physical line split into fields.

    Attributes:
        fields: The fields, without their quotes.
        is_open: Whether the last field is in a quote that the line does not close.
        is_clean: Whether every quote is where a program that writes CSV would put it.
    """

    fields: list[str]
    is_open: bool
    is_clean: bool


def scan_line(line: str, delimiter: str, inside: bool) -> LineScan:
    """Split one physical line into fields; ``inside`` means that it begins within a quoted field.

    As usual in CSV, a quote that is not the first character of a field is an ordinary character, and text after a
    closing quote belongs to the field.
    """
    fields: list[str] = []
    is_clean = True
    position = 0
    while True:
        value = ""
        is_quoted = inside or line.startswith(QUOTE, position)
        if is_quoted:
            start = position if inside else position + 1
            inside = False
            match = _TO_CLOSING_QUOTE.match(line, start)
            position = match.end() if match else start
            value = line[start:position].replace('""', QUOTE)
            if position == len(line):
                return LineScan([*fields, value], is_open=True, is_clean=is_clean)
            position += 1  # the closing quote
        end = line.find(delimiter, position)
        rest = line[position : end if end >= 0 else len(line)]
        is_clean = is_clean and (not rest if is_quoted else QUOTE not in rest)
        fields.append(value + rest)
        if end < 0:
            return LineScan(fields, is_open=False, is_clean=is_clean)
        position = end + 1


def _look(line: str, delimiter: str) -> str:
    """Return the pattern of a row's first field: one sign for each run of digits, Latin letters or other characters."""
    first = line.partition(delimiter)[0].strip().strip(QUOTE)[:40]
    kinds = ("9" if one.isdigit() else "A" if one.isascii() and one.isalpha() else "x" for one in first)
    return "".join(kind for kind, _ in groupby(kinds))


def trimmed_row(fields: list[str], width: int) -> list[str]:
    """Return a row without its surplus fields if these are all empty."""
    return fields if any(map(str.strip, fields[width:])) else fields[:width]


def _name_line_breaks(rows: Rows, few: Mapping[int, int], width: int) -> None:
    """Change the fault of consecutive rows with too few fields to a line break if together they form one row."""
    done = -1
    for first in few:
        total, last = few[first], first
        while first > done and last + 1 in few and total < width:
            last += 1
            total += few[last] - 1
        if last > first and total == width:
            rows.faults.update(dict.fromkeys(range(first, last + 1), RowFault.LINE_BREAK_WITHOUT_QUOTES))
            done = last
