"""Conversion of raw rows into columns of documents, and the reasons for rejecting the other rows.

The rules for single values are in :mod:`patent_hier.data.raw` and :mod:`patent_hier.data.symbols`. This module
evaluates a value that recurs in a batch only once.
"""

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from patent_hier.data.convert import converter
from patent_hier.data.raw import (
    SPREADSHEET_NUMBER,
    Layout,
    RawFormat,
    Rejection,
    TextFault,
    document_id,
    has_words,
    normalise,
    parse_date,
    texts_of,
)
from patent_hier.data.symbols import symbol_columns
from patent_hier.data.texts import text_warnings
from patent_hier.reading.rows import EXCERPT, RowFault, Rows, excerpt
from patent_hier.taxonomy.symbols import RejectReason

SCHEMA = pa.schema(
    [
        pa.field("document_id", pa.string(), nullable=False),
        pa.field("text", pa.string(), nullable=False),
        pa.field("title", pa.string()),
        pa.field("abstract", pa.string()),
        pa.field("section", pa.string(), nullable=False),
        pa.field("ipc_class", pa.string(), nullable=False),
        pa.field("subclass", pa.string()),
        pa.field("main_group", pa.string()),
        pa.field("subgroup", pa.string()),
        pa.field("further_symbols", pa.list_(pa.string()), nullable=False),
        pa.field("skipped_symbols", pa.list_(pa.string()), nullable=False),
        pa.field("applicant", pa.string()),
        pa.field("application_date", pa.date32()),
        pa.field("publication_date", pa.date32()),
        pa.field("kind", pa.string()),
        pa.field("application_number", pa.string()),
        pa.field("publication_number", pa.string()),
        pa.field("part", pa.int32(), nullable=False),
        pa.field("line_number", pa.int64(), nullable=False),
    ]
)
_PLAIN = ("title", "abstract", "kind", "application_number", "publication_number")
_DATES = ("application_date", "publication_date")
_LABELS = ("subgroup", "main_group", "subclass", "ipc_class")  # the deepest first
_DAMAGED = f"^(?:{SPREADSHEET_NUMBER.pattern})$"

Hashes = NDArray[np.uint64]
Answer = TypeVar("Answer")


@dataclass
class CleanRows:
    """Cleaned rows before duplicates are removed; rows are counted from 0.

    Attributes:
        readable: Rows that could be split into fields.
        row_hashes: 64-bit hashes of the content of the readable rows.
        candidates: Rows that are documents.
        columns: Columns of the candidates by name, as in :data:`SCHEMA`.
        id_hashes: Hashes of the candidates' ids.
        content_hashes: Hashes of the candidates' id, text and main symbol.
        rejections: The rejected rows with their reasons.
        warnings: Oddities of candidates, as pairs of row and warning name.
    """

    readable: list[int] = field(default_factory=list)
    row_hashes: Hashes = field(default_factory=lambda: np.zeros(0, np.uint64))
    candidates: list[int] = field(default_factory=list)
    columns: "dict[str, pa.Array[Any]]" = field(default_factory=dict)
    id_hashes: Hashes = field(default_factory=lambda: np.zeros(0, np.uint64))
    content_hashes: Hashes = field(default_factory=lambda: np.zeros(0, np.uint64))
    rejections: dict[int, Rejection] = field(default_factory=dict)
    warnings: list[tuple[int, str]] = field(default_factory=list)


def clean_rows(rows: Rows, layout: Layout, fmt: RawFormat, part: int) -> CleanRows:
    """Clean rows; the symbol is checked first, so that designs are recognised as designs.

    Args:
        rows: The rows; see :class:`patent_hier.reading.rows.Rows`.
        layout: Positions of the columns.
        fmt: Format of the file.
        part: Number of the file that contains the rows.
    """
    clean = CleanRows()
    for row, fault in rows.faults.items():
        clean.rejections[row] = rejection(rows, row, fault)
    clean.readable = [row for row in range(len(rows)) if row not in rows.faults]
    clean.row_hashes = _hashes(map(rows.raws.__getitem__, clean.readable))
    labels = _judge_symbols(rows, layout, fmt, clean)
    texts = texts_of(map(rows.fields.__getitem__, clean.candidates), layout)
    if fmt.convert is not None:
        texts = list(map(converter(fmt.convert), texts))
    is_text = np.fromiter(map(has_words, texts), np.bool_, len(texts))
    if not is_text.all():
        for place in np.flatnonzero(~is_text).tolist():
            row = clean.candidates[place]
            clean.rejections[row] = rejection(rows, row, TextFault.EMPTY_TEXT)
        labels = {name: column.filter(pa.array(is_text)) for name, column in labels.items()}
        clean.candidates = [row for row, good in zip(clean.candidates, is_text.tolist(), strict=True) if good]
        texts = [text for text, good in zip(texts, is_text.tolist(), strict=True) if good]
    clean.columns = {**labels, "text": pa.array(texts, pa.string())}
    for name, flags in text_warnings(clean.columns["text"], layout.header).items():
        clean.warnings += [(clean.candidates[place], name) for place in np.flatnonzero(flags).tolist()]
    _add_columns(rows, layout, clean, texts, part)
    return clean


def rejection(rows: Rows, row: int, reason: RowFault | RejectReason | TextFault) -> Rejection:
    """Return a rejection that shows the beginning of the row."""
    return Rejection(rows.lines[row], reason, excerpt(rows.raws[row]))


def _judge_symbols(rows: Rows, layout: Layout, fmt: RawFormat, clean: CleanRows) -> "dict[str, pa.Array[Any]]":
    position = layout.positions["symbols"]
    fields = pa.array(list(map(itemgetter(position), map(rows.fields.__getitem__, clean.readable))), pa.string())
    found = symbol_columns(fields, fmt.edition, fmt.min_symbol)
    for place, (reason, value) in found.unusable.items():
        row = clean.readable[place]
        is_empty = reason is RejectReason.EMPTY
        shown = rejection(rows, row, reason) if is_empty else Rejection(rows.lines[row], reason, value[:EXCERPT])
        clean.rejections[row] = shown
    clean.candidates = [clean.readable[place] for place in found.usable.tolist()]
    return found.columns


def _add_columns(rows: Rows, layout: Layout, clean: CleanRows, texts: Sequence[str], part: int) -> None:
    """Add the remaining columns of the documents to their text and labels."""
    values: dict[str, list[str]] = {}
    columns, candidates = clean.columns, clean.candidates
    fields = [rows.fields[row] for row in candidates]
    for name in (*_PLAIN, *_DATES, "applicant"):
        position = layout.positions.get(name)
        if position is None:
            columns[name] = pa.nulls(len(candidates), SCHEMA.field(name).type)
        elif layout.text_positions == (position,):
            columns[name] = columns["text"]
        else:
            values[name] = own = _each(list(map(itemgetter(position), fields)), normalise)
            if name in _DATES:
                columns[name] = _dates(name, own, clean)
            elif name == "applicant":
                columns[name] = _or_null([value.rstrip(";； ") for value in own])
            else:
                columns[name] = _or_null(own)
    columns["part"] = pa.array(np.full(len(candidates), part, np.int32))
    columns["line_number"] = pa.array([rows.lines[row] for row in candidates], pa.int64())
    nothing = [""] * len(candidates)
    applications = values.get("application_number", nothing)
    publications = values.get("publication_number", nothing)
    numbers = zip(publications, applications, candidates, strict=True)
    ids = [document_id(publication, application, rows.raws[row]) for publication, application, row in numbers]
    damaged = pc.match_substring_regex(columns["application_number"], _DAMAGED, ignore_case=True).fill_null(False)
    clean.warnings += [(candidates[place], "damaged_application_number") for place in np.flatnonzero(damaged).tolist()]
    columns["document_id"] = pa.array(ids, pa.string())
    clean.id_hashes = _hashes(ids)
    deepest = pc.coalesce(*(columns[name] for name in _LABELS)).to_pylist()
    clean.content_hashes = _hashes(zip(ids, texts, deepest, strict=True))


def _dates(name: str, values: Sequence[str], clean: CleanRows) -> "pa.Array[Any]":
    days = _each(values, parse_date)
    for row, value, day in zip(clean.candidates, values, days, strict=True):
        if day is None and value:
            clean.warnings.append((row, f"unreadable_{name}"))
    return pa.array(days, pa.date32())


def _each(values: Sequence[str], function: Callable[[str], Answer]) -> list[Answer]:
    """Return a function's result for each value; it is called once for each distinct value."""
    known = {value: function(value) for value in set(values)}
    return [known[value] for value in values]


def _hashes(keys: Iterable[Hashable]) -> Hashes:
    """Return Python's own hashes; their secret changes with each process, so nobody can force two keys to collide."""
    return np.array([hash(key) for key in keys], np.int64).view(np.uint64)


def _or_null(values: Sequence[str]) -> "pa.Array[Any]":
    """Return an array in which empty strings are null."""
    return pa.array([value or None for value in values], pa.string())
