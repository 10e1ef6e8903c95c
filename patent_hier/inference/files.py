"""The documents of a raw file, classified: batch by batch into a CSV file, a line for every row."""

import csv
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import IO

from patent_hier.data.incoming import Incoming, IncomingFile
from patent_hier.data.raw import RawFormat
from patent_hier.errors import DataError
from patent_hier.evaluation.result import Score
from patent_hier.harmless import cell
from patent_hier.inference.predictor import System
from patent_hier.inference.results import IpcPath
from patent_hier.ipc import SymbolError, parse_symbols

BATCH = 4096  # rows; bounds memory whatever the file's size
BYTE_ORDER_MARK = "\ufeff"  # makes spreadsheets read the file as UTF-8

Progress = Callable[[int, int, int], None]
"""Called with bytes done, bytes in all, and rows so far."""


@dataclass
class Summary:
    """What became of a file's rows.

    Attributes:
        predicted: Rows with paths.
        faults: Rows without, by the reason.
        labelled: Predicted rows whose main symbol could be read; the accuracies are over these.
        section_hits: Of these, rows whose first path has the true section; ``class_hits`` likewise.
        sections: The true sections; ``classes`` likewise.
    """

    predicted: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    labelled: int = 0
    section_hits: int = 0
    class_hits: int = 0
    sections: set[str] = field(default_factory=set)
    classes: set[str] = field(default_factory=set)

    @property
    def errors(self) -> int:
        """Rows without paths."""
        return self.faults.total()

    @property
    def rows(self) -> int:
        """All rows of the file."""
        return self.predicted + self.errors

    @property
    def section_accuracy(self) -> Score:
        """How often the first path's section is the true one; only where ``labelled`` is not 0."""
        return Score.of_hits(self.section_hits, self.labelled, len(self.sections))

    @property
    def class_accuracy(self) -> Score:
        """How often the first path's class is the true one; only where ``labelled`` is not 0."""
        return Score.of_hits(self.class_hits, self.labelled, len(self.classes))

    def faults_in_words(self) -> str:
        """The faults with their counts, the most frequent first."""
        return ", ".join(f"{count} {fault}" for fault, count in self.faults.most_common())


def predict_file(
    system: System,
    incoming: IncomingFile,
    output: IO[str],
    *,
    top_k: int = 3,
    batch_size: int = 64,
    progress: Progress | None = None,
) -> Summary:
    """Classify every document of a file, in flat memory.

    The columns: ``row``, ``document_id``, the fields of the text, then ``section_k``, ``class_k`` and ``probability_k``
    for k from 1 to ``top_k``, and ``error``, the reason why a row has no classes.

    Args:
        system: See :func:`patent_hier.inference.predictor.load_system`.
        incoming: The file.
        output: Takes CSV with a byte order mark; open a file with ``newline=""`` and UTF-8.
        top_k: Paths for each document.
        batch_size: Documents per batch of a network.
        progress: Called after each batch of a classifier.

    Raises:
        ConfigError: If ``top_k`` is out of range.
        IncompleteError: If the system makes no whole paths.
        DataError: If the file cannot be used, or no row of it can be classified.
    """
    system.check_top_k(top_k)
    summary, meter = Summary(), _Meter(progress, system.passes)
    writer = csv.writer(output)
    for rows in incoming.batches(BATCH):
        if not summary.rows:
            output.write(BYTE_ORDER_MARK)
            writer.writerow([cell(name) for name in _header(incoming.text_columns, top_k)])
        texts = [row.text for row in rows if row.fault is None]
        meter.begin(rows, len(texts), incoming.size)
        paths = iter(system.paths(texts, top_k, meter.advance, batch_size) if texts else [])
        for row in rows:
            own = next(paths) if row.fault is None else []
            _count(summary, row, own, system.raw)
            writer.writerow(_line(row, own, top_k))
    if not summary.predicted:
        reason = summary.faults_in_words() or "it has a header only"
        raise DataError(f"no row of {incoming.source} could be classified: {reason}; check the file and its columns")
    return summary


def _header(text_columns: Sequence[str], top_k: int) -> list[str]:
    ranked = [f"{name}_{k}" for k in range(1, top_k + 1) for name in ("section", "class", "probability")]
    return ["row", "document_id", *text_columns, *ranked, "error"]


def _line(row: Incoming, paths: Sequence[IpcPath], top_k: int) -> list[str]:
    cells = [value for path in paths for value in (path.section, path.ipc_class, f"{path.probability:.6f}")]
    cells += [""] * (3 * (top_k - len(paths)))
    return [str(row.row), cell(row.document_id), *map(cell, row.fields), *cells, row.fault or ""]


def _count(summary: Summary, row: Incoming, paths: Sequence[IpcPath], raw: RawFormat) -> None:
    if row.fault is not None:
        summary.faults[str(row.fault)] += 1
        return
    summary.predicted += 1
    try:
        true = parse_symbols(row.symbols, raw.edition, raw.min_symbol).main
    except SymbolError:  # an application without a class yet, or a design
        return
    summary.labelled += 1
    summary.section_hits += paths[0].section == true.section
    summary.class_hits += paths[0].ipc_class == true.ipc_class
    summary.sections.add(true.section)
    summary.classes.add(true.ipc_class)


class _Meter:
    """Progress in bytes of the file: within a batch of rows, by the share of its scores that are done."""

    def __init__(self, progress: Progress | None, passes: int) -> None:
        self._progress = progress
        self._passes = passes
        self._rows = self._bytes = 0  # before the batch
        self._batch_rows = self._batch_bytes = self._total_bytes = 0
        self._scores = self._scored = 0  # of the batch: to be made, and made

    def begin(self, rows: Sequence[Incoming], texts: int, total_bytes: int) -> None:
        """Go on to the next rows, of which so many have a text."""
        self._rows += self._batch_rows
        self._bytes += self._batch_bytes
        self._batch_rows, self._batch_bytes = len(rows), sum(row.size + 1 for row in rows)
        self._total_bytes = total_bytes
        self._scores, self._scored = texts * self._passes, 0

    def advance(self, documents: int) -> None:
        """A classifier has scored so many texts more."""
        self._scored += documents
        if self._progress is not None:
            share = self._scored / self._scores
            done = self._bytes + round(share * self._batch_bytes)
            self._progress(done, self._total_bytes, self._rows + round(share * self._batch_rows))
