"""Draw the figure of time and memory by the size of the corpus."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, NullLocator, StrMethodFormatter

from benchmarks.speed.scale import MEMORY_LIMIT
from patent_hier.report.figures.style import FAINT, INK, MARKERS, PALETTE, WIDTH, Pen, blank, drawing, in_english

_MIB = 1 << 20


@in_english
@drawing
def scale_curves(_: Pen, stages: Mapping[str, Sequence[Mapping[str, Any]]]) -> tuple[Figure, str]:
    """Draw seconds and own peak memory of each stage by ascending rows of the raw file, with logarithmic axes."""
    figure = blank(WIDTH, 3.4)
    left, right = figure.subplots(1, 2)
    for (stage, sizes), color, marker in zip(stages.items(), PALETTE, MARKERS, strict=False):
        rows, seconds = [one["rows"] for one in sizes], [one["seconds"] for one in sizes]
        look = {"color": color, "marker": marker, "markersize": 4, "linewidth": 1.4}
        left.plot(rows, seconds, label=stage, **look)
        right.plot(rows, [one["peak_own_bytes"] / _MIB for one in sizes], **look)
    sizes = next(iter(stages.values()))
    first, last = sizes[0], sizes[-1]
    in_proportion = [last["seconds"] * first["rows"] / last["rows"], last["seconds"]]
    left.plot([first["rows"], last["rows"]], in_proportion, color=FAINT, linewidth=0.8, label="in proportion")
    right.axhline(MEMORY_LIMIT / _MIB, label="target", color=INK, linestyle=":", linewidth=1.2)
    for axes, label in ((left, "seconds"), (right, "peak memory (MiB)")):
        axes.set(xscale="log", yscale="log", xlabel="rows of the raw file", ylabel=label)
        axes.set_xticks(rows, labels=[f"{count / 1000:,.0f} k" for count in rows], rotation=30)
        axes.xaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())  # its labels are formulas, which the style cannot draw
        axes.grid(axis="y")
    right.set_yticks([64 << power for power in range(6)])  # matplotlib sets too few ticks within two decades
    right.yaxis.set_minor_locator(NullLocator())
    left.set_ylim(bottom=left.get_ylim()[0] / 8)
    left.legend(loc="lower right", ncols=2)
    right.legend(loc="upper left", bbox_to_anchor=(0, 0.8))
    return figure, "Time and peak memory by size."
