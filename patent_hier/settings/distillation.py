"""Settings of learning from a teacher's answers."""

from dataclasses import dataclass

TRAINING, UNLABELLED, BOTH = ANSWERED = ("train", "unlabelled", "both")  # what a teacher answers


@dataclass
class DistillSettings:
    """How a network of the node ``flat`` or ``shared`` learns from a teacher.

    Attributes:
        answers: Folder of a teacher's answers, which ``patent-hier distill`` makes; ``null``: there is no teacher.
        weight: Share of the teacher's answer in the target of a training document; its own labels have the rest. Of
            no influence where the folder has no training documents.
        text_weight: Weight in the loss of a text without labels, which the teacher alone has answered; a training
            document's is 1.
        temperature: Of the teacher's answers: above 1 they are less certain. The student's own answers have none.
    """

    answers: str | None = None
    weight: float = 0.5
    text_weight: float = 1.0
    temperature: float = 1.0
