"""Prometheus metrics of the classified texts by the measures of drift, with the calibration documents' values.

An alert rule compares the two, for example the share of letters rarely seen in training, over an hour:

    rate(patent_hier_unseen_letters_total[1h]) / rate(patent_hier_letters_total[1h])
      > 5 * patent_hier_calibration_share{of="unseen_letters"}

The metrics expose no text, and no label below the first level. Labels and confidences ignore blocked places, as those
of the calibration documents do.
"""

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from patent_hier.evaluation.profile import BIGRAMS, CHARACTERS, LATIN, LENGTH, Measure, confidence_of
from patent_hier.evaluation.scores import TreeScores
from patent_hier.inference.drift import Known
from patent_hier.inference.predictor import System
from patent_hier.inference.results import Prediction

_CONFIDENCES = tuple(step / 10 for step in range(1, 11))
_SUMS = {  # counter name -> name among the sums of a profile, and help text
    "letters": ("letters", "Letters in classified texts."),
    "unseen_letters": ("unseen", "Letters in classified texts that are rare in training."),
    "latin_letters": ("latin", "Latin letters in classified texts."),
    "letter_pairs": ("bigrams", "Pairs of adjacent letters in classified texts."),
    "unseen_letter_pairs": (
        "unseen_bigrams",
        "Pairs of adjacent letters in classified texts that are rare in training.",
    ),
}
_SHARES: dict[str, Measure] = {"unseen_letters": CHARACTERS, "unseen_letter_pairs": BIGRAMS, "latin_letters": LATIN}


class DriftCounts:
    """Counts of the classified texts and their answers.

    Args:
        known: Statistics of the documents that the system was built with.
        registry: Registry of the metrics.
    """

    def __init__(self, known: Known, registry: CollectorRegistry) -> None:
        self._known = known
        self._sums = {
            sums: Counter(f"patent_hier_{name}", words, registry=registry) for name, (sums, words) in _SUMS.items()
        }
        self._length = Histogram(
            "patent_hier_text_characters",
            "Lengths of classified texts in characters.",
            buckets=LENGTH.edges[::2],
            registry=registry,
        )
        self._confidence = Histogram(
            "patent_hier_confidence",
            "Probability of the likeliest label at each level.",
            ["level"],
            buckets=_CONFIDENCES,
            registry=registry,
        )
        self._labels = Counter(
            "patent_hier_predicted", "Likeliest labels of the first level.", ["label"], registry=registry
        )
        self._strange = Counter(
            "patent_hier_strange_texts",
            "Texts that differ strongly from the training texts.",
            ["reason"],
            registry=registry,
        )
        self._tell_reference(registry)

    @classmethod
    def find(cls, system: System, registry: CollectorRegistry) -> "DriftCounts | None":
        """Return the counts of a system; None if it was built without a profile, so that nothing is exposed."""
        known = Known.find(system)
        return None if known is None else cls(known, registry)

    def count(self, scores: TreeScores, documents: Sequence[str], predictions: Sequence[Prediction]) -> None:
        """Count scored documents; labels excluded by the question or by blocked places make no difference."""
        found = self._known.observe(scores, documents)
        for name, total in found.sums(scores.tree.levels).items():
            if name in self._sums:
                self._sums[name].inc(total)
        for length in found.lengths.tolist():
            self._length.observe(length)
        for level, column in zip(scores.tree.levels, found.confidence.T.tolist(), strict=True):
            for value in column:
                self._confidence.labels(level).observe(value)
        for label in found.labels[:, 0].tolist():
            self._labels.labels(label).inc()
        for one in predictions:
            if one.strange is not None:
                self._strange.labels(one.strange).inc()

    def _tell_reference(self, registry: CollectorRegistry) -> None:
        """Set gauges to the same measures of the calibration documents."""
        profile = self._known.reference.profile
        documents = Gauge("patent_hier_calibration_documents", "Number of calibration documents.", registry=registry)
        documents.set(profile.documents)
        shares = Gauge("patent_hier_calibration_share", "Shares in the calibration texts.", ["of"], registry=registry)
        for name, measure in _SHARES.items():
            shares.labels(name).set(profile.mean(measure) or 0)
        length = Gauge(
            "patent_hier_calibration_text_characters", "Mean length of the calibration texts.", registry=registry
        )
        length.set(profile.mean(LENGTH) or 0)
        confidence = Gauge(
            "patent_hier_calibration_confidence",
            "Mean confidence on calibration documents.",
            ["level"],
            registry=registry,
        )
        for level in profile.levels:
            confidence.labels(level).set(profile.mean(confidence_of(level)) or 0)
        labels = Gauge(
            "patent_hier_calibration_predicted_share",
            "Share of calibration documents by predicted label.",
            ["label"],
            registry=registry,
        )
        for label, count in profile.labels[profile.levels[0]].items():
            labels.labels(label).set(count / profile.documents)
