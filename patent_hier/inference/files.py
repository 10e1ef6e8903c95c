"""The documents of a file, classified batch by batch in flat memory: every row in its place, and what became of all."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

from patent_hier.data.incoming import Incoming
from patent_hier.data.incoming_lines import Documents
from patent_hier.data.raw import RawFormat
from patent_hier.errors import DataError
from patent_hier.evaluation.result import Score
from patent_hier.inference.classifier import HierarchicalClassifier
from patent_hier.inference.results import CLASS, SECTION, UNDECIDED, Prediction
from patent_hier.inference.resuming import ResumableOutput
from patent_hier.inference.writers import Writer, writer_for
from patent_hier.ipc import SymbolError, parse_symbols

BATCH = 1024  # rows; bounds memory whatever the file's size, and what a killed command has to do again

Progress = Callable[[int, int, int], None]
"""Called with bytes done, bytes in all, and rows so far."""

Batch = list[tuple[Incoming, Prediction | None]]


@dataclass(frozen=True)
class Options:
    """How documents are classified; see :meth:`HierarchicalClassifier.predict`."""

    top_k: int = 3
    target_accuracy: float | None = None
    force: str | None = None
    beam: int | None = None
    explain: bool = False
    batch_size: int = 64


@dataclass
class Summary:
    """What became of a file's rows.

    Attributes:
        decided: Rows with a prediction, by the level of their decision.
        faults: Rows without, by the reason.
        decided_right: Labelled rows whose decision is the truth, by its level; ``decided_labelled`` all of them.
        labelled: Predicted rows whose main symbol could be read; the accuracies are over these.
        section_hits: Of these, rows whose first path has the true section; ``class_hits`` likewise.
        sections: The true sections; ``classes`` likewise.
    """

    decided: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    decided_right: Counter[str] = field(default_factory=Counter)
    decided_labelled: Counter[str] = field(default_factory=Counter)
    labelled: int = 0
    section_hits: int = 0
    class_hits: int = 0
    sections: set[str] = field(default_factory=set)
    classes: set[str] = field(default_factory=set)

    @property
    def predicted(self) -> int:
        """Rows with a prediction."""
        return self.decided.total()

    @property
    def errors(self) -> int:
        """Rows without."""
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

    def decisions_in_words(self) -> str:
        """Levels with their counts, and how often the labelled ones are right."""
        parts = []
        for level, name in ((CLASS, "with class"), (SECTION, "with section only"), (UNDECIDED, "undecided")):
            known, right = self.decided_labelled[level], self.decided_right[level]
            shown = f", {100 * right / known:.1f} % of {known} right" if known and level != UNDECIDED else ""
            parts.append(f"{self.decided[level]} {name}{shown}")
        return "; ".join(parts)

    def count(self, row: Incoming, prediction: Prediction | None, raw: RawFormat) -> None:
        """Take one row more into account."""
        if prediction is None:
            self.faults[str(row.fault)] += 1
            return
        decision = prediction.decision
        self.decided[decision.level] += 1
        try:
            true = parse_symbols(row.symbols, raw.edition, raw.min_symbol).main
        except SymbolError:  # an application without a class yet, or a design
            return
        self.labelled += 1
        self.section_hits += prediction.paths[0].section == true.section
        self.class_hits += prediction.paths[0].ipc_class == true.ipc_class
        self.decided_labelled[decision.level] += 1
        self.decided_right[decision.level] += decision.label in (true.section, true.ipc_class)
        self.sections.add(true.section)
        self.classes.add(true.ipc_class)

    def as_dict(self) -> dict[str, Any]:
        """The counts as JSON-able values."""
        return {name: sorted(value) if isinstance(value, set) else value for name, value in vars(self).items()}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> "Summary":
        """The counts of :meth:`as_dict`."""
        kinds = {"labelled": int, "section_hits": int, "class_hits": int, "sections": set, "classes": set}
        return cls(**{name: kinds.get(name, Counter)(value) for name, value in content.items()})


def classify(
    classifier: HierarchicalClassifier,
    documents: Documents,
    options: Options,
    *,
    skip: int = 0,
    progress: Progress | None = None,
) -> Iterator[Batch]:
    """Classify every document of a file, in flat memory.

    Args:
        classifier: The system.
        documents: The file.
        options: What is asked for.
        skip: Rows that are passed over, because they were classified before.
        progress: Called after each batch of a classifier.

    Yields:
        Up to :data:`BATCH` rows in their order, each with its prediction, or None where it has a fault.

    Raises:
        ConfigError: If an option is out of range.
        DataError: If the file cannot be used.
    """
    classifier.check(options.top_k, options.target_accuracy, options.force, options.beam)
    meter = _Meter(progress, classifier.system.passes)
    for batch in documents.batches(BATCH):
        rows, skip = batch[skip:], max(0, skip - len(batch))
        meter.pass_over(batch[: len(batch) - len(rows)])
        if not rows:
            continue
        texts = [row.text for row in rows if row.fault is None]
        meter.begin(rows, len(texts), documents.size)
        predictions = iter(
            classifier.predict(
                texts,
                options.top_k,
                target_accuracy=options.target_accuracy,
                force=options.force,
                beam=options.beam,
                explain=options.explain,
                batch_size=options.batch_size,
                progress=meter.advance,
            )
        )
        yield [(row, next(predictions) if row.fault is None else None) for row in rows]


def predict_to_stream(
    classifier: HierarchicalClassifier,
    documents: Documents,
    options: Options,
    kind: str,
    stream: IO[str],
    progress: Progress | None = None,
) -> Summary:
    """Classify a file into an open stream; arguments as in :func:`classify` and :func:`writer_for`.

    Raises:
        DataError: If no row of it can be classified.
    """
    summary, writer = Summary(), writer_for(kind, stream, options.top_k)
    for batch in classify(classifier, documents, options, progress=progress):
        _write(batch, writer, summary, documents, classifier)
    _require_some(summary, documents)
    return summary


def predict_to_file(
    classifier: HierarchicalClassifier,
    documents: Documents,
    options: Options,
    kind: str,
    path: Path,
    given: Mapping[str, Any],
    progress: Progress | None = None,
) -> tuple[Summary, int]:
    """Classify a file into another, which is whole or not there; a killed command is gone on with.

    Args:
        classifier: As in :func:`classify`, and so are ``documents``, ``options`` and ``progress``.
        documents: The file.
        options: What is asked for.
        kind: The output's format.
        path: The output.
        given: What else decides the output, as JSON-able values; ``source`` None: it cannot be read again.
        progress: Called after each batch of a classifier.

    Returns:
        What became of all rows, and how many of them were there already.

    Raises:
        DataError: If no row of it can be classified.
        ConfigError: If another command writes the same file.
    """
    with ResumableOutput(path, [classifier.version, asdict(options), dict(given)]) as output:
        known = _known(output) if given.get("source") else None
        summary, before = (known, output.rows) if known else (Summary(), 0)
        if not before:
            output.restart()
        writer = writer_for(kind, output.file, options.top_k)
        for batch in classify(classifier, documents, options, skip=before, progress=progress):
            _write(batch, writer, summary, documents, classifier)
            if given.get("source"):
                output.keep(summary.rows, summary.as_dict())
        if not summary.predicted:
            output.discard()
        _require_some(summary, documents)
    return summary, before


def _known(output: ResumableOutput) -> Summary | None:
    """What became of the rows that an output holds; None if it holds none, or the notes are not ours."""
    try:
        summary = Summary.from_dict(output.state) if output.rows else None
        return summary if summary and summary.rows == output.rows else None
    except (AttributeError, TypeError, ValueError):
        return None


def _write(
    batch: Batch, writer: Writer, summary: Summary, documents: Documents, classifier: HierarchicalClassifier
) -> None:
    if not summary.rows:
        writer.begin(documents.text_columns)
    for row, prediction in batch:
        summary.count(row, prediction, classifier.system.raw)
        writer.write(row, prediction)


def _require_some(summary: Summary, documents: Documents) -> None:
    if not summary.predicted:
        reason = summary.faults_in_words() or "it has a header only"
        raise DataError(f"no row of {documents.source} could be classified: {reason}; check the file and its columns")


class _Meter:
    """Progress in bytes of the file: within a batch of rows, by the share of its scores that are done."""

    def __init__(self, progress: Progress | None, passes: int) -> None:
        self._progress = progress
        self._passes = passes
        self._rows = self._bytes = 0  # before the batch
        self._batch_rows = self._batch_bytes = self._total_bytes = 0
        self._scores = self._scored = 0  # of the batch: to be made, and made

    def pass_over(self, rows: Sequence[Incoming]) -> None:
        """Rows that need no work."""
        self._rows += len(rows)
        self._bytes += sum(row.size + 1 for row in rows)

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
