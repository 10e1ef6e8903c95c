"""Places of the scheme that an office may not use: a list that a person writes beside a model, ``blocked.csv``.

Answers never name a blocked label or one below it; all probabilities are those of the rest, as with
:attr:`patent_hier.inference.answering.Question.exclude`. The list is no part of what was trained, so no manifest lists
it: whoever keeps the model may edit it in place.
"""

import csv
import io
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from patent_hier.errors import BlockedLabelError, ConfigError, DataError, UnknownLabelError
from patent_hier.evaluation.restriction import Restriction
from patent_hier.sanitize import cell, one_line, shown
from patent_hier.taxonomy.lookup import LabelLookup
from patent_hier.taxonomy.table import level_name
from patent_hier.taxonomy.tree import NONE, LabelTree
from patent_hier.text_files import numbered_rows

BLOCKED_FILE = "blocked.csv"
_COLUMNS = ("code", "level", "reason")
_LONGEST = 500  # characters of a reason
_SHOWN = 5  # labels that a line names
_BYTE_ORDER_MARK = "\ufeff"  # makes spreadsheets read the file as UTF-8


@dataclass(frozen=True)
class BlockedPlace:
    """A label that may not be used.

    Attributes:
        label: Such as ``A01B``; everything below it is blocked too.
        level: Such as ``subclass``.
        reason: As a person wrote it, in one line.
    """

    label: str
    level: str
    reason: str


@dataclass(frozen=True, eq=False)
class Blocked:
    """All blocked places of a system.

    Attributes:
        tree: All labels.
        reasons: By position in the tree, in the order of the list.
    """

    tree: LabelTree
    reasons: dict[int, str]

    @classmethod
    def read(cls, path: Path, tree: LabelTree) -> Self:
        """Read a list: a CSV file in UTF-8 with the columns ``code``, ``reason`` and, if need be, ``level``.

        Args:
            path: The file.
            tree: The labels that it speaks of.

        Raises:
            DataError: In one line, with the number of the file's line, if the list cannot be used or blocks all labels.
        """
        rows = numbered_rows(path)
        _, header = next(rows, (0, []))
        names = [name.strip().lower() for name in header]
        if missing := [name for name in ("code", "reason") if name not in names]:
            raise DataError(f"{path} has no column {missing[0]}; its first line is code,reason or code,level,reason")
        lookup, lines = LabelLookup(tree), dict[int, int]()
        blocked = cls(tree, {})
        for line, row in rows:
            if not any(value.strip() for value in row):
                continue
            if any(value.strip() for value in row[len(names) :]):
                raise DataError(
                    f"{path} has more values than columns in line {line}; put a reason with commas in quotes"
                )
            fields = {name: value.strip() for name, value in zip(names, row, strict=False)}
            position = _position(path, line, fields, lookup, tree)
            if position in lines:
                label = tree.codes[position]
                raise DataError(f"{path} blocks {label} in line {line} and in line {lines[position]}; keep one of them")
            lines[position] = line
            blocked.reasons[position] = _reason(path, line, fields.get("reason", ""))
        if blocked.lost.all():
            raise DataError(f"{path} blocks all labels of the model; leave some that can be answered")
        return blocked

    @classmethod
    def load(cls, folder: Path, tree: LabelTree) -> Self:
        """The list in a model's folder; nothing is blocked where there is none. Errors as of :meth:`read`."""
        file = folder / BLOCKED_FILE
        return cls.read(file, tree) if _is_there(file) else cls(tree, {})

    def __len__(self) -> int:
        return len(self.reasons)

    @property
    def positions(self) -> list[int]:
        """The blocked places in the tree, in the order of the list."""
        return list(self.reasons)

    @cached_property
    def places(self) -> tuple[BlockedPlace, ...]:
        """The blocked places in the order of the list."""
        tree = self.tree
        return tuple(
            BlockedPlace(str(tree.codes[place]), tree.level_of(place), reason) for place, reason in self.reasons.items()
        )

    @cached_property
    def lost(self) -> NDArray[np.bool_]:
        """Which labels have no path left, ``(n_labels,)``: blocked, below a blocked one, or above blocked ones only."""
        if not self.reasons:
            return np.zeros(len(self.tree), np.bool_)
        try:
            return ~Restriction.of(self.tree, [], self.positions).kept
        except ConfigError:
            return np.ones(len(self.tree), np.bool_)

    @cached_property
    def names(self) -> frozenset[tuple[str, str]]:
        """Level and code of all labels that :attr:`lost` marks."""
        places = np.flatnonzero(self.lost).tolist()
        return frozenset((self.tree.level_of(place), str(self.tree.codes[place])) for place in places)

    def refuse(self, positions: Sequence[int]) -> None:
        """Refuse labels that are asked for although they are blocked.

        Raises:
            BlockedLabelError: For the first of them, with the reason.
        """
        for position in positions:
            if self.lost[position]:
                label = str(self.tree.codes[position])
                path = self.tree.paths(np.array([position], np.int32))[0]
                above = next((int(place) for place in path if int(place) in self.reasons), None)
                if above is None:
                    raise BlockedLabelError(label, "everything below it is blocked")
                own = "" if above == position else f"{self.tree.codes[above]}: "
                raise BlockedLabelError(label, own + self.reasons[above])

    def refuse_label(self, label: str, level: str | None) -> None:
        """:meth:`refuse` for a label by its code; one that is unknown is left to others."""
        for name in self.tree.levels if level is None else {level} & {*self.tree.levels}:
            (position,) = self.tree.find(name, [label]).tolist()
            if position != NONE:
                self.refuse([position])
                return

    def in_words(self) -> str:
        """How many places are blocked, for a reason or a note; empty for none."""
        count = len(self)
        return f"{count} {'place is' if count == 1 else 'places are'} blocked" if count else ""

    def note(self) -> str:
        """The same with the first labels, for a line on the screen; empty for none."""
        named = ", ".join(place.label for place in self.places[:_SHOWN])
        more = f" and {len(self) - _SHOWN} more" if len(self) > _SHOWN else ""
        return f"{self.in_words()} and never answered: {named}{more}" if len(self) else ""

    def written(self) -> str:
        """The list as a file that :meth:`read` reads and a spreadsheet only shows."""
        text = io.StringIO(newline="")
        writer = csv.writer(text)
        writer.writerow(_COLUMNS)
        writer.writerows((cell(place.label), place.level, cell(place.reason)) for place in self.places)
        return _BYTE_ORDER_MARK + text.getvalue()

    def write(self, path: Path) -> None:
        """Write the list."""
        path.write_text(self.written(), "utf-8", newline="")


def carry_blocked(before: Path, after: Path) -> bool:
    """Copy the list of a model's folder into the one that takes its place; call it after the new folder is sealed.

    The copy is byte for byte what a person wrote, and a link stays the same link. A code that the new labels lack is
    told when the new model is loaded.

    Args:
        before: The model's folder.
        after: The new one, in the same parent folder; a list that it has already stays.

    Returns:
        Whether a list was copied.
    """
    source, target = before / BLOCKED_FILE, after / BLOCKED_FILE
    if not _is_there(source) or _is_there(target):
        return False
    shutil.copyfile(source, target, follow_symlinks=False)
    return True


def _is_there(file: Path) -> bool:
    """Whether a list is there, be it only a link to nothing, which no model is loaded with."""
    return file.exists() or file.is_symlink()


def _position(path: Path, line: int, fields: dict[str, str], lookup: LabelLookup, tree: LabelTree) -> int:
    code, level = fields.get("code", ""), level_name(fields.get("level", "").lower())
    if not code:
        raise DataError(f"{path} names no code in line {line}; write one, or delete the line")
    if level and level not in tree.levels:
        raise DataError(f"{path} has level {shown(level)} in line {line}; the model has {', '.join(tree.levels)}")
    try:
        return lookup.find(f"{level}:{code}" if level else code)
    except UnknownLabelError as error:
        near = ", ".join(error.near)
        raise DataError(
            f"{path} has code {shown(code)} in line {line}, which the model does not know; near: {near}"
        ) from error


def _reason(path: Path, line: int, reason: str) -> str:
    if not reason:
        raise DataError(f"{path} gives no reason in line {line}; write one")
    if len(reason) > _LONGEST:
        raise DataError(f"{path} gives a reason of {len(reason)} characters in line {line}; write {_LONGEST} at most")
    return one_line(" ".join(reason.split()))
