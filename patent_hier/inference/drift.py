"""Comparison of new documents with a system's calibration documents: texts in a program, or a file by month.

from patent_hier.inference.drift import drift
for shift in drift(classifier, texts): print(shift)
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from patent_hier.data.context import text_of
from patent_hier.data.familiarity import Familiar
from patent_hier.data.incoming import Incoming, IncomingFiles
from patent_hier.data.raw import parse_date
from patent_hier.errors import ConfigError, DataError
from patent_hier.evaluation.drift import Shift, compare
from patent_hier.evaluation.profile import Observations, Profile
from patent_hier.evaluation.reference import Reference
from patent_hier.evaluation.scores import TreeScores
from patent_hier.inference.answering import Answering, Asked, Question
from patent_hier.inference.blocked import Blocked
from patent_hier.inference.classifier import HierarchicalClassifier
from patent_hier.inference.files import BATCH, Progress, Summary
from patent_hier.inference.predictor import System
from patent_hier.inference.results import Prediction
from patent_hier.inference.texts import Context, Texts


class Known(NamedTuple):
    """Statistics of the documents that a system was built with.

    Attributes:
        familiar: Characters and bigrams of the training part.
        reference: Profile of the calibration part.
    """

    familiar: Familiar
    reference: Reference

    @classmethod
    def find(cls, system: System) -> "Known | None":
        """Return the statistics of a system; None if it was built without them."""
        if system.characters is None or system.reference is None:
            return None
        return cls(Familiar(system.characters.known, system.reference.bigrams), system.reference)

    @classmethod
    def require(cls, system: System) -> "Known":
        """Return the statistics of a system.

        Raises:
            ConfigError: If the system was built without them.
        """
        if (known := cls.find(system)) is None:
            raise ConfigError(
                f"{system.name} has no profile of its calibration documents, because an older version built it or its "
                "split left none; run aggregate and export again, with split.calibration above 0"
            )
        return known

    def observe(self, scores: TreeScores, documents: Sequence[str]) -> Observations:
        """Return the observations that a profile counts, for scored :meth:`HierarchicalClassifier.documents`."""
        return Observations.of_scores([self.familiar.count(text_of(one)) for one in documents], scores)


@dataclass
class Period:
    """Profile and outcomes of the documents of one month, or of all documents.

    Attributes:
        profile: Profile of the documents with a prediction.
        summary: Counts of rows, and accuracy of the first path.
    """

    profile: Profile
    summary: Summary

    @classmethod
    def empty(cls, levels: tuple[str, ...]) -> "Period":
        """Return a period without documents."""
        return cls(Profile.of(levels), Summary(levels))


@dataclass
class Stream:
    """Periods of the documents in a file.

    Attributes:
        levels: Levels of the system, from the top.
        whole: All documents.
        months: Documents by month (``2019-07``), in order; undated documents are left out.
        undated: Number of documents with a prediction but without a valid date.
    """

    levels: tuple[str, ...]
    whole: Period = field(init=False)
    months: dict[str, Period] = field(default_factory=dict)
    undated: int = 0

    def __post_init__(self) -> None:
        self.whole = Period.empty(self.levels)


def drift(
    classifier: HierarchicalClassifier, texts: Texts, *, context: Context | None = None, batch_size: int = 64
) -> list[Shift]:
    """Compare texts with the calibration documents, measure by measure; ``Shift.is_alarm`` marks drift.

    Args:
        classifier: The system.
        texts: One or more texts, as in :meth:`HierarchicalClassifier.predict`.
        context: As in :meth:`HierarchicalClassifier.predict`.
        batch_size: As in :meth:`HierarchicalClassifier.predict`.

    Raises:
        ConfigError: If the system was built without a profile, or does not read a column of the context.
        DataError: As in :meth:`HierarchicalClassifier.predict`, or if there are no texts.
    """
    known, documents = Known.require(classifier.system), classifier.documents(texts, context)
    if not documents:
        raise DataError("there are no texts to compare with the calibration documents; provide at least one")
    profile = Profile.of(classifier.system.tree.levels)
    for part in classifier.system.portions(documents):
        scores = classifier.score_documents(part, batch_size)
        profile += Profile.of(profile.levels, known.observe(scores, part))
    return compare(known.reference.profile, profile)


def read_stream(
    classifier: HierarchicalClassifier,
    documents: IncomingFiles,
    batch_size: int = 64,
    progress: Progress | None = None,
) -> Stream:
    """Classify every document of a file and store only counts, so that memory does not grow with the file.

    Labels and accuracy ignore blocked places, as the reference does: documents do not change when an office blocks a
    place.

    Raises:
        ConfigError: If the system was built without a profile.
        DataError: If the file cannot be used, or none of its rows can be classified.
    """
    known, stream, done = Known.require(classifier.system), Stream(classifier.system.tree.levels), 0
    for batch in documents.batches(BATCH):
        _count(stream, batch, known, classifier, batch_size)
        done += sum(row.size for row in batch)
        if progress is not None:
            progress(done, documents.size, stream.whole.summary.rows)
    if not stream.whole.summary.predicted:
        reason = stream.whole.summary.faults_in_words() or "it contains only a header"
        raise DataError(f"no row of {documents.source} could be classified: {reason}; check the file and its columns")
    stream.months = dict(sorted(stream.months.items()))
    return stream


def _count(
    stream: Stream, batch: list[Incoming], known: Known, classifier: HierarchicalClassifier, batch_size: int
) -> None:
    """Add a batch of rows to the counts."""
    raw, asked = classifier.system.raw, _asked(classifier)
    rows = [row for row in batch if row.fault is None]
    for row in batch:
        if row.fault is not None:
            stream.whole.summary.count(row, None, raw)
    fields = zip(*(row.context for row in rows), strict=True)
    found = classifier.documents([row.text for row in rows], dict(zip(raw.context, fields, strict=False)))
    start = 0
    for part in classifier.system.portions(found):
        scores = classifier.score_documents(part, batch_size)
        predictions = classifier.answer(scores, asked, part)
        _count_scored(stream, rows[start : start + len(part)], predictions, known.observe(scores, part), classifier)
        start += len(part)


def _asked(classifier: HierarchicalClassifier) -> Asked:
    """Return the question for the likeliest path, without blocked places."""
    tree = classifier.system.tree
    return Answering(tree, lambda: classifier.lookup, Blocked(tree, {})).ask(Question(top_k=1))


def _count_scored(
    stream: Stream,
    rows: Sequence[Incoming],
    predictions: Sequence[Prediction],
    found: Observations,
    classifier: HierarchicalClassifier,
) -> None:
    raw, levels, by_month = classifier.system.raw, stream.levels, defaultdict[str, list[int]](list)
    stream.whole.profile += Profile.of(levels, found)
    for place, (row, prediction) in enumerate(zip(rows, predictions, strict=True)):
        stream.whole.summary.count(row, prediction, raw)
        day = parse_date(row.date)
        if day is None:
            stream.undated += 1
            continue
        month = f"{day:%Y-%m}"
        by_month[month].append(place)
        stream.months.setdefault(month, Period.empty(levels)).summary.count(row, prediction, raw)
    for month, places in by_month.items():
        stream.months[month].profile += Profile.of(levels, found.take(places))


@dataclass(frozen=True)
class Drift:
    """Comparison of a stream with the calibration documents.

    Attributes:
        reference: Reference profile.
        stream: The documents.
        shifts: Shifts of all documents together, one per measure.
        by_month: Shifts of each month, judged as if it were a separate file.
    """

    reference: Reference
    stream: Stream
    shifts: list[Shift]
    by_month: Mapping[str, list[Shift]]

    @classmethod
    def of(cls, reference: Reference, stream: Stream) -> "Drift":
        """Compare all documents, and each month's documents, with the reference."""
        before = reference.profile
        months = {month: compare(before, own.profile) for month, own in stream.months.items()}
        return cls(reference, stream, compare(before, stream.whole.profile), months)

    @property
    def is_found(self) -> bool:
        """Whether the documents as a whole have drifted.

        Months do not count, because the mix of applications in a gazette varies by month: some kinds take longer to
        publish.
        """
        return any(shift.is_alarm for shift in self.shifts)

    @property
    def months(self) -> list[str]:
        """Months whose documents differ enough to count as drift."""
        return [month for month, shifts in self.by_month.items() if any(shift.is_alarm for shift in shifts)]
