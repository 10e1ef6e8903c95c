"""Words of the report's tables and figures in both languages."""

import json
from functools import cache
from importlib import resources
from typing import Any, Literal

Language = Literal["en", "zh"]


def word(key: str, language: Language) -> str:
    """Return a word of ``resources/report_words.json``; keys for figures start with ``figure_``."""
    return str(_words()[key][language == "zh"])


@cache
def _words() -> Any:
    return json.loads(resources.files("patent_hier.resources").joinpath("report_words.json").read_text("utf-8"))
