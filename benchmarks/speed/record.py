"""Format the tables of a run and record it in a folder."""

import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from benchmarks.speed.figure import scale_curves
from benchmarks.speed.rows import Row
from patent_hier.artifacts import seal
from patent_hier.atomic import atomic_folder, exclusive, write_json
from patent_hier.pipeline.environment import describe_environment

_COLUMNS = ("work", "unit", "ours", "peer", "ratio", "target", "met")
_SIZES = {
    "rows of the raw file": "{rows:,}",
    "seconds": "{seconds:,.2f}",
    "of processors": "{cpu_seconds:,.2f}",
    "rate": "{per_second:,.0f} {unit}/s",
    "peak, own (MiB)": "{own:,.0f}",
    "peak with mapped files (MiB)": "{resident:,.0f}",
}
_MIB = 1 << 20


def cells(row: Row) -> tuple[str, ...]:
    """Return a row as cells of the table."""
    peer = "–" if row.peer is None else f"{_number(row.peer)} ({row.peer_name})"
    ratio, target = "–", f"≤ {row.target:g} {row.unit}"
    if row.ratio is not None:
        ratio, target = f"{row.ratio:.2f}", f"≥ {row.target:g}"
    met = ("yes" if row.met else "no") if row.agrees else "no: see facts"
    return (row.work, row.unit, _number(row.ours), peer, ratio, target, met)


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def tables(rows: Sequence[Row]) -> str:
    """Format the rows, and their sizes if there are any, as Markdown tables that are also readable in a terminal."""
    sizes = [
        (row.facts["stage"], *(shape.format(**one, own=own, resident=resident) for shape in _SIZES.values()))
        for row in rows
        for one in row.facts.get("sizes", ())
        for own, resident in [(one["peak_own_bytes"] / _MIB, one["peak_bytes"] / _MIB)]
    ]
    return _markdown(_COLUMNS, map(cells, rows)) + ("\n" + _markdown(("stage", *_SIZES), sizes) if sizes else "")


def _markdown(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    table, text = Table(*head, box=box.MARKDOWN), io.StringIO()
    for line in lines:
        table.add_row(*map(escape, line))
    Console(file=text, width=400).print(table)
    return "".join(f"{line.rstrip()}\n" for line in text.getvalue().splitlines() if line.strip())


def write_record(
    rows: Sequence[Row], folder: Path, facts: Mapping[str, object], files: Mapping[str, str] | None = None
) -> None:
    """Record a run: ``bench.json``, ``bench.md``, the figure of the scale, and a manifest with machine and facts.

    An older record in the folder is replaced.

    Args:
        rows: Measured rows.
        folder: Folder of the record.
        facts: Facts for the manifest.
        files: Texts of further files, by file name.
    """
    stages = {row.facts["stage"]: row.facts["sizes"] for row in rows if "sizes" in row.facts}
    with exclusive(folder), atomic_folder(folder) as staging:
        write_json(staging / "bench.json", [row.as_dict() for row in rows])
        for name, text in {"bench.md": tables(rows), **(files or {})}.items():
            (staging / name).write_text(text, "utf-8")
        if stages:
            figure = scale_curves(stages)
            (staging / "scale.svg").write_bytes(figure.svg)
            (staging / "scale.png").write_bytes(figure.png)
        seal(staging, {"kind": "bench", **facts, "environment": describe_environment()})
