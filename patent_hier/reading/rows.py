"""Common interface of all formats: a header, and rows of strings with their line numbers."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

EXCERPT = 200  # characters of a row to show


class RowFault(StrEnum):
    """Reason why a row cannot be read."""

    UNDECODABLE = "undecodable"
    NUL_BYTE = "nul_byte"
    TOO_FEW_FIELDS = "too_few_fields"
    TOO_MANY_FIELDS = "too_many_fields"
    UNCLOSED_QUOTE = "unclosed_quote"
    LINE_BREAK_WITHOUT_QUOTES = "line_break_without_quotes"
    TOO_LONG = "too_long"
    BAD_JSON = "bad_json"
    NO_OBJECT = "no_object"
    NO_TEXT_FIELD = "no_text_field"
    BAD_UNICODE = "bad_unicode"


@dataclass(frozen=True)
class Limits:
    """Limits for one record.

    Attributes:
        max_bytes: Longest record in bytes; a longer line is rejected and never held in memory as a whole.
        max_lines: Largest number of physical lines that a record may span.
    """

    max_bytes: int = 1 << 20
    max_lines: int = 100


Accept = Callable[[Sequence[str]], Sequence[int]]
"""Function that takes the names of a possible header and returns the positions of the text columns; it raises
:class:`patent_hier.errors.DataError` if the names are not a header."""


@dataclass(frozen=True)
class Options:
    """Options for reading a source.

    Attributes:
        accept: Function that decides which row is the header.
        encoding: One of :data:`patent_hier.reading.encodings.ENCODINGS`; a byte order mark takes precedence.
        guess: Whether to detect the encoding and use ``encoding`` only if the content is ASCII.
        delimiter: Delimiter between fields; None to detect it.
        sheet: Name of a workbook's sheet; None for the first sheet.
        limits: Limits for one record.
        json_names: Column names of JSON keys whose name differs.
        json_header: Column names that JSON objects may lack, as long as one of them is present.
    """

    accept: Accept
    encoding: str = "utf-8"
    guess: bool = False
    delimiter: str | None = None
    sheet: str | None = None
    limits: Limits = field(default_factory=Limits)
    json_names: Mapping[str, str] = field(default_factory=dict)
    json_header: Sequence[str] = ()


@dataclass
class Rows:
    """Consecutive rows.

    Attributes:
        raws: Each row as it is in the source, with line ends inside quotes as LF; for a row that cannot be read,
            possibly only its beginning.
        lines: Physical line, or row of the sheet, on which each row starts, from 1.
        fields: Fields of each row, one for each column; empty if the row has a fault.
        faults: Why a row cannot be read, by position of the row.
        blank_lines: Number of empty lines between the rows.
        headers: Number of repeated headers between the rows.
    """

    raws: list[str] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    fields: list[list[str]] = field(default_factory=list)
    faults: dict[int, RowFault] = field(default_factory=dict)
    blank_lines: int = 0
    headers: int = 0

    def __len__(self) -> int:
        return len(self.raws)

    def add(self, line: int, raw: str, fields: list[str], fault: RowFault | None = None) -> None:
        """Append a row."""
        if fault is not None:
            self.faults[len(self.raws)] = fault
        self.raws.append(raw)
        self.lines.append(line)
        self.fields.append(fields)


class Reader(Protocol):
    """Reader of one source in one format, at its first row.

    Attributes:
        names: Column names from the header, as the source spells them, without surrounding white space.
    """

    names: tuple[str, ...]

    @property
    def facts(self) -> Mapping[str, object]:
        """Detected properties of the source: encoding, delimiter, header line, sheet."""

    @property
    def notes(self) -> Sequence[str]:
        """Remarks about the source for the user; complete once all rows have been read."""

    def rows(self) -> Iterator[Rows]:
        """Yield all rows in order, in batches."""


def excerpt(raw: str) -> str:
    """Return the beginning of a row, to show to a user."""
    return raw[:EXCERPT]
