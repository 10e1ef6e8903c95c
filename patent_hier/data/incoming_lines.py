"""Documents to be classified, a line each: plain text, or JSON objects."""

import json
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from patent_hier.data.incoming import Incoming, IncomingFile
from patent_hier.data.layout import guess_encoding, read_mark
from patent_hier.data.raw import RawFormat, TextFault, excerpt, has_words, is_unicode, join_fields, normalise
from patent_hier.data.records import LineFault, RowFault
from patent_hier.errors import ConfigError, DataError

CSV, TEXT, JSON_LINES = FORMATS = ("csv", "txt", "jsonl")
_SUFFIXES = {".csv": CSV, ".txt": TEXT, ".jsonl": JSON_LINES, ".ndjson": JSON_LINES}
_START = 1 << 16  # bytes that the encoding is told from
_ID_KEYS = ("document_id", "id", "publication_number", "application_number")


class Documents(Protocol):
    """Documents to be classified, as :class:`patent_hier.data.incoming.IncomingFile` reads them of CSV."""

    source: Path
    size: int

    @property
    def text_columns(self) -> Sequence[str]:
        """Names of the fields of the text; known once the first batch was asked for."""

    def batches(self, size: int) -> Iterator[list[Incoming]]:
        """Read the documents in order, ``size`` at a time."""


def open_documents(source: Path, fmt: RawFormat, kind: str | None = None, needed: Sequence[str] = ()) -> Documents:
    """A reader for a file of documents.

    Args:
        source: The file.
        fmt: Names and order of the fields of the text, limits, and the encoding where the file does not show it.
        kind: One of :data:`FORMATS`; None: by the ending of the file's name.
        needed: Our names of columns that a CSV file must have, beside the text.

    Raises:
        ConfigError: If the ending is unknown.
    """
    kind = kind or _SUFFIXES.get(source.suffix.lower())
    if kind is None:
        raise ConfigError(
            f"{source}: the ending {source.suffix or '(none)'} is not one of {', '.join(_SUFFIXES)}; name the format "
            "with --input-format"
        )
    return IncomingFile(source, fmt, needed) if kind == CSV else LineFile(source, fmt, as_json=kind == JSON_LINES)


class LineFile:
    """Reads a file of one document a line, once and in flat memory; every line keeps its place.

    A line of JSON is an object with the text under ``text``, or its fields under their names in the raw file (``摘要``)
    or ours (``abstract``). ``document_id``, ``id`` or a number of the application names it; ``symbols`` may hold the
    truth.

    Args:
        source: UTF-8 or GB18030, told from the beginning.
        fmt: As for :class:`patent_hier.data.incoming.IncomingFile`.
        as_json: Whether lines are JSON.
    """

    def __init__(self, source: Path, fmt: RawFormat, *, as_json: bool) -> None:
        self.source = source
        self.size = 0
        self._format = fmt
        self._encoding = fmt.encoding
        self._read: Callable[[int, str, int], Incoming] = self._object if as_json else self._line
        ours = {header: name for name, header in fmt.header_names.items()}
        self._names = tuple((header, ours.get(header, header)) for header in fmt.text)
        self.text_columns: Sequence[str] = tuple(header for header, _ in self._names) if as_json else ("text",)

    def batches(self, size: int) -> Iterator[list[Incoming]]:
        """Read the lines in order, ``size`` at a time.

        Raises:
            DataError: If the file is missing, no file, empty, unreadable or UTF-16.
        """
        with self._open() as file:
            self.size = self.source.stat().st_size
            lines = enumerate(self._lines(file), start=1)
            while rows := list(islice(lines, size)):
                yield [self._decode(number, line, length) for number, (line, length) in rows]

    def _open(self) -> BinaryIO:
        try:
            return self.source.open("rb")
        except OSError as error:
            raise DataError(f"cannot open {self.source}: {error.strerror}; name a file of lines") from error

    def _lines(self, file: BinaryIO) -> Iterator[tuple[bytes | None, int]]:
        """Every line without its end, and its length in bytes; None for one that is too long to be held."""
        limit = self._format.limits.max_bytes
        first = True
        while line := file.readline(max(limit, _START) + 2):
            length = len(line)
            if first:
                line, first = self._begin(line, file), False
            if not line.endswith(b"\n") and len(line) > limit:
                while rest := file.readline(limit):
                    length += len(rest)
                    if rest.endswith(b"\n"):
                        break
                yield None, length
                continue
            yield line.rstrip(b"\r\n"), length
        if first:
            raise DataError(f"{self.source} is empty; it must have a document a line")

    def _begin(self, line: bytes, file: BinaryIO) -> bytes:
        """Tell the encoding; the line without a byte order mark."""
        start = line + (file.peek(_START)[:_START] if hasattr(file, "peek") else b"")
        marked, mark = read_mark(start, self._format.encoding, self.source, "save it as UTF-8")
        self._encoding = marked if mark else guess_encoding(start, marked)
        return line[mark:]

    def _decode(self, row: int, line: bytes | None, length: int) -> Incoming:
        if line is None:
            return self._broken(row, "", RowFault.TOO_LONG, length)
        try:
            decoded = line.decode(self._encoding)
        except UnicodeDecodeError:
            return self._broken(row, excerpt(line, self._encoding), RowFault.UNDECODABLE, length)
        if "\0" in decoded:
            return self._broken(row, excerpt(line, self._encoding), RowFault.NUL_BYTE, length)
        return self._read(row, decoded, length)

    def _broken(self, row: int, shown: str, fault: RowFault | LineFault, length: int) -> Incoming:
        return Incoming(row, str(row), (shown, *[""] * (len(self.text_columns) - 1)), "", "", fault, length)

    def _line(self, row: int, line: str, length: int) -> Incoming:
        fault = None if has_words(line) else TextFault.EMPTY_TEXT
        return Incoming(row, str(row), (line,), normalise(line) if fault is None else "", "", fault, length)

    def _object(self, row: int, line: str, length: int) -> Incoming:
        shown = line[:200]
        try:
            content = json.loads(line)
            line.encode()
        except (ValueError, RecursionError):
            return self._broken(row, shown, LineFault.BAD_JSON, length)
        if not isinstance(content, dict):
            return self._broken(row, shown, LineFault.NO_OBJECT, length)
        fields = self._fields(content)
        if fields is None:
            return self._broken(row, shown, LineFault.NO_TEXT_FIELD, length)
        name = next((str(content[key]) for key in _ID_KEYS if content.get(key) not in (None, "")), str(row))
        text = join_fields(fields)
        if not is_unicode("".join((*fields, name))):
            return self._broken(row, shown, LineFault.BAD_UNICODE, length)
        fault = None if has_words(text) else TextFault.EMPTY_TEXT
        symbols = content.get("symbols", content.get(self._format.header_names["symbols"], ""))
        return Incoming(row, name, fields, text if fault is None else "", str(symbols), fault, length)

    def _fields(self, content: dict[str, Any]) -> tuple[str, ...] | None:
        """The fields of the text in their order, absent ones empty; None if none is there or one is no text."""
        if "text" in content:
            values = [content["text"], *[""] * (len(self._names) - 1)]
        else:
            values = [content.get(header, content.get(name)) for header, name in self._names]
        if all(value is None for value in values) or not all(isinstance(value, str | None) for value in values):
            return None
        return tuple(value or "" for value in values)
