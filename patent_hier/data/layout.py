"""Finding out where the columns of a raw file stand, from the names in its header."""

from collections.abc import Iterable, Sequence

from patent_hier.data.raw import PAPER_COLUMNS, Layout, RawFormat
from patent_hier.errors import DataError
from patent_hier.sanitize import nfkc

_REQUIRED = "symbols"
_SHOWN = 40  # names of a header, and characters of a name, that a message repeats


def find_columns(names: Sequence[str], fmt: RawFormat, source: object) -> Layout:
    """Match the header with the names of the format, whatever the width of brackets and the blanks in them.

    Args:
        names: Those of the header.
        fmt: Names of the columns.
        source: The file's name, for messages.

    Raises:
        DataError: If a needed column is missing or occurs twice. Needed are the symbols, the text, and each column
            that ``fmt.columns`` names itself.
    """
    wanted = _wanted(fmt)
    if missing := _missing(wanted, names):
        raise DataError(
            f"{source} has no column {', '.join(missing)}; it has {_shown(names)}; "
            "data.columns (for instance data.columns.symbols=IPC) and data.text name the columns to use"
        )
    folded = [fold_name(name) for name in names]
    if repeated := [name for name in wanted if folded.count(fold_name(name)) > 1]:
        raise DataError(f"{source} has more than one column {repeated[0]}; rename all but one")
    return _layout(names, fmt)


def find_text(names: Sequence[str], fmt: RawFormat, source: object) -> Layout:
    """Match the header of a file to be classified: only the text is needed; arguments as in :func:`find_columns`.

    Raises:
        DataError: If a column of the text is missing or occurs twice.
    """
    advice = "--text names the columns to read"
    if missing := _missing(fmt.text, names):
        raise DataError(f"{source} has no column {', '.join(missing)}; it has {_shown(names)}; {advice}")
    folded = [fold_name(name) for name in names]
    if repeated := [name for name in fmt.text if folded.count(fold_name(name)) > 1]:
        raise DataError(f"{source} has more than one column {repeated[0]}; rename all but one")
    return _layout(names, fmt)


def _layout(names: Sequence[str], fmt: RawFormat) -> Layout:
    folded = [fold_name(name) for name in names]
    positions = {
        ours: folded.index(fold_name(name)) for ours, name in fmt.header_names.items() if fold_name(name) in folded
    }
    return Layout(tuple(names), positions, tuple(folded.index(fold_name(name)) for name in fmt.text))


def _wanted(fmt: RawFormat) -> list[str]:
    """Names that the header must have, each once, in our order."""
    own = [name for ours, name in fmt.columns.items() if fold_name(name) != fold_name(PAPER_COLUMNS[ours])]
    return list(dict.fromkeys([fmt.header_names[_REQUIRED], *fmt.text, *own]))


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
