"""What every format gives: a header, and rows of strings that know where they stand."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

EXCERPT = 200  # characters of a row that are shown


class RowFault(StrEnum):
    """Why a row has no fields to read."""

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
    """How far one record may reach.

    Attributes:
        max_bytes: Longest record; a longer line is rejected without ever being held in memory as a whole.
        max_lines: Most physical lines that a quoted field may span.
    """

    max_bytes: int = 1 << 20
    max_lines: int = 100


Accept = Callable[[Sequence[str]], Sequence[int]]
"""Called with the names of a possible header; returns the positions of the text, or raises
:class:`patent_hier.errors.DataError` if they are no header."""


@dataclass(frozen=True)
class Options:
    """How a source is read.

    Attributes:
        accept: Says which row is the header.
        encoding: One of :data:`patent_hier.reading.encodings.ENCODINGS`; a byte order mark goes before it.
        guess: Whether the content decides on the encoding, and ``encoding`` only where it is ASCII.
        delimiter: Between fields; None: found.
        sheet: Name of a workbook's sheet; None: the first.
        limits: How far one record may reach.
        json_names: What a key of JSON is called in the header, where that differs.
        json_header: Names that may be absent from objects of JSON if one of them is there.
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
        raws: Each row as it stands in the source, line ends inside quotes as LF; of one that cannot be read its
            beginning is enough.
        lines: The physical line, or row of the sheet, on which each starts; the first of the source is 1.
        fields: The fields of each row, as many as the header has names; none where there is a fault.
        faults: Row → why it cannot be read.
        blank_lines: Empty lines among them, which are no rows.
        headers: Repetitions of the header among them, which are no rows.
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
    """One format's reader of one source, at its first row.

    Attributes:
        names: Those of the header, as the source spells them, without blanks around.
    """

    names: tuple[str, ...]

    @property
    def facts(self) -> Mapping[str, object]:
        """What was found about the source: encoding, delimiter, line of the header, sheet."""

    @property
    def notes(self) -> Sequence[str]:
        """What someone should know about the source; complete once all rows were read."""

    def rows(self) -> Iterator[Rows]:
        """The rows, some at a time, each once and in order."""


def excerpt(raw: str) -> str:
    """The beginning of a row for people to read."""
    return raw[:EXCERPT]
