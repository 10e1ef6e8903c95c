"""Detect the delimiter and the header line of a file of delimited text."""

import contextlib
import csv
import re
from collections.abc import Sequence
from typing import NamedTuple

from patent_hier.errors import ConfigError, DataError
from patent_hier.reading.rows import Accept

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
_NAMES = {
    **{name: mark for mark, name in DELIMITERS.items()},
    "\\t": "\t",
    "tabs": "\t",
    "pipe": "|",
    "逗号": ",",
    "分号": ";",
    "制表符": "\t",
}
_SEP = re.compile(r'"?sep=(.)"?[,;\t]*', re.IGNORECASE)
MOST_LINES = 10  # lines searched for a header
_HEADER_LINES = 5  # lines that a header with quoted fields may span


class Strict(csv.Dialect):
    """CSV dialect that rejects an unclosed quote, and text after a closing quote."""

    delimiter = ","
    quotechar = '"'
    doublequote = True
    skipinitialspace = False
    lineterminator = "\n"
    quoting = csv.QUOTE_MINIMAL
    strict = True


class Heading(NamedTuple):
    """The header of a file.

    Attributes:
        delimiter: Delimiter between fields.
        fields: Fields of the header, unchanged.
        names: Column names, without surrounding white space and without empty names at the end.
        line: Number of the header among the examined lines, from 0.
        end: Number of the first line after the header.
    """

    delimiter: str
    fields: list[str]
    names: tuple[str, ...]
    line: int
    end: int


def parse_delimiter(given: str | None) -> str | None:
    """Return a delimiter from its name, or the delimiter itself.

    Raises:
        ConfigError: If it cannot be a delimiter.
    """
    if given is None:
        return None
    mark = _NAMES.get(given.strip().lower(), given)
    if len(mark) != 1 or mark.isalnum() or mark in '"\r\n\0':
        raise ConfigError(f"delimiter {given!r} is unknown; use one of {', '.join(DELIMITERS.values())}")
    return mark


def find_heading(lines: Sequence[str], delimiter: str | None, accept: Accept) -> Heading:
    """Find the header among a file's first lines, and with it the delimiter.

    A line such as ``sep=;``, as Excel writes it, sets the delimiter. Lines above the header, such as a title, are
    skipped if a later line is a header.

    Args:
        lines: The first lines, at least one of them not blank.
        delimiter: The delimiter that was set; None to detect it.
        accept: See :data:`patent_hier.reading.rows.Accept`.

    Raises:
        DataError: If no line is a header; the message says what the most likely line lacks.
    """
    filled = [(number, line.removeprefix("\ufeff")) for number, line in enumerate(lines) if line.strip()]
    if match := _SEP.fullmatch(filled[0][1].strip(" ")):
        delimiter = delimiter or match[1]
        filled = filled[1:] or filled
    problems: list[tuple[int, DataError]] = []
    for number, line in filled[:MOST_LINES]:
        for mark in [delimiter] if delimiter else sorted(DELIMITERS, key=lambda mark: -line.count(mark)):
            fields, end = _header_fields(lines, number, mark)
            names = trimmed(fields)
            try:
                accept(names)
            except DataError as error:
                problems.append((sum(map(bool, names)), error))
            else:
                return Heading(mark, fields, names, number, end)
    raise max(problems, key=lambda problem: problem[0])[1]


def _header_fields(lines: Sequence[str], number: int, delimiter: str) -> tuple[list[str], int]:
    """Return the fields of a line, continued while a quote is open, and the number of the line after them."""
    dialect = type("_", (Strict,), {"delimiter": delimiter})
    for end in range(number + 1, min(number + _HEADER_LINES, len(lines)) + 1):
        text = "\n".join(lines[number:end]).removeprefix("\ufeff")
        with contextlib.suppress(csv.Error):
            return next(csv.reader([text], dialect)), end
    return lines[number].split(delimiter), number + 1


def goes_on(fields: Sequence[str], names: Sequence[str]) -> bool:
    """Return whether fields are a row of a table whose header, in a previous part, has these names."""
    return len(fields) == len(names) > 1 and not set(map(str.strip, fields)) & set(filter(None, names))


def trimmed(fields: Sequence[str]) -> tuple[str, ...]:
    """Return the names of a header without surrounding white space and without empty names at the end."""
    names = [name.strip().strip("\ufeff") for name in fields]
    while len(names) > 1 and not names[-1]:
        names.pop()
    return tuple(names)
