"""Scores against all symbols of a document: ranking and assignment by every system."""

from typing import Any

from patent_hier.report.content.context import Context
from patent_hier.report.tables import ABSENT, percent, with_interval

_RANKED = {
    "sets_p_1": "precision_at_1",
    "sets_p_3": "precision_at_3",
    "sets_p_5": "precision_at_5",
    "sets_r_1": "recall_at_1",
    "sets_r_3": "recall_at_3",
    "sets_r_5": "recall_at_5",
    "sets_ndcg_5": "ndcg_at_5",
}  # column -> score of sets
_NAMED = ("exact", "macro_f1")


def sets(context: Context) -> dict[str, Any]:
    """Return the scores of sets at each level for the first seed; no rows if no test document has several symbols."""
    rows = []
    for item in context.ranked:
        for level in item.first.result.levels.values():
            if not level.sets:
                continue
            values = {name: score.value for name, score in level.sets.scores.items()}
            counted = level.sets.scores["precision_at_1"]
            rows.append(
                {
                    "system": context.name(item),
                    "sets_level": context.word(f"level_{level.level}"),
                    **{column: percent(values[name]) for column, name in _RANKED.items()},
                    "sets_micro_f1": with_interval(level.sets.scores.get("micro_f1")),
                    **{f"sets_{name}": percent(values.get(name)) for name in _NAMED},
                    "sets_threshold": _number(level.sets.threshold, 3),
                    "sets_named_labels": _number(level.sets.named_labels, 2),
                    "sets_true_labels": _number(level.sets.true_labels, 2),
                    "sets_documents": f"{counted.n_documents:,}",
                    "sets_labels": f"{counted.n_classes_with_support:,}",
                }
            )
    return {"sets_table": context.grid(rows, n_names=2)}


def _number(value: float | None, decimals: int) -> str:
    return ABSENT if value is None else f"{value:.{decimals}f}"
