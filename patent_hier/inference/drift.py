"""Whether new documents still look like those that a system was calibrated on: texts of a program, or a file by month.

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
    """What a system knows of the documents that it was made with.

    Attributes:
        familiar: What the training part shows.
        reference: What the calibration part looks like.
    """

    familiar: Familiar
    reference: Reference

    @classmethod
    def find(cls, system: System) -> "Known | None":
        """That of a system; None of one that was made without."""
        if system.characters is None or system.reference is None:
            return None
        return cls(Familiar(system.characters.known, system.reference.bigrams), system.reference)

    @classmethod
    def require(cls, system: System) -> "Known":
        """That of a system.

        Raises:
            ConfigError: If it was made without.
        """
        if (known := cls.find(system)) is None:
            raise ConfigError(
                f"{system.name} does not tell what its calibration documents look like, because an older version made "
                "it or its split left none; run aggregate again, and export again, with split.calibration above 0"
            )
        return known

    def observe(self, scores: TreeScores, documents: Sequence[str]) -> Observations:
        """What a profile counts of scored documents (:meth:`HierarchicalClassifier.documents`)."""
        return Observations.of_scores([self.familiar.count(text_of(one)) for one in documents], scores)


@dataclass
class Period:
    """What the documents of one month, or all, look like, and what became of them.

    Attributes:
        profile: Of the documents with a prediction.
        summary: Counts of rows, and how often the first path is right.
    """

    profile: Profile
    summary: Summary

    @classmethod
    def empty(cls, levels: tuple[str, ...]) -> "Period":
        """Without documents."""
        return cls(Profile.of(levels), Summary(levels))


@dataclass
class Stream:
    """The documents of a file.

    Attributes:
        levels: Of the system, from the top.
        whole: All of them.
        months: By month (``2019-07``), in order; without documents that have no date.
        undated: Documents with a prediction and without a date that can be read.
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
    """Compare texts to the calibration documents, measure by measure; ``Shift.is_alarm`` tells which have drifted.

    Args:
        classifier: The system.
        texts: As in :meth:`HierarchicalClassifier.predict`; one or more.
        context: As there.
        batch_size: As there.

    Raises:
        ConfigError: If the system was made without a profile, or does not read a column of the context.
        DataError: As :meth:`HierarchicalClassifier.predict`, or if there is no text.
    """
    known, documents = Known.require(classifier.system), classifier.documents(texts, context)
    if not documents:
        raise DataError("there are no texts to compare with the calibration documents; give some")
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
    """Classify every document of a file and keep counts alone, in flat memory.

    Labels and accuracy are those of a system without blocked places, as the reference is: what an office rules out is
    no change of its documents.

    Raises:
        ConfigError: If the system was made without a profile.
        DataError: If the file cannot be used, or no row of it can be classified.
    """
    known, stream, done = Known.require(classifier.system), Stream(classifier.system.tree.levels), 0
    for batch in documents.batches(BATCH):
        _count(stream, batch, known, classifier, batch_size)
        done += sum(row.size for row in batch)
        if progress is not None:
            progress(done, documents.size, stream.whole.summary.rows)
    if not stream.whole.summary.predicted:
        reason = stream.whole.summary.faults_in_words() or "it has a header only"
        raise DataError(f"no row of {documents.source} could be classified: {reason}; check the file and its columns")
    stream.months = dict(sorted(stream.months.items()))
    return stream


def _count(
    stream: Stream, batch: list[Incoming], known: Known, classifier: HierarchicalClassifier, batch_size: int
) -> None:
    """Take a batch of rows into account."""
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
    """The likeliest path of all: blocked places count as any others."""
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
    """A stream held against the calibration documents.

    Attributes:
        reference: What it is compared to.
        stream: The documents.
        shifts: Of all documents, by measure.
        by_month: Of each month, judged as if it were a file of its own.
    """

    reference: Reference
    stream: Stream
    shifts: list[Shift]
    by_month: Mapping[str, list[Shift]]

    @classmethod
    def of(cls, reference: Reference, stream: Stream) -> "Drift":
        """Compare all documents, and each month's."""
        before = reference.profile
        months = {month: compare(before, own.profile) for month, own in stream.months.items()}
        return cls(reference, stream, compare(before, stream.whole.profile), months)

    @property
    def is_found(self) -> bool:
        """Whether the documents as a whole have drifted.

        Months do not count: the applications that one gazette publishes differ by month, since some kinds take longer.
        """
        return any(shift.is_alarm for shift in self.shifts)

    @property
    def months(self) -> list[str]:
        """The months that differ as much as drift does."""
        return [month for month, shifts in self.by_month.items() if any(shift.is_alarm for shift in shifts)]
