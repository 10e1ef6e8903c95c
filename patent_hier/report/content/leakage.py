"""Leakage: how many test documents have a relative in training, and what the systems score without them."""

from patent_hier.data.splits import PARTS, TEST
from patent_hier.report.blocks import Block, Heading, Paragraph, TableBlock
from patent_hier.report.content.context import ABSENT, Context, with_interval
from patent_hier.report.leakage import leakage
from patent_hier.report.scores import FlatScores, HierarchicalScores
from patent_hier.report.tables import Grid


def leaks(context: Context) -> list[Block]:
    """The part on leakage; nothing where no system was scored."""
    say = context.say
    if not (context.hierarchical or context.flat):
        return []
    test = PARTS[TEST]
    counts = {relation.name: f"{relation.leaked[test]:,}" for relation in context.audit.relations}
    n_documents = context.audit.documents[test]
    n_leaked = len(context.leaked_ids)
    facts = {"documents": f"{n_documents:,}", "leaked": f"{n_leaked:,}", "clean": f"{n_documents - n_leaked:,}"}
    return [
        Heading(2, say("leakage_title"), "leakage"),
        Paragraph(say("leakage_intro", **facts, **counts)),
        TableBlock(_table(context), say("leakage_table", **facts), say("leakage_note", **facts)),
    ]


def _table(context: Context) -> Grid:
    say = context.say
    systems: list[tuple[str, HierarchicalScores | FlatScores]] = []
    systems += [(context.name(item.configuration, "hierarchical"), item) for item in context.hierarchical]
    systems += [(context.name(item.configuration, "flat_model"), item) for item in context.flat]
    rows = []
    for name, scores in systems:
        found = leakage(scores, context.leaked_ids)
        cells = (found.section, found.clean_section, found.ipc_class, found.clean_class, found.leaked_class)
        rows.append((name, *(ABSENT if cell is None else with_interval(cell) for cell in cells)))
    columns = ("section", "clean_section", "class", "clean_class", "leaked")
    return Grid("", (say("system"), *(say(f"leakage_{column}") for column in columns)), tuple(rows))
