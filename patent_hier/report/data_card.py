"""The data card of a result: where its documents come from, what is in them, and what they are not good for."""

from collections.abc import Mapping
from typing import Any

from patent_hier.report.rendering import render


def data_card(facts: Mapping[str, Any], learnt: Mapping[str, int] | None = None) -> str:
    """The card as Markdown.

    Args:
        facts: See :func:`patent_hier.pipeline.data_facts.data_facts`.
        learnt: Counts of the corrections that the system learnt; None: it learnt none.
    """
    return render("data_card.md.j2", **facts, learnt=learnt)
