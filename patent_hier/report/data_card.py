"""Data card of a result: origin, content and limits of its documents."""

from collections.abc import Mapping
from typing import Any

from patent_hier.report.rendering import render


def data_card(facts: Mapping[str, Any], learnt: Mapping[str, int] | None = None, demo: bool = False) -> str:
    """Return the card as Markdown.

    Args:
        facts: Facts from :func:`patent_hier.pipeline.data_facts.data_facts`.
        learnt: Counts of the corrections that the system was trained on; None if there are none.
        demo: Whether the corpus was generated.
    """
    return render("data_card.md.j2", **facts, learnt=learnt, demo=demo)
