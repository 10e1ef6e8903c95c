"""A plan as tables for the terminal."""

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from patent_hier.harmless import one_line
from patent_hier.planning.plan import Hours, Plan

WIDTH = 120
_UNITS = ("B", "KB", "MB", "GB", "TB")
_HOURS = (
    "machine", "prepare, split, encode", "train L1 or flat", "train the L2", "score", "wall clock", "fits the card",
)  # fmt: skip


def print_plan(plan: Plan, console: Console) -> None:
    """Print what is planned for, then disk, memory and hours, then what was assumed and where figures are from."""
    for line in _head(plan):
        console.print(one_line(line), markup=False, highlight=False)
    _print(console, "Disk", ("what", "size"), _sizes(plan.disk, total=True))
    _print(console, "Main memory of each stage, mapped files left out", ("stage", "peak"), _sizes(plan.host))
    _print(console, "Memory of the card that trains a node", ("what", "size"), _sizes(plan.card, total=True))
    _print(
        console,
        "Hours; training and scoring in hours of one card, wall clock after dealing the nodes out",
        _HOURS,
        [_line(hours) for hours in plan.hours],
    )
    for hours in plan.hours:
        pace = f"; waits for {hours.pace}" if hours.pace != "arithmetic" else ""
        advice = f"; {hours.advice}" if hours.advice else ""
        console.print(one_line(f"{hours.machine}: {hours.basis}{pace}{advice}"), markup=False, highlight=False)
    for title, lines in (("Assumed", plan.assumptions), ("Figures from", plan.sources)):
        console.print(f"{title}:", markup=False, highlight=False)
        for line in lines:
            console.print(one_line(f"  {line}"), markup=False, highlight=False)


def _head(plan: Plan) -> list[str]:
    facts = plan.facts
    return [
        f"{facts['rows']:,} rows = {facts['documents']:,} documents ({facts['source']})",
        f"level={facts['level']}, {facts['seeds']} seed(s), {facts['epochs']} epochs of {facts['train_documents']:,} "
        f"documents in batches of {facts['batch_size']}, {facts['precision']}; {facts['held_out_documents']:,} held "
        "out",
        f"encoder {facts['encoder']}, {facts['parameters'] / 1e6:,.1f} M weights; {facts['tokens']:.0f} tokens a "
        f"document ({facts['tokens_source']}), {facts['max_length']} at most",
        f"{facts['training_flops']:.3g} floating-point operations of training, {facts['scoring_flops']:.3g} of scoring",
    ]


def _line(hours: Hours) -> tuple[str, ...]:
    numbers = (hours.before, hours.level_1, hours.level_2, hours.scoring, hours.wall_clock)
    fits = {True: "yes", False: "no", None: "–"}[hours.fits]
    return (hours.machine, *map(_number, numbers), fits)


def _number(hours: float) -> str:
    return f"{hours:,.0f}" if hours >= 100 else f"{hours:.2f}"


def _sizes(sizes: Mapping[str, float], *, total: bool = False) -> list[tuple[str, str]]:
    lines = [(name, readable(size)) for name, size in sizes.items()]
    return [*lines, ("in all", readable(sum(sizes.values())))] if total else lines


def readable(size: float) -> str:
    """Bytes in the largest unit, of powers of 1000, that leaves a number of 1 or more."""
    power = 0
    while size >= 999.5 and power < len(_UNITS) - 1:
        size, power = size / 1000, power + 1
    return f"{size:.3g} {_UNITS[power]}"


def _print(console: Console, title: str, columns: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
    table = Table(title=title, title_justify="left")
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left")
    for line in lines:
        table.add_row(*(escape(one_line(text)) for text in line))
    console.print(table)
