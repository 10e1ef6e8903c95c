"""Tables of texts, printed on a terminal or written as Markdown."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from patent_hier.evaluation.result import Score
from patent_hier.evaluation.seeds import Spread
from patent_hier.report.rendering import table_markdown
from patent_hier.sanitize import lines

ABSENT = "–"
DEMO_NOTE = "demo data: not comparable with the paper"
PAPER_NOTE = "The paper's rows are for its own corpus; compare them only with results on that corpus."
WIDTH = 120  # columns used for a file or a pipe

_NARROW = 100  # columns; narrower terminals get less space between cells
_PLAIN = box.Box("    \n    \n -- \n" + 5 * "    \n", ascii=True)  # a rule below the header and no other lines


@dataclass(frozen=True)
class Grid:
    """A table of texts, independent of any format.

    Attributes:
        title: Line above the table.
        header: ``n`` column titles; the first columns contain names, the others numbers.
        rows: Rows of ``n`` cells.
        n_names: Number of columns that contain names and are left-aligned.
        bold: Row and column, both from 0 and without the header, of cells in bold.
    """

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    n_names: int = 1
    bold: frozenset[tuple[int, int]] = frozenset()

    @classmethod
    def of(cls, title: str, rows: Sequence[Mapping[str, str]], n_names: int = 1) -> "Grid":
        """Return a table built from rows with the same keys; the keys become the header."""
        return cls(title, tuple(rows[0]) if rows else (), tuple(tuple(row.values()) for row in rows), n_names)

    def kind(self, column: int) -> str:
        """Return the kind of a column: ``name`` or ``number``."""
        return "name" if column < self.n_names else "number"


def grids_markdown(grids: Sequence[Grid], paragraphs: Sequence[str] = ()) -> str:
    """Return tables as Markdown, each with its title as a paragraph, followed by trusted Markdown paragraphs."""
    return "\n".join([*map(table_markdown, grids), *(f"{text}\n" for text in paragraphs)])


def print_grid(console: Console, grid: Grid) -> None:
    """Print one table; without a terminal, print plain text of fixed width without colours."""
    if console.is_terminal:
        console.print(_rich(grid, box.SIMPLE_HEAD, console.width))
    else:
        plain = Console(file=io.StringIO(), width=WIDTH, color_system=None, force_terminal=False, legacy_windows=False)
        with plain.capture() as capture:
            plain.print(_rich(grid, _PLAIN, WIDTH))
        text = "\n".join(line.rstrip() for line in capture.get().splitlines())
        console.print(text, markup=False, highlight=False, soft_wrap=True)
    console.print()


def _rich(grid: Grid, border: box.Box, width: int) -> Table:
    """Return the table for a console ``width`` columns wide; narrow consoles get single spaces between cells.

    Brackets in a cell are not treated as rich's markup, and control characters cannot affect the terminal.
    """
    padding = (0, 1, 0, 0) if width >= _NARROW else 0
    title, *header = (escape(lines(cell)) for cell in (grid.title, *grid.header))
    table = Table(title=title, title_justify="left", box=border, padding=padding, show_edge=False)
    for place, name in enumerate(header):
        named = place < grid.n_names
        no_wrap = not named and " " not in name
        table.add_column(name, justify="left" if named else "right", overflow="fold", no_wrap=no_wrap)
    for row in grid.rows:
        table.add_row(*(escape(lines(cell)) for cell in row))
    return table


def percent(value: float | None) -> str:
    """Return a fraction as a percentage with one decimal; a dash for None."""
    return ABSENT if value is None else f"{100 * value:.1f}"


def interval(score: Score | Spread, dash: str = "–") -> str:
    """Return the interval in percent, such as ``77.0–83.4``."""
    return dash.join(map(percent, score.interval))


def mean_and_sd(score: Score | Spread) -> str:
    """Return the mean in percent, such as ``80.3``; over several seeds ``80.3 ± 0.4``."""
    if isinstance(score, Score):
        return percent(score.value)
    return percent(score.mean) + (f" ± {percent(score.sd)}" if score.sd is not None else "")


def with_interval(score: Score | Spread | None, gap: str = "\n", dash: str = "–") -> str:
    """Return ``80.3 (77.0–83.4)``, or over several seeds ``80.3 ± 0.4 (77.0–83.4)``.

    ``gap`` separates score and interval. ``dash`` is used inside the interval, and alone if there is no score.
    """
    return dash if score is None else f"{mean_and_sd(score)}{gap}({interval(score, dash)})"
