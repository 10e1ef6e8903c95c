"""Tables of texts, and how they come to the terminal and into Markdown."""

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
WIDTH = 120  # columns of a terminal that is none: a file or a pipe

_NARROW = 100  # columns; below it the cells stand closer
_PLAIN = box.Box("    \n    \n -- \n" + 5 * "    \n", ascii=True)  # a rule below the header, no other line


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

    @classmethod
    def of(cls, title: str, rows: Sequence[Mapping[str, str]], n_names: int = 1) -> "Grid":
        """Of rows with the same keys, which are the header."""
        return cls(title, tuple(rows[0]) if rows else (), tuple(tuple(row.values()) for row in rows), n_names)

    def kind(self, column: int) -> str:
        """``name`` or ``number``: what a column holds."""
        return "name" if column < self.n_names else "number"


def grids_markdown(grids: Sequence[Grid], paragraphs: Sequence[str] = ()) -> str:
    """Tables as Markdown, each with its title as a paragraph, and paragraphs of ours below them."""
    return "\n".join([*map(table_markdown, grids), *(f"{text}\n" for text in paragraphs)])


def print_grid(console: Console, grid: Grid) -> None:
    """Print one table; where there is no terminal, plain text that depends on neither its width nor its colours."""
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
    """The table for a console of so many columns; a narrow one gets single blanks between the cells.

    Brackets in a cell are no markup of rich's, and control characters do nothing to the terminal.
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
    """A fraction as percent with one decimal; a dash for none."""
    return ABSENT if value is None else f"{100 * value:.1f}"


def interval(score: Score | Spread, dash: str = "–") -> str:
    """``77.0–83.4``."""
    return dash.join(map(percent, score.interval))


def mean_and_sd(score: Score | Spread) -> str:
    """``80.3``, or over several seeds ``80.3 ± 0.4``."""
    if isinstance(score, Score):
        return percent(score.value)
    return percent(score.mean) + (f" ± {percent(score.sd)}" if score.sd is not None else "")


def with_interval(score: Score | Spread | None, gap: str = "\n", dash: str = "–") -> str:
    """``80.3 (77.0–83.4)``, over several seeds ``80.3 ± 0.4 (77.0–83.4)``, with ``gap`` before the interval.

    ``dash`` stands within the interval, and alone for no score.
    """
    return dash if score is None else f"{mean_and_sd(score)}{gap}({interval(score, dash)})"
