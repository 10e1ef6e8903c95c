"""Tables of labels: reading their rows from a CSV file and deriving the scheme, be it the IPC or any other."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from patent_hier.errors import DataError
from patent_hier.progress import say
from patent_hier.taxonomy.symbols import IPC_LEVELS, SECTIONS, IpcSymbol, RejectReason, SymbolError
from patent_hier.text_files import csv_rows

NO_SYMBOL, UNKNOWN_CLASS = "codes that are not IPC symbols of their level", "codes whose class the edition lacks"
NO_CODE, REPEATED = "rows without a code", "repeated rows"
OTHER_TITLE = "repeated codes with a different title (the first title is kept)"
ORPHANS = "codes whose parent has no row"

IpcPath = tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a table.

    Attributes:
        number: Number of the row; the header is row 1.
        code: Code as it is in the table.
        title: Title as it is in the table; empty if there is none.
        level: Name of the level; empty if the table has no column ``level``.
        parent: Code of the parent, empty at the first level; None if the table has no column ``parent``.
    """

    number: int
    code: str
    title: str
    level: str
    parent: str | None


def read_rows(path: Path, *either: str) -> list[Row]:
    """Read a table of labels.

    Args:
        path: CSV file in UTF-8, plain or compressed (``.xz``, ``.gz``), with a column ``code`` and exactly one column
            whose name starts with ``title``.
        either: Further columns, ``level`` or ``parent``; the table must have at least one of them.

    Raises:
        DataError: If the file cannot be read, lacks a column or has a row that is too short.
    """
    return list(_rows(path, csv_rows(path), either))


def _rows(path: Path, rows: Iterator[list[str]], either: Sequence[str]) -> Iterator[Row]:
    names = [name.strip().lower() for name in next(rows, [])]
    titles = [place for place, name in enumerate(names) if name.startswith("title")]
    if "code" not in names or len(titles) != 1 or not set(either) & set(names):
        wanted = " or ".join(map(repr, either))
        raise DataError(
            f"{path} has the columns {names}; it needs 'code', {wanted}, and one column that starts with 'title'"
        )
    code, title = names.index("code"), titles[0]
    level, parent = (names.index(name) if name in names else None for name in ("level", "parent"))
    needed = max(place for place in (code, title, level, parent) if place is not None)
    for number, row in enumerate(rows, 2):
        if not row:  # a blank line
            continue
        if len(row) <= needed:
            raise DataError(f"{path} has too few columns in row {number}; export the table again")
        yield Row(
            number,
            row[code].strip(),
            row[title].strip(),
            "" if level is None else level_name(row[level].strip().lower()),
            None if parent is None else row[parent].strip(),
        )


def level_name(level: str) -> str:
    """Return the name of a level; tables and older settings may also spell it ``maingroup``."""
    return "main_group" if level == "maingroup" else level


class Scheme(NamedTuple):
    """The labels of a table, as arguments of :meth:`patent_hier.taxonomy.tree.LabelTree.from_paths`.

    Attributes:
        paths: Path to each label: the codes from the top down.
        levels: Names of the levels.
        titles: Titles by code.
        edition: Edition of the scheme; None if unknown.
    """

    paths: list[tuple[str, ...]]
    levels: tuple[str, ...]
    titles: dict[str, str]
    edition: str | None


@dataclass
class _Found:
    """The rows and paths found so far, by code, and the number of rows skipped for each reason."""

    path: Path
    rows: dict[str, Row] = field(default_factory=dict)
    paths: dict[str, tuple[str, ...]] = field(default_factory=dict)
    odd: Counter[str] = field(default_factory=Counter)
    first: dict[str, int] = field(default_factory=dict)  # first row skipped for each reason

    def pass_over(self, row: Row, reason: str) -> None:
        self.odd[reason] += 1
        self.first.setdefault(reason, row.number)

    def add(self, code: str, row: Row) -> None:
        known = self.rows.setdefault(code, row)
        if known is row:
            return
        if known.parent != row.parent:
            raise DataError(
                f"{self.path} has {code} below {known.parent!r} in row {known.number} and below {row.parent!r} in "
                f"row {row.number}; keep one of the rows"
            )
        self.pass_over(row, REPEATED if known.title == row.title else OTHER_TITLE)

    @property
    def titles(self) -> dict[str, str]:
        return {code: row.title for code, row in self.rows.items() if row.title and code in self.paths}

    def scheme(self, levels: Sequence[str], edition: str | None) -> Scheme:
        """Return the scheme and print one line that counts the labels and the skipped rows."""
        odd = [f"{count} {reason} (first: row {self.first[reason]})" for reason, count in self.odd.items()]
        if not self.paths:
            raise DataError(f"{self.path} has no usable label: {', '.join(odd) or 'no rows'}; check the table")
        paths = list(_whole(self.paths, len(levels)))
        sizes = [len({path[i] for path in paths if len(path) > i}) for i in range(len(levels))]
        made = ", ".join(f"{level} {size}" for level, size in zip(levels, sizes, strict=True))
        above = {code for path in self.paths.values() for code in path} - set(self.rows)
        gaps = f"; {len(above)} labels occur only as parents and have no row, such as {min(above)}" if above else ""
        say(f"labels of {self.path}: {made}; {len(self.titles)} titles; skipped: {', '.join(odd) or 'none'}{gaps}")
        return Scheme(paths, tuple(levels), self.titles, edition)


def _whole(paths: Mapping[str, tuple[str, ...]], n_levels: int) -> Iterable[tuple[str, ...]]:
    """Yield the paths; a label without children is repeated below itself, down to the deepest level."""
    parents = {above for path in paths.values() for above in path[:-1] if above != path[-1]}
    for path in paths.values():
        yield path if path[-1] in parents else path + path[-1:] * (n_levels - len(path))


def read_scheme(path: Path, edition: str | None = None) -> Scheme:
    """Read a scheme, and print one line that counts the labels and the skipped rows.

    With a column ``parent``, the table can hold any scheme: a row without a parent belongs to the first level, and the
    levels take their names from the column ``level`` if there is one, else ``level_1`` and so on. Without it, the
    scheme is the IPC, and the parents follow from the spelling of the symbols. A label without children above the
    deepest level is repeated at every level below it. The same holds for every main group of the IPC, because a
    document's symbol may end there.

    Args:
        path: Table to read; see :func:`read_rows`.
        edition: Edition of the scheme. IPC classes must belong to it; ``latest`` if left out.

    Raises:
        DataError: If the table cannot be used, or a code has two parents or is its own ancestor.
    """
    rows = read_rows(path, "parent", "level")
    if any(row.parent is None for row in rows):
        return _by_spelling(path, rows, edition or "latest")
    return _by_parent(path, rows, edition)


def _by_spelling(path: Path, rows: list[Row], edition: str) -> Scheme:
    found = _Found(path)
    for row in rows:
        place = ipc_place(path, row, edition)
        if isinstance(place, str):
            found.pass_over(row, place)
        else:
            codes = tuple(code for code in place if code is not None)
            found.add(codes[-1], row)
            found.paths[codes[-1]] = codes
    depth = max(map(len, found.paths.values()), default=0)
    for code, codes in found.paths.items():
        if IPC_LEVELS[len(codes) - 1] == "main_group" and depth > len(codes):  # documents may end at a main group
            found.paths[code] = (*codes, code)
    return found.scheme(IPC_LEVELS[:depth], edition)


def ipc_place(path: Path, row: Row, edition: str) -> IpcPath | str:
    """Return the path to the IPC label that a row names, without trailing None; or the reason why it names none.

    Raises:
        DataError: If the row's level is not an IPC level.
    """
    if row.level not in IPC_LEVELS:
        raise DataError(f"{path} has level={row.level!r} in row {row.number}; use one of {', '.join(IPC_LEVELS)}")
    if not row.code:
        return NO_CODE
    if row.level == IPC_LEVELS[0]:
        return (row.code.upper(),) if row.code.upper() in SECTIONS else NO_SYMBOL
    try:
        symbol = IpcSymbol.parse(row.code, edition)
    except SymbolError as error:
        return UNKNOWN_CLASS if error.reason is RejectReason.UNKNOWN_CLASS else NO_SYMBOL
    return symbol.path[: IPC_LEVELS.index(row.level) + 1] if symbol.depth == row.level else NO_SYMBOL


def _by_parent(path: Path, rows: list[Row], edition: str | None) -> Scheme:
    found = _Found(path)
    for row in rows:
        if row.code:
            found.add(row.code, row)
        else:
            found.pass_over(row, NO_CODE)
    for code, row in found.rows.items():
        if _climb(path, code, found) is None:
            found.pass_over(row, ORPHANS)
    return found.scheme(_level_names(found), edition)


def _climb(path: Path, code: str, found: _Found) -> tuple[str, ...] | None:
    """Find the path of a code and store it with the paths of its ancestors; return None if an ancestor has no row."""
    climbed: dict[str, None] = {}
    while code and code not in found.paths:
        if code in climbed:
            raise DataError(f"{path} has {code} below itself (row {found.rows[code].number}); correct the parent")
        if code not in found.rows:
            return None
        climbed[code] = None
        code = found.rows[code].parent or ""
    above = found.paths[code] if code else ()
    for own in reversed(climbed):
        above = found.paths[own] = (*above, own)
    return above


def _level_names(found: _Found) -> list[str]:
    """Return a name for each level; if several levels share a name, a number is added from the second on."""
    named: dict[int, Row] = {}
    for code, own in found.paths.items():
        row = found.rows[code]
        known = named.setdefault(len(own), row)
        if known.level != row.level:
            raise DataError(
                f"{found.path} has level={known.level!r} in row {known.number} but level={row.level!r} in row "
                f"{row.number}, both at depth {len(own)}; give the two rows the same level, or remove the column"
            )
    levels = [named[depth].level for depth in sorted(named)]
    numbers = [levels[: i + 1].count(level) for i, level in enumerate(levels)]
    return [
        level if level and number == 1 else f"{level or 'level'}_{number}"
        for level, number in zip(levels, numbers, strict=True)
    ]
