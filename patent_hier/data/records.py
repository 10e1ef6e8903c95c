"""From the bytes of a CSV file to its records, in flat memory, where a broken row costs that row only.

Rows are split as bytes, before decoding: quote, comma, CR and LF are never part of a longer character in GBK, GB18030
or UTF-8, so one undecodable byte cannot disturb the rows around it. The rules are those of CSV (fields in quotes,
doubled quotes, LF, CRLF or CR as line end), with one addition. A quote that is still open at the end of a line goes on
over the next lines, as CSV says, only while that makes sense: if a following line is a whole row by itself, or the
quote closes into a row with the wrong number of fields, or a limit is reached, then the quote was never meant to be
open. The first line alone is rejected, and reading resumes at the line after it.
"""

import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain
from typing import NamedTuple

QUOTE, COMMA, NUL = b'"', b",", b"\0"
_TO_CLOSING_QUOTE = re.compile(rb'[^"]*+(?:""[^"]*+)*+')  # possessive: linear time on any input


class RowFault(StrEnum):
    """Why a row has no fields to read."""

    UNDECODABLE = "undecodable"
    NUL_BYTE = "nul_byte"
    TOO_FEW_FIELDS = "too_few_fields"
    TOO_MANY_FIELDS = "too_many_fields"
    UNCLOSED_QUOTE = "unclosed_quote"
    TOO_LONG = "too_long"


class LineFault(StrEnum):
    """Why a line of JSON is no document."""

    BAD_JSON = "bad_json"
    NO_OBJECT = "no_object"
    NO_TEXT_FIELD = "no_text_field"
    BAD_UNICODE = "bad_unicode"


@dataclass(frozen=True)
class Limits:
    """How far one record may reach.

    Attributes:
        max_bytes: Longest record; a longer line is rejected without ever being held in memory as a whole.
        max_lines: Most physical lines that a quoted field may span.
    """

    max_bytes: int = 1 << 20
    max_lines: int = 100


class Record(NamedTuple):
    """One row of the file.

    Attributes:
        line_number: The physical line on which the row starts; the first line of the file is 1.
        raw: The row's bytes without its line end; line ends inside quotes are LF. Cut off if the row is too long.
        fields: The decoded fields; empty if there is a fault.
        fault: Why the row cannot be read, or None.
    """

    line_number: int
    raw: bytes
    fields: list[str]
    fault: RowFault | None


class LineScan(NamedTuple):
    """One physical line cut into fields.

    Attributes:
        fields: The fields, without their quotes.
        is_open: The last field is inside a quote that the line does not close.
        is_clean: Every quote is where a program that writes CSV would put it.
    """

    fields: list[bytes]
    is_open: bool
    is_clean: bool


class Closing(NamedTuple):
    """Outcome of the search for the end of an open quote.

    Attributes:
        lines: The lines that were looked at.
        is_closed: All of them belong to the row.
        is_decided: Lines after them could not change the answer.
    """

    lines: list[bytes]
    is_closed: bool
    is_decided: bool


def split_lines(chunks: Iterable[bytes], max_bytes: int) -> Iterator[list[bytes]]:
    """Cut a stream of bytes at LF, CRLF and CR, wherever the chunks happen to end.

    Args:
        chunks: Consecutive pieces of the file, of any size.
        max_bytes: Of an unfinished line only the first ``max_bytes + 1`` bytes are kept while waiting for its end: one
            byte more than allowed is enough to show that it is too long.

    Yields:
        The lines that end in the same chunk, without their line ends.
    """
    tail = b""
    after_cr = False
    for chunk in chunks:
        fresh = chunk[1:] if after_cr and chunk.startswith(b"\n") else chunk  # the LF of a CRLF cut in two
        after_cr = chunk.endswith(b"\r")
        cut = max(fresh.rfind(b"\n"), fresh.rfind(b"\r")) + 1
        if cut:
            yield (tail + fresh[:cut]).splitlines()
            tail = b""
        tail = (tail + fresh[cut:])[: max_bytes + 1]
    if tail:
        yield [tail]


class RecordReader:
    """Reads the header, then the records, of one CSV file.

    Attributes:
        blank_lines: Empty physical lines met so far outside quoted fields; they are no rows.
    """

    def __init__(self, chunks: Iterable[bytes], encoding: str, limits: Limits | None = None) -> None:
        self.blank_lines = 0
        self._encoding = encoding
        self._limits = limits or Limits()
        self._lines = chain.from_iterable(split_lines(chunks, self._limits.max_bytes))
        self._put_back: deque[bytes] = deque()
        self._line_number = 0  # of the line taken last

    def header(self) -> bytes:
        """Take the first line that is not empty; empty bytes if there is none."""
        while (line := self._take()) is not None:
            if line:
                return line
            self.blank_lines += 1
        return b""

    def records(self, width: int) -> Iterator[Record]:
        """Read the rest of the file.

        Args:
            width: The number of fields of a whole row.

        Yields:
            Each record once, in the order of the file.
        """
        max_bytes = self._limits.max_bytes
        while (line := self._take()) is not None:
            number = self._line_number
            if not line:
                self.blank_lines += 1
            elif len(line) > max_bytes:
                yield Record(number, line[:max_bytes], [], RowFault.TOO_LONG)
            elif QUOTE in line:
                yield self._quoted(number, line, width)
            else:
                yield self._record(number, line, None, width)

    def _quoted(self, number: int, line: bytes, width: int) -> Record:
        scan = scan_line(line, inside=False)
        if not scan.is_open:
            return self._record(number, line, scan.fields, width)
        closing = close_quote(line, scan.fields, iter(self._take, None), width, self._limits)
        if closing.is_closed:
            return self._record(number, b"\n".join([line, *closing.lines]), scan.fields, width)
        self._put_back.extendleft(reversed(closing.lines))
        self._line_number -= len(closing.lines)
        return Record(number, line, [], RowFault.UNCLOSED_QUOTE)

    def _record(self, number: int, raw: bytes, fields: list[bytes] | None, width: int) -> Record:
        """Decode a row: ``fields`` where it has quotes, else ``raw`` cut at its commas."""
        if NUL in raw:
            return Record(number, raw, [], RowFault.NUL_BYTE)
        try:
            if fields is None:
                texts = raw.decode(self._encoding).split(",")
            else:  # there is no NUL in the row, so it can stand between the fields while they are decoded at once
                texts = NUL.join(fields).decode(self._encoding).split("\0")
        except UnicodeDecodeError:
            return Record(number, raw, [], RowFault.UNDECODABLE)
        if len(texts) == width:
            return Record(number, raw, texts, None)
        return Record(number, raw, [], RowFault.TOO_FEW_FIELDS if len(texts) < width else RowFault.TOO_MANY_FIELDS)

    def _take(self) -> bytes | None:
        line = self._put_back.popleft() if self._put_back else next(self._lines, None)
        if line is not None:
            self._line_number += 1
        return line


def split_fields(line: bytes) -> list[bytes]:
    """The fields of one physical line, without their quotes."""
    return scan_line(line, inside=False).fields


def is_row(line: bytes, width: int) -> bool:
    """Whether a physical line is a whole, clean row by itself.

    Clean matters: the last line of a field with line breaks ends in a quote that would be a stray one here.
    """
    commas = line.count(COMMA)
    if commas < width - 1 or QUOTE not in line:
        return commas == width - 1
    scan = scan_line(line, inside=False)
    return scan.is_clean and not scan.is_open and len(scan.fields) == width


def close_quote(line: bytes, fields: list[bytes], following: Iterator[bytes], width: int, limits: Limits) -> Closing:
    """Read on until the quote that a line leaves open is closed.

    Args:
        line: The line.
        fields: Its fields, the last one open; extended by those of the lines that are read.
        following: The lines after it; no more are taken than needed.
        width: The number of fields of a whole row.
        limits: How far one record may reach.
    """
    taken: list[bytes] = []
    size = len(line)
    while len(taken) < limits.max_lines - 1:
        further = next(following, None)
        if further is None:
            return Closing(taken, is_closed=False, is_decided=False)
        taken.append(further)
        size += 1 + len(further)
        if size > limits.max_bytes or is_row(further, width):
            break
        scan = scan_line(further, inside=True)
        fields[-1] += b"\n" + scan.fields[0]
        fields += scan.fields[1:]
        if not scan.is_clean or len(fields) > width:
            break
        if not scan.is_open:
            if len(fields) == width:
                return Closing(taken, is_closed=True, is_decided=True)
            break
    return Closing(taken, is_closed=False, is_decided=True)


def scan_line(line: bytes, inside: bool) -> LineScan:
    """Cut one physical line into fields; ``inside`` says that it begins within a quoted field.

    As everywhere, a quote that is not the first character of a field is an ordinary character, and what follows a
    closing quote belongs to the field.
    """
    fields: list[bytes] = []
    is_clean = True
    position = 0
    while True:
        value = b""
        is_quoted = inside or line.startswith(QUOTE, position)
        if is_quoted:
            start = position if inside else position + 1
            inside = False
            match = _TO_CLOSING_QUOTE.match(line, start)
            position = match.end() if match else start
            value = line[start:position].replace(b'""', QUOTE)
            if position == len(line):
                return LineScan([*fields, value], is_open=True, is_clean=is_clean)
            position += 1  # the closing quote
        comma = line.find(COMMA, position)
        rest = line[position : comma if comma >= 0 else len(line)]
        is_clean = is_clean and (not rest if is_quoted else QUOTE not in rest)
        fields.append(value + rest)
        if comma < 0:
            return LineScan(fields, is_open=False, is_clean=is_clean)
        position = comma + 1
