"""Reading of raw files for classification: every row in order, with or without a class.

The text of a row is built as in training (:func:`patent_hier.data.raw.texts_of`). No row is left out: a row that cannot
be read or has no text is returned with the reason.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from patent_hier.data.cleaning import reading_options
from patent_hier.data.layout import find_text
from patent_hier.data.raw import Layout, RawFormat, TextFault, document_number, has_words, texts_of
from patent_hier.errors import ConfigError
from patent_hier.reading.rows import Options, RowFault, Rows, excerpt
from patent_hier.reading.sources import STDIN, SUFFIXES, find_parts, size_of
from patent_hier.reading.tables import JSON_LINES, TEXT, Table, open_table

TABLE = "csv"
_NUMBERS = ("publication_number", "application_number")
_DATES = ("application_date", "publication_date")
_ID_KEYS = ("document_id", "id")  # keys in JSON, spelled exactly so


class Incoming(NamedTuple):
    """One row to classify.

    Attributes:
        row: Row number from 1, continued from file to file; the header is not counted.
        document_id: Publication or application number, in JSON also ``document_id`` or ``id``; else the row number.
        fields: Text fields as in the file; for an unreadable row, its beginning followed by empty strings.
        text: Text as models read it; empty if there is a fault.
        symbols: Field of IPC symbols; empty if the file has none.
        fault: Reason why the row cannot be classified, or None.
        size: Share of the files' bytes that the row takes.
        context: Context fields in the order of the format; None for a column that the file does not have.
        date: Field of the application date or, in a file without that column, of the publication date; else empty.
    """

    row: int
    document_id: str
    fields: tuple[str, ...]
    text: str
    symbols: str
    fault: RowFault | TextFault | None
    size: int
    context: tuple[str | None, ...] = ()
    date: str = ""


class IncomingFiles:
    """Single-pass reader of raw files for classification, in constant memory.

    The encoding is detected from the content of a file; ``fmt.encoding`` matters only for ASCII. The text columns are
    required; columns of numbers and symbols are read if a file has them.

    Args:
        source: A file, a folder or a pattern.
        fmt: Names of the columns.
        kind: ``csv`` for any table, ``txt`` for one document per line, ``jsonl`` for JSON; None
            to detect the format from the content, or for ``txt`` from the file extension.
        needed: Our names of columns that a table must have besides the text.

    Raises:
        ConfigError: If the file extension is not supported.
        DataError: If there is no file.

    Attributes:
        source: The source.
        files: The files in reading order.
        size: Total size of all files in bytes.
        notes: Remarks for the user on the files read so far.
        layout: Columns of the file whose reading started last; known once the first batch has been requested.
    """

    layout: Layout

    def __init__(self, source: Path, fmt: RawFormat, kind: str | None = None, needed: Sequence[str] = ()) -> None:
        self.source = source
        self.files = find_parts(source)
        self.size = sum(map(size_of, self.files))
        self.notes: list[str] = []
        self._format = fmt
        self._needed = needed
        self._kinds = [kind or _kind_of(file) for file in self.files]

    @property
    def text_columns(self) -> tuple[str, ...]:
        """Header names of the text fields, as spelled in the file."""
        return tuple(self.layout.header[position] for position in self.layout.text_positions)

    @property
    def has_columns(self) -> bool:
        """Whether the file whose reading started last is a table, not one document per line."""
        return bool(self.layout.positions)

    @property
    def has_symbols(self) -> bool:
        """Whether the file has a column of IPC symbols."""
        return "symbols" in self.layout.positions

    def batches(self, size: int) -> Iterator[list[Incoming]]:
        """Yield the rows in order, ``size`` at a time.

        Raises:
            DataError: If a file is missing, not a regular file, empty, unreadable or without a text column.
        """
        batch: list[Incoming] = []
        for row in self._rows():
            batch.append(row)
            if len(batch) == size:
                yield batch
                batch = []
        if batch:
            yield batch

    def _rows(self) -> Iterator[Incoming]:
        number, names = 0, tuple[str, ...]()
        for file, kind in zip(self.files, self._kinds, strict=True):
            with open_table(file, self._options(file), None if kind == TABLE else kind, names) as table:
                names = table.names
                is_text = kind == TEXT
                self.layout = Layout(names, {}, (0,)) if is_text else self._find(names, file)
                if (found := self.layout.line("--text and --symbols")) and found not in self.notes:
                    self.notes.append(found)
                before = 0
                for rows in table.rows():
                    sizes = _shares(table.position - before, len(rows))
                    before = table.position
                    for place, size in enumerate(sizes):
                        number += 1
                        yield self._read(number, rows, place, size, table)
                self.notes += [f"{file}: {note}" for note in table.notes]

    def _options(self, file: Path) -> Options:
        return reading_options(self._format, lambda names: self._find(names, file), guess=True)

    def _find(self, names: Sequence[str], file: Path) -> Layout:
        return find_text(names, self._format, file, self._needed)

    def _read(self, number: int, rows: Rows, place: int, size: int, table: Table) -> Incoming:
        positions = self.layout.text_positions
        if (fault := rows.faults.get(place)) is not None:
            shown = (excerpt(rows.raws[place]), *[""] * (len(positions) - 1))
            return Incoming(number, str(number), shown, "", "", fault, size)
        row = rows.fields[place]
        name = _name(row, self.layout, table)
        fields = tuple(row[position] for position in positions)
        (text,) = texts_of([row], self.layout)
        is_text = has_words(text)
        symbols = row[self.layout.positions["symbols"]] if self.has_symbols else ""
        problem = None if is_text else TextFault.EMPTY_TEXT
        places = map(self.layout.positions.get, self._format.context)
        context = tuple(None if place is None else row[place] for place in places)
        date = next((row[self.layout.positions[ours]] for ours in _DATES if ours in self.layout.positions), "")
        name = name or str(number)
        return Incoming(number, name, fields, text if is_text else "", symbols, problem, size, context, date)


def _kind_of(file: Path) -> str | None:
    """Return the kind of a file by its name, because lines of text look like a table of one column."""
    if file == STDIN:
        return TEXT
    if file.suffix.lower() not in SUFFIXES:
        raise ConfigError(
            f"{file}: the file extension {file.suffix or '(none)'} is not one of {', '.join(SUFFIXES)}; set the format "
            "with --input-format"
        )
    inner = Path(file.stem).suffix if file.suffix.lower() in (".gz", ".xz", ".zip") else file.suffix
    return {".txt": TEXT, ".jsonl": JSON_LINES, ".ndjson": JSON_LINES}.get(inner.lower())


def _name(row: Sequence[str], layout: Layout, table: Table) -> str | None:
    """Return the document number of a row, in JSON also its id; None if it has neither."""
    numbers = [row[layout.positions[name]] if name in layout.positions else "" for name in _NUMBERS]
    if str(table.facts["format"]).startswith("JSON"):
        own = [row[table.names.index(key)] for key in _ID_KEYS if key in table.names]
        return next((value for value in (*own, *numbers) if value), None)
    return document_number(*numbers)


def _shares(size: int, rows: int) -> list[int]:
    """Split a size into almost equal whole parts that sum to it."""
    return [size * (n + 1) // rows - size * n // rows for n in range(rows)]
