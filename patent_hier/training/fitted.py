"""The result of training one node, the same for every type of model."""

from dataclasses import dataclass
from typing import Any

from patent_hier.models.saved import NodeClassifier


@dataclass
class Fitted:
    """A trained node with its history and facts.

    Attributes:
        classifier: The classifier, ready to score and to save.
        history: One dictionary per epoch; empty for models without epochs.
        facts: Facts for the metrics file: documents, seconds, sizes, device, precision.
    """

    classifier: NodeClassifier
    history: list[dict[str, float]]
    facts: dict[str, Any]
