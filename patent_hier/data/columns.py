"""From a piece of a raw file to the columns of its documents, and the reasons why its other rows are none.

Every rule for a single value is in :mod:`patent_hier.data.raw`. Here rows are decoded together, a field that a rule
would not change is passed on untouched, and a value that recurs is judged once.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from patent_hier.data.fields import Fields, Positions, decode
from patent_hier.data.raw import (
    EXCERPT,
    SPREADSHEET_NUMBER,
    Layout,
    RawFormat,
    Rejection,
    TextFault,
    document_id,
    excerpt,
    has_words,
    join_fields,
    parse_date,
)
from patent_hier.data.records import COMMA, NUL, RowFault
from patent_hier.data.rows import Rows, split_rows
from patent_hier.data.seen import hash_keys, hash_strings
from patent_hier.data.symbols import symbol_columns
from patent_hier.data.texts import are_placeholders, text_warnings
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
        pa.field("line_number", pa.int64(), nullable=False),
    ]
)
_PLAIN = ("title", "abstract", "kind", "application_number", "publication_number")
_DATES = ("application_date", "publication_date")

# Values for which a rule's answer is known, in the words of RE2; any other is asked for by itself.
_SURE_ID = "^[A-Z]{2}[0-9]{5}[0-9A-Z./_-]*$"  # folding changes nothing, and it is plausible
_SURE_WORDS = r"^[0-9A-Za-z\x{4E00}-\x{9FA5}]"
_DAMAGED = f"^(?:{SPREADSHEET_NUMBER.pattern})$"


class CleanPiece(NamedTuple):
    """Outcome of cleaning a piece, before duplicates are known; rows and lines are counted from 0.

    Attributes:
        lines: Number of physical lines.
        rows: Number of rows.
        blanks: For each empty line the number of rows before it.
        readable: Rows without a :class:`RowFault`, ascending.
        row_hashes: 64-bit hashes of their bytes.
        candidates: The rows among them that are documents.
        columns: Their columns as in :data:`SCHEMA` but :attr:`PieceCleaner.text_copies`, by name; ``line_number`` is
            the line of the piece.
        id_hashes: 64-bit hashes of their ids.
        rejections: The other rows; ``line_number`` is the line of the piece.
        warnings: What is odd in candidates: row and name.
    """

    lines: int
    rows: int
    blanks: list[int]
    readable: Positions
    row_hashes: NDArray[np.uint64]
    candidates: Positions
    columns: "dict[str, pa.Array[Any]]"
    id_hashes: NDArray[np.uint64]
    rejections: list[tuple[int, Rejection]]
    warnings: list[tuple[int, str]]


class PieceCleaner:
    """Cleans pieces of one file, each by itself: the symbol is judged first, so that designs are known as designs.

    Args:
        layout: The file's columns.
        fmt: What the file looks like.

    Attributes:
        text_copies: Columns of :data:`SCHEMA` that are the text itself; they are left out until documents are written.
    """

    def __init__(self, layout: Layout, fmt: RawFormat) -> None:
        text = layout.text_positions
        self.text_copies = tuple(name for name in ("title", "abstract") if text == (layout.positions.get(name),))
        self._layout = layout
        self._format = fmt
        self._width = len(layout.header)

    def clean(self, piece: bytes) -> CleanPiece:
        """Read whole lines that begin at the start of a record."""
        lines = piece.splitlines()
        rows = split_rows(lines, self._width, self._format.limits)
        judged = self._decode(rows, has_nul=NUL in piece)
        columns = self._documents(judged)
        judged.rejections += [(row, self._reject(rows, row, fault)) for row, fault in rows.faults.items()]
        return CleanPiece(
            lines=len(lines),
            rows=len(rows.raws),
            blanks=rows.blanks,
            readable=judged.readable,
            row_hashes=hash_keys([rows.raws[row] for row in judged.readable.tolist()]),
            candidates=judged.numbers,
            columns=columns,
            id_hashes=hash_strings(columns["document_id"]),
            rejections=judged.rejections,
            warnings=judged.warnings,
        )

    def reject_rows(self, piece: bytes, numbers: Sequence[int], reason: TextFault) -> list[tuple[int, Rejection]]:
        """Reject some rows of a piece, as :attr:`CleanPiece.rejections` has them."""
        if not numbers:
            return []
        rows = split_rows(piece.splitlines(), self._width, self._format.limits)
        return [(row, self._reject(rows, row, reason)) for row in numbers]

    def _reject(self, rows: Rows, row: int, reason: RowFault | RejectReason | TextFault) -> Rejection:
        """Reject a row for something that is best shown by its beginning."""
        return Rejection(rows.lines[row], reason, excerpt(rows.raws[row], self._layout.encoding))

    def _decode(self, rows: Rows, has_nul: bool) -> "_Judged":
        """Find the rows that cannot be read, and decode the others."""
        if has_nul:
            rows.faults.update(
                {row: RowFault.NUL_BYTE for row, raw in enumerate(rows.raws) if NUL in raw and row not in rows.faults}
            )
        left = np.delete(np.arange(len(rows.raws)), list(rows.faults))
        joined, begins = _joined(rows, left.tolist())
        text, broken = decode(joined, self._layout.encoding)
        ends = np.flatnonzero(np.frombuffer(joined, np.uint8) == 0)
        starts = np.searchsorted(ends, begins)
        widths = np.diff(starts, append=len(ends) + 1)
        is_broken = np.zeros(len(left), np.bool_)
        is_broken[np.searchsorted(begins, broken, side="right") - 1] = True
        for flags, fault in (
            (is_broken, RowFault.UNDECODABLE),
            (~is_broken & (widths < self._width), RowFault.TOO_FEW_FIELDS),
            (~is_broken & (widths > self._width), RowFault.TOO_MANY_FIELDS),
        ):
            rows.faults.update(dict.fromkeys(left[flags].tolist(), fault))
        slots = np.flatnonzero(~is_broken & (widths == self._width))
        return _Judged(rows, Fields(text, starts), left[slots], slots)

    def _documents(self, judged: "_Judged") -> "dict[str, pa.Array[Any]]":
        """Narrow the rows down to documents, and make the columns of these."""
        labels = self._judge_symbols(judged)
        text = self._judge_text(judged)
        is_text = _have_words(text)
        if not is_text.all():
            for row in judged.numbers[~is_text].tolist():
                judged.rejections.append((row, self._reject(judged.rows, row, TextFault.EMPTY_TEXT)))
            judged.keep(np.flatnonzero(is_text))
            text = text.filter(pa.array(is_text))
            labels = {name: column.filter(pa.array(is_text)) for name, column in labels.items()}
        for name, flags in text_warnings(text, self._layout.header).items():
            judged.warn(flags, name)
        return self._columns(judged, {"text": text, **labels})

    def _columns(self, judged: "_Judged", columns: "dict[str, pa.Array[Any]]") -> "dict[str, pa.Array[Any]]":
        """Add to text and labels of documents their other columns."""
        positions = self._layout.positions
        for name in _PLAIN:
            if name in positions and name not in self.text_copies:
                columns[name] = _or_null(judged.normalised(positions[name]))
        if "applicant" in positions:
            applicant = pc.utf8_rtrim(judged.normalised(positions["applicant"]), ";； ")
            columns["applicant"] = _or_null(applicant)
        for name in _DATES:
            if name in positions:
                columns[name] = _dates(name, judged, positions[name])
        columns["line_number"] = pa.array(np.array(judged.rows.lines, np.int64)[judged.numbers])
        for name in SCHEMA.names:
            if name not in (*columns, "document_id", *self.text_copies):
                columns[name] = pa.nulls(len(judged.numbers), SCHEMA.field(name).type)
        columns["document_id"] = _document_ids(judged, columns)
        return columns

    def _judge_symbols(self, judged: "_Judged") -> "dict[str, pa.Array[Any]]":
        fields = judged.fields.raw(self._layout.positions["symbols"], judged.slots)
        found = symbol_columns(fields, self._format.edition, self._format.min_symbol)
        for place, (reason, value) in found.unusable.items():
            row = int(judged.numbers[place])
            if reason is RejectReason.EMPTY:
                rejection = self._reject(judged.rows, row, reason)
            else:
                rejection = Rejection(judged.rows.lines[row], reason, value[:EXCERPT])
            judged.rejections.append((row, rejection))
        judged.keep(found.usable)
        return found.columns

    def _judge_text(self, judged: "_Judged") -> "pa.Array[Any]":
        """The texts of the candidates, some of which may have no words."""
        columns = [judged.normalised(position) for position in self._layout.text_positions]
        if len(columns) == 1 and self._format.convert is None:
            return columns[0]
        joined = [join_fields(fields) for fields in zip(*(column.to_pylist() for column in columns), strict=True)]
        return pa.array(map(self._format.read, joined) if self._format.convert else joined, pa.string())


class _Judged:
    """Rows of a piece on their way to documents.

    Attributes:
        rows: All rows.
        fields: The fields of those that could be decoded.
        readable: Numbers of the rows that can be read.
        numbers: Numbers of the rows that are still candidates.
        slots: Where these stand among ``fields``.
        rejections: See :class:`CleanPiece`; so are warnings.
    """

    def __init__(self, rows: Rows, fields: Fields, readable: Positions, slots: Positions) -> None:
        self.rows = rows
        self.fields = fields
        self.readable = self.numbers = readable
        self.slots = slots
        self.rejections: list[tuple[int, Rejection]] = []
        self.warnings: list[tuple[int, str]] = []

    def keep(self, places: Positions) -> None:
        """Leave out all candidates but those at some places."""
        self.numbers, self.slots = self.numbers[places], self.slots[places]

    def normalised(self, position: int) -> "pa.Array[Any]":
        """A column of the candidates."""
        return self.fields.normalised(position, self.slots)

    def warn(self, flags: NDArray[np.bool_], name: str) -> None:
        """Note something odd in some candidates."""
        self.warnings += [(row, name) for row in self.numbers[flags].tolist()]


def _joined(rows: Rows, numbers: Sequence[int]) -> tuple[bytes, Positions]:
    """The fields of some rows, one row after the other, with NUL between all of them, and where each row begins."""
    items = [rows.raws[row] for row in numbers]
    quoted = [place for place, row in enumerate(numbers) if row in rows.fields] if rows.fields else []
    for place in quoted:
        items[place] = NUL.join(rows.fields[numbers[place]])
    begins = np.cumsum([0, *map(len, items)])[:-1] + np.arange(len(items))
    parts: list[bytes] = []
    begin = 0
    for place in [*quoted, len(items)]:
        if begin < place:  # without quotes, a comma always stands between fields
            parts.append(COMMA.join(items[begin:place]).replace(COMMA, NUL))
        parts += items[place : place + 1]
        begin = place + 1
    return NUL.join(parts), begins


def _have_words(texts: "pa.Array[Any]") -> NDArray[np.bool_]:
    """Which texts have something to read, as :func:`patent_hier.data.raw.has_words` says."""
    flags = _flags(pc.match_substring_regex(texts, _SURE_WORDS))
    for place in np.flatnonzero(~flags).tolist():
        flags[place] = has_words(texts[place].as_py())
    return flags & ~are_placeholders(texts)


def _document_ids(judged: _Judged, columns: "dict[str, pa.Array[Any]]") -> "pa.Array[Any]":
    publication, application = columns["publication_number"], columns["application_number"]
    judged.warn(_flags(pc.match_substring_regex(application, _DAMAGED, ignore_case=True)), "damaged_application_number")
    is_sure = _flags(pc.match_substring_regex(publication, _SURE_ID))
    if is_sure.all():
        return publication
    names = publication.to_pylist()
    for place in np.flatnonzero(~is_sure).tolist():
        raw = judged.rows.raws[judged.numbers[place]]
        names[place] = document_id(names[place], application[place].as_py(), raw)
    return pa.array(names, pa.string())


def _dates(name: str, judged: _Judged, position: int) -> "pa.Array[Any]":
    values = judged.normalised(position)
    encoded = values.dictionary_encode()
    days = [parse_date(value) if value else None for value in encoded.dictionary.to_pylist()]
    dates = pa.array(days, pa.date32()).take(encoded.indices)
    judged.warn(_flags(pc.and_(pc.is_null(dates), pc.not_equal(values, pa.scalar("")))), f"unreadable_{name}")
    return dates


def _or_null(values: "pa.Array[Any]") -> "pa.Array[Any]":
    """Empty strings as null."""
    result: pa.Array[Any] = pc.if_else(pc.equal(values, pa.scalar("")), pa.scalar(None, pa.string()), values)
    return result


def _flags(values: "pa.Array[Any]") -> NDArray[np.bool_]:
    """True where a value is true; false where it is null."""
    return np.array(values.fill_null(False))
