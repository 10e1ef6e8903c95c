"""Opening a source as the table that it is, whatever its format: the one door for all raw files."""

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
    """One open source at its first row.

    Attributes:
        path: Of the source.
        names: Those of its header.
        size: Bytes of the source on the disk.
    """

    def __init__(self, source: Source, reader: Reader) -> None:
        self.path = source.path
        self.names = reader.names
        self.size = source.size
        self._source = source
        self._reader = reader

    @property
    def position(self) -> int:
        """Bytes of the source that were read."""
        return self._source.position

    @property
    def facts(self) -> dict[str, object]:
        """What was found of format, compression, encoding, delimiter, line of the header and sheet."""
        found = {**self._reader.facts, "compression": self._source.compression or None}
        return {name: value for name, value in found.items() if value is not None}

    @property
    def notes(self) -> Sequence[str]:
        """What someone should know about the source; complete once all rows were read."""
        return self._reader.notes

    def rows(self) -> Iterator[Rows]:
        """The rows, some at a time, each once and in order."""
        return self._reader.rows()


@contextmanager
def open_table(path: Path, options: Options, kind: str | None = None, inherited: Sequence[str] = ()) -> Iterator[Table]:
    """Open a file as a table.

    Args:
        path: The file.
        options: How it is read.
        kind: ``txt`` for a document a line, ``jsonl`` for JSON; None: by its content.
        inherited: Names of the header of the part before; a source that begins with a row goes on with them.

    Raises:
        DataError: If it cannot be read, or no line of it is a header.
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
