"""Results as tables: for the terminal, as Markdown and as CSV.

The first table has the layout of the paper's Table 2, our row above the paper's three. The paper prints accuracies to
one decimal; its weighted mean and product are shown as printed and, after the stroke, recomputed from its own cells.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from patent_hier.evaluation.result import LevelResult, LocalScore, Result, Score
from patent_hier.harmless import lines
from patent_hier.ipc import SECTIONS
from patent_hier.report.published import COUNTERPARTS, published_cells
from patent_hier.report.rendering import table_markdown

DEMO_NOTE = "demo data: not comparable with the paper"
WIDTH = 120  # columns of a terminal that is none: a file or a pipe

_PRINTED = 2  # levels of which a terminal gets every score; the files have them all
_MOST_NAMED = 10  # labels in a note; the result has all
_NARROW = 100  # columns; below it the cells stand closer
_ABSENT = "-"  # ASCII, as all of the tables: a pipe may not take more
_PLAIN = box.Box("    \n    \n -- \n" + 5 * "    \n", ascii=True)  # a rule below the header, no other line
_TABLE_2 = ("model", "L1", *SECTIONS, "L2\nweighted", "overall\n(product)")
_LEVELS = (
    "level",
    "right",
    "95 % interval",
    "top 3",
    "top 5",
    "oracle",
    "product",
    "macro F1",
    "hier. F1",
    "documents",
    "labels",
)
_SCORES = ("score", "%", "95 % interval", "documents", "classes", "labels")
_CSV = ("score", "value", "n_documents", "n_classes", "low", "high")


@dataclass(frozen=True)
class Grid:
    """A table of texts, not yet in any format.

    Attributes:
        title: One line above it.
        header: ``n`` column titles; the first columns hold names, the others numbers.
        rows: Rows of ``n`` cells.
        n_names: How many columns hold names and are set to the left.
        bold: Row and column, both from 0, of cells that stand out; the header has no number.
    """

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    n_names: int = 1
    bold: frozenset[tuple[int, int]] = frozenset()

    def kind(self, column: int) -> str:
        """``name`` or ``number``: what a column holds."""
        return "name" if column < self.n_names else "number"

    def markdown(self) -> str:
        """The table as Markdown with its title as a paragraph; ends with a newline."""
        return table_markdown(self)

    def rich(self, border: box.Box, width: int) -> Table:
        """The table for a rich console of so many columns; a narrow one gets single blanks between the cells.

        Brackets in a cell are no markup of rich's, and control characters do nothing to the terminal.
        """
        padding = (0, 1, 0, 0) if width >= _NARROW else 0
        table = Table(title=_plain(self.title), title_justify="left", box=border, padding=padding, show_edge=False)
        for column, name in enumerate(self.header):
            named = self.kind(column) == "name"
            table.add_column(
                _plain(name),
                justify="left" if named else "right",
                overflow="fold",
                no_wrap=not named and " " not in name,
            )
        for row in self.rows:
            table.add_row(*map(_plain, row))
        return table


def grids_markdown(grids: Sequence[Grid], paragraphs: Sequence[str] = ()) -> str:
    """Tables as Markdown, and paragraphs of ours below them."""
    return "\n".join([*(grid.markdown() for grid in grids), *(f"{text}\n" for text in paragraphs)])


@dataclass(frozen=True)
class SweepRow:
    """One run of a sweep over settings.

    Attributes:
        overrides: What distinguishes it from the others: setting and value.
        node: The node that it trained.
        val: Accuracy on ``val``, by which settings are chosen; None without documents there.
        test: Accuracy on ``test``; likewise.
    """

    overrides: Mapping[str, str]
    node: str
    val: Score | None
    test: Score | None


def result_markdown(result: Result, name: str = "this run", demo: bool = False) -> str:
    """A result as Markdown.

    Args:
        result: Of any system.
        name: What to call the model in the first table.
        demo: Whether the corpus was generated; then the text says that it is not comparable.
    """
    return grids_markdown(_grids(result, name), _notes(result, demo))


def result_csv(result: Result) -> str:
    """A result as CSV, one score a line: fractions at full precision, empty where a section has no documents."""
    rows: list[tuple[object, ...]] = [
        (name, score.value, score.n_documents, score.n_classes_with_support, *score.interval)
        for name, score in result.scores().items()
    ]
    if result.top.oracle:
        rows += [
            (f"{level}.oracle[{label}]", "", 0, 0, "", "")
            for level in list(result.levels)[1:]
            for label in result.absent_labels
        ]
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerows([_CSV, *rows])
    return buffer.getvalue()


def print_result(console: Console, result: Result, name: str = "this run", demo: bool = False) -> None:
    """Print a result; arguments as in :func:`result_markdown`. Without a terminal: plain text of fixed width."""
    for grid in _grids(result, name, list(result.levels)[:_PRINTED]):
        print_grid(console, grid)
    for note in _notes(result, demo):
        console.print(lines(note), markup=False, highlight=False, soft_wrap=True)


def print_grid(console: Console, grid: Grid) -> None:
    """Print one table; where there is no terminal, plain text that depends on neither its width nor its colours."""
    if console.is_terminal:
        console.print(grid.rich(box.SIMPLE_HEAD, console.width))
    else:
        plain = Console(file=io.StringIO(), width=WIDTH, color_system=None, force_terminal=False, legacy_windows=False)
        with plain.capture() as capture:
            plain.print(grid.rich(_PLAIN, WIDTH))
        text = "\n".join(line.rstrip() for line in capture.get().splitlines())
        console.print(text, markup=False, highlight=False, soft_wrap=True)
    console.print()


def sweep_table(rows: Sequence[SweepRow]) -> Grid:
    """Compare the runs of a sweep, in the given order; see :func:`print_grid` and :meth:`Grid.markdown`.

    A setting that a run does not name is shown as absent.
    """
    settings = tuple(dict.fromkeys(name for row in rows for name in row.overrides))
    header = (*settings, "node", "val %", "test %", "95 % interval", "documents", "classes")
    cells = tuple(
        (
            *(row.overrides.get(name, _ABSENT) for name in settings),
            row.node,
            percent(row.val.value) if row.val else _ABSENT,
            *(_test_cells(row.test) if row.test else 4 * (_ABSENT,)),
        )
        for row in rows
    )
    return Grid("Accuracy by setting", header, cells, n_names=len(settings) + 1)


def suite_table(suites: Sequence[tuple[Mapping[str, str], Result]]) -> Grid:
    """Compare whole results, one line each: the settings that distinguish it, its sections, its classes."""
    settings = tuple(dict.fromkeys(name for overrides, _ in suites for name in overrides))
    levels = tuple(dict.fromkeys(level for _, result in suites for level in result.levels))
    header = (*settings, *(f"{level} %" for level in levels), "product %", "95 % interval", "documents", "labels")
    cells = []
    for overrides, result in suites:
        own = (result.levels.get(level) for level in levels)
        last, product = result.deepest, result.deepest.product
        cells.append(
            (
                *(overrides.get(name, _ABSENT) for name in settings),
                *(percent(level.accuracy.value) if level else _ABSENT for level in own),
                percent(product.value) if product else _ABSENT,
                *_test_cells(last.accuracy)[1:],
            )
        )
    title = "Accuracy by setting; product, interval and documents are of the deepest level"
    return Grid(title, header, tuple(cells), n_names=len(settings))


def _test_cells(score: Score) -> tuple[str, str, str, str]:
    return (
        percent(score.value),
        _interval(score),
        f"{score.n_documents:,}",
        str(score.n_classes_with_support),
    )


def _grids(result: Result, name: str, levels: Sequence[str] | None = None) -> list[Grid]:
    """The tables of a result; all scores of some levels, or of all of them."""
    over = f"{result.n_documents:,} {result.part} documents"
    shown = result.levels if levels is None else levels
    rows = tuple(_score_row(*item) for item in result.scores().items() if item[0].partition(".")[0] in shown)
    which = "All scores" if len(shown) == len(result.levels) else f"All scores of {' and '.join(shown)}"
    grids = [_levels_grid(result, over), Grid(f"{which} over {over}", _SCORES, rows)]
    if result.kind == "hier" and "class" in result.levels:
        table_2 = (_own_row(result, name), *_published_rows())
        grids.insert(0, Grid(f"Accuracy (%) over {over}, in the layout of the paper's Table 2", _TABLE_2, table_2))
    return grids


def _levels_grid(result: Result, over: str) -> Grid:
    """The scores that matter most, a line for each level."""
    rows = tuple(_level_row(level) for level in result.levels.values())
    return Grid(f"Scores (%) by level over {over}", _LEVELS, rows)


def _level_row(level: LevelResult) -> tuple[str, ...]:
    known = (
        level.accuracy,
        level.top_3,
        level.top_5,
        level.oracle,
        level.product,
        level.macro_f1,
        level.hierarchical_f1,
    )
    cells = (percent(score.value) if score else _ABSENT for score in known)
    last = level.accuracy
    return (
        level.level,
        next(cells),
        _interval(last),
        *cells,
        f"{last.n_documents:,}",
        str(last.n_classes_with_support),
    )


def _own_row(result: Result, name: str) -> tuple[str, ...]:
    """The columns of Table 2: the section, the class given the true section, their product."""
    section, ipc_class = result.levels["section"], result.levels["class"]
    assert ipc_class.oracle is not None
    assert ipc_class.product is not None
    local = (ipc_class.local.get(label) for label in SECTIONS)
    return (
        name,
        percent(section.accuracy.value),
        *(percent(score.value) if score else _ABSENT for score in local),
        percent(ipc_class.oracle.value),
        percent(ipc_class.product.value),
    )


def _published_rows() -> list[tuple[str, ...]]:
    """The paper's rows, the best first."""
    rows = []
    for model in reversed(COUNTERPARTS):
        printed, (oracle, product) = published_cells(model)
        rows.append(
            (
                f"{model} (paper)",
                *(f"{printed[column]:.1f}" for column in ("L1", *SECTIONS)),
                f"{printed['L2']:.1f} / {oracle:.2f}",
                f"{printed['overall']:.1f} / {product:.2f}",
            )
        )
    return rows


def _score_row(name: str, score: Score) -> tuple[str, ...]:
    labels = str(score.n_labels) if isinstance(score, LocalScore) else ""
    return (
        name,
        percent(score.value),
        _interval(score),
        f"{score.n_documents:,}",
        str(score.n_classes_with_support),
        labels,
    )


def _notes(result: Result, demo: bool) -> list[str]:
    notes = [
        "Right: what a user gets, level by level (flat: the most probable label). Oracle: given the true parent.",
        "Product: of the oracles so far, the paper's equation (1). Documents: with a label at the level.",
    ]
    if result.kind != "flat":
        shares = ", ".join(f"{percent(level.first_errors.value)} % at {name}" for name, level in result.levels.items())
        notes.append(f"Where the answered path first goes wrong: {shares}.")
    if result.kind == "hier" and "class" in result.levels:
        notes.append("The paper's last two columns: as printed / recomputed from its own cells and Table 1's counts.")
        if result.absent_labels:
            notes.append(f"No {result.part} documents in section {', '.join(result.absent_labels)}: weight 0.")
        if result.constant_labels:
            notes.append(f"One class only, so a constant classifier: section {', '.join(result.constant_labels)}.")
    for name, level in result.levels.items():
        if level.unseen_documents:
            shown = ", ".join(level.unseen_labels[:_MOST_NAMED])
            more = (
                f" and {len(level.unseen_labels) - _MOST_NAMED} more" if len(level.unseen_labels) > _MOST_NAMED else ""
            )
            notes.append(
                f"{level.unseen_documents} documents have a {name} that training never saw, and count as errors: "
                f"{shown}{more}."
            )
    return [*notes, DEMO_NOTE] if demo else notes


def percent(value: float) -> str:
    """A fraction as percent with one decimal."""
    return f"{100 * value:.1f}"


def _interval(score: Score) -> str:
    low, high = score.interval
    return f"{percent(low)}-{percent(high)}"


def _plain(cell: str) -> str:
    """A cell for rich, which then shows it as it is."""
    return escape(lines(cell))
