"""Concordances between two editions of the IPC, which list the symbols that changed.

A concordance is a CSV table in UTF-8 with the columns ``old`` and ``new``. Two columns are optional: ``kind``, a
description that is not read, and ``date``, the first day of the new edition. Some other common column names are
accepted too. An old symbol that occurs in several rows was split; one without a new symbol was deleted. ``H01L51/*``
means a whole main group; a class or a subclass means everything in it. The row that names a symbol most exactly
applies.
"""

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from patent_hier.errors import ConfigError, DataError
from patent_hier.taxonomy.symbols import IpcSymbol, SymbolError
from patent_hier.text_files import csv_rows

_NAMES = {
    "old": ("old", "from", "from symbol", "old symbol", "旧分类号", "原分类号"),
    "new": ("new", "to", "to symbol", "new symbol", "新分类号", "现分类号"),
    "date": ("date", "since", "in force", "生效日"),
}
_WHOLE_GROUP = "/*"


class Fate(StrEnum):
    """Kind of change that a new edition made to a symbol."""

    UNCHANGED = "unchanged"
    MOVED = "moved"
    SPLIT = "split"
    DELETED = "deleted"


class Successors(NamedTuple):
    """The new symbols that replace an old one.

    Attributes:
        fate: Kind of change.
        symbols: New symbols; the old symbol itself if it is unchanged, empty if it was deleted.
    """

    fate: Fate
    symbols: tuple[str, ...]


@dataclass(frozen=True)
class Entry:
    """The entry of a concordance for one old symbol.

    Attributes:
        new: Successors of the symbol; empty if it was deleted.
        since: First day of the edition that changed the symbol; None if unknown.
    """

    new: tuple[str, ...]
    since: datetime.date | None


class Concordance:
    """The changes that later editions made to the symbols of an edition.

    Args:
        entries: Entries by old symbol, spelled as by ``str(IpcSymbol)``; whole main groups end in ``/*``.

    Attributes:
        entries: Entries by old symbol, as passed in.
    """

    def __init__(self, entries: Mapping[str, Entry]) -> None:
        self.entries = dict(entries)
        self.follow = lru_cache(maxsize=1 << 16)(self._follow)

    @classmethod
    def read(cls, path: Path) -> "Concordance":
        """Read a concordance from a CSV table.

        Raises:
            DataError: If the table cannot be read, lacks a column, has an invalid symbol, or changes no symbol.
            ConfigError: If a date is invalid.
        """
        rows = csv_rows(path)
        names = [name.strip().lower() for name in next(rows, [])]
        places = {
            ours: next((names.index(own) for own in known if own in names), None) for ours, known in _NAMES.items()
        }
        old, new = places["old"], places["new"]
        if old is None or new is None:
            raise DataError(f"{path} has these columns: {', '.join(names) or 'none'}; it needs 'old' and 'new'")
        found: dict[str, dict[str, None]] = {}
        since: dict[str, datetime.date | None] = {}
        for number, row in enumerate(rows, 2):
            fields = [cell.strip() for cell in row]
            if not any(fields):
                continue
            cells = {
                name: fields[place] if place is not None and place < len(fields) else ""
                for name, place in places.items()
            }
            source = _symbol(cells["old"], path, number)
            targets = found.setdefault(source, {})
            if cells["new"]:
                targets[_symbol(cells["new"], path, number, whole=False)] = None
            day = _date(cells["date"], path, number)
            if since.setdefault(source, day) != day:
                raise DataError(f"{path} row {number}: {source} has a different date in an earlier row; keep one date")
        if all(tuple(own) == (source,) for source, own in found.items()):
            raise DataError(f"{path} does not change any symbol; check its columns 'old' and 'new'")
        return cls({source: Entry(tuple(own), since[source]) for source, own in found.items()})

    def _follow(self, symbol: str, day: datetime.date | None = None) -> Successors:
        """Follow a symbol through all later editions and return its successors.

        Args:
            symbol: The symbol, spelled as by ``str(IpcSymbol)``.
            day: Date on which the symbol was assigned; only entries with a later date, or with none, apply. None
                applies every entry.
        """
        for name in _names_of(symbol):
            entry = self.entries.get(name)
            if entry is None or (day is not None and entry.since is not None and day >= entry.since):
                continue
            new = entry.new
            if entry.since is not None:  # a successor may have changed again in a later edition
                new = tuple(dict.fromkeys(one for own in new for one in self.follow(own, entry.since).symbols))
            if new in ((symbol,), (name,)):  # unchanged, with everything below it that has no entry of its own
                break
            if not new:
                return Successors(Fate.DELETED, ())
            return Successors(Fate.MOVED if len(new) == 1 else Fate.SPLIT, new)
        return Successors(Fate.UNCHANGED, (symbol,))


def common_symbol(symbols: tuple[str, ...]) -> str | None:
    """Return the deepest symbol that contains all the given symbols; None if they share no class."""
    paths = [IpcSymbol.parse(symbol).path for symbol in symbols]
    shared = None
    for codes in zip(*paths, strict=True):
        if codes[0] is None or len(set(codes)) > 1:
            break
        shared = codes[0]
    return shared if shared is not None and len(shared) > 1 else None  # a section alone is not a symbol


def _names_of(symbol: str) -> list[str]:
    """Return the names of the entries that can apply to a symbol, the most exact first."""
    parsed = IpcSymbol.parse(symbol)
    group = parsed.main_group
    wide = [] if group is None else [group.removesuffix("/00") + _WHOLE_GROUP]
    return [symbol, *wide, *([parsed.subclass] if parsed.subclass else []), parsed.ipc_class]


def _symbol(text: str, path: Path, number: int, *, whole: bool = True) -> str:
    stem = text.removesuffix(_WHOLE_GROUP) + "/00" if whole and text.endswith(_WHOLE_GROUP) else text
    try:
        symbol = str(IpcSymbol.parse(stem))
    except SymbolError as error:
        raise DataError(f"{path} row {number}: {error}") from error
    return symbol if stem == text else symbol.removesuffix("/00") + _WHOLE_GROUP


def _date(text: str, path: Path, number: int) -> datetime.date | None:
    if not text:
        return None
    try:
        return datetime.date.fromisoformat(text)
    except ValueError as error:
        raise ConfigError(f"{path} row {number}: {text!r} is not a date; use YYYY-MM-DD, such as 2018-01-01") from error
