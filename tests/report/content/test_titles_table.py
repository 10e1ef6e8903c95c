"""The report's table of the titles that systems have learnt from."""

from types import SimpleNamespace
from typing import Any

from patent_hier.report.content.data import _titles_table


def system(name: str, *label_texts: dict[str, Any] | None) -> SimpleNamespace:
    runs = [SimpleNamespace(metrics={"training": {"label_text": own} if own else {}}) for own in label_texts]
    return SimpleNamespace(name=name, configuration=SimpleNamespace(all_runs=runs), answers=range(len(runs)))


def test_each_system_with_titles_has_a_row_with_or_without_a_weight() -> None:
    texts = {"texts": 8000, "levels": {"main_group": 7000, "subclass": 1000}}
    systems = [
        system("network", {**texts, "weight": 0.3}, {**texts, "weight": 0.3}),
        system("linear below the class", {**texts, "unseen_labels": 12}),
        system("without", None),
    ]
    context: Any = SimpleNamespace(systems=systems, name=lambda item: item.name, grid=list)
    rows: Any = _titles_table(context)
    assert [(row["system"], row["titles_levels"], row["titles_count"], row["titles_weight"]) for row in rows] == [
        ("network", "subclass, main_group", "8,000", "0.3"),
        ("linear below the class", "subclass, main_group", "8,000", "–"),
    ]
