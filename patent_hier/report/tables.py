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

from patent_hier.evaluation.result import FlatResult, HierarchicalResult, LocalScore, Score
from patent_hier.harmless import lines
from patent_hier.ipc import SECTIONS
from patent_hier.report.published import COUNTERPARTS, published_cells
from patent_hier.report.rendering import table_markdown

DEMO_NOTE = "demo data: not comparable with the paper"
WIDTH = 120  # columns of a terminal that is none: a file or a pipe

_NARROW = 100  # columns; below it the cells stand closer
_ABSENT = "-"  # ASCII, as all of the tables: a pipe may not take more
_PLAIN = box.Box("    \n    \n -- \n" + 5 * "    \n", ascii=True)  # a rule below the header, no other line
_TABLE_2 = ("model", "L1", *SECTIONS, "L2\nweighted", "overall\n(product)")
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


def result_markdown(result: HierarchicalResult | FlatResult, name: str = "this run", demo: bool = False) -> str:
    """A result as Markdown.

    Args:
        result: Of nine local classifiers or of the flat one.
        name: What to call the model in the first table.
        demo: Whether the corpus was generated; then the text says that it is not comparable.
    """
    return grids_markdown(_grids(result, name), _notes(result, demo))


def result_csv(result: HierarchicalResult | FlatResult) -> str:
    """A result as CSV, one score a line: fractions at full precision, empty where a section has no documents."""
    rows: list[tuple[object, ...]] = [
        (name, score.value, score.n_documents, score.n_classes_with_support, *score.interval)
        for name, score in result.scores().items()
    ]
    if isinstance(result, HierarchicalResult):
        rows += [(f"local_accuracy[{section}]", "", 0, 0, "", "") for section in result.absent_sections]
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerows([_CSV, *rows])
    return buffer.getvalue()


def print_result(
    console: Console, result: HierarchicalResult | FlatResult, name: str = "this run", demo: bool = False
) -> None:
    """Print a result; arguments as in :func:`result_markdown`. Without a terminal: plain text of fixed width."""
    for grid in _grids(result, name):
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
            *(_score_cells(row.test) if row.test else 4 * (_ABSENT,)),
        )
        for row in rows
    )
    return Grid("Accuracy by setting", header, cells, n_names=len(settings) + 1)


def suite_table(suites: Sequence[tuple[Mapping[str, str], HierarchicalResult | FlatResult]]) -> Grid:
    """Compare whole results, one line each: the settings that distinguish it, its sections, its classes."""
    settings = tuple(dict.fromkeys(name for overrides, _ in suites for name in overrides))
    header = (*settings, "section %", "product %", "cascade %", "95 % interval", "documents", "classes")
    cells = []
    for overrides, result in suites:
        section, product = percent(result.section_accuracy.value), _ABSENT
        if isinstance(result, HierarchicalResult):
            product, best = percent(result.product_accuracy.value), result.cascade_accuracy
        else:
            best = result.flat_accuracy
        cells.append((*(overrides.get(name, _ABSENT) for name in settings), section, product, *_score_cells(best)))
    return Grid("Results by setting (flat results stand under cascade)", header, tuple(cells), n_names=len(settings))


def _score_cells(score: Score) -> tuple[str, ...]:
    low, high = map(percent, score.interval)
    return (percent(score.value), f"{low}-{high}", f"{score.n_documents:,}", str(score.n_classes_with_support))


def _grids(result: HierarchicalResult | FlatResult, name: str) -> list[Grid]:
    over = f"{result.n_documents:,} {result.part} documents"
    scores = Grid(f"Scores over {over}", _SCORES, tuple(_score_row(*item) for item in result.scores().items()))
    if isinstance(result, FlatResult):
        return [scores]
    rows = (_own_row(result, name), *_published_rows())
    return [Grid(f"Accuracy (%) over {over}, in the layout of the paper's Table 2", _TABLE_2, rows), scores]


def _own_row(result: HierarchicalResult, name: str) -> tuple[str, ...]:
    local = [result.local_accuracy.get(section) for section in SECTIONS]
    scores = (result.section_accuracy, *local, result.oracle_accuracy, result.product_accuracy)
    return (name, *(percent(score.value) if score else _ABSENT for score in scores))


def _published_rows() -> list[tuple[str, ...]]:
    """The paper's rows, the best first."""
    rows = []
    for model in reversed(COUNTERPARTS):
        printed, recomputed = published_cells(model)
        last = (f"{printed[c]:.1f} / {value:.2f}" for c, value in zip(("L2", "overall"), recomputed, strict=True))
        rows.append((f"{model} (paper)", *(f"{printed[column]:.1f}" for column in ("L1", *SECTIONS)), *last))
    return rows


def _score_row(name: str, score: Score) -> tuple[str, ...]:
    return (name, *_score_cells(score), str(score.n_labels) if isinstance(score, LocalScore) else "")


def _notes(result: HierarchicalResult | FlatResult, demo: bool) -> list[str]:
    notes = ["Documents: scored; classes: with support among them; labels: what a section's model can answer."]
    if isinstance(result, HierarchicalResult):
        loss, routing, local = (
            percent(value)
            for value in (1 - result.cascade_accuracy.value, result.routing_errors.value, result.local_errors.value)
        )
        notes.append(
            f"The cascade loses {loss} %: {routing} % to routing (wrong section), {local} % inside the section."
        )
        notes.append("The paper's last two columns: as printed / recomputed from its own cells and Table 1's counts.")
        if result.absent_sections:
            notes.append(f"No {result.part} documents in section {', '.join(result.absent_sections)}: weight 0.")
        if result.constant_sections:
            notes.append(f"One class only, so a constant classifier: section {', '.join(result.constant_sections)}.")
    if result.unseen_documents:
        notes.append(
            f"{result.unseen_documents} documents of classes never seen in training count as errors: "
            f"{', '.join(result.unseen_classes)}."
        )
    return [*notes, DEMO_NOTE] if demo else notes


def percent(value: float) -> str:
    """A fraction as percent with one decimal."""
    return f"{100 * value:.1f}"


def _plain(cell: str) -> str:
    """A cell for rich, which then shows it as it is."""
    return escape(lines(cell))
