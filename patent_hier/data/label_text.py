"""Titles of IPC places as labelled texts: the sections, classes and deeper places that a user's table names."""

import re
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from patent_hier.data.raw import has_words, normalise
from patent_hier.errors import DataError
from patent_hier.settings.data import LABEL_LEVELS
from patent_hier.taxonomy.symbols import IPC_LEVELS
from patent_hier.taxonomy.table import REPEATED, ipc_place, level_name, read_rows

LABEL_TEXT_VERSION = 1  # raise it when the same table gives other texts
# Since when a place is there: 〔8〕, [5,2006.01].
_EDITIONS = re.compile(r"〔[0-9][0-9,，.\s]*〕|\[[0-9][0-9,，.\s]*\]")
EMPTY = "titles without a word outside notes"


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

    def whole_paths(self, n_levels: int) -> list[tuple[str | None, ...]]:
        """The paths of places at the deepest of some levels, ``n_levels`` codes each.

        A main group's reaches the leaf that repeats its code.

        Args:
            n_levels: Levels from the section down.
        """
        paths = self.paths.copy()
        last = IPC_LEVELS.index("subgroup")
        if n_levels > last:
            paths[:, last] = np.where(self.levels == "main_group", paths[:, last - 1], paths[:, last])
        ends = (paths != None).sum(axis=1) == n_levels  # noqa: E711 - elementwise
        return [tuple(path) for path in paths[ends, :n_levels].tolist()]

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
    passed_over: Counter[str] = Counter()
    wanted = {level_name(level) for level in levels}
    found: dict[tuple[tuple[str | None, ...], str, str], None] = {}  # a set that keeps its order
    for row in read_rows(path, "level"):
        if row.level in IPC_LEVELS and row.level not in wanted:
            continue
        place, text = ipc_place(path, row, edition), strip_notes(row.title)
        if isinstance(place, str):
            passed_over[place] += 1
        elif not has_words(text):
            passed_over[EMPTY] += 1
        elif (entry := (place + (None,) * (len(IPC_LEVELS) - len(place)), row.level, text)) in found:
            passed_over[REPEATED] += 1
        else:
            found[entry] = None
    if not found:
        raise DataError(f"{path} has no title of the levels {', '.join(levels)}; check data.label_levels and the file")
    paths, chosen, texts = zip(*found, strict=True)
    return LabelTexts(texts, np.array(chosen, object), np.array(paths, object), passed_over)


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
