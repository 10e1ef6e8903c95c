"""Predictions as files: CSV that a spreadsheet only shows, and JSON lines."""

import csv
import json
from collections.abc import Sequence
from typing import IO, Protocol

from patent_hier.data.incoming import Incoming
from patent_hier.harmless import cell
from patent_hier.inference.results import Prediction
from patent_hier.ipc_names import name_of

CSV, JSON_LINES = OUTPUT_FORMATS = ("csv", "jsonl")
BYTE_ORDER_MARK = "\ufeff"  # makes spreadsheets read the file as UTF-8


class Writer(Protocol):
    """Writes predictions to an open text file (UTF-8, ``newline=""``)."""

    def begin(self, text_columns: Sequence[str]) -> None:
        """What stands before the first row; left out where a file is continued."""

    def write(self, row: Incoming, prediction: Prediction | None) -> None:
        """One row; None where it has a fault, which is written in its place."""


def writer_for(kind: str, output: IO[str], top_k: int) -> Writer:
    """The writer of a format, one of :data:`OUTPUT_FORMATS`."""
    return CsvWriter(output, top_k) if kind == CSV else JsonLinesWriter(output)


class CsvWriter:
    """A line for every row, with a byte order mark.

    The columns: ``row``, ``document_id``, the fields of the text; ``decision`` (``class``, ``section``,
    ``undecided``), ``label``, ``name`` (of the label, Chinese) and ``confidence``; ``section_k``, ``class_k`` and
    ``probability_k`` for k from 1 to ``top_k``; ``error``, the reason why a row has no prediction.
    """

    def __init__(self, output: IO[str], top_k: int) -> None:
        self._output = output
        self._writer = csv.writer(output)
        self._top_k = top_k

    def begin(self, text_columns: Sequence[str]) -> None:
        """Write the mark and the header."""
        ranked = [f"{name}_{k}" for k in range(1, self._top_k + 1) for name in ("section", "class", "probability")]
        decided = ["decision", "label", "name", "confidence"]
        self._output.write(BYTE_ORDER_MARK)
        names = ["row", "document_id", *text_columns, *decided, *ranked, "error"]
        self._writer.writerow([cell(name) for name in names])

    def write(self, row: Incoming, prediction: Prediction | None) -> None:
        """Write one line."""
        own = [str(row.row), cell(row.document_id), *map(cell, row.fields)]
        if prediction is None:
            self._writer.writerow([*own, *[""] * (4 + 3 * self._top_k), str(row.fault)])
            return
        decision = prediction.decision
        name = name_of(decision.label) if decision.label else ""
        decided = [decision.level, decision.label or "", name, f"{decision.confidence:.6f}"]
        ranked = [
            value for path in prediction.paths for value in (path.section, path.ipc_class, f"{path.probability:.6f}")
        ]
        ranked += [""] * (3 * (self._top_k - len(prediction.paths)))
        self._writer.writerow([*own, *decided, *ranked, ""])


class JsonLinesWriter:
    """An object for every row: ``row``, ``document_id``, and either the prediction's values or ``error``."""

    def __init__(self, output: IO[str]) -> None:
        self._output = output

    def begin(self, text_columns: Sequence[str]) -> None:
        """Nothing stands before the first row."""

    def write(self, row: Incoming, prediction: Prediction | None) -> None:
        """Write one line."""
        own = {"row": row.row, "document_id": row.document_id}
        content = {**own, "error": str(row.fault)} if prediction is None else {**own, **prediction.as_dict()}
        self._output.write(json.dumps(content, ensure_ascii=False) + "\n")
