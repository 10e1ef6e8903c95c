"""A raw file whose documents are to be classified: every row in its place, whether or not it has a class.

The text of a row is built as in training (:func:`patent_hier.data.raw.text_of`). Nothing is left out: a row that
cannot be read, or has no text, comes with the reason.
"""

from collections.abc import Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import BinaryIO, NamedTuple

from patent_hier.data.cleaning import CHUNK
from patent_hier.data.layout import guess_encoding, read_mark, read_text
from patent_hier.data.raw import Layout, RawFormat, TextFault, document_number, excerpt, has_words, text_of
from patent_hier.data.records import LineFault, Record, RecordReader, RowFault
from patent_hier.errors import DataError


class Incoming(NamedTuple):
    """One row of the file.

    Attributes:
        row: Its number, from 1; the header is none.
        document_id: Publication or application number; the row's number where it has neither.
        fields: The fields of the text as they stand in the file; of a row that cannot be read, its beginning, and
            empty strings.
        text: What models read; empty if there is a fault.
        symbols: The field of IPC symbols; empty where the file has none.
        fault: Why the row cannot be classified, or None; of other formats than CSV also a fault of their own.
        size: Bytes of the row in the file, its line end left out.
    """

    row: int
    document_id: str
    fields: tuple[str, ...]
    text: str
    symbols: str
    fault: RowFault | TextFault | LineFault | None
    size: int


class IncomingFile:
    """Reads a raw file once, in flat memory.

    The encoding is told from the file's first bytes; ``fmt.encoding`` decides only for a beginning in ASCII. Needed are
    the columns of the text; the columns of numbers and symbols are read where the file has them.

    Args:
        source: A CSV file.
        fmt: Names of the columns.
        needed: Our names of columns that must be there, beside the text.

    Attributes:
        source: The file.
        layout: The file's columns; known, as all that follows from it, once the first batch was asked for.
        size: Bytes of the file; likewise.
    """

    layout: Layout

    def __init__(self, source: Path, fmt: RawFormat, needed: Sequence[str] = ()) -> None:
        self.source = source
        self._format = fmt
        self._needed = needed
        self.size = 0

    @property
    def text_columns(self) -> tuple[str, ...]:
        """The header names of the fields of the text, as the file spells them."""
        return tuple(self.layout.header[position] for position in self.layout.text_positions)

    @property
    def has_symbols(self) -> bool:
        """Whether the file has a column of IPC symbols."""
        return "symbols" in self.layout.positions

    def batches(self, size: int) -> Iterator[list[Incoming]]:
        """Read the rows in order, ``size`` at a time.

        Raises:
            DataError: If the file is missing, not a file, empty, unreadable, UTF-16 or without a column of the text.
        """
        with self._open() as file:
            self.size = self.source.stat().st_size
            records = enumerate(self._start(file).records(len(self.layout.header)), start=1)
            while rows := list(islice(records, size)):
                yield [self._read(number, record) for number, record in rows]

    def _open(self) -> BinaryIO:
        try:
            return self.source.open("rb")
        except OSError as error:
            raise DataError(f"cannot open {self.source}: {error.strerror}; name a CSV file with a header") from error

    def _start(self, file: BinaryIO) -> RecordReader:
        chunks = self._chunks(file)
        first = next(chunks, b"")
        if not first:
            raise DataError(f"{self.source} is empty; it must be a CSV file with a header")
        marked, mark = read_mark(first, self._format.encoding, self.source, "save it as CSV UTF-8")
        encoding = marked if mark else guess_encoding(first, marked)
        reader = RecordReader(chain([first[mark:]], chunks), encoding, self._format.limits)
        header = reader.header()
        if not header:
            raise DataError(f"{self.source} has no header, only blank lines; its first line must name the columns")
        self.layout = read_text(header, encoding, self._format, self.source, self._needed)
        return reader

    def _chunks(self, file: BinaryIO) -> Iterator[bytes]:
        try:
            while chunk := file.read(CHUNK):
                yield chunk
        except OSError as error:
            raise DataError(f"cannot read {self.source}: {error.strerror}; check the disk and permissions") from error

    def _read(self, row: int, record: Record) -> Incoming:
        positions = self.layout.text_positions
        if record.fault is not None:
            shown = (excerpt(record.raw, self.layout.encoding), *[""] * (len(positions) - 1))
            return Incoming(row, str(row), shown, "", "", record.fault, len(record.raw))
        values = {name: record.fields[position] for name, position in self.layout.positions.items()}
        number = document_number(values.get("publication_number"), values.get("application_number"))
        fields = tuple(record.fields[position] for position in positions)
        text = text_of(record.fields, self.layout)
        fault = None if has_words(text) else TextFault.EMPTY_TEXT
        text = text if fault is None else ""
        return Incoming(row, number or str(row), fields, text, values.get("symbols", ""), fault, len(record.raw))
