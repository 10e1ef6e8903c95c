"""Batch-wise classification of a file's documents in constant memory, with the outcome of every row."""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from patent_hier.data.context import context_value
from patent_hier.data.incoming import Incoming, IncomingFiles
from patent_hier.data.labels import ipc_path
from patent_hier.data.raw import RawFormat
from patent_hier.errors import DataError
from patent_hier.evaluation.result import Score
from patent_hier.inference.answering import Question
from patent_hier.inference.classifier import HierarchicalClassifier
from patent_hier.inference.results import UNDECIDED, Prediction
from patent_hier.inference.resuming import ResumableOutput
from patent_hier.inference.writers import writer_for
from patent_hier.taxonomy.symbols import IPC_LEVELS, SymbolError, parse_symbols

BATCH = 1024  # rows; bounds the memory, and the work that a killed command repeats

Progress = Callable[[int, int, int], None]
"""Callback that receives the bytes done, the total bytes and the rows so far."""


@dataclass(frozen=True)
class Options(Question):
    """Options for classifying documents; see :meth:`HierarchicalClassifier.predict`."""

    explain: bool = False
    batch_size: int = 64


@dataclass
class Summary:
    """Counts of a file's rows by outcome.

    Attributes:
        levels: Levels of the system, from the top.
        decided: Rows with a prediction, by the level of their decision.
        faults: Rows without a prediction, by reason.
        decided_right: Labelled rows whose decision is right, by its level; ``decided_labelled`` counts all labelled
            rows in the same way.
        labelled: Predicted rows whose main symbol has a label at a level, by level; the accuracies are over these rows.
        hits: Those of the ``labelled`` rows whose first path has the true label, by level.
        labels: True labels, by level.
        strange: Predicted rows whose text differs strongly from the training texts, by reason.
        first_strange: Number of the first such row; 0 if there is none.
        without: Predicted rows without a value in a context column, by column.
        blocked: Predicted rows whose true label is blocked, by the highest such label; they count as wrong.
    """

    levels: tuple[str, ...]
    decided: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    decided_right: Counter[str] = field(default_factory=Counter)
    decided_labelled: Counter[str] = field(default_factory=Counter)
    labelled: Counter[str] = field(default_factory=Counter)
    hits: Counter[str] = field(default_factory=Counter)
    labels: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    strange: Counter[str] = field(default_factory=Counter)
    first_strange: int = 0
    without: Counter[str] = field(default_factory=Counter)
    blocked: Counter[str] = field(default_factory=Counter)

    @property
    def predicted(self) -> int:
        """Number of rows with a prediction."""
        return self.decided.total()

    @property
    def errors(self) -> int:
        """Number of rows without a prediction."""
        return self.faults.total()

    @property
    def rows(self) -> int:
        """Number of all rows in the file."""
        return self.predicted + self.errors

    @property
    def accuracies(self) -> dict[str, Score]:
        """Accuracy of the first path's label, by level; levels without labelled rows are left out."""
        return {
            level: Score.of_hits(self.hits[level], self.labelled[level], len(self.labels[level]))
            for level in self.levels
            if self.labelled[level]
        }

    def faults_in_words(self) -> str:
        """Return the faults with their counts, most frequent first."""
        return ", ".join(f"{count} {fault}" for fault, count in self.faults.most_common())

    def decisions_in_words(self) -> str:
        """Return the levels with their counts, and the share of the labelled rows that are right."""
        parts = []
        for level in (*reversed(self.levels), UNDECIDED):
            only = "" if level == self.levels[-1] else " only"
            name = level if level == UNDECIDED else f"with {level}{only}"
            known, right = self.decided_labelled[level], self.decided_right[level]
            shown = f", {100 * right / known:.1f} % of {known} right" if known and level != UNDECIDED else ""
            parts.append(f"{self.decided[level]} {name}{shown}")
        return "; ".join(parts)

    def count(
        self,
        row: Incoming,
        prediction: Prediction | None,
        raw: RawFormat,
        blocked: Collection[tuple[str, str]] = (),
    ) -> None:
        """Add one row to the counts; ``blocked`` holds level and code of the blocked labels."""
        if prediction is None:
            self.faults[str(row.fault)] += 1
            return
        decision = prediction.decision
        self.decided[decision.level] += 1
        for column, value in zip(raw.context, row.context, strict=True):
            self.without[column] += not context_value(column, value)
        if prediction.strange is not None:
            self.strange[prediction.strange] += 1
            self.first_strange = self.first_strange or row.row
        truth = true_labels(row, raw)
        if not truth:  # not classified yet, or a design
            return
        if lost := next((label for level, label in truth.items() if (level, label) in blocked), None):
            self.blocked[lost] += 1
        answer = {step.level: step.label for step in prediction.paths[0].steps} if prediction.paths else {}
        for level in truth.keys() & set(self.levels):
            self.labelled[level] += 1
            self.hits[level] += answer.get(level) == truth[level]
            self.labels[level].add(truth[level])
        if decision.level in {*truth, UNDECIDED}:
            self.decided_labelled[decision.level] += 1
            self.decided_right[decision.level] += decision.label == truth.get(decision.level, "")

    def as_dict(self) -> dict[str, Any]:
        """Return the counts as JSON-able values."""
        return {**vars(self), "labels": {level: sorted(own) for level, own in self.labels.items()}}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> "Summary":
        """Return the summary that :meth:`as_dict` describes."""
        other = ("levels", "labels", "first_strange")
        counts = {name: Counter(value) for name, value in content.items() if name not in other}
        labels = defaultdict(set, {level: set(own) for level, own in content["labels"].items()})
        return cls(tuple(content["levels"]), **counts, labels=labels, first_strange=int(content["first_strange"]))


def true_labels(row: Incoming, raw: RawFormat) -> dict[str, str]:
    """Return the labels of a row's main symbol, by level from the top; empty without a valid symbol."""
    try:
        symbol = parse_symbols(row.symbols, raw.edition, raw.min_symbol).main
    except SymbolError:
        return {}
    path = zip(IPC_LEVELS, ipc_path(str(symbol), len(IPC_LEVELS)), strict=True)
    return {level: label for level, label in path if label}


def texts_of(rows: list[Incoming], raw: RawFormat) -> tuple[list[str], dict[str, tuple[str | None, ...]]]:
    """Return the texts of the rows that can be classified, and their context by column."""
    good = [row for row in rows if row.fault is None]
    fields = zip(*(row.context for row in good), strict=True)
    return [row.text for row in good], dict(zip(raw.context, fields, strict=False))


def first_documents(documents: IncomingFiles) -> list[str]:
    """Return the texts of a file's first rows, for the comparison of an engine with PyTorch.

    Raises:
        DataError: If the file cannot be used, or none of its first rows has a text.
    """
    texts = [row.text for row in next(documents.batches(BATCH), []) if row.fault is None]
    if not texts:
        raise DataError(
            f"none of the first {BATCH} rows of {documents.source} has a text, so nothing can be compared with fp32; "
            "omit --engine and --precision"
        )
    return texts


def predict_to_stream(
    classifier: HierarchicalClassifier,
    documents: IncomingFiles,
    options: Options,
    kind: str,
    stream: IO[str],
    progress: Progress | None = None,
    known: Summary | None = None,
    keep: Callable[[Summary], None] | None = None,
) -> Summary:
    """Classify every document of a file and write to an open stream, in constant memory.

    Args:
        classifier: The system.
        documents: The file.
        options: Options for the answers.
        kind: Output format; see :func:`patent_hier.inference.writers.writer_for`.
        stream: Output stream.
        progress: Called after each batch of a classifier.
        known: Summary of the rows that the output already holds; these rows are skipped.
        keep: Called after each batch of rows with the summary so far.

    Returns:
        The summary of all rows.

    Raises:
        ConfigError: If an option is out of range.
        DataError: If the file cannot be used, or none of its rows can be classified.
    """
    system, tree, write = classifier.system, classifier.ask(options).tree, None
    summary = known or Summary(tree.levels)
    skip, done = summary.rows, 0
    for batch in documents.batches(BATCH):
        rows, skip = batch[skip:], max(0, skip - len(batch))
        texts, context = texts_of(rows, system.raw)
        advance = _within(progress, documents.size, done, summary.rows, rows, len(texts) * system.passes)
        asked = {**vars(options), "context": context, "progress": advance}
        predictions = iter(classifier.predict(texts, **asked) if texts else ())
        columns = None if summary.rows else documents.text_columns
        write = write or writer_for(kind, stream, tree, options.top_k, columns, options.all_symbols)
        for row in rows:
            prediction = next(predictions) if row.fault is None else None
            summary.count(row, prediction, system.raw, classifier.blocked.names)
            write(row, prediction)
        if rows and keep is not None:
            keep(summary)
        done += sum(row.size for row in batch)
    if not summary.predicted:
        reason = summary.faults_in_words() or "it contains only a header"
        raise DataError(f"no row of {documents.source} could be classified: {reason}; check the file and its columns")
    return summary


def predict_to_file(
    classifier: HierarchicalClassifier,
    documents: IncomingFiles,
    options: Options,
    kind: str,
    path: Path,
    given: Mapping[str, Any],
    progress: Progress | None = None,
) -> tuple[Summary, int]:
    """Classify a file into another file, written atomically; a killed command resumes.

    Args:
        classifier: As in :func:`predict_to_stream`.
        documents: The file.
        options: Options for the answers.
        kind: Output format.
        path: Output file.
        given: Everything else that determines the output, as JSON-able values; if its ``source`` is None, the input
            cannot be read again, so nothing is resumed.
        progress: Called after each batch of a classifier.

    Returns:
        The summary of all rows, and the number of rows that the output already held.

    Raises:
        DataError: If none of its rows can be classified.
        ConfigError: If another command is writing the same file.
    """
    with ResumableOutput(path, [classifier.version, vars(options), dict(given)]) as output:
        known = _known(output) if given.get("source") else None
        before = known.rows if known else 0
        if not known:
            output.restart()

        def keep(summary: Summary) -> None:
            if given.get("source") and summary.predicted:
                output.keep(summary.rows, summary.as_dict())

        return predict_to_stream(classifier, documents, options, kind, output.file, progress, known, keep), before


def _known(output: ResumableOutput) -> Summary | None:
    """Return the summary of the rows that an output holds; None if it holds none, or the notes are not ours."""
    try:
        summary = Summary.from_dict(output.state) if output.rows else None
        return summary if summary and summary.rows == output.rows else None
    except (AttributeError, KeyError, TypeError, ValueError):
        return None


def _within(
    progress: Progress | None, total_bytes: int, bytes_before: int, rows_before: int, rows: list[Incoming], scores: int
) -> Callable[[int], None] | None:
    """Return a progress callback for one batch of rows, scaled by the share of scores that are finished."""
    if progress is None:
        return None
    size, made = sum(row.size for row in rows), 0

    def advance(documents: int) -> None:
        nonlocal made
        made += documents
        share = made / scores
        progress(bytes_before + round(share * size), total_bytes, rows_before + round(share * len(rows)))

    return advance
