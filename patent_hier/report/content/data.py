"""The corpus: Table 1 beside the paper's, where every row of the raw file went, the split, titles of IPC places."""

from typing import Any

import numpy as np

from patent_hier.data.splits import PARTS, TEST
from patent_hier.report.content.context import ABSENT, Context
from patent_hier.report.published import published
from patent_hier.report.tables import Grid
from patent_hier.settings.data import LABEL_LEVELS
from patent_hier.taxonomy.names import name_of
from patent_hier.taxonomy.symbols import SECTIONS


def data(context: Context) -> dict[str, Any]:
    """Facts and tables of the corpus."""
    corpus = context.evidence.corpus
    return {
        "demo": corpus.manifest["name"] == "demo",
        "corpus": {
            "name": corpus.manifest["name"],
            "documents": f"{corpus.size:,}",
            "classes": len(corpus.classes),
            "test": f"{int((context.parts == TEST).sum()):,}",
            "split": context.evidence.split.name,
        },
        "policy": context.evidence.split.name.split("-")[0],
        "table_1": table_1(context),
        "split_table": _split_table(context),
        "rows_table": _rows_table(context),
        "titles_table": _titles_table(context),
    }


def table_1(context: Context) -> Grid:
    """Sections with classes and documents, ours and the paper's."""
    numbers, classes, sections = published("table_1"), context.classes, context.sections
    groups = [(s, name_of(s, context.language), sections == s, numbers["sections"][s]) for s in SECTIONS]
    groups.append((context.word("total"), "", np.ones(len(sections), bool), numbers["total"]))
    rows = []
    for code, name, own, paper in groups:
        n_classes, n = len(np.unique(classes[own])), int(own.sum())
        ours = (str(n_classes), f"{n:,}", f"{n / n_classes:,.0f}" if n_classes else ABSENT)
        rows.append((code, name, *ours, *(f"{paper[k]:,}" for k in ("classes", "documents", "documents_per_class"))))
    columns = ("classes", "documents", "per_class")
    return context.grid(("section", "", *columns, *(f"{column}_paper" for column in columns)), rows, n_names=2)


def _split_table(context: Context) -> Grid:
    rows = []
    for code, name in enumerate(PARTS):
        own = context.parts == code
        n_classes = len(np.unique(context.classes[own]))
        rows.append((context.word(f"part_{name}"), f"{int(own.sum()):,}", str(n_classes)))
    return context.grid(("part", "documents", "classes"), rows)


def _rows_table(context: Context) -> Grid:
    accounting, word = context.evidence.corpus.manifest["accounting"], context.word
    counts = {word("rows_read"): accounting["rows"], word("rows_kept"): accounting["kept"]}
    counts |= {word("rows_rejected", reason=reason): count for reason, count in accounting["rejected"].items()}
    counts[word("rows_duplicates")] = accounting["duplicates"]
    return context.grid(("rows", "count"), [(name, f"{count:,}") for name, count in counts.items()])


def _titles_table(context: Context) -> Grid:
    """Which systems learnt from titles of IPC places too; no rows where none did."""
    rows = []
    for item in context.systems:
        runs = item.configuration.all_runs
        own = [known for run in runs if (known := run.metrics["training"].get("label_text"))]
        if levels := sorted({level for known in own for level in known["levels"]}, key=LABEL_LEVELS.index):
            weights = sorted({known["weight"] for known in own if known["weight"] is not None})
            total = sum(known["texts"] for known in own) / len(item.answers)
            rows.append((context.name(item), ", ".join(levels), f"{total:,.0f}", ", ".join(map(str, weights))))
    return context.grid(("system", "titles_levels", "titles_count", "titles_weight"), rows)
