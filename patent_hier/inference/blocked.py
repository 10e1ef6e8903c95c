"""Places of the scheme that an office does not use, listed by a person in ``blocked.csv`` next to a model.

Answers never contain a blocked label or a label below one. The probabilities of all other labels are renormalised, as
with :attr:`patent_hier.inference.answering.Question.exclude`. The list is not part of the training, so the manifest
does not cover it and you can edit it in place.
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
_LONGEST = 500  # characters in a reason
_SHOWN = 5  # labels listed in a note
_BYTE_ORDER_MARK = "\ufeff"  # makes spreadsheets read the file as UTF-8


@dataclass(frozen=True)
class BlockedPlace:
    """A label that must not be used.

    Attributes:
        label: Code of the label, such as ``A01B``; everything below it is blocked too.
        level: Level of the label, such as ``subclass``.
        reason: Reason as the person wrote it, on one line.
    """

    label: str
    level: str
    reason: str


@dataclass(frozen=True, eq=False)
class Blocked:
    """All blocked places of a system.

    Attributes:
        tree: All labels of the system.
        reasons: Reason for each blocked label, by its position in the tree, in the order of the list.
    """

    tree: LabelTree
    reasons: dict[int, str]

    @classmethod
    def read(cls, path: Path, tree: LabelTree) -> Self:
        """Read a list: a UTF-8 CSV file with the columns ``code``, ``reason`` and, optionally, ``level``.

        Args:
            path: The file.
            tree: Label tree that the codes refer to.

        Raises:
            DataError: If the list is invalid or blocks every label; the one-line message gives the line number in the
                file.
        """
        rows = numbered_rows(path)
        _, header = next(rows, (0, []))
        names = [name.strip().lower() for name in header]
        if missing := [name for name in ("code", "reason") if name not in names]:
            raise DataError(f"{path} has no column {missing[0]}; make its first line code,reason or code,level,reason")
        lookup, lines = LabelLookup(tree), dict[int, int]()
        blocked = cls(tree, {})
        for line, row in rows:
            if not any(value.strip() for value in row):
                continue
            if any(value.strip() for value in row[len(names) :]):
                raise DataError(
                    f"{path} has more values than columns in line {line}; put a reason that contains commas in quotes"
                )
            fields = {name: value.strip() for name, value in zip(names, row, strict=False)}
            position = _position(path, line, fields, lookup, tree)
            if position in lines:
                label = tree.codes[position]
                raise DataError(
                    f"{path} blocks {label} in line {line} and in line {lines[position]}; keep one of these lines"
                )
            lines[position] = line
            blocked.reasons[position] = _reason(path, line, fields.get("reason", ""))
        if blocked.lost.all():
            raise DataError(f"{path} blocks all labels of the model; remove some lines so that labels remain")
        return blocked

    @classmethod
    def load(cls, folder: Path, tree: LabelTree) -> Self:
        """Read the list in a model's folder; without a file, nothing is blocked. Raises the errors of :meth:`read`."""
        file = folder / BLOCKED_FILE
        return cls.read(file, tree) if _is_there(file) else cls(tree, {})

    def __len__(self) -> int:
        return len(self.reasons)

    @property
    def positions(self) -> list[int]:
        """Positions of the blocked places in the tree, in the order of the list."""
        return list(self.reasons)

    @cached_property
    def places(self) -> tuple[BlockedPlace, ...]:
        """The blocked places, in the order of the list."""
        tree = self.tree
        return tuple(
            BlockedPlace(str(tree.codes[place]), tree.level_of(place), reason) for place, reason in self.reasons.items()
        )

    @cached_property
    def lost(self) -> NDArray[np.bool_]:
        """Mask of the labels that no allowed path contains, ``(n_labels,)``.

        These are the blocked labels, the labels below them, and the labels above blocked labels only.
        """
        if not self.reasons:
            return np.zeros(len(self.tree), np.bool_)
        try:
            return ~Restriction.of(self.tree, [], self.positions).kept
        except ConfigError:
            return np.ones(len(self.tree), np.bool_)

    @cached_property
    def names(self) -> frozenset[tuple[str, str]]:
        """Level and code of each label that :attr:`lost` marks."""
        places = np.flatnonzero(self.lost).tolist()
        return frozenset((self.tree.level_of(place), str(self.tree.codes[place])) for place in places)

    def refuse(self, positions: Sequence[int]) -> None:
        """Raise an error if one of the requested labels is blocked.

        Raises:
            BlockedLabelError: For the first blocked label, with the reason.
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
        """Call :meth:`refuse` for a label given by its code; unknown labels are ignored here and rejected elsewhere."""
        for name in self.tree.levels if level is None else {level} & {*self.tree.levels}:
            (position,) = self.tree.find(name, [label]).tolist()
            if position != NONE:
                self.refuse([position])
                return

    def in_words(self) -> str:
        """Return a phrase with the number of blocked places, for a reason or a note; empty if there are none."""
        count = len(self)
        return f"{count} {'place is' if count == 1 else 'places are'} blocked" if count else ""

    def note(self) -> str:
        """Return a one-line note with the number of blocked places and the first labels; empty if there are none."""
        named = ", ".join(place.label for place in self.places[:_SHOWN])
        more = f" and {len(self) - _SHOWN} more" if len(self) > _SHOWN else ""
        return f"{self.in_words()} and never given as an answer: {named}{more}" if len(self) else ""

    def written(self) -> str:
        """Return the list as CSV text that :meth:`read` accepts and in which spreadsheets run no formulas."""
        text = io.StringIO(newline="")
        writer = csv.writer(text)
        writer.writerow(_COLUMNS)
        writer.writerows((cell(place.label), place.level, cell(place.reason)) for place in self.places)
        return _BYTE_ORDER_MARK + text.getvalue()

    def write(self, path: Path) -> None:
        """Write the list to a file."""
        path.write_text(self.written(), "utf-8", newline="")


def carry_blocked(before: Path, after: Path) -> bool:
    """Copy the list from a model's folder to the folder that replaces it; call this after the new folder is sealed.

    The copy is byte-for-byte identical, and a symbolic link stays a link. A code that the new labels lack is reported
    when the new model is loaded.

    Args:
        before: The model's current folder.
        after: The new folder, in the same parent folder; a list that already exists there is kept.

    Returns:
        Whether a list was copied.
    """
    source, target = before / BLOCKED_FILE, after / BLOCKED_FILE
    if not _is_there(source) or _is_there(target):
        return False
    shutil.copyfile(source, target, follow_symlinks=False)
    return True


def _is_there(file: Path) -> bool:
    """Return whether a list exists; a broken link counts, so that loading the model fails instead of ignoring it."""
    return file.exists() or file.is_symlink()


def _position(path: Path, line: int, fields: dict[str, str], lookup: LabelLookup, tree: LabelTree) -> int:
    code, level = fields.get("code", ""), level_name(fields.get("level", "").lower())
    if not code:
        raise DataError(f"{path} has no code in line {line}; add one, or delete the line")
    if level and level not in tree.levels:
        raise DataError(f"{path} has level {shown(level)} in line {line}; the model has {', '.join(tree.levels)}")
    try:
        return lookup.find(f"{level}:{code}" if level else code)
    except UnknownLabelError as error:
        near = ", ".join(error.near)
        raise DataError(
            f"{path} has code {shown(code)} in line {line}, which is unknown to the model; similar codes are {near}"
        ) from error


def _reason(path: Path, line: int, reason: str) -> str:
    if not reason:
        raise DataError(f"{path} has no reason in line {line}; add one")
    if len(reason) > _LONGEST:
        raise DataError(f"{path} has a reason of {len(reason)} characters in line {line}; use at most {_LONGEST}")
    return one_line(" ".join(reason.split()))
