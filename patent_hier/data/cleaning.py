"""One pass over the raw files of a corpus in constant memory; every row becomes a document or a counted rejection."""

from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from patent_hier.data.accounting import Accounting
from patent_hier.data.columns import clean_rows
from patent_hier.data.layout import find_columns
from patent_hier.data.raw import Layout, RawFormat, Rejection
from patent_hier.data.repeats import Repeats
from patent_hier.reading.encodings import GB18030
from patent_hier.reading.rows import Options
from patent_hier.reading.sources import find_parts, size_of
from patent_hier.reading.tables import Table, open_table
from patent_hier.taxonomy.symbols import RejectReason

Progress = Callable[[int, int, int], None]
"""Callback that receives the bytes read, the total bytes and the rows so far."""


class Batch(NamedTuple):
    """Documents and rejections of consecutive rows, in their order.

    Attributes:
        documents: Table with the columns of :data:`patent_hier.data.columns.SCHEMA`, each in one chunk.
        rejections: Rows that did not become documents.
    """

    documents: pa.Table
    rejections: list[Rejection]


@dataclass
class Part:
    """One raw file of a corpus.

    Attributes:
        path: The file.
        layout: Positions of its columns.
        facts: Its format, encoding and so on; see :attr:`patent_hier.reading.tables.Table.facts`.
        notes: Remarks for the user; complete once the file has been read.
        accounting: Counts of its rows.
    """

    path: Path
    layout: Layout
    facts: Mapping[str, object]
    notes: list[str] = field(default_factory=list)
    accounting: Accounting = field(default_factory=Accounting)

    def as_dict(self) -> dict[str, object]:
        """Return the facts, notes and counts as JSON-compatible values."""
        return {"file": self.path.name, **self.facts, "notes": self.notes, "accounting": self.accounting.as_dict()}


class Cleaning:
    """Single-pass reader and cleaner of the raw files of a corpus.

    :class:`patent_hier.data.repeats.Repeats` decides which rows are repetitions and which of them is kept.

    Args:
        source: A file, a folder, a pattern, or several of these.
        fmt: Format of the files.
        progress: Callback that is called after each batch.

    Attributes:
        files: The files in reading order.
        parts: The files whose reading has started.
        classes: Documents so far by IPC class.
    """

    def __init__(
        self, source: str | Path | Sequence[str | Path], fmt: RawFormat, progress: Progress | None = None
    ) -> None:
        self.files = find_parts(source)
        self.parts: list[Part] = []
        self.classes: Counter[str] = Counter()
        self._format = fmt
        self._progress = progress
        self._characters = 0

    @property
    def accounting(self) -> Accounting:
        """Counts of the rows of all files so far."""
        return Accounting.total(part.accounting for part in self.parts)

    @property
    def mean_text_length(self) -> float:
        """Mean number of characters per document; 0 without documents."""
        kept = self.accounting.kept
        return self._characters / kept if kept else 0.0

    def look(self) -> None:
        """Check the header of the first file.

        Raises:
            DataError: If the file cannot be used; see :meth:`batches`.
        """
        with open_table(self.files[0], self._options(self.files[0])) as table:
            find_columns(table.names, self._format, self.files[0])

    def batches(self) -> Generator[Batch, None, None]:
        """Read and clean the files, count their rows, and yield batches.

        Raises:
            DataError: If a file is missing, not a regular file, empty, unreadable, in another encoding or without a
                required column.
        """
        repeats = Repeats()
        total = sum(map(size_of, self.files))
        before, names = 0, tuple[str, ...]()
        for file in self.files:
            with open_table(file, self._options(file), inherited=names) as table:
                layout = find_columns(table.names, self._format, file)
                found = layout.line()
                part = Part(file, layout, table.facts, notes=[found] if found else [])
                self.parts.append(part)
                yield from self._read(table, part, repeats, lambda done: self._report(before + done, total))  # noqa: B023
                part.notes += table.notes
                before, names = before + table.size, table.names

    def _options(self, file: Path) -> Options:
        return reading_options(self._format, lambda names: find_columns(names, self._format, file))

    def _read(
        self, table: Table, part: Part, repeats: Repeats, report: Callable[[int], None]
    ) -> Generator[Batch, None, None]:
        number = len(self.parts) - 1
        name = part.path.name if len(self.files) > 1 else ""
        for rows in table.rows():
            judged = repeats.judge(rows, clean_rows(rows, part.layout, self._format, number))
            rejections = [one._replace(file=name) for one in judged.rejections] if name else judged.rejections
            documents, counts = judged.documents, part.accounting
            counts.rows += len(rows)
            counts.kept += len(documents)
            counts.rejected.update(str(one.reason) for one in rejections)
            counts.count_unread(one.value for one in rejections if one.reason is RejectReason.MALFORMED)
            counts.duplicates += judged.duplicates
            counts.blank_lines += rows.blank_lines
            counts.repeated_headers += rows.headers
            counts.warnings.update(judged.warnings)
            classes: Any = documents["ipc_class"].value_counts()  # the type stubs lack structs
            self.classes.update({item["values"]: item["counts"] for item in classes.to_pylist()})
            self._characters += pc.sum(pc.utf8_length(documents["text"])).as_py() or 0
            if len(rows):
                yield Batch(documents, rejections)
                report(table.position)

    def _report(self, done: int, total: int) -> None:
        if self._progress:
            self._progress(done, total, sum(part.accounting.rows for part in self.parts))


def reading_options(fmt: RawFormat, find: Callable[[Sequence[str]], Layout], *, guess: bool = False) -> Options:
    """Return the options for reading a raw file.

    Args:
        fmt: Format of the file.
        find: Function that finds the columns in a header.
        guess: Whether the content of the file determines the encoding even if one is set.
    """
    return Options(
        accept=lambda names: find(names).text_positions,
        encoding=fmt.encoding or GB18030,
        guess=guess or fmt.encoding is None,
        delimiter=fmt.delimiter,
        sheet=fmt.sheet,
        limits=fmt.limits,
        json_names={**fmt.header_names, "text": fmt.text[0]},
        json_header=tuple(fmt.text) if guess else (),
    )
