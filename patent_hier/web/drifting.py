"""What a service is asked, counted as drift is measured, beside what the calibration documents had: for Prometheus.

An alert rule compares both, such as the share of letters that training has hardly shown, over an hour:

    rate(patent_hier_unseen_letters_total[1h]) / rate(patent_hier_letters_total[1h])
      > 5 * patent_hier_calibration_share{of="unseen_letters"}

Nothing of a text is told, and no label below the first level. Labels and confidences are those of a system without
blocked places, as the calibration documents' are.
"""

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from patent_hier.evaluation.profile import BIGRAMS, CHARACTERS, LATIN, LENGTH, Measure, confidence_of
from patent_hier.evaluation.scores import TreeScores
from patent_hier.inference.drift import Known
from patent_hier.inference.predictor import System
from patent_hier.inference.results import Prediction

_CONFIDENCES = tuple(step / 10 for step in range(1, 11))
_SUMS = {  # name of a counter -> its name among the sums of a profile, and in words
    "letters": ("letters", "Letters of the texts classified."),
    "unseen_letters": ("unseen", "Of these letters, those that training has hardly shown."),
    "latin_letters": ("latin", "Of these letters, Latin ones."),
    "letter_pairs": ("bigrams", "Pairs of neighbouring letters of the texts classified."),
    "unseen_letter_pairs": ("unseen_bigrams", "Of these pairs, those that training has hardly shown."),
}
_SHARES: dict[str, Measure] = {"unseen_letters": CHARACTERS, "unseen_letter_pairs": BIGRAMS, "latin_letters": LATIN}


class DriftCounts:
    """Counts of what was classified.

    Args:
        known: What the system knows of the documents that it was made with.
        registry: Where the counts are told.
    """

    def __init__(self, known: Known, registry: CollectorRegistry) -> None:
        self._known = known
        self._sums = {
            sums: Counter(f"patent_hier_{name}", words, registry=registry) for name, (sums, words) in _SUMS.items()
        }
        self._length = Histogram(
            "patent_hier_text_characters", "Lengths of the texts.", buckets=LENGTH.edges[::2], registry=registry
        )
        self._confidence = Histogram(
            "patent_hier_confidence",
            "Probability of each level's likeliest label.",
            ["level"],
            buckets=_CONFIDENCES,
            registry=registry,
        )
        self._labels = Counter(
            "patent_hier_predicted", "Likeliest labels of the first level.", ["label"], registry=registry
        )
        self._strange = Counter("patent_hier_strange_texts", "Texts unlike training.", ["reason"], registry=registry)
        self._tell_reference(registry)

    @classmethod
    def find(cls, system: System, registry: CollectorRegistry) -> "DriftCounts | None":
        """The counts of a system; None of one that was made without a profile: then nothing of this is told."""
        known = Known.find(system)
        return None if known is None else cls(known, registry)

    def count(self, scores: TreeScores, documents: Sequence[str], predictions: Sequence[Prediction]) -> None:
        """Take scored documents into account; what the question or a blocked place leaves out changes nothing."""
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
        """The same of the calibration documents, as gauges."""
        profile = self._known.reference.profile
        documents = Gauge("patent_hier_calibration_documents", "Calibration documents.", registry=registry)
        documents.set(profile.documents)
        shares = Gauge("patent_hier_calibration_share", "Shares in their texts.", ["of"], registry=registry)
        for name, measure in _SHARES.items():
            shares.labels(name).set(profile.mean(measure) or 0)
        length = Gauge("patent_hier_calibration_text_characters", "Mean length of their texts.", registry=registry)
        length.set(profile.mean(LENGTH) or 0)
        confidence = Gauge("patent_hier_calibration_confidence", "Mean confidence.", ["level"], registry=registry)
        for level in profile.levels:
            confidence.labels(level).set(profile.mean(confidence_of(level)) or 0)
        labels = Gauge("patent_hier_calibration_predicted_share", "Share by label.", ["label"], registry=registry)
        for label, count in profile.labels[profile.levels[0]].items():
            labels.labels(label).set(count / profile.documents)
