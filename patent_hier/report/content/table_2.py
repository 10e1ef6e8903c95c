"""Table 2: sections, classes of each section, weighted mean and product; ours, the paper's, the difference."""

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from patent_hier.evaluation.seeds import Spread, as_score
from patent_hier.report.content.context import ABSENT, MOST_PANELS, Context, interval, mean_and_sd, seeds_of
from patent_hier.report.figures import comparison_bars
from patent_hier.report.published import COUNTERPARTS, published_cells
from patent_hier.report.scores import SystemScores
from patent_hier.report.tables import Grid
from patent_hier.settings import WHOLE
from patent_hier.taxonomy.symbols import SECTIONS

COLUMNS = ("L1", *SECTIONS, "L2", "overall")


def table_2(context: Context) -> dict[str, Any]:
    """Our results against the paper's."""
    variables: dict[str, Any] = {
        "not_run": [(model, context.command(f"model={model}", "level=hier")) for model in _not_run(context)],
        "table_2": table_2_grid(context),
    }
    if nine := context.hierarchical:
        rows = [_row(i.configuration.name, i.table_2, _folded) for i in nine]
        ours = {
            item.configuration.name: {column: as_score(spread) for column, spread in item.table_2.items()}
            for item in nine[:MOST_PANELS]
        }
        variables["table_2_intervals"] = _grid(context, rows)
        variables["table_2_figure"] = comparison_bars(context.pen, ours, _published_fractions())
    return variables


def table_2_grid(context: Context) -> Grid:
    """Table 2, the highest of our values in bold."""
    rows: list[tuple[str, ...]] = []
    ours: list[int] = []

    def add(systems: Iterable[SystemScores]) -> None:
        for item in systems:
            ours.append(len(rows))
            rows.append(_row(_own_name(context, item), item.table_2, _on_two_lines))

    for theirs, model in reversed(COUNTERPARTS.items()):
        own = [item for item in context.hierarchical if item.configuration.model == model]
        lacking = _incomplete_rows(context, (model,))
        add(own)
        rows += lacking
        if not own and not lacking:
            rows.append(_empty_row(context.word("row_not_run", model=model)))
        printed, recomputed = published_cells(theirs)
        last = (f"{printed[c]:.1f} /\n{value:.2f}" for c, value in zip(("L2", "overall"), recomputed, strict=True))
        rows.append((context.word("row_paper", model=theirs), *(f"{printed[c]:.1f}" for c in COLUMNS[:-2]), *last))
        rows += [_difference(context, item, printed) for item in own]
    add(item for item in context.hierarchical if item.configuration.model not in COUNTERPARTS.values())
    others = {item.name.split()[0] for item in context.evidence.missing} - set(COUNTERPARTS.values())
    rows += _incomplete_rows(context, others)
    if context.hierarchical:
        first = context.hierarchical[0].table_2
        rows.append(_row(context.word("row_documents"), first, lambda s: f"{s.n_documents:,}", "0"))
        rows.append(_row(context.word("row_classes"), first, lambda s: str(s.n_classes), "0"))
    return _grid(context, rows, _best(rows, ours))


def _grid(context: Context, rows: list[tuple[str, ...]], bold: Iterable[tuple[int, int]] = ()) -> Grid:
    header = (context.word("model"), "L1", *SECTIONS, context.word("column_l2"), context.word("column_overall"))
    return Grid("", header, tuple(rows), bold=frozenset(bold))


def _row(
    name: str, spreads: Mapping[str, Spread], cell: Callable[[Spread], str], absent: str = ABSENT
) -> tuple[str, ...]:
    return (name, *(cell(spreads[column]) if column in spreads else absent for column in COLUMNS))


def _folded(spread: Spread) -> str:
    return interval(spread).replace("–", "–\n")


def _on_two_lines(spread: Spread) -> str:
    return mean_and_sd(spread).replace(" ", "\n", 1)


def _empty_row(name: str) -> tuple[str, ...]:
    return _row(name, {}, str)


def _own_name(context: Context, item: SystemScores) -> str:
    name, seeds = item.configuration.name, seeds_of(item.answers)
    return name if seeds == ABSENT else context.word("row_ours", name=name, seeds=seeds)  # a combination has none


def _incomplete_rows(context: Context, models: Collection[str]) -> list[tuple[str, ...]]:
    """A row without numbers for each result of nine models that lacks nodes."""
    return [
        _empty_row(context.word("row_incomplete", name=item.name, seed=item.seed, nodes=", ".join(item.nodes)))
        for item in context.evidence.missing
        if not set(item.nodes) <= set(WHOLE) and item.name.split()[0] in models
    ]


def _difference(context: Context, item: SystemScores, printed: Mapping[str, float]) -> tuple[str, ...]:
    own = item.table_2
    values = (f"{100 * own[c].mean - printed[c]:+.1f}" if c in own else ABSENT for c in COLUMNS)
    return (context.word("row_difference", name=item.configuration.name), *values)


def _best(rows: list[tuple[str, ...]], ours: list[int]) -> set[tuple[int, int]]:
    """The highest of our values in each column; all of them where several are equal."""
    best = set()
    for column in range(1, len(COLUMNS) + 1):
        values = {row: float(rows[row][column].split()[0]) for row in ours if rows[row][column] != ABSENT}
        best |= {(row, column) for row, value in values.items() if len(values) > 1 and value == max(values.values())}
    return best


def _published_fractions() -> dict[str, dict[str, float]]:
    return {
        model: {column: value / 100 for column, value in published_cells(model)[0].items()}
        for model in reversed(COUNTERPARTS)
    }


def _not_run(context: Context) -> list[str]:
    """The paper's models of which nothing is there, whole or in part."""
    known = {item.configuration.model for item in context.hierarchical}
    known |= {item.name.split()[0] for item in context.evidence.missing if not set(item.nodes) <= set(WHOLE)}
    return [model for model in reversed(COUNTERPARTS.values()) if model not in known]
