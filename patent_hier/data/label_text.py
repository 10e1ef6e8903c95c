"""Titles of IPC places as labelled texts: sections, classes and deeper places in a user's table."""

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

LABEL_TEXT_VERSION = 1  # increase it when the same table gives other texts
# Edition marks, which give the edition that introduced a place: 〔8〕, [5,2006.01].
_EDITIONS = re.compile(r"〔[0-9][0-9,，.\s]*〕|\[[0-9][0-9,，.\s]*\]")
EMPTY = "titles without a word outside notes"


@dataclass(frozen=True, eq=False)
class LabelTexts:
    """Titles of IPC places in the order of their table.

    Attributes:
        texts: ``n`` titles without their notes, none empty.
        levels: Levels of the titles, strings of :data:`patent_hier.settings.data.LABEL_LEVELS`, ``(n,)``.
        paths: Codes from section to subgroup, strings, ``(n, 5)``; ``None`` below the titled place.
        passed_over: Number of skipped rows of the chosen levels by reason.
    """

    texts: tuple[str, ...]
    levels: NDArray[np.object_]
    paths: NDArray[np.object_]
    passed_over: Mapping[str, int]

    def __len__(self) -> int:
        return len(self.texts)

    def whole_paths(self, n_levels: int) -> list[tuple[str | None, ...]]:
        """Return the paths of the places at the deepest of ``n_levels`` levels, with ``n_levels`` codes each.

        The path of a main group ends in the leaf that repeats its code.

        Args:
            n_levels: Number of levels from the section down.
        """
        paths = self.paths.copy()
        last = IPC_LEVELS.index("subgroup")
        if n_levels > last:
            paths[:, last] = np.where(self.levels == "main_group", paths[:, last - 1], paths[:, last])
        ends = (paths != None).sum(axis=1) == n_levels  # noqa: E711 - elementwise
        return [tuple(path) for path in paths[ends, :n_levels].tolist()]

    def line(self) -> str:
        """Return a line with the number of titles at each level and of skipped rows."""
        levels = ", ".join(f"{level} {count}" for level, count in count_levels(self.levels).items())
        passed = ", ".join(f"{count} {reason}" for reason, count in self.passed_over.items())
        return f"{len(self)} titles ({levels}); skipped: {passed or 'none'}"


def count_levels(levels: NDArray[np.object_]) -> dict[str, int]:
    """Return how often each level occurs, from the section down; levels that do not occur are left out."""
    counts = Counter(levels.tolist())
    return {level: counts[level] for level in LABEL_LEVELS if counts[level]}


def read_label_texts(path: Path, levels: Collection[str], edition: str) -> LabelTexts:
    """Read the titles of the given levels.

    Args:
        path: CSV in UTF-8, plain or compressed (``.xz``, ``.gz``), with the columns ``code``, ``level`` and exactly
            one whose name starts with ``title``.
        levels: Levels of the rows to read, from :data:`patent_hier.settings.data.LABEL_LEVELS`.
        edition: IPC edition that the classes must belong to, ``2017`` or ``latest``.

    Raises:
        DataError: If the file cannot be read, lacks a column, has an invalid row, or gives no text.
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
        raise DataError(f"{path} has no title at the levels {', '.join(levels)}; check data.label_levels and the file")
    paths, chosen, texts = zip(*found, strict=True)
    return LabelTexts(texts, np.array(chosen, object), np.array(paths, object), passed_over)


def strip_notes(title: str) -> str:
    """Remove from a title all text in parentheses, full-width or ASCII, nested or not, and its edition marks.

    An unclosed parenthesis removes the rest of the title, because tables cut off long notes; a closing parenthesis
    without an opening one is removed alone. White space is normalised as in documents.
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
