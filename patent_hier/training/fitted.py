"""The outcome of training one node, whatever the model."""

from dataclasses import dataclass
from typing import Any

from patent_hier.models.saved import NodeClassifier


@dataclass
class Fitted:
    """A trained node and how it came about.

    Attributes:
        classifier: Ready to score and save.
        history: One dictionary for each epoch; empty where there are none.
        facts: Documents, seconds, sizes, device, precision: for the metrics file.
    """

    classifier: NodeClassifier
    history: list[dict[str, float]]
    facts: dict[str, Any]
