"""Predictions as files: JSON lines, and CSV in which spreadsheets run no formulas."""

import csv
import json
from collections.abc import Callable, Sequence
from typing import IO

from patent_hier.data.incoming import Incoming
from patent_hier.inference.results import Prediction
from patent_hier.sanitize import cell
from patent_hier.taxonomy.names import LabelNames
from patent_hier.taxonomy.tree import LabelTree

CSV, JSON_LINES = OUTPUT_FORMATS = ("csv", "jsonl")
BYTE_ORDER_MARK = "\ufeff"  # makes spreadsheets read the file as UTF-8


Write = Callable[[Incoming, Prediction | None], None]
"""Function that writes one row: its prediction, or its fault if the prediction is None."""


def writer_for(
    kind: str,
    output: IO[str],
    tree: LabelTree,
    top_k: int,
    text_columns: Sequence[str] | None,
    all_symbols: bool = False,
) -> Write:
    """Return a function that writes predictions to an open text file (UTF-8, ``newline=""``).

    JSON lines contain one object per row: ``row``, ``document_id``, and either the prediction's values or ``error``.

    CSV has a byte order mark and one line per row. The columns are ``row``, ``document_id`` and the fields of the text;
    ``decision`` (a level or ``undecided``), ``label``, ``name`` (title of the label, or of the nearest label above it
    that has one) and ``confidence``; for each path, with k from 1 to ``top_k``, its labels and their probabilities:
    ``section_k``, ``section_probability_k``, ..., and for the deepest level ``class_k`` and ``probability_k`` (that of
    the path); with all symbols, for each level, ``all_<level>`` and ``all_<level>_probabilities``, with semicolons
    between the values; ``strange``, the reason why probabilities may be too high (see
    :class:`patent_hier.inference.results.Prediction`); ``error``, the reason why a row has no prediction.

    Args:
        kind: One of :data:`OUTPUT_FORMATS`.
        output: Output file.
        tree: Labels that may be answered.
        top_k: Maximum number of paths per prediction.
        text_columns: Names of the text fields, for the header; None if a file is continued.
        all_symbols: Whether predictions include all symbols.
    """
    if kind == JSON_LINES:

        def write_json(row: Incoming, prediction: Prediction | None) -> None:
            said = {"error": str(row.fault)} if prediction is None else prediction.as_dict()
            content = {"row": row.row, "document_id": row.document_id, **said}
            output.write(json.dumps(content, ensure_ascii=False) + "\n")

        return write_json
    writer, names, levels = csv.writer(output), LabelNames(tree), tree.levels
    if text_columns is not None:
        output.write(BYTE_ORDER_MARK)
        writer.writerow([cell(name) for name in _header(levels, top_k, text_columns, all_symbols)])

    def write_csv(row: Incoming, prediction: Prediction | None) -> None:
        own = [str(row.row), cell(row.document_id), *map(cell, row.fields)]
        if prediction is None:
            writer.writerow([*own, *[""] * (5 + 2 * len(levels) * (top_k + all_symbols)), str(row.fault)])
        else:
            cells = _cells(prediction, names, 2 * len(levels), top_k)
            writer.writerow([*own, *cells, *_symbols(prediction), prediction.strange or "", ""])

    return write_csv


def _header(levels: Sequence[str], top_k: int, text_columns: Sequence[str], all_symbols: bool) -> list[str]:
    named = [name for level in levels[:-1] for name in (level, f"{level}_probability")] + [levels[-1], "probability"]
    ranked = [f"{name}_{k}" for k in range(1, top_k + 1) for name in named]
    named = [f"all_{level}{what}" for level in levels for what in ("", "_probabilities")] if all_symbols else []
    shown = ["decision", "label", "name", "confidence", *ranked, *named, "strange", "error"]
    return ["row", "document_id", *text_columns, *shown]


def _symbols(prediction: Prediction) -> list[str]:
    return [
        ";".join(values)
        for own in (prediction.symbols or {}).values()
        for values in ([one.label for one in own], [f"{one.probability:.6f}" for one in own])
    ]


def _cells(prediction: Prediction, names: LabelNames, width: int, top_k: int) -> list[str]:
    """Return the cells of the decision and of all paths, each path padded to the same width."""
    decision = prediction.decision
    name = cell(name_of_decision(prediction, names))
    cells = [decision.level, decision.label or "", name, f"{decision.confidence:.6f}"]
    for path in prediction.paths:
        own = [value for step in path.steps for value in (step.label, f"{step.probability:.6f}")]
        cells += [*own, *[""] * (width - len(own))]
        cells[-1] = f"{path.probability:.6f}"  # also if the symbol ends above the deepest level
    return cells + [""] * (width * (top_k - len(prediction.paths)))


def name_of_decision(prediction: Prediction, names: LabelNames) -> str:
    """Return the title of the answer, or of the nearest label above it that has one; empty if none has."""
    label = prediction.decision.label
    if label is None:
        return ""
    paths = [path.labels for path in prediction.paths if label in path.labels]
    return names.nearest(paths[0][: paths[0].index(label) + 1] if paths else [label])
