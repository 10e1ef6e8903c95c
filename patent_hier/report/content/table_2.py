"""Table 2: sections, classes of each section, weighted mean and product; ours, the paper's, the difference."""

from collections.abc import Mapping

from patent_hier.evaluation.seeds import Spread, as_score
from patent_hier.ipc import SECTIONS
from patent_hier.report.blocks import Block, FigureBlock, Heading, Listing, Note, Paragraph, TableBlock
from patent_hier.report.content.context import ABSENT, MOST_PANELS, Context, interval, mean_and_sd, seeds_of
from patent_hier.report.figures import comparison_bars
from patent_hier.report.published import COUNTERPARTS, published_cells
from patent_hier.report.scores import HierarchicalScores
from patent_hier.report.tables import Grid
from patent_hier.settings import FLAT

COLUMNS = ("L1", *SECTIONS, "L2", "overall")


def table_2(context: Context) -> list[Block]:
    """The part that holds our results against the paper's."""
    say = context.say
    blocks: list[Block] = [Heading(2, say("table_2_title"), "table-2"), Paragraph(say("table_2_intro"))]
    for model in _not_run(context):
        blocks.append(Note(say("not_run", model=model), "missing"))
        blocks.append(Listing(context.command(f"model={model}", "level=hier")))
    main, emphasis = table_2_grid(context)
    blocks.append(TableBlock(main, say("table_2"), say("table_2_note"), emphasis))
    if context.hierarchical:
        blocks.append(TableBlock(_intervals(context), say("table_2_intervals"), say("table_2_intervals_note")))
        ours = {
            item.configuration.name: {k: as_score(s) for k, s in cells(item).items()}
            for item in context.hierarchical[:MOST_PANELS]
        }
        figure = comparison_bars(ours, _published_fractions(), language=context.language)
        blocks.append(FigureBlock(figure, say("table_2_figure", most=MOST_PANELS)))
    return blocks


def cells(item: HierarchicalScores) -> dict[str, Spread]:
    """The numbers of one row by column; sections without test documents are left out."""
    local = {section: item.local[section] for section in SECTIONS if section in item.local}
    return {"L1": item.section, **local, "L2": item.oracle, "overall": item.product}


def table_2_grid(context: Context) -> tuple[Grid, frozenset[tuple[int, int]]]:
    """Table 2, and its cells in bold."""
    say = context.say
    rows: list[tuple[str, ...]] = []
    ours: list[int] = []
    remaining = list(context.hierarchical)
    for theirs, model in reversed(COUNTERPARTS.items()):
        own = [item for item in remaining if item.configuration.model == model]
        remaining = [item for item in remaining if item.configuration.model != model]
        for item in own:
            ours.append(len(rows))
            rows.append(_own_row(context, item))
        lacking = _incomplete_rows(context, model)
        rows += lacking
        if not own and not lacking:
            rows.append((say("row_not_run", model=model), *(ABSENT for _ in COLUMNS)))
        printed, recomputed = published_cells(theirs)
        last = (f"{printed['L2']:.1f} /\n{recomputed[0]:.2f}", f"{printed['overall']:.1f} /\n{recomputed[1]:.2f}")
        rows.append((say("row_paper", model=theirs), *(f"{printed[column]:.1f}" for column in COLUMNS[:-2]), *last))
        rows += [_difference(context, item, printed) for item in own]
    for item in remaining:
        ours.append(len(rows))
        rows.append(_own_row(context, item))
    rows += _incomplete_rows(context, None)
    if context.hierarchical:
        first = cells(context.hierarchical[0])
        rows.append((say("row_documents"), *(f"{first[c].n_documents:,}" if c in first else "0" for c in COLUMNS)))
        rows.append((say("row_classes"), *(str(first[c].n_classes) if c in first else "0" for c in COLUMNS)))
    return Grid("", _header(context), tuple(rows)), _best(rows, ours)


def _header(context: Context) -> tuple[str, ...]:
    say = context.say
    return (say("model"), "L1", *SECTIONS, say("column_l2"), say("column_overall"))


def _own_row(context: Context, item: HierarchicalScores) -> tuple[str, ...]:
    own = cells(item)
    name, seeds = item.configuration.name, seeds_of(item.hits)
    if seeds != ABSENT:  # a combination has none
        name = context.say("row_ours", name=name, seeds=seeds)
    return (name, *(mean_and_sd(own[column]).replace(" ", "\n", 1) if column in own else ABSENT for column in COLUMNS))


def _incomplete_rows(context: Context, model: str | None) -> list[tuple[str, ...]]:
    """A row without numbers for each result that lacks nodes; of a model, or (None) of those that the paper lacks."""
    rows = []
    for item in context.evidence.missing:
        its_model = item.name.split()[0]
        if item.nodes != (FLAT,) and (its_model == model or (model is None and its_model not in COUNTERPARTS.values())):
            name = context.say("row_incomplete", name=item.name, seed=item.seed, nodes=", ".join(item.nodes))
            rows.append((name, *(ABSENT for _ in COLUMNS)))
    return rows


def _difference(context: Context, item: HierarchicalScores, printed: Mapping[str, float]) -> tuple[str, ...]:
    own = cells(item)
    values = (f"{100 * own[c].mean - printed[c]:+.1f}" if c in own else ABSENT for c in COLUMNS)
    return (context.say("row_difference", name=item.configuration.name), *values)


def _best(rows: list[tuple[str, ...]], ours: list[int]) -> frozenset[tuple[int, int]]:
    """The highest of our values in each column; all of them where several are equal."""
    best = set()
    for column in range(1, len(COLUMNS) + 1):
        values = {row: float(rows[row][column].split()[0]) for row in ours if rows[row][column] != ABSENT}
        best |= {(row, column) for row, value in values.items() if len(values) > 1 and value == max(values.values())}
    return frozenset(best)


def _intervals(context: Context) -> Grid:
    rows = []
    for item in context.hierarchical:
        own = cells(item)
        rows.append(
            (item.configuration.name, *(interval(own[c]).replace("–", "–\n") if c in own else ABSENT for c in COLUMNS))
        )
    return Grid("", _header(context), tuple(rows))


def _published_fractions() -> dict[str, dict[str, float]]:
    return {
        model: {column: value / 100 for column, value in published_cells(model)[0].items()}
        for model in reversed(COUNTERPARTS)
    }


def _not_run(context: Context) -> list[str]:
    """The paper's models of which nothing is there, whole or in part."""
    known = {item.configuration.model for item in context.hierarchical}
    known |= {item.name.split()[0] for item in context.evidence.missing if item.nodes != (FLAT,)}
    return [model for model in reversed(COUNTERPARTS.values()) if model not in known]
