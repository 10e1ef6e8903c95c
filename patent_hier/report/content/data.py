"""The corpus: Table 1 compared with the paper's, handling of each raw row, the split, and IPC titles."""

from typing import Any

from patent_hier.data.splits import NO_PART, PARTS, TEST
from patent_hier.report.content.context import Context, joined
from patent_hier.report.published import published
from patent_hier.report.tables import ABSENT, Grid
from patent_hier.settings.data import LABEL_LEVELS
from patent_hier.taxonomy.names import name_of


def data(context: Context) -> dict[str, Any]:
    """Return facts and tables of the corpus."""
    corpus = context.evidence.corpus
    return {
        "demo": corpus.manifest["name"] == "demo",
        "corpus": {
            "name": corpus.manifest["name"],
            "documents": corpus.size,
            "classes": len(corpus.classes),
            "test": int((context.documents["part"] == TEST).sum()),
            "split": context.evidence.split.name,
            "fingerprint": corpus.fingerprint,
            "source": str(corpus.manifest["source_sha256"]),
        },
        "table_1": table_1(context),
        "split_table": _split_table(context),
        "rows_table": _rows_table(context),
        "titles_table": _titles_table(context),
    }


def table_1(context: Context) -> Grid:
    """Return Table 1: sections with their numbers of classes and documents, ours and the paper's."""
    numbers, classes = published("table_1"), context.documents["class"]
    groups = [
        (code, name_of(code, context.language), classes[context.documents["section"] == code], paper)
        for code, paper in numbers["sections"].items()
    ]
    rows = []
    for code, name, own, paper in (*groups, (context.word("total"), "", classes, numbers["total"])):
        rows.append(
            {
                "section": code,
                "": name,
                "classes": str(own.nunique()),
                "documents": f"{len(own):,}",
                "per_class": f"{len(own) / own.nunique():,.0f}" if len(own) else ABSENT,
                "classes_paper": f"{paper['classes']:,}",
                "documents_paper": f"{paper['documents']:,}",
                "per_class_paper": f"{paper['documents_per_class']:,}",
            }
        )
    return context.grid(rows, n_names=2)


def _split_table(context: Context) -> Grid:
    """Return the numbers of documents in each part, and outside all parts if there are any."""
    rows = []
    for code, name in (*enumerate(PARTS), (NO_PART, "none")):
        own = context.documents.loc[context.documents["part"] == code, "class"]
        if code != NO_PART or len(own):
            counts = {"documents": f"{len(own):,}", "classes": str(own.nunique())}
            rows.append({"part": context.word(f"part_{name}"), **counts})
    return context.grid(rows)


def _rows_table(context: Context) -> Grid:
    accounting, word = context.evidence.corpus.manifest["accounting"], context.word
    counts = {word("rows_read"): accounting["rows"], word("rows_kept"): accounting["kept"]}
    counts |= {word("rows_rejected", reason=reason): count for reason, count in accounting["rejected"].items()}
    counts[word("rows_duplicates")] = accounting["duplicates"]
    return context.grid([{"rows": name, "count": f"{count:,}"} for name, count in counts.items()])


def _titles_table(context: Context) -> Grid:
    """Return a table of the systems also trained on IPC titles; no rows if there are none."""
    rows = []  # a linear classifier below the class level ignores titles
    for item in context.systems:
        known = [own for run in item.configuration.all_runs if (own := run.metrics["training"].get("label_text"))]
        if levels := {level for own in known for level in own["levels"]}:
            rows.append(
                {
                    "system": context.name(item),
                    "titles_levels": ", ".join(sorted(levels, key=LABEL_LEVELS.index)),
                    "titles_count": f"{sum(own['texts'] for own in known) / len(item.answers):,.0f}",
                    "titles_weight": joined(own.get("weight") for own in known),
                }
            )
    return context.grid(rows)
