"""Given parts of a split: from a file that lists documents, such as the folds of a benchmark, or a corpus column.

The file is a CSV in UTF-8, plain or compressed, with a column ``part`` (``train``, ``val``, ``calibration``, ``test``)
and one of :data:`ID_COLUMNS`. Numbers are compared in the spelling of the corpus: NFKC, upper case, no white space.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from patent_hier.data.corpus import Corpus, shared_strings
from patent_hier.data.headers import fold_name
from patent_hier.data.raw import document_number, fold_number, normalise
from patent_hier.data.splits import DROP, NO_PART, PARTS, REFUSE, TEST, TRAIN, Codes, SplitPlan
from patent_hier.errors import ConfigError, DataError
from patent_hier.text_files import csv_rows

_BY_APPLICATION = ("申请号", "application_number")
ID_COLUMNS = ("document_id", "id", "公开号", "publication_number", *_BY_APPLICATION)  # the first in the file is used
COLUMNS = ("kind", "applicant", "application_date", "publication_date")  # of the corpus, which may determine the part
_SHOWN = 20  # values that a message lists


@dataclass(frozen=True, eq=False)
class GivenParts:
    """Parts that a file or a column gives to the documents of a corpus.

    Attributes:
        parts: Part codes, ``(n,)``; :data:`NO_PART` for documents that are left out.
        source: Path of the file, or name of the column, for messages.
        named: Number of documents that the source lists in each part, whether or not the corpus has them.
        absent: Number of listed documents in each part that the corpus does not have.
        unlisted: Number of documents of the corpus that the source does not list.
        is_dropped: Whether the unlisted documents are left out; if not, they are in ``train``.
    """

    parts: Codes
    source: str
    named: dict[str, int]
    absent: dict[str, int]
    unlisted: int
    is_dropped: bool

    @property
    def facts(self) -> dict[str, Any]:
        """Facts for the manifest of the split."""
        return {"named": self.named, "absent": self.absent, "unlisted": self.unlisted, "dropped": self.is_dropped}

    def lines(self, documents: Mapping[str, int]) -> list[str]:
        """Return lines to print about the source of the parts.

        Args:
            documents: Number of documents in each part of the finished split.
        """
        given = np.bincount(self.parts[self.parts != NO_PART], minlength=len(PARTS)).tolist()
        cut = {name: documents[name] for name, own in zip(PARTS, given, strict=True) if documents[name] and not own}
        lines = [f"{self.source} lists {sum(self.named.values())} documents: {_counts(self.named)}"]
        if any(self.absent.values()):
            lines.append(
                f"{sum(self.absent.values())} of them are not in the corpus (rejected rows, designs, duplicates, or "
                f"documents of another file): {_counts(self.absent)}"
            )
        if self.unlisted:
            where = "left out" if self.is_dropped else "put in train"
            lines.append(f"{self.unlisted} documents of the corpus are not listed; they are {where}")
        if cut:
            lines.append(
                f"taken from the {given[TRAIN]} documents of train for parts that are not given: {_counts(cut)}"
            )
        return lines


def given_parts(corpus: Corpus, plan: SplitPlan) -> GivenParts:
    """Return the parts of the documents of a corpus under a plan with policy ``file``.

    Raises:
        DataError: If the file cannot be used, none of the documents listed for a part is in the corpus, no document is
            in ``train`` or ``test``, or documents are not listed and ``plan.unlisted`` is ``refuse``.
        ConfigError: If the column cannot be used, or a value does not occur in it.
    """
    given = _by_column(corpus, plan) if plan.path is None else _by_file(corpus, Path(plan.path), plan)
    if given.unlisted and plan.unlisted == REFUSE:
        first = corpus.document_ids[int(np.argmax(given.parts == NO_PART))].as_py()
        raise DataError(
            f"{given.source} does not list {given.unlisted} of the {corpus.size} documents of the corpus, such as "
            f"{first}; set split.unlisted=drop to leave them out, or split.unlisted=train to train on them"
        )
    if plan.unlisted != DROP:
        given.parts[given.parts == NO_PART] = TRAIN
    for part in (TRAIN, TEST):
        if not (given.parts == part).any():
            raise DataError(f"{given.source} puts no document of the corpus in {PARTS[part]}; list at least one")
    return given


def _by_file(corpus: Corpus, path: Path, plan: SplitPlan) -> GivenParts:
    column, codes = read_parts(path)
    own = _numbers(corpus, column)
    known = pd.Index(list(codes), dtype=object)
    places = known.get_indexer(pd.Index(own, dtype=object))  # -1, the same as NO_PART, if not listed
    values = np.array([*codes.values(), NO_PART], np.int8)
    parts = values[places]
    is_absent = np.ones(len(known), np.bool_)
    is_absent[places[places >= 0]] = False
    named, absent = (np.bincount(values[:-1][rows], minlength=len(PARTS)) for rows in (slice(None), is_absent))
    for part in np.flatnonzero((named > 0) & (absent == named)):
        raise DataError(
            f"none of the {named[part]} documents that {path} lists for {PARTS[part]} is in the corpus; "
            f"its column {column} must contain numbers of this corpus, such as {corpus.document_ids[0].as_py()}"
        )
    return _given(parts, str(path), named, absent, plan)


def read_parts(path: Path) -> tuple[str, dict[str, int]]:
    """Read a file of parts.

    Args:
        path: CSV in UTF-8, plain or compressed (``.xz``, ``.gz``).

    Returns:
        The name of the id column, one of :data:`ID_COLUMNS`, and the part codes by normalised id.

    Raises:
        DataError: If the file cannot be read, lacks a column, or has an unknown part, a row without an id or part, or
            an id in two parts.
    """
    rows = csv_rows(path)
    header = [fold_name(name).lower() for name in next(rows, [])]
    column = next((name for name in ID_COLUMNS if name in header), None)
    if column is None or "part" not in header:
        raise DataError(f"{path} has the columns {header}; it needs part and one of {', '.join(ID_COLUMNS)}")
    by_id, by_part = header.index(column), header.index("part")
    codes: dict[str, int] = {}
    for number, row in enumerate(rows, 2):
        if not row:  # a blank line
            continue
        if len(row) <= max(by_id, by_part) or not (name := _folded(row[by_id])):
            raise DataError(f"row {number} of {path} has no {column} or no part; complete or delete the row")
        part = row[by_part].strip()
        if part not in PARTS:
            raise DataError(f"row {number} of {path} has the unknown part {part!r}; use one of {', '.join(PARTS)}")
        code = PARTS.index(part)
        if codes.setdefault(name, code) != code:
            raise DataError(
                f"{path} lists {name} in {PARTS[codes[name]]} and, in row {number}, in {part}; keep one of them"
            )
    return column, codes


def _folded(number: str) -> str:
    """Return a number as :func:`patent_hier.data.raw.document_id` spells it; hash ids stay in lower case."""
    stripped = number.strip()
    return stripped if stripped.startswith("sha-") else fold_number(stripped)


def _numbers(corpus: Corpus, column: str) -> NDArray[np.object_]:
    """Return the corpus's numbers for an id column, ``(n,)``; None for a document without an application number."""
    if column not in _BY_APPLICATION:
        ids: NDArray[np.object_] = corpus.document_ids.to_numpy()
        return ids
    numbers = corpus.column("application_number").to_pylist()
    return np.array([document_number(None, number) for number in numbers], object)


def usable_column(corpus: Corpus, name: str) -> str:
    """Return the corpus's name of a column that can give parts, from that name or the header in the raw file.

    Raises:
        ConfigError: If there is no such column among :data:`COLUMNS`.
    """
    headers = {ours: corpus.manifest["format"]["columns"][ours] for ours in COLUMNS}
    for ours, header in headers.items():
        if fold_name(name) in (ours, fold_name(header)):
            return ours
    known = ", ".join(f"{ours} ({header})" for ours, header in headers.items())
    raise ConfigError(
        f"split.column={name} is not available in the corpus; use one of {known}, or set data.columns.kind={name} to "
        "read that column of the raw file as kind"
    )


def _by_column(corpus: Corpus, plan: SplitPlan) -> GivenParts:
    assert plan.column is not None  # the plan has checked this
    codes, found = pd.factorize(shared_strings(corpus.column(plan.column).cast(pa.string())))
    present = [normalise(value) for value in found]
    wanted = {normalise(value): PARTS.index(part) for part, own in plan.values.items() for value in own}
    if missing := [value for value in wanted if value not in present]:
        raise ConfigError(f"split.column={plan.column} has no value {missing[0]!r}; it has {_listed(present)}")
    rest = NO_PART if plan.train_values else TRAIN
    values = np.array([*(wanted.get(value, rest) for value in present), rest], np.int8)
    parts = values[codes]  # the code of a missing value is -1, which selects the last one
    named = np.bincount(parts[parts != NO_PART], minlength=len(PARTS))
    return _given(parts, f"split.column={plan.column}", named, np.zeros_like(named), plan)


def _given(parts: Codes, source: str, named: NDArray[Any], absent: NDArray[Any], plan: SplitPlan) -> GivenParts:
    named_by, absent_by = (dict(zip(PARTS, counts.tolist(), strict=True)) for counts in (named, absent))
    return GivenParts(parts, source, named_by, absent_by, int((parts == NO_PART).sum()), plan.unlisted == DROP)


def _counts(documents: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in documents.items() if count)


def _listed(values: Iterable[str]) -> str:
    """Return the first values in alphabetical order, for a one-line message."""
    ordered = sorted(values)
    return ", ".join(map(repr, ordered[:_SHOWN])) + (", …" if len(ordered) > _SHOWN else "")
