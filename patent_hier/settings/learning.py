"""Settings for learning from the corrections that examiners made to a trained system's answers."""

from dataclasses import dataclass


@dataclass
class LearnSettings:
    """How a system is retrained with corrections.

    Attributes:
        corrections: Folder of checked corrections, written by ``patent-hier learn``; ``null`` for none.
        weight: Weight of a correction in training, relative to a document of the corpus, which has 1. Nearest
            neighbours have no weights.
        base: Result folder whose networks are trained further on the corrections and a sample of the corpus; ``null``
            trains every model from the start, on the whole corpus and the corrections. No effect on models of character
            n-grams, which are always trained from the start.
        replay: Training documents of the corpus in that sample, drawn for each node.
        rate: Factor on the learning rates of a network that is trained further.
        passes: Epochs of a network that is trained further; ``trainer.max_epochs`` applies to new networks.
    """

    corrections: str | None = None
    weight: float = 1.0
    base: str | None = None
    replay: int = 5000
    rate: float = 0.3
    passes: int = 4
