"""Table 2: sections, classes of each section, weighted mean and product; ours, the paper's and the difference."""

from collections.abc import Callable, Collection, Mapping
from typing import Any

from patent_hier.evaluation.seeds import Spread, as_score
from patent_hier.pipeline.evidence import Missing
from patent_hier.report.content.context import MOST_PANELS, Context, seeds_of
from patent_hier.report.figures import comparison_bars
from patent_hier.report.published import COLUMNS, COUNTERPARTS, published_cells
from patent_hier.report.scores import SystemScores
from patent_hier.report.tables import ABSENT, Grid, interval, mean_and_sd
from patent_hier.settings import WHOLE
from patent_hier.taxonomy.symbols import SECTIONS


def table_2(context: Context) -> dict[str, Any]:
    """Return the comparison of our results with the paper's."""
    models = (model for model in COUNTERPARTS.values() if not _own(context, model) and not _gaps(context, (model,)))
    variables: dict[str, Any] = {
        "not_run": [(model, context.command(f"model={model}", "level=hier")) for model in models],
        "table_2": table_2_grid(context),
    }
    if nine := context.hierarchical:
        rows = [_row(i.configuration.name, i.table_2, lambda spread: interval(spread, "–\n")) for i in nine]
        ours = {
            item.configuration.name: {column: as_score(spread) for column, spread in item.table_2.items()}
            for item in nine[:MOST_PANELS]
        }
        variables["table_2_intervals"] = _grid(context, rows)
        variables["table_2_figure"] = comparison_bars(context.pen, ours)
    return variables


def table_2_grid(context: Context) -> Grid:
    """Return Table 2 with our highest values in bold."""
    rows: list[tuple[str, ...]] = []
    for theirs, model in COUNTERPARTS.items():
        own, gaps = _own(context, model), _gaps(context, (model,))
        rows += [_our_row(context, item) for item in own]
        rows += [_row(context.gap(gap)) for gap in gaps]
        if not own and not gaps:
            rows.append(_row(context.word("row_not_run", model=model)))
        printed, recomputed = published_cells(theirs)
        last = (f"{printed[c]:.1f} /\n{value:.2f}" for c, value in zip(("L2", "overall"), recomputed, strict=True))
        rows.append((context.word("row_paper", model=theirs), *(f"{printed[c]:.1f}" for c in COLUMNS[:-2]), *last))
        rows += [_difference(context, item, printed) for item in own]
    others = [item for item in context.hierarchical if item.configuration.model not in COUNTERPARTS.values()]
    rows += [_our_row(context, item) for item in others]
    models = {item.name.split()[0] for item in context.evidence.missing} - set(COUNTERPARTS.values())
    rows += [_row(context.gap(gap)) for gap in _gaps(context, models)]
    if context.hierarchical:
        first = context.hierarchical[0].table_2
        rows.append(_row(context.word("row_documents"), first, lambda spread: f"{spread.n_documents:,}", "0"))
        rows.append(_row(context.word("row_classes"), first, lambda spread: str(spread.n_classes), "0"))
    ours = [_our_row(context, item) for item in context.hierarchical]
    return _grid(context, rows, _best(rows, [place for place, row in enumerate(rows) if row in ours]))


def _own(context: Context, model: str) -> list[SystemScores]:
    return [item for item in context.hierarchical if item.configuration.model == model]


def _gaps(context: Context, models: Collection[str]) -> list[Missing]:
    """Return the incomplete results with nine models."""
    nine = (item for item in context.evidence.missing if not set(item.nodes) <= set(WHOLE))
    return [item for item in nine if item.name.split()[0] in models]


def _grid(context: Context, rows: list[tuple[str, ...]], bold: Collection[tuple[int, int]] = ()) -> Grid:
    header = (context.word("model"), "L1", *SECTIONS, context.word("column_l2"), context.word("column_overall"))
    return Grid("", header, tuple(rows), bold=frozenset(bold))


def _row(
    name: str, spreads: Mapping[str, Spread] | None = None, cell: Callable[[Spread], str] = str, absent: str = ABSENT
) -> tuple[str, ...]:
    known = spreads or {}
    return (name, *(cell(known[column]) if column in known else absent for column in COLUMNS))


def _our_row(context: Context, item: SystemScores) -> tuple[str, ...]:
    name, seeds = item.configuration.name, seeds_of(item.answers)
    named = name if seeds == ABSENT else context.word("row_ours", name=name, seeds=seeds)  # an ensemble has none
    return _row(named, item.table_2, lambda spread: mean_and_sd(spread).replace(" ", "\n", 1))


def _difference(context: Context, item: SystemScores, printed: Mapping[str, float]) -> tuple[str, ...]:
    own = item.table_2
    values = (f"{100 * own[c].mean - printed[c]:+.1f}" if c in own else ABSENT for c in COLUMNS)
    return (context.word("row_difference", name=item.configuration.name), *values)


def _best(rows: list[tuple[str, ...]], ours: list[int]) -> set[tuple[int, int]]:
    """Return row and column of our highest value in each column; several if values are equal."""
    best = set()
    for column in range(1, len(COLUMNS) + 1):
        values = {row: float(rows[row][column].split()[0]) for row in ours if rows[row][column] != ABSENT}
        best |= {(row, column) for row, value in values.items() if len(values) > 1 and value == max(values.values())}
    return best
