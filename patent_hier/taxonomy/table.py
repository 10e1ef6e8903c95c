"""Tables of labels: the rows of a CSV file, and the tree that they make, of the IPC or of any other scheme."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from patent_hier.errors import DataError
from patent_hier.progress import say
from patent_hier.taxonomy.symbols import IPC_LEVELS, SECTIONS, IpcSymbol, RejectReason, SymbolError
from patent_hier.text_files import csv_rows

NO_SYMBOL, UNKNOWN_CLASS = "codes that are not IPC symbols of their level", "codes of classes that the edition lacks"
NO_CODE, REPEATED = "rows without a code", "repeated rows"
OTHER_TITLE = "repeated codes with another title, of which the first is kept"
ORPHANS = "codes below a parent that has no row"

IpcPath = tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a table.

    Attributes:
        number: Its line in the file, if no field has a line break; the header's is 1.
        code: As it stands in the table.
        title: Likewise; empty if there is none.
        level: The level's name; empty without such a column.
        parent: The parent's code, empty at the first level; None without such a column.
    """

    number: int
    code: str
    title: str
    level: str
    parent: str | None


def read_rows(path: Path, *either: str) -> list[Row]:
    """Read a table of labels.

    Args:
        path: CSV in UTF-8, plain or compressed (``.xz``, ``.gz``), with a column ``code`` and a single one whose name
            starts with ``title``.
        either: Further columns, ``level`` or ``parent``, of which the table must have one.

    Raises:
        DataError: If the file cannot be read, lacks a column or has a row that is too short.
    """
    return list(_rows(path, csv_rows(path), either))


def _rows(path: Path, rows: Iterator[list[str]], either: Sequence[str]) -> Iterator[Row]:
    names = [name.strip().lower() for name in next(rows, [])]
    titles = [place for place, name in enumerate(names) if name.startswith("title")]
    if "code" not in names or len(titles) != 1 or not set(either) & set(names):
        wanted = " or ".join(map(repr, either))
        raise DataError(f"{path} has the columns {names}; it needs 'code', {wanted} and one that starts with 'title'")
    code, title = names.index("code"), titles[0]
    level, parent = (names.index(name) if name in names else None for name in ("level", "parent"))
    needed = max(place for place in (code, title, level, parent) if place is not None)
    for number, row in enumerate(rows, 2):
        if not row:  # a blank line
            continue
        if len(row) <= needed:
            raise DataError(f"{path} has too few columns in its row {number}; export it again")
        yield Row(
            number,
            row[code].strip(),
            row[title].strip(),
            "" if level is None else level_name(row[level].strip().lower()),
            None if parent is None else row[parent].strip(),
        )


def level_name(level: str) -> str:
    """A level's name; tables and older settings also write ``maingroup``."""
    return "main_group" if level == "maingroup" else level


class Scheme(NamedTuple):
    """The labels of a table, as arguments of :meth:`patent_hier.taxonomy.tree.LabelTree.from_paths`.

    Attributes:
        paths: Codes from the top to each label.
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
    """Findings so far: by code its row and its path, and how many rows could not be used or repeat a code."""

    path: Path
    rows: dict[str, Row] = field(default_factory=dict)
    paths: dict[str, tuple[str, ...]] = field(default_factory=dict)
    odd: Counter[str] = field(default_factory=Counter)
    first: dict[str, int] = field(default_factory=dict)  # row of each reason

    def pass_over(self, row: Row, reason: str) -> None:
        self.odd[reason] += 1
        self.first.setdefault(reason, row.number)

    def add(self, code: str, row: Row) -> None:
        known = self.rows.setdefault(code, row)
        if known is row:
            return
        if known.parent != row.parent:
            raise DataError(
                f"{self.path} has {code} below {known.parent!r} in its row {known.number} and below {row.parent!r} in "
                f"its row {row.number}; keep one"
            )
        self.pass_over(row, REPEATED if known.title == row.title else OTHER_TITLE)

    @property
    def titles(self) -> dict[str, str]:
        return {code: row.title for code, row in self.rows.items() if row.title and code in self.paths}

    def scheme(self, levels: Sequence[str], edition: str | None) -> Scheme:
        """The scheme of the paths; what was odd is said in one line."""
        odd = [f"{count} {reason} (first: row {self.first[reason]})" for reason, count in self.odd.items()]
        if not self.paths:
            raise DataError(f"{self.path} has no label that can be used: {', '.join(odd) or 'no row'}")
        paths = list(_whole(self.paths, len(levels)))
        sizes = [len({path[i] for path in paths if len(path) > i}) for i in range(len(levels))]
        made = ", ".join(f"{level} {size}" for level, size in zip(levels, sizes, strict=True))
        above = {code for path in self.paths.values() for code in path} - set(self.rows)
        gaps = f"; {len(above)} labels have no row, only others below them, such as {min(above)}" if above else ""
        say(f"labels of {self.path}: {made}; {len(self.titles)} titles; passed over: {', '.join(odd) or 'none'}{gaps}")
        return Scheme(paths, tuple(levels), self.titles, edition)


def _whole(paths: Mapping[str, tuple[str, ...]], n_levels: int) -> Iterable[tuple[str, ...]]:
    """The paths; a label without children has itself below it, down to the deepest level."""
    parents = {above for path in paths.values() for above in path[:-1] if above != path[-1]}
    for path in paths.values():
        yield path if path[-1] in parents else path + path[-1:] * (n_levels - len(path))


def read_scheme(path: Path, edition: str | None = None) -> Scheme:
    """Read a scheme; what is odd about the table is counted and said in one line.

    With a column ``parent`` the scheme is any: a row without a parent is of the first level, and the levels are named
    by the column ``level`` if there is one, else ``level_1`` and so on. Without it the scheme is the IPC, and the
    parents are found by its spelling. A label without children that stands above the deepest level has a leaf of its
    own code at every level below; so has every main group of the IPC, at which documents may end.

    Args:
        path: As for :func:`read_rows`.
        edition: Edition of the scheme. The IPC's classes must belong to it; ``latest`` if left out.

    Raises:
        DataError: If the table cannot be used: also if a code has two parents, or stands below itself.
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
        if IPC_LEVELS[len(codes) - 1] == "main_group" and depth > len(codes):  # documents may end there
            found.paths[code] = (*codes, code)
    return found.scheme(IPC_LEVELS[:depth], edition)


def ipc_place(path: Path, row: Row, edition: str) -> IpcPath | str:
    """The path to the IPC place that a row names, without None at its end; or why it has none.

    Raises:
        DataError: If the row's level is none of the IPC's.
    """
    if row.level not in IPC_LEVELS:
        raise DataError(f"{path} has level={row.level!r} in its row {row.number}; use one of {', '.join(IPC_LEVELS)}")
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
    """A code's path, which is kept with those of its ancestors; None if one of them has no row."""
    climbed: dict[str, None] = {}
    while code and code not in found.paths:
        if code in climbed:
            raise DataError(f"{path} has {code} below itself (row {found.rows[code].number}); correct its parent")
        if code not in found.rows:
            return None
        climbed[code] = None
        code = found.rows[code].parent or ""
    above = found.paths[code] if code else ()
    for own in reversed(climbed):
        above = found.paths[own] = (*above, own)
    return above


def _level_names(found: _Found) -> list[str]:
    """A name for each level; one that several levels share is numbered from the second on."""
    named: dict[int, Row] = {}
    for code, own in found.paths.items():
        row = found.rows[code]
        known = named.setdefault(len(own), row)
        if known.level != row.level:
            raise DataError(
                f"{found.path} has level={known.level!r} in its row {known.number} and level={row.level!r} in its row "
                f"{row.number}, both {len(own)} steps from the top; give them one name, or leave the column out"
            )
    levels = [named[depth].level for depth in sorted(named)]
    numbers = [levels[: i + 1].count(level) for i, level in enumerate(levels)]
    return [
        level if level and number == 1 else f"{level or 'level'}_{number}"
        for level, number in zip(levels, numbers, strict=True)
    ]
