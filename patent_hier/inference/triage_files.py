"""A file's documents in review order, all of them in memory, since the last one may have to be reviewed first."""

import csv
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import IO

import numpy as np

from patent_hier.data.incoming import Incoming, IncomingFiles
from patent_hier.data.raw import RawFormat
from patent_hier.errors import DataError
from patent_hier.evaluation.review import ErrorsFound, measure_orders
from patent_hier.inference.answering import Question
from patent_hier.inference.classifier import HierarchicalClassifier
from patent_hier.inference.files import BATCH, texts_of, true_labels
from patent_hier.inference.results import Prediction
from patent_hier.inference.triage import Review, Triage, in_words
from patent_hier.inference.writers import BYTE_ORDER_MARK, JSON_LINES, name_of_decision
from patent_hier.sanitize import cell
from patent_hier.taxonomy.names import LabelNames

TRIAGE, CONFIDENCE = "triage", "plain confidence"
_COLUMNS = ("label", "name", "confidence", "error_probability", "reason", "symbols", "error")


@dataclass(frozen=True)
class Reviewed:
    """A classified row, reduced to the values needed for review.

    Attributes:
        row: Row number in the file, from 1.
        document_id: As in :class:`patent_hier.data.incoming.Incoming`.
        fields: Fields of the text.
        symbols: True symbols; empty if the file has none.
        label: Label of the answer.
        name: Title of the label; empty if it has none.
        confidence: Probability of the answer, 0 to 1.
        error: Probability that the answer is wrong, 0 to 1.
        reason: Reason to review it, in words; empty if there is none.
        is_wrong: Whether the first label of the deepest level differs from the true one; None if the true label is
            unknown.
    """

    row: int
    document_id: str
    fields: tuple[str, ...]
    symbols: str
    label: str
    name: str
    confidence: float
    error: float
    reason: str
    is_wrong: bool | None


@dataclass(frozen=True)
class Pile:
    """All rows of a file.

    Attributes:
        text_columns: Names of the text fields.
        reviewed: Classified rows in review order; ties keep the file's order.
        faulty: Rows that could not be classified, unchanged.
    """

    text_columns: tuple[str, ...]
    reviewed: list[Reviewed]
    faulty: list[Incoming] = field(default_factory=list)

    @property
    def labelled(self) -> list[Reviewed]:
        """Rows whose true label is known."""
        return [one for one in self.reviewed if one.is_wrong is not None]

    def worth(self) -> dict[str, list[ErrorsFound]]:
        """Return the errors found by this order and by plain confidence; empty if no answer is known to be wrong."""
        known = self.labelled
        wrong = np.array([bool(one.is_wrong) for one in known], np.bool_)
        if not wrong.any():
            return {}
        own, plain = (np.array([getattr(one, name) for one in known]) for name in ("error", "confidence"))
        return measure_orders({TRIAGE: own, CONFIDENCE: -plain}, wrong)

    def faults_in_words(self) -> str:
        """Return why rows have no answer, with counts, most frequent first."""
        counts = Counter(str(row.fault) for row in self.faulty)
        return ", ".join(f"{count} {fault}" for fault, count in counts.most_common())


def review_file(
    triage: Triage,
    classifier: HierarchicalClassifier,
    documents: IncomingFiles,
    raw: RawFormat,
    progress: Callable[[int, int, int], None] | None = None,
) -> Pile:
    """Classify all documents of a file and put them into review order.

    Args:
        triage: Triage that orders the documents.
        classifier: Classifier that answers.
        documents: The file.
        raw: Format of the file.
        progress: Called after each batch of rows with the bytes done, the total bytes and the rows so far.

    Raises:
        DataError: If the file cannot be used, or none of its rows can be classified.
    """
    tree = classifier.system.tree
    asked, names, done = classifier.ask(Question(min(2, len(tree.ends)))), LabelNames(tree), 0
    reviewed, faulty = list[Reviewed](), list[Incoming]()
    for rows in documents.batches(BATCH):
        texts, context = texts_of(rows, raw)
        given = classifier.documents(texts, context)
        answers = iter(zip(*triage.review(given, asked), strict=True))
        for row in rows:
            if row.fault is not None:
                faulty.append(row)
            else:
                reviewed.append(_reviewed(row, *next(answers), names, true_labels(row, raw).get(tree.depth)))
        done += sum(row.size for row in rows)
        if progress is not None:
            progress(done, documents.size, len(reviewed) + len(faulty))
    pile = Pile(documents.text_columns, sorted(reviewed, key=lambda one: -one.error), faulty)
    if not reviewed:
        reason = pile.faults_in_words() or "it contains only a header"
        raise DataError(f"no row of {documents.source} could be classified: {reason}; check the file and its columns")
    return pile


def _reviewed(row: Incoming, prediction: Prediction, review: Review, names: LabelNames, truth: str | None) -> Reviewed:
    path = prediction.paths[0]
    is_wrong = None if truth is None else path.label != truth
    return Reviewed(
        row.row, row.document_id, row.fields, row.symbols, path.label, name_of_decision(prediction, names),
        path.probability, review.error, in_words(review, prediction), is_wrong,
    )  # fmt: skip


def write_pile(pile: Pile, kind: str, output: IO[str]) -> None:
    """Write all rows in review order, those without an answer last.

    JSON lines contain one object per row. CSV has a byte order mark and the columns ``rank``, ``row``, ``document_id``,
    the fields of the text, ``label``, ``name``, ``confidence``, ``error_probability``, ``reason``, ``symbols``,
    ``error``.

    Args:
        pile: The rows.
        kind: One of :data:`patent_hier.inference.writers.OUTPUT_FORMATS`.
        output: Open text file (UTF-8, ``newline=""``).
    """
    write = _write_json if kind == JSON_LINES else _write_csv
    write(pile, output)


def _write_json(pile: Pile, output: IO[str]) -> None:
    for rank, one in enumerate(pile.reviewed, 1):
        content = {
            "rank": rank, "row": one.row, "document_id": one.document_id, "text": _fields(pile, one.fields),
            "label": one.label, "name": one.name, "confidence": one.confidence, "error_probability": one.error,
            "reason": one.reason, "symbols": one.symbols,
        }  # fmt: skip
        output.write(json.dumps(content, ensure_ascii=False) + "\n")
    for row in pile.faulty:
        content = {"row": row.row, "document_id": row.document_id, "text": _fields(pile, row.fields)}
        output.write(json.dumps({**content, "error": str(row.fault)}, ensure_ascii=False) + "\n")


def _fields(pile: Pile, fields: Sequence[str]) -> dict[str, str]:
    return dict(zip(pile.text_columns, fields, strict=True))


def _write_csv(pile: Pile, output: IO[str]) -> None:
    output.write(BYTE_ORDER_MARK)
    writer = csv.writer(output)
    writer.writerow(["rank", "row", "document_id", *map(cell, pile.text_columns), *_COLUMNS])
    for rank, one in enumerate(pile.reviewed, 1):
        numbers = [f"{one.confidence:.6f}", f"{one.error:.6f}"]
        answer = [cell(one.label), cell(one.name), *numbers, cell(one.reason), cell(one.symbols), ""]
        writer.writerow([str(rank), str(one.row), cell(one.document_id), *map(cell, one.fields), *answer])
    for row in pile.faulty:
        empty = [""] * (len(_COLUMNS) - 2)
        own = [*map(cell, row.fields), *empty, cell(row.symbols), str(row.fault)]
        writer.writerow(["", str(row.row), cell(row.document_id), *own])
