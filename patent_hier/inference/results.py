"""What a system answers, as typed values that every door gives out: Python, command line and HTTP."""

from dataclasses import asdict, dataclass
from typing import Any

CLASS = "class"
SECTION = "section"
UNDECIDED = "undecided"


@dataclass(frozen=True)
class IpcPath:
    """A way from the root of the IPC to a class, for one document.

    Attributes:
        section: Such as ``A``.
        ipc_class: Such as ``A01``.
        probability: P(section and class), 0 to 1; the sum over all classes is 1.
        section_probability: P(section).
        class_given_section: P(class | section); times ``section_probability`` it is ``probability``.
    """

    section: str
    ipc_class: str
    probability: float
    section_probability: float
    class_given_section: float


@dataclass(frozen=True)
class SectionScore:
    """A section and its probability, all of its classes together.

    Attributes:
        section: Such as ``A``.
        probability: P(section), 0 to 1; the sum over all sections is 1.
    """

    section: str
    probability: float


@dataclass(frozen=True)
class Decision:
    """What is answered, and why not more.

    Attributes:
        level: ``class``, ``section`` or ``undecided``.
        label: The class or section; None if undecided.
        confidence: Its probability; of undecided documents that of the likeliest section.
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
    """What the parts of a text add to a label's log-probability.

    Attributes:
        text: What the spans' places are counted in.
        node: The node whose scores are explained.
        label: A section or a class.
        method: How the scores were found.
        spans: In order, without overlap; text that no token, n-gram or window covers has none.
        base: The label's log-probability (natural) with the neutral input: the text's tokens masked, no known n-gram,
            or the empty text.
        value: Its log-probability with the text.
    """

    text: str
    node: str
    label: str
    method: str
    spans: tuple[Span, ...]
    base: float
    value: float

    @property
    def convergence(self) -> float:
        """What ``value - base`` is more than the sum of the scores, in nats: 0 for a complete explanation.

        Next to 0 for integrated gradients. Occlusion is not complete: parts may say the same, or only work together.
        """
        return self.value - self.base - sum(span.score for span in self.spans)


@dataclass(frozen=True)
class Prediction:
    """All that is said of one document.

    Attributes:
        decision: The answer.
        paths: The likeliest classes with their sections, the most probable first.
        sections: The likeliest sections, the most probable first.
        model_version: Which weights said so.
        explanation: Which parts of the text speak for the first class, if that was asked for.
    """

    decision: Decision
    paths: tuple[IpcPath, ...]
    sections: tuple[SectionScore, ...]
    model_version: str
    explanation: Explanation | None = None

    def as_dict(self) -> dict[str, Any]:
        """The prediction as JSON-able values; without ``explanation`` where there is none."""
        content = {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}
        if self.explanation is None:
            del content["explanation"]
        return content
