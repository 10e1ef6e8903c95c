"""One pass over a raw file: batch by batch to documents and rejections, every row counted, in flat memory."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import BinaryIO, NamedTuple

from patent_hier.data.accounting import Accounting
from patent_hier.data.layout import check_encoding, find_columns, read_mark
from patent_hier.data.raw import Document, Layout, RawFormat, Rejection, RowCleaner, TextFault
from patent_hier.data.records import Record, RecordReader
from patent_hier.data.seen import SeenHashes, hash_keys
from patent_hier.errors import DataError

CHUNK = 1 << 20  # bytes
BATCH = 8192  # rows

Progress = Callable[[int, int, int], None]
"""Called with bytes read, bytes in all, and rows so far."""


class Batch(NamedTuple):
    """What became of consecutive rows; both lists are in the order of the file."""

    documents: list[Document]
    rejections: list[Rejection]


class Cleaning:
    """Reads a raw file once.

    A row is an exact duplicate if an earlier readable row has the same bytes; broken rows are never duplicates, they
    are rejected each time. Of several rows with one document id and different content the first stays.

    Attributes:
        accounting: The counts so far.
        classes: Documents so far by IPC class.
        layout: The file's columns; known once the first batch was asked for.
    """

    layout: Layout

    def __init__(
        self, source: Path, fmt: RawFormat, progress: Progress | None = None, limit_rows: int | None = None
    ) -> None:
        self.accounting = Accounting()
        self.classes: Counter[str] = Counter()
        self._source = source
        self._format = fmt
        self._progress = progress
        self._limit_rows = limit_rows
        self._characters = 0
        self._digest = hashlib.sha256()
        self._bytes_read = 0
        self._seen_rows = SeenHashes()
        self._seen_ids = SeenHashes()

    @property
    def source_digest(self) -> str:
        """SHA-256 of the bytes read so far: of the whole file once all batches were read without a limit."""
        return self._digest.hexdigest()

    @property
    def mean_text_length(self) -> float:
        """Characters per document; 0 without documents."""
        return self._characters / self.accounting.kept if self.accounting.kept else 0.0

    def batches(self) -> Iterator[Batch]:
        """Read, clean and count.

        Raises:
            DataError: If the file is missing, not a file, empty, unreadable, of another encoding or without a needed
                column.
        """
        with self._open() as file:
            yield from self._read(file)

    def _open(self) -> BinaryIO:
        try:
            return self._source.open("rb")
        except IsADirectoryError as error:
            raise DataError(f"{self._source} is a folder; data.path must name a CSV file") from error
        except FileNotFoundError as error:
            raise DataError(f"{self._source} does not exist; set data.path to the raw CSV file") from error
        except OSError as error:
            raise DataError(f"cannot open {self._source}: {error.strerror}; check its permissions") from error

    def _read(self, file: BinaryIO) -> Iterator[Batch]:
        total = self._source.stat().st_size
        reader = self._start(file)
        records = islice(reader.records(len(self.layout.header)), self._limit_rows)
        cleaner = RowCleaner(self.layout, self._format)
        self.accounting.warnings = cleaner.warnings
        while rows := list(islice(records, BATCH)):
            batch = self._clean(rows, cleaner)
            self.accounting.blank_lines = reader.blank_lines
            yield batch
            if self._progress:
                self._progress(self._bytes_read, total, self.accounting.rows)
        self.accounting.blank_lines = reader.blank_lines

    def _start(self, file: BinaryIO) -> RecordReader:
        chunks = self._chunks(file)
        first = next(chunks, b"")
        if not first:
            raise DataError(f"{self._source} is empty; it must be a CSV file with a header")
        encoding, mark = read_mark(first, self._format.encoding, self._source)
        reader = RecordReader(chain([first[mark:]], chunks), encoding, self._format.limits)
        header = reader.header()
        if not header:
            raise DataError(f"{self._source} has no header, only blank lines; its first line must name the columns")
        self.layout = find_columns(header, encoding, self._format, self._source)
        check_encoding(first[mark:], encoding, self._source)
        return reader

    def _chunks(self, file: BinaryIO) -> Iterator[bytes]:
        try:
            while chunk := file.read(CHUNK):
                self._digest.update(chunk)
                self._bytes_read += len(chunk)
                yield chunk
        except OSError as error:
            raise DataError(f"cannot read {self._source}: {error.strerror}; check the disk and permissions") from error

    def _clean(self, rows: list[Record], cleaner: RowCleaner) -> Batch:
        """Clean consecutive rows and count them."""
        readable = [row for row in rows if row.fault is None]
        rejections = [cleaner.reject(row, row.fault) for row in rows if row.fault is not None]
        candidates: list[tuple[Record, Document]] = []
        is_first = self._seen_rows.first_seen(hash_keys(row.raw for row in readable))
        for row, fresh in zip(readable, is_first.tolist(), strict=True):
            if fresh:
                result = cleaner.clean(row)
                if isinstance(result, Document):
                    candidates.append((row, result))
                else:
                    rejections.append(result)
        documents: list[Document] = []
        is_new = self._seen_ids.first_seen(hash_keys(document.document_id.encode() for _, document in candidates))
        for (row, document), new in zip(candidates, is_new.tolist(), strict=True):
            if new:
                documents.append(document)
            else:
                rejections.append(cleaner.reject(row, TextFault.REPEATED_ID))
        self.accounting.rows += len(rows)
        self.accounting.kept += len(documents)
        self.classes.update(document.ipc_class for document in documents)
        self._characters += sum(len(document.text) for document in documents)
        self.accounting.rejected.update(str(rejection.reason) for rejection in rejections)
        self.accounting.duplicates += len(readable) - int(is_first.sum())
        return Batch(documents, sorted(rejections, key=lambda rejection: rejection.line_number))
