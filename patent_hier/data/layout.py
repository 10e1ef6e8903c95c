"""Finding out what a raw file is: its encoding from the first bytes, its columns from the header."""

import codecs
from collections.abc import Iterable, Sequence

from patent_hier.data.raw import PAPER_COLUMNS, Layout, RawFormat
from patent_hier.data.records import split_fields
from patent_hier.errors import DataError
from patent_hier.sanitize import nfkc

_REQUIRED = "symbols"
_UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_MARKS = {codecs.BOM_UTF8: "utf-8", b"\x84\x31\x95\x33": "gb18030"}
_SHOWN = 40  # names of a header, and characters of a name, that a message repeats
_ENOUGH = 100  # bytes above 127 that are valid UTF-8 by accident: no GB18030 text has so many


def read_mark(
    start: bytes, encoding: str, source: object, advice: str = "save it as CSV UTF-8 and set data.encoding=utf-8"
) -> tuple[str, int]:
    """Tell the encoding from the file's first bytes.

    Args:
        start: The file's first bytes, at least 4 where it has so many.
        encoding: The encoding that was set.
        source: The file's name, for messages.
        advice: What to do about a file in UTF-16.

    Returns:
        The encoding to use, a byte order mark in the file going before the setting, and the mark's length in bytes.

    Raises:
        DataError: If the file is UTF-16.
    """
    header = start.split(b"\n", 1)[0]
    if start.startswith(_UTF16_MARKS) or b"\0" in header:
        raise DataError(f"{source} is UTF-16, which is not supported; {advice}")
    for mark, marked in _MARKS.items():
        if start.startswith(mark):
            return marked, len(mark)
    return encoding.removesuffix("-sig"), 0


def check_encoding(start: bytes, encoding: str, source: object) -> None:
    """Refuse a file whose rows are UTF-8 although GB18030 is set; an ASCII header does not show it.

    Raises:
        DataError: If the first bytes are valid UTF-8 with so many Chinese characters that it is no accident.
    """
    text = start[: start.rfind(b"\n") + 1]
    if encoding == "gb18030" and sum(byte > 127 for byte in text[:10_000]) >= _ENOUGH and _can_decode(text, "utf-8"):
        raise DataError(f"{source} looks like UTF-8, but data.encoding={encoding}; set data.encoding=utf-8")


def guess_encoding(start: bytes, expected: str) -> str:
    """The encoding, ``utf-8`` or ``gb18030``, in which the fewest lines of a file's beginning cannot be read.

    Args:
        start: The file's first bytes without a byte order mark; a line that is cut off at the end does not count.
        expected: The encoding to take where the lines do not tell, as in a file of ASCII alone.
    """
    if start.isascii():
        return expected.removesuffix("-sig")
    lines = start[: start.rfind(b"\n") + 1 or len(start)].splitlines()
    # UTF-8 wins a tie: its lines pass for GB18030 by accident more often than the other way.
    return min(("utf-8", "gb18030"), key=lambda encoding: sum(not _can_decode(line, encoding) for line in lines))


def find_columns(header: bytes, encoding: str, fmt: RawFormat, source: object) -> Layout:
    """Match the header with the names of the format, whatever the width of brackets and the blanks in them.

    Args:
        header: The header line.
        encoding: The encoding of the file.
        fmt: Names of the columns.
        source: The file's name, for messages.

    Raises:
        DataError: If the header is not in the encoding, if a needed column is missing or occurs twice. Needed are the
            symbols, the text, and each column that ``fmt.columns`` names itself.
    """
    names = _names(header, encoding)
    wanted = _wanted(fmt)
    if names is None or _missing(wanted, names):
        _suggest_encoding(header, encoding, wanted, source)
    if names is None:
        raise DataError(f"the header of {source} is not {encoding}; set data.encoding to the file's own encoding")
    if missing := _missing(wanted, names):
        raise DataError(
            f"{source} has no column {', '.join(missing)}; it has {_shown(names)}; "
            "data.columns (for instance data.columns.symbols=IPC) and data.text name the columns to use"
        )
    folded = [fold_name(name) for name in names]
    if repeated := [name for name in wanted if folded.count(fold_name(name)) > 1]:
        raise DataError(f"{source} has more than one column {repeated[0]}; rename all but one")
    return _layout(encoding, names, fmt)


def find_text(header: bytes, encoding: str, fmt: RawFormat, source: object) -> Layout:
    """Match the header of a file to be classified: only the text is needed; arguments as in :func:`find_columns`.

    Raises:
        DataError: If the header is not in the encoding, or a column of the text is missing or occurs twice.
    """
    names = _names(header, encoding)
    if names is None:
        raise DataError(f"the header of {source} is not {encoding}, as its other lines are; save it as CSV UTF-8")
    advice = "--text names the columns to read"
    if missing := _missing(fmt.text, names):
        raise DataError(f"{source} has no column {', '.join(missing)}; it has {_shown(names)}; {advice}")
    folded = [fold_name(name) for name in names]
    if repeated := [name for name in fmt.text if folded.count(fold_name(name)) > 1]:
        raise DataError(f"{source} has more than one column {repeated[0]}; rename all but one")
    return _layout(encoding, names, fmt)


def _layout(encoding: str, names: Sequence[str], fmt: RawFormat) -> Layout:
    folded = [fold_name(name) for name in names]
    positions = {
        ours: folded.index(fold_name(name)) for ours, name in fmt.header_names.items() if fold_name(name) in folded
    }
    return Layout(encoding, tuple(names), positions, tuple(folded.index(fold_name(name)) for name in fmt.text))


def _wanted(fmt: RawFormat) -> list[str]:
    """Names that the header must have, each once, in our order."""
    own = [name for ours, name in fmt.columns.items() if fold_name(name) != fold_name(PAPER_COLUMNS[ours])]
    return list(dict.fromkeys([fmt.header_names[_REQUIRED], *fmt.text, *own]))


def _suggest_encoding(header: bytes, encoding: str, wanted: Sequence[str], source: object) -> None:
    for other in ("utf-8", "gb18030"):
        names = _names(header, other) if other != encoding else None
        if names is not None and not _missing(wanted, names):
            raise DataError(f"{source} is {other}, but data.encoding={encoding}; set data.encoding={other}")


def _names(header: bytes, encoding: str) -> list[str] | None:
    try:
        return [field.decode(encoding).strip() for field in split_fields(header)]
    except UnicodeDecodeError:
        return None


def _missing(wanted: Iterable[str], names: Iterable[str]) -> list[str]:
    present = {fold_name(name) for name in names}
    return [name for name in wanted if fold_name(name) not in present]


def _shown(names: Sequence[str]) -> str:
    """A header for a message of one line, even if it is not a header at all."""
    shown = [name if len(name) <= _SHOWN else f"{name[:_SHOWN]}…" for name in map(_one_line, names[:_SHOWN])]
    return ", ".join(shown) + (", …" if len(names) > _SHOWN else "")


def _one_line(name: str) -> str:
    return "".join(character if character.isprintable() else "\ufffd" for character in name)


def fold_name(name: str) -> str:
    """A column's name as names are compared: under NFKC, without white space."""
    return "".join(nfkc(name).split())


def _can_decode(content: bytes, encoding: str) -> bool:
    try:
        content.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True
