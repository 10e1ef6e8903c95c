"""Predictions as files: CSV that a spreadsheet only shows, and JSON lines."""

import csv
import json
from collections.abc import Sequence
from typing import IO, Protocol

from patent_hier.data.incoming import Incoming
from patent_hier.inference.results import Prediction
from patent_hier.sanitize import cell
from patent_hier.taxonomy.names import known_name

CSV, JSON_LINES = OUTPUT_FORMATS = ("csv", "jsonl")
BYTE_ORDER_MARK = "\ufeff"  # makes spreadsheets read the file as UTF-8


class Writer(Protocol):
    """Writes predictions to an open text file (UTF-8, ``newline=""``)."""

    def begin(self, text_columns: Sequence[str]) -> None:
        """What stands before the first row; left out where a file is continued."""

    def write(self, row: Incoming, prediction: Prediction | None) -> None:
        """One row; None where it has a fault, which is written in its place."""


def writer_for(kind: str, output: IO[str], levels: Sequence[str], top_k: int) -> Writer:
    """The writer of a format, one of :data:`OUTPUT_FORMATS`, for predictions of so many paths over some levels."""
    return CsvWriter(output, levels, top_k) if kind == CSV else JsonLinesWriter(output)


class CsvWriter:
    """A line for every row, with a byte order mark.

    The columns: ``row``, ``document_id``, the fields of the text; ``decision`` (a level or ``undecided``), ``label``,
    ``name`` (Chinese, of the label or of the next one above it that has one) and ``confidence``; for each path, k from
    1 to ``top_k``, its labels and their probabilities: ``section_k``, ``section_probability_k``, ..., of the deepest
    level ``class_k`` and ``probability_k`` (that of the path); ``error``, the reason why a row has no prediction.
    """

    def __init__(self, output: IO[str], levels: Sequence[str], top_k: int) -> None:
        self._output = output
        self._writer = csv.writer(output)
        self._levels = tuple(levels)
        self._top_k = top_k

    def begin(self, text_columns: Sequence[str]) -> None:
        """Write the mark and the header."""
        named = [(level, f"{level}_probability") for level in self._levels[:-1]] + [(self._levels[-1], "probability")]
        ranked = [f"{name}_{k}" for k in range(1, self._top_k + 1) for both in named for name in both]
        decided = ["decision", "label", "name", "confidence"]
        self._output.write(BYTE_ORDER_MARK)
        names = ["row", "document_id", *text_columns, *decided, *ranked, "error"]
        self._writer.writerow([cell(name) for name in names])

    def write(self, row: Incoming, prediction: Prediction | None) -> None:
        """Write one line."""
        own = [str(row.row), cell(row.document_id), *map(cell, row.fields)]
        width = 2 * len(self._levels)
        if prediction is None:
            self._writer.writerow([*own, *[""] * (4 + width * self._top_k), str(row.fault)])
            return
        decision = prediction.decision
        decided = [decision.level, decision.label or "", name_of_decision(prediction), f"{decision.confidence:.6f}"]
        ranked = []
        for path in prediction.paths:
            cells = [value for step in path.steps for value in (step.label, f"{step.probability:.6f}")]
            ranked += [*cells, *[""] * (width - len(cells))]
            ranked[-1] = f"{path.probability:.6f}"  # of a symbol that ends above too
        ranked += [""] * (width * self._top_k - len(ranked))
        self._writer.writerow([*own, *decided, *ranked, ""])


def name_of_decision(prediction: Prediction, language: str = "zh") -> str:
    """The name of the answer, or of the next label above it that has one; empty for none."""
    label = prediction.decision.label
    if label is None:
        return ""
    paths = [path.labels for path in prediction.paths if label in path.labels]
    return known_name(paths[0][: paths[0].index(label) + 1] if paths else [label], language)


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
