"""Settings of learning from corrections, which examiners have made of a finished system's answers."""

from dataclasses import dataclass


@dataclass
class LearnSettings:
    """How a system is trained again with corrections.

    Attributes:
        corrections: Folder of checked corrections, which ``patent-hier learn`` makes; ``null``: there are none.
        weight: Weight of a correction in training; a document of the corpus has 1. Nearest neighbours have no weights.
        base: Result folder whose networks are trained further on the corrections and a sample of the corpus; ``null``:
            every model is trained from the start, on the whole corpus and the corrections. Of no influence on models of
            character n-grams, which are always solved from the start.
        replay: Training documents of the corpus in that sample, drawn for each node.
        rate: Factor on the learning rates of a network that goes on.
        passes: Epochs of a network that goes on; ``trainer.max_epochs`` is for those that begin.
    """

    corrections: str | None = None
    weight: float = 1.0
    base: str | None = None
    replay: int = 5000
    rate: float = 0.3
    passes: int = 4
