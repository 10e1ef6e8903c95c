"""Answers of a system as typed values: the same for Python, command line and HTTP."""

from dataclasses import asdict, dataclass
from typing import Any

UNDECIDED = "undecided"


@dataclass(frozen=True)
class LabelScore:
    """A label and its probability.

    Attributes:
        label: Such as ``A`` or ``A01B1/02``.
        probability: Of all below it together, 0 to 1.
    """

    label: str
    probability: float


@dataclass(frozen=True)
class Step:
    """One label on a path.

    Attributes:
        level: Such as ``section``.
        label: Such as ``A``.
        probability: P(label), 0 to 1.
        conditional: P(label | the label above it); the product along a path is its ``probability``.
    """

    level: str
    label: str
    probability: float
    conditional: float


@dataclass(frozen=True)
class LabelPath:
    """A way from the root of the scheme down, for one document.

    Attributes:
        label: Where it ends.
        probability: P(label), 0 to 1; the sum over all paths that may be answered is 1.
        steps: Its labels from the top, one for each level; the last one is ``label``. A symbol that ends above the
            deepest level has fewer.
    """

    label: str
    probability: float
    steps: tuple[Step, ...]

    @property
    def level(self) -> str:
        """The level that it ends at."""
        return self.steps[-1].level

    @property
    def labels(self) -> tuple[str, ...]:
        """Its labels from the top."""
        return tuple(step.label for step in self.steps)


@dataclass(frozen=True)
class Decision:
    """The answer for a document, and the reason why it goes no deeper.

    Attributes:
        level: The level of the answer, such as ``class``, or ``undecided``.
        label: The answer; None if undecided.
        confidence: Its probability; of undecided documents that of the likeliest label of the first level.
        target_accuracy: The accuracy that was asked for, as known to the thresholds; None if none was.
        reason: In a few English words, with the numbers that decided.
    """

    level: str
    label: str | None
    confidence: float
    target_accuracy: float | None
    reason: str


@dataclass(frozen=True)
class Span:
    """A part of a text.

    Attributes:
        start: Its first character, from 0.
        end: The character behind its last.
        score: What it adds to the label's log-probability, in nats; negative if it speaks against the label.
    """

    start: int
    end: int
    score: float


@dataclass(frozen=True)
class Explanation:
    """Contributions of the parts of a text to a label's log-probability.

    Attributes:
        text: What the spans' places are counted in.
        node: The node whose scores are explained.
        level: The level of the label.
        label: The label that is explained.
        method: How the scores were found.
        spans: In order, without overlap; text that no token, n-gram or window covers has none. Their scores add up to
            next to ``value - base``; those of occlusion do not, since parts may say the same, or only work together.
        base: The label's log-probability (natural) with the neutral input: the text's tokens masked, no known n-gram,
            or the empty text.
        value: Its log-probability with the text.
    """

    text: str
    node: str
    level: str
    label: str
    method: str
    spans: tuple[Span, ...]
    base: float
    value: float


@dataclass(frozen=True)
class Prediction:
    """All that is said of one document.

    Attributes:
        decision: The answer.
        paths: The likeliest paths, the most probable first.
        levels: By level from the top its likeliest labels, the most probable first. Where labels were forced or
            excluded, all probabilities are given that, and other labels are not there.
        model_version: Which weights said so.
        explanation: Which parts of the text speak for the first path's label, if that was asked for.
        symbols: By level all labels that the document has, the most probable first, if they were asked for.
        strange: Why probabilities may be too high for the text: it has many ``traditional`` characters, ``latin``
            letters, or others that training has hardly shown (``unseen``); see :mod:`patent_hier.data.characters`.
    """

    decision: Decision
    paths: tuple[LabelPath, ...]
    levels: dict[str, tuple[LabelScore, ...]]
    model_version: str
    explanation: Explanation | None = None
    symbols: dict[str, tuple[LabelScore, ...]] | None = None
    strange: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """The prediction as JSON-able values; without what there is not (``explanation``, ``symbols``, ``strange``)."""
        return {name: value for name, value in asdict(self).items() if value is not None}
