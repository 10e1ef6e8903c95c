"""How a file of delimited text writes its fields: the delimiter, and which line is the header."""

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
MOST_LINES = 10  # in which a header is looked for
_HEADER_LINES = 5  # that the quotes of a header may span


class Strict(csv.Dialect):
    """Refuses a quote that is not closed, and text behind one that is."""

    delimiter = ","
    quotechar = '"'
    doublequote = True
    skipinitialspace = False
    lineterminator = "\n"
    quoting = csv.QUOTE_MINIMAL
    strict = True


class Heading(NamedTuple):
    """Where a file's rows begin.

    Attributes:
        delimiter: Between fields.
        fields: The header as it stands.
        names: Its names, blanks around them and empty ones at the end left out.
        line: The header's number among the lines looked at, from 0.
        end: That of the first line after it.
    """

    delimiter: str
    fields: list[str]
    names: tuple[str, ...]
    line: int
    end: int


def parse_delimiter(given: str | None) -> str | None:
    """A delimiter from its name or itself.

    Raises:
        ConfigError: If it cannot stand between fields.
    """
    if given is None:
        return None
    mark = _NAMES.get(given.strip().lower(), given)
    if len(mark) != 1 or mark.isalnum() or mark in '"\r\n\0':
        raise ConfigError(f"delimiter {given!r} is unknown; write one of {', '.join(DELIMITERS.values())}")
    return mark


def find_heading(lines: Sequence[str], delimiter: str | None, accept: Accept) -> Heading:
    """Find the header among a file's first lines, and with it the delimiter.

    A line ``sep=;``, as Excel writes it, tells the delimiter. Lines above the header, such as a title, are passed over
    if a later line is a header.

    Args:
        lines: The first lines, of which one is not blank.
        delimiter: As it was set; None: found.
        accept: See :data:`patent_hier.reading.rows.Accept`.

    Raises:
        DataError: If no line is a header: what is missing in the likeliest one.
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
    """The fields of a line, and of those after it while a quote is open; and the number of the line after them."""
    dialect = type("_", (Strict,), {"delimiter": delimiter})
    for end in range(number + 1, min(number + _HEADER_LINES, len(lines)) + 1):
        text = "\n".join(lines[number:end]).removeprefix("\ufeff")
        with contextlib.suppress(csv.Error):
            return next(csv.reader([text], dialect)), end
    return lines[number].split(delimiter), number + 1


def goes_on(fields: Sequence[str], names: Sequence[str]) -> bool:
    """Whether the first fields of a source are a row of the table whose header, in a part before, has these names."""
    return len(fields) == len(names) > 1 and not set(map(str.strip, fields)) & set(filter(None, names))


def trimmed(fields: Sequence[str]) -> tuple[str, ...]:
    """Names of a header without blanks around them and without empty ones at the end."""
    names = [name.strip().strip("\ufeff") for name in fields]
    while len(names) > 1 and not names[-1]:
        names.pop()
    return tuple(names)
