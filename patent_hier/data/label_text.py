"""Titles of IPC places as labelled texts: the sections, classes and deeper places that a user's table names."""

import csv
import gzip
import lzma
import re
import zlib
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from patent_hier.data.labels import ipc_path
from patent_hier.data.raw import has_words, normalise
from patent_hier.errors import DataError
from patent_hier.ipc import SECTIONS, IpcSymbol, RejectReason, SymbolError
from patent_hier.settings.data import LABEL_LEVELS
from patent_hier.taxonomy.tree import IPC_LEVELS
from patent_hier.text_files import open_lines

LABEL_TEXT_VERSION = 1  # raise it when the same table gives other texts
# Since when a place is there: 〔8〕, [5,2006.01].
_EDITIONS = re.compile(r"〔[0-9][0-9,，.\s]*〕|\[[0-9][0-9,，.\s]*\]")
NO_SYMBOL, UNKNOWN_CLASS = "codes that are no IPC symbol of their level", "codes of classes that the edition lacks"
EMPTY, REPEATED = "titles without a word outside notes", "repeated rows"


@dataclass(frozen=True, eq=False)
class LabelTexts:
    """Titles of IPC places, in the order of their table.

    Attributes:
        texts: Without their notes, ``n`` of them, none empty.
        levels: ``(n,)`` of strings, of :data:`patent_hier.settings.data.LABEL_LEVELS`.
        paths: ``(n, 5)`` of strings, from section to subgroup; ``None`` below the titled place.
        passed_over: Rows of the chosen levels that give no text, by reason.
    """

    texts: tuple[str, ...]
    levels: NDArray[np.object_]
    paths: NDArray[np.object_]
    passed_over: Mapping[str, int]

    def __len__(self) -> int:
        return len(self.texts)

    def line(self) -> str:
        """How many texts there are of each level, and how many rows were passed over, in one line."""
        levels = ", ".join(f"{level} {count}" for level, count in count_levels(self.levels).items())
        passed = ", ".join(f"{count} {reason}" for reason, count in self.passed_over.items())
        return f"{len(self)} titles ({levels}); passed over: {passed or 'none'}"


def count_levels(levels: NDArray[np.object_]) -> dict[str, int]:
    """How often each level occurs, from the section down; levels that do not occur are left out."""
    counts = Counter(levels.tolist())
    return {level: counts[level] for level in LABEL_LEVELS if counts[level]}


def read_label_texts(path: Path, levels: Collection[str], edition: str) -> LabelTexts:
    """Read the titles of some levels.

    Args:
        path: CSV in UTF-8, plain or compressed (``.xz``, ``.gz``), with the columns ``code``, ``level`` and a single
            one whose name starts with ``title``.
        levels: Which rows are read, of :data:`patent_hier.settings.data.LABEL_LEVELS`.
        edition: IPC edition that the classes must belong to, ``2017`` or ``latest``.

    Raises:
        DataError: If the file cannot be read, lacks a column, has a row that is no row of such a table, or gives no
            text.
    """
    try:
        with open_lines(path, newline="") as lines:
            return _collect(path, csv.reader(lines, strict=True), levels, edition)
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 ({error.reason}); save it as UTF-8") from error
    except (csv.Error, lzma.LZMAError, gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise DataError(f"{path} is damaged ({error}); fetch or export it again") from error
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}; check the path and its permissions") from error


def strip_notes(title: str) -> str:
    """A title without what stands in parentheses, full-width or ASCII, nested or not, and without edition marks.

    A parenthesis that is never closed takes the rest with it (tables cut long notes off), one that was never opened
    is dropped alone. White space is normalised as that of documents.
    """
    depth, kept = 0, []
    for character in _EDITIONS.sub("", title):
        if character in "（(":
            depth += 1
        elif character in "）)":
            depth = max(0, depth - 1)
        elif not depth:
            kept.append(character)
    return normalise("".join(kept))


def _collect(path: Path, rows: Iterator[list[str]], levels: Collection[str], edition: str) -> LabelTexts:
    code_column, level_column, title_column = _columns(path, next(rows, []))
    passed_over: Counter[str] = Counter()
    levels = list(dict.fromkeys(map(level_name, levels)))  # in their order, for the message
    found: dict[tuple[tuple[str | None, ...], str, str], None] = {}  # a set that keeps its order
    for number, row in enumerate(rows, 2):
        if not row:  # a blank line
            continue
        if len(row) <= max(code_column, level_column, title_column):
            raise DataError(f"{path} has too few columns in its row {number}; export it again")
        code, level = row[code_column].strip(), level_name(row[level_column].strip().lower())
        if level not in LABEL_LEVELS:
            raise DataError(f"{path} has level={level!r} in its row {number}; use one of {', '.join(LABEL_LEVELS)}")
        if level not in levels:
            continue
        place, text = _place(code, level, edition), strip_notes(row[title_column])
        if isinstance(place, str):
            passed_over[place] += 1
        elif not has_words(text):
            passed_over[EMPTY] += 1
        elif (entry := (place, level, text)) in found:
            passed_over[REPEATED] += 1
        else:
            found[entry] = None
    if not found:
        raise DataError(f"{path} has no title of the levels {', '.join(levels)}; check data.label_levels and the file")
    paths, chosen, texts = zip(*found, strict=True)
    return LabelTexts(texts, np.array(chosen, object), np.array(paths, object), passed_over)


def level_name(level: str) -> str:
    """A level's name; tables and older settings also write ``maingroup``."""
    return "main_group" if level == "maingroup" else level


def _columns(path: Path, header: list[str]) -> tuple[int, int, int]:
    """Where code, level and title stand."""
    names = [name.strip().lower() for name in header]
    titles = [place for place, name in enumerate(names) if name.startswith("title")]
    if "code" not in names or "level" not in names or len(titles) != 1:
        raise DataError(f"{path} has the columns {names}; it needs 'code', 'level' and one that starts with 'title'")
    return names.index("code"), names.index("level"), titles[0]


def _place(code: str, level: str, edition: str) -> tuple[str | None, ...] | str:
    """The path to a code, ``None`` below it; or why it has none."""
    place = IPC_LEVELS.index(level) + 1
    if level == "section":
        return (code.upper(), *[None] * 4) if code.upper() in SECTIONS else NO_SYMBOL
    try:
        symbol = IpcSymbol.parse(code, edition)
    except SymbolError as error:
        return UNKNOWN_CLASS if error.reason is RejectReason.UNKNOWN_CLASS else NO_SYMBOL
    if symbol.depth != level:
        return NO_SYMBOL
    return (*ipc_path(str(symbol), place), *[None] * (len(IPC_LEVELS) - place))
