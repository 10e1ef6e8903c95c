"""Settings for learning from a teacher's answers."""

from dataclasses import dataclass

TRAINING, UNLABELLED, BOTH = ANSWERED = ("train", "unlabelled", "both")  # the documents that a teacher answers


@dataclass
class DistillSettings:
    """How a network of the node ``flat`` or ``shared`` learns from a teacher.

    Attributes:
        answers: Folder of a teacher's answers, written by ``patent-hier distill``; ``null`` for no teacher.
        weight: Share of the teacher's answer in the target of a training document; the document's own labels have the
            rest. No effect if the folder has no training documents.
        text_weight: Weight in the loss of an unlabelled text, which only the teacher has answered; a training document
            has weight 1.
        temperature: Softmax temperature of the teacher's answers: above 1 they are less certain. The student's own
            answers are not scaled.
    """

    answers: str | None = None
    weight: float = 0.5
    text_weight: float = 1.0
    temperature: float = 1.0
