"""The paper's numbers, as data: one JSON file for each table and figure, with its source."""

import functools
import json
from pathlib import Path
from typing import Any

import patent_hier

# Their model -> ours.
COUNTERPARTS = {"RNN": "rnn", "CNN": "textcnn", "BERT-CNN": "bertcnn"}


@functools.cache
def published(name: str) -> Any:
    """The content of ``table_1``, ``table_2`` or ``figure_6``.

    Source: Lu and Ni (2019), arXiv:1911.06241.
    """
    return json.loads((_folder() / f"{name}.json").read_text("utf-8"))


def _folder() -> Path:
    """Inside an installed package, else in the checkout's ``experiments/``."""
    package = Path(patent_hier.__file__).resolve().parent
    inside = package / "published"
    return inside if inside.is_dir() else package.parent / "experiments" / "published"
