"""Table 1: the corpus beside the paper's, where every row of the raw file went, and the split."""

import numpy as np

from patent_hier.data.splits import PARTS
from patent_hier.ipc import SECTIONS
from patent_hier.report.blocks import Block, Details, Heading, Paragraph, TableBlock
from patent_hier.report.content.context import ABSENT, Context
from patent_hier.report.published import published
from patent_hier.report.tables import Grid
from patent_hier.settings.data import LABEL_LEVELS


def data(context: Context) -> list[Block]:
    """The part about the corpus."""
    say = context.say
    return [
        Heading(2, say("data_title"), "data"),
        TableBlock(table_1(context), say("table_1"), say("table_1_note")),
        Paragraph(say("split", policy=context.evidence.split.name.split("-")[0])),
        TableBlock(_split_table(context), say("split_table"), say("split_note")),
        Details(say("accounting"), (TableBlock(_accounting_table(context), say("accounting_table")),)),
        *_label_texts(context),
    ]


def table_1(context: Context) -> Grid:
    """Sections with classes and documents, ours and the paper's."""
    say, numbers = context.say, published("table_1")
    sections = context.truth.sections
    rows = []
    for section in SECTIONS:
        own = sections == section
        classes, documents = len(np.unique(context.truth.classes[own])), int(own.sum())
        rows.append(
            (section, context.names[section], *_counts(classes, documents), *_paper(numbers["sections"][section]))
        )
    classes, documents = len(np.unique(context.truth.classes)), len(sections)
    rows.append((say("total"), "", *_counts(classes, documents), *_paper(numbers["total"])))
    columns = (say("classes"), say("documents"), say("per_class"))
    paper = tuple(f"{column} ({say('paper')})" for column in columns)
    return Grid("", (say("section"), "", *columns, *paper), tuple(rows), n_names=2)


def _counts(classes: int, documents: int) -> tuple[str, str, str]:
    return str(classes), f"{documents:,}", f"{documents / classes:,.0f}" if classes else ABSENT


def _paper(row: dict[str, int]) -> tuple[str, ...]:
    return tuple(f"{row[key]:,}" for key in ("classes", "documents", "documents_per_class"))


def _split_table(context: Context) -> Grid:
    say, parts = context.say, context.parts
    rows = []
    for code, name in enumerate(PARTS):
        own = parts == code
        rows.append((say(f"part_{name}"), f"{int(own.sum()):,}", str(len(np.unique(context.truth.classes[own])))))
    return Grid("", (say("part"), say("documents"), say("classes")), tuple(rows))


def _label_texts(context: Context) -> list[Block]:
    """Which systems learnt from titles of IPC places too; nothing where none did."""
    say = context.say
    rows = []
    for configuration, kind in context.configurations:
        own = [known for run in configuration.all_runs if (known := run.metrics["training"].get("label_text"))]
        levels = sorted({level for known in own for level in known["levels"]}, key=LABEL_LEVELS.index)
        if not levels:
            continue
        weights = sorted({known["weight"] for known in own if known["weight"] is not None})
        total = sum(known["texts"] for known in own) / len(configuration.runs)
        name = context.name(configuration, kind)
        rows.append((name, ", ".join(levels), f"{total:,.0f}", ", ".join(map(str, weights))))
    if not rows:
        return []
    header = (say("system"), *(say(f"titles_{column}") for column in ("levels", "count", "weight")))
    return [TableBlock(Grid("", header, tuple(rows)), say("titles_table"), say("titles_note"))]


def _accounting_table(context: Context) -> Grid:
    accounting = context.evidence.corpus.manifest["accounting"]
    say = context.say
    rows = [(say("rows_read"), f"{accounting['rows']:,}"), (say("rows_kept"), f"{accounting['kept']:,}")]
    rows += [(say("rows_rejected", reason=reason), f"{count:,}") for reason, count in accounting["rejected"].items()]
    rows.append((say("rows_duplicates"), f"{accounting['duplicates']:,}"))
    return Grid("", (say("rows"), say("count")), tuple(rows))
