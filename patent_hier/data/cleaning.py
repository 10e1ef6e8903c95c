"""One pass over a raw file: batch by batch to documents and rejections, every row counted, in flat memory."""

import hashlib
import math
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import closing
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from patent_hier.data.accounting import Accounting
from patent_hier.data.columns import SCHEMA, PieceCleaner
from patent_hier.data.layout import check_encoding, read_columns, read_mark
from patent_hier.data.pieces import PieceCutter
from patent_hier.data.raw import Layout, RawFormat, Rejection
from patent_hier.data.repeats import Part, Repeats
from patent_hier.data.workers import allocator_for_pieces, clean_pieces
from patent_hier.errors import DataError
from patent_hier.progress import say
from patent_hier.taxonomy.symbols import RejectReason

CHUNK = 1 << 20  # bytes
BATCH = 8192  # rows

Progress = Callable[[int, int, int], None]
"""Called with bytes read, bytes in all, and rows so far."""


class Batch(NamedTuple):
    """Documents and rejections of consecutive rows, in the order of the file.

    Attributes:
        documents: Columns as in :data:`patent_hier.data.columns.SCHEMA`, each in one piece.
        rejections: The rows that are no documents.
    """

    documents: pa.Table
    rejections: list[Rejection]


class Cleaning:
    """Reads a raw file once.

    What is repeated, and which of several repetitions stays, says :class:`patent_hier.data.repeats.Repeats`.

    Args:
        source: The raw CSV file.
        fmt: What it looks like.
        progress: Called after each batch.
        limit_rows: Stop after so many rows; None reads the whole file.
        processes: How many clean rows, the caller's among them; nothing that comes out depends on it.

    Attributes:
        accounting: The counts so far.
        classes: Documents so far by IPC class.
        layout: The file's columns; known once the first batch was asked for.
    """

    layout: Layout

    def __init__(
        self,
        source: Path,
        fmt: RawFormat,
        progress: Progress | None = None,
        limit_rows: int | None = None,
        processes: int = 1,
    ) -> None:
        self.accounting = Accounting()
        self.classes: Counter[str] = Counter()
        self._source = source
        self._format = fmt
        self._progress = progress
        self._limit_rows = limit_rows
        self._processes = processes
        self._characters = 0
        self._text_copies: tuple[str, ...] = ()
        self._digest = hashlib.sha256()
        self._bytes_read = 0

    @property
    def source_digest(self) -> str:
        """SHA-256 of the bytes read so far: of the whole file once all batches were read without a limit."""
        return self._digest.hexdigest()

    @property
    def mean_text_length(self) -> float:
        """Characters per document; 0 without documents."""
        return self._characters / self.accounting.kept if self.accounting.kept else 0.0

    def batches(self) -> Generator[Batch, None, None]:
        """Read, clean and count.

        Raises:
            DataError: If the file is missing, not a file, empty, unreadable, of another encoding or without a needed
                column.
        """
        with self._open() as file, ThreadPoolExecutor(1) as ahead, allocator_for_pieces():
            yield from self._read(file, ahead)

    def _open(self) -> BinaryIO:
        try:
            return self._source.open("rb")
        except IsADirectoryError as error:
            raise DataError(f"{self._source} is a folder; data.path must name a CSV file") from error
        except FileNotFoundError as error:
            raise DataError(f"{self._source} does not exist; set data.path to the raw CSV file") from error
        except OSError as error:
            raise DataError(f"cannot open {self._source}: {error.strerror}; check its permissions") from error

    def _read(self, file: BinaryIO, ahead: Executor) -> Generator[Batch, None, None]:
        total = self._source.stat().st_size
        waiting: list[Part] = []
        missing = BATCH  # rows
        with closing(self._parts(self._start(self._chunks(file, ahead)))) as parts:
            for part in parts:
                while part.rows >= missing:
                    head, part = part.split(missing)
                    yield self._batch([*waiting, head])
                    self._report(total)
                    waiting, missing = [], BATCH
                if part.rows:
                    waiting.append(part)
                    missing -= part.rows
        if waiting:
            yield self._batch(waiting)
            self._report(total)

    def _report(self, total: int) -> None:
        if self._progress:
            self._progress(self._bytes_read, total, self.accounting.rows)

    def _start(self, chunks: Iterator[bytes]) -> PieceCutter:
        first = next(chunks, b"")
        if not first:
            raise DataError(f"{self._source} is empty; it must be a CSV file with a header")
        encoding, mark = read_mark(first, self._format.encoding, self._source)
        cutter = PieceCutter(chain([first[mark:]], chunks), self._format.limits)
        header = cutter.header()
        if not header:
            raise DataError(f"{self._source} has no header, only blank lines; its first line must name the columns")
        self.layout = read_columns(header, encoding, self._format, self._source)
        check_encoding(first[mark:], encoding, self._source)
        if found := self.layout.line():
            say(found)
        self.accounting.blank_lines = cutter.blank_lines
        return cutter

    def _chunks(self, file: BinaryIO, ahead: Executor) -> Iterator[bytes]:
        """Read one chunk ahead in another thread: neither reading nor hashing needs Python's lock."""
        coming = ahead.submit(self._read_chunk, file)
        try:
            while chunk := coming.result():
                coming = ahead.submit(self._read_chunk, file)
                self._bytes_read += len(chunk)
                yield chunk
        except OSError as error:
            raise DataError(f"cannot read {self._source}: {error.strerror}; check the disk and permissions") from error

    def _read_chunk(self, file: BinaryIO) -> bytes:
        chunk = file.read(CHUNK)
        self._digest.update(chunk)
        return chunk

    def _parts(self, cutter: PieceCutter) -> Generator[Part, None, None]:
        """Yield the outcome of each piece, up to the limit."""
        cleaner = PieceCleaner(self.layout, self._format)
        self._text_copies = cleaner.text_copies
        repeats = Repeats(cleaner, cutter.lines)
        left = math.inf if self._limit_rows is None else self._limit_rows
        with closing(clean_pieces(cutter.pieces(len(self.layout.header)), cleaner, self._processes)) as results:
            while left > 0 and (result := next(results, None)):
                piece, clean = result
                part = repeats.judge(piece, clean)
                if part.rows >= left:  # empty lines after the last row are not read either
                    part, _ = part.split(int(left))
                    self.accounting.blank_lines += sum(rows_before < left for rows_before in clean.blanks)
                else:
                    self.accounting.blank_lines += len(clean.blanks)
                left -= part.rows
                yield part

    def _batch(self, parts: list[Part]) -> Batch:
        """Put consecutive rows together and count them."""
        found = pa.concat_tables([part.documents for part in parts]).combine_chunks()
        columns = [found["text" if name in self._text_copies else name] for name in SCHEMA.names]
        documents = pa.Table.from_arrays(columns, schema=SCHEMA)
        rejections = [rejection for part in parts for _, rejection in part.rejections]
        counts = self.accounting
        counts.rows += sum(part.rows for part in parts)
        counts.kept += len(documents)
        counts.rejected.update(str(rejection.reason) for rejection in rejections)
        counts.count_unread(rejection.value for rejection in rejections if rejection.reason is RejectReason.MALFORMED)
        counts.duplicates += sum(len(part.duplicates) for part in parts)
        counts.warnings.update(name for part in parts for _, name in part.warnings)
        classes: Any = documents["ipc_class"].value_counts()  # the stubs know no structs
        self.classes.update({item["values"]: item["counts"] for item in classes.to_pylist()})
        self._characters += pc.sum(pc.utf8_length(documents["text"])).as_py() or 0
        return Batch(documents, rejections)
