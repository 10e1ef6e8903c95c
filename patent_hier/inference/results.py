"""Typed results of a system, the same for Python, the command line and HTTP."""

from dataclasses import asdict, dataclass
from typing import Any

UNDECIDED = "undecided"


@dataclass(frozen=True)
class LabelScore:
    """A label and its probability.

    Attributes:
        label: Code, such as ``A`` or ``A01B1/02``.
        probability: Probability of the label including everything below it, 0 to 1.
    """

    label: str
    probability: float


@dataclass(frozen=True)
class Step:
    """One label of a path.

    Attributes:
        level: Level, such as ``section``.
        label: Code, such as ``A``.
        probability: P(label), 0 to 1.
        conditional: P(label | the label above it); the product along a path is its ``probability``.
    """

    level: str
    label: str
    probability: float
    conditional: float


@dataclass(frozen=True)
class LabelPath:
    """A path from the root of the scheme down, for one document.

    Attributes:
        label: Last label of the path.
        probability: P(label), 0 to 1; the sum over all possible paths is 1.
        steps: Labels from the top, one per level; the last one is ``label``. A symbol that ends above the deepest level
            has fewer.
    """

    label: str
    probability: float
    steps: tuple[Step, ...]

    @property
    def level(self) -> str:
        """Level at which the path ends."""
        return self.steps[-1].level

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels of the path from the top."""
        return tuple(step.label for step in self.steps)


@dataclass(frozen=True)
class Decision:
    """The answer for a document, and the reason for its level.

    Attributes:
        level: Level of the answer, such as ``class``, or ``undecided``.
        label: Label of the answer; None if undecided.
        confidence: Probability of the label; for undecided documents, that of the likeliest label of the first level.
        target_accuracy: Requested target accuracy, as stored with the thresholds; None if none was requested.
        reason: Reason in a few English words, with the numbers that decided.
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
        start: Index of the first character, from 0.
        end: Index after the last character.
        score: Contribution to the label's log-probability, in nats; negative if the span contradicts the label.
    """

    start: int
    end: int
    score: float


@dataclass(frozen=True)
class Explanation:
    """Contributions of the parts of a text to a label's log-probability.

    Attributes:
        text: Text that the spans refer to.
        node: Node whose scores are explained.
        level: Level of the label.
        label: Explained label.
        method: Method that computed the scores.
        spans: Spans in order, without overlap; text that no token, n-gram or window covers has none. Their scores add
            up to approximately ``value - base``, except for occlusion, because parts may be redundant or act only
            together.
        base: The label's log-probability (natural) for the neutral input: the text's tokens masked, no known n-gram, or
            the empty text.
        value: The label's log-probability for the text.
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
    """All results for one document.

    Attributes:
        decision: The answer.
        paths: Likeliest paths, most probable first.
        levels: For each level from the top, its likeliest labels, most probable first. If labels were forced or
            excluded, all probabilities are conditional on that, and other labels are left out.
        model_version: Version of the model.
        explanation: Parts of the text that support the first path's label, if requested.
        symbols: For each level, all labels of the document, most probable first, if requested.
        strange: Reason why probabilities may be too high for the text: it has many ``traditional`` characters,
            ``latin`` letters, or other characters rarely seen in training (``unseen``); see
            :mod:`patent_hier.data.characters`.
    """

    decision: Decision
    paths: tuple[LabelPath, ...]
    levels: dict[str, tuple[LabelScore, ...]]
    model_version: str
    explanation: Explanation | None = None
    symbols: dict[str, tuple[LabelScore, ...]] | None = None
    strange: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the prediction as JSON-able values.

        ``explanation``, ``symbols`` and ``strange`` are left out if they are None.
        """
        return {name: value for name, value in asdict(self).items() if value is not None}
