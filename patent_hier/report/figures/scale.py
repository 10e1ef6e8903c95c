"""The bench's figure of time and memory by the size of the corpus."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator, StrMethodFormatter

from patent_hier.report.figures.style import (
    FAINT,
    INK,
    MARKERS,
    PALETTE,
    WIDTH,
    Rendered,
    blank,
    canvas,
    check_given,
    finish,
    pen,
)

_MIB = 1 << 20
_LIMIT = {"color": INK, "linestyle": ":", "linewidth": 1.2}


def scale_curves(
    stages: Mapping[str, Sequence[Mapping[str, Any]]], limit: float | None = None, *, name: str = "scale"
) -> Rendered:
    """Seconds and peak memory of each stage by rows of the raw file, both axes logarithmic.

    Args:
        stages: By stage its sizes, ascending: ``rows``, ``seconds`` and ``peak_own_bytes``, all above 0.
        limit: Bytes that no stage may exceed, as a dotted line; None for none.
        name: Of the figure's files.

    Raises:
        DataError: If there is nothing to draw.
    """
    check_given(stages, "stages")
    for stage, sizes in stages.items():
        check_given(sizes, f"sizes of {stage}")
    with canvas(pen("en", {})):
        figure = blank(WIDTH, 3.4)
        left, right = figure.subplots(1, 2)
        for number, (stage, sizes) in enumerate(stages.items()):
            look = {"color": PALETTE[number], "marker": MARKERS[number], "markersize": 4, "linewidth": 1.4}
            rows = [one["rows"] for one in sizes]
            left.plot(rows, [one["seconds"] for one in sizes], label=stage, **look)
            right.plot(rows, [one["peak_own_bytes"] / _MIB for one in sizes], label=stage, **look)
        _proportional(left, next(iter(stages.values())))
        if limit is not None:
            right.axhline(limit / _MIB, label="target", **_LIMIT)
        _axes(left, "seconds", sorted({one["rows"] for sizes in stages.values() for one in sizes}))
        _axes(right, "peak memory (MiB)", sorted({one["rows"] for sizes in stages.values() for one in sizes}))
        right.set_yticks([64 << power for power in range(6)])  # matplotlib's own ticks are too few within two decades
        right.yaxis.set_minor_locator(NullLocator())
        left.legend(loc="upper left")
        if limit is not None:
            right.legend(handles=[right.lines[-1]], loc="upper left", bbox_to_anchor=(0, 0.9))
        return finish(figure, name, _alt(stages))


def _proportional(axes: Axes, sizes: Sequence[Mapping[str, Any]]) -> None:
    """A thin line of seconds in proportion to rows, through the last point of the first stage."""
    first, last = sizes[0]["rows"], sizes[-1]["rows"]
    seconds = sizes[-1]["seconds"]
    axes.plot([first, last], [seconds * first / last, seconds], color=FAINT, linewidth=0.8, label="in proportion")


def _axes(axes: Axes, label: str, rows: Sequence[int]) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("rows of the raw file")
    axes.set_ylabel(label)
    axes.set_xticks(rows, labels=[f"{count / 1000:,.0f} k" for count in rows], rotation=30)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.grid(axis="y")


def _alt(stages: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """The largest size of each stage in words."""
    parts = (
        f"{stage}: {sizes[-1]['rows']:,} rows in {sizes[-1]['seconds']:,.1f} s and "
        f"{sizes[-1]['peak_own_bytes'] / _MIB:,.0f} MiB"
        for stage, sizes in stages.items()
    )
    return "Time and peak memory by size. " + "; ".join(parts) + "."
