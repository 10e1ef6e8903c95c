"""Open a raw file of any supported format as a table; all other code reads raw files through this module."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from patent_hier.reading.delimited import DelimitedReader
from patent_hier.reading.json_rows import JsonReader, looks_like_json
from patent_hier.reading.rows import Options, Reader, Rows
from patent_hier.reading.sources import Source
from patent_hier.reading.text_lines import LineReader
from patent_hier.reading.workbooks import WorkbookReader

TEXT, JSON_LINES = "txt", "jsonl"
_LOOKED_AT = 1024  # bytes


class Table:
    """One open source, at its first row.

    Attributes:
        path: Path of the source.
        names: Column names from its header.
        size: Size of the source on disk in bytes.
    """

    def __init__(self, source: Source, reader: Reader) -> None:
        self.path = source.path
        self.names = reader.names
        self.size = source.size
        self._source = source
        self._reader = reader

    @property
    def position(self) -> int:
        """Number of bytes of the source read so far."""
        return self._source.position

    @property
    def facts(self) -> dict[str, object]:
        """Detected format, compression, encoding, delimiter, header line and sheet, as far as they apply."""
        found = {**self._reader.facts, "compression": self._source.compression or None}
        return {name: value for name, value in found.items() if value is not None}

    @property
    def notes(self) -> Sequence[str]:
        """Remarks about the source for the user; complete once all rows have been read."""
        return self._reader.notes

    def rows(self) -> Iterator[Rows]:
        """Yield all rows in order, in batches."""
        return self._reader.rows()


@contextmanager
def open_table(path: Path, options: Options, kind: str | None = None, inherited: Sequence[str] = ()) -> Iterator[Table]:
    """Open a file as a table.

    Args:
        path: The file.
        options: How to read it.
        kind: ``txt`` for one document per line, ``jsonl`` for JSON; None to decide by content.
        inherited: Column names of the previous part, used if this file has no header of its own.

    Raises:
        DataError: If the file cannot be read or has no header.
    """
    with Source(path) as source:
        yield Table(source, _reader(source, options, kind, inherited))


def _reader(source: Source, options: Options, kind: str | None, inherited: Sequence[str]) -> Reader:
    if source.is_workbook():
        return WorkbookReader(source, options, inherited)
    source.refuse_others()
    if kind == TEXT:
        return LineReader(source, options)
    if kind == JSON_LINES or (kind is None and looks_like_json(source.peek(_LOOKED_AT))):
        return JsonReader(source, options)
    return DelimitedReader(source, options, inherited)
