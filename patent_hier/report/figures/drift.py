"""Figure comparing new documents with the calibration documents: distribution of each measure, and months."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray

from patent_hier.evaluation.drift import LABELS, Shift
from patent_hier.evaluation.profile import LENGTH, Profile, measures_of
from patent_hier.report.figures import style
from patent_hier.report.figures.style import INK, PALETTE, WIDTH, Pen, drawing
from patent_hier.report.words import word
from patent_hier.taxonomy.symbols import IPC_LEVELS

_MOST_LABELS, _MOST_MONTHS = 12, 36
_MOST_TICKS = 8
_CALM, _ALARMED = PALETTE[0], PALETTE[1]


@drawing
def drift(
    pen: Pen, reference: Profile, own: Profile, shifts: Sequence[Shift], by_month: Mapping[str, Sequence[Shift]]
) -> tuple[Figure, str]:
    """Draw histograms of all documents (bars) and of the calibration documents (line); orange marks drift.

    Only the twelve most frequent labels are shown. If at least two months have enough documents for a verdict, a last
    panel shows the largest distance of each month as a multiple of the alarm threshold.
    """
    judged = [month for month, own in by_month.items() if all(shift.p_value is not None for shift in own)]
    months = judged[-_MOST_MONTHS:] if len(judged) > 1 else []
    figure, places = style.panels(len(shifts) + bool(months), (0.6 * WIDTH, WIDTH, WIDTH), 2.3, top=0.35)
    for (axes,), shift in zip(places, shifts, strict=False):
        before, now, names = _histograms(pen, reference, own, shift)
        axes.bar(range(len(now)), now, width=0.85, color=_ALARMED if shift.is_alarm else _CALM, alpha=0.75)
        axes.step(np.arange(len(before) + 2) - 1, [0, *before, 0], where="mid", color=INK, linewidth=1.2)
        _ticks(axes, names)
        axes.set(xlim=(-0.6, len(now) - 0.4), ylim=(0, None), xlabel=_name(pen, shift.measure))
        axes.set_ylabel(pen.word("drift_share"))
        facts = f"{shift.distance:.2f} / {shift.least:.2f}"
        axes.set_title(f"{pen.word('drift_distance')} {facts}", fontsize=8, fontweight="normal")
    if months:
        _months(places[-1][0], pen, {month: by_month[month] for month in months})
    keys = (("drift_own", _CALM), ("drift_alarm", _ALARMED))
    handles: list[Any] = [Patch(color=color, alpha=0.75, label=pen.word(key)) for key, color in keys]
    line = Line2D([], [], color=INK, linewidth=1.2, label=pen.word("drift_reference"))
    figure.legend(handles=[line, *handles], loc="outside upper left", ncols=3)
    alt = pen.say(
        "New documents compared with calibration documents, by measure; distance and alarm threshold: ",
        "新文档与校准文档的各项对比；距离与报警阈值：",
        [f"{shift.measure} {shift.distance:.2f} / {shift.least:.2f}" for shift in shifts],
    )
    return figure, alt


def _name(pen: Pen, measure: str) -> str:
    kind, _, level = measure.partition(".")
    return pen.word(f"drift_{kind}") + (f": {_level(pen, level)}" if level else "")


def _level(pen: Pen, level: str) -> str:
    return word(f"level_{level}", pen.drawn) if level in IPC_LEVELS else pen.label(level)


def _histograms(
    pen: Pen, reference: Profile, own: Profile, shift: Shift
) -> tuple[NDArray[np.float64], NDArray[np.float64], list[str]]:
    """Return the percentages of calibration and new documents, and the name of each bar."""
    kind, _, level = shift.measure.partition(".")
    if kind == LABELS:
        both = reference.labels[level], own.labels[level]
        sizes = (reference.documents, own.documents)
        shares = {
            name: [100 * one[name] / size for one, size in zip(both, sizes, strict=True)]
            for name in both[0].keys() | both[1].keys()
        }
        chosen = sorted(sorted(shares, key=lambda name: (-max(shares[name]), name))[:_MOST_LABELS])
        before, now = np.array([shares[name] for name in chosen]).T
        return before, now, [pen.label(name) for name in chosen]
    (measure,) = (one for one in measures_of(reference.levels) if one.name == shift.measure)
    before, now = (100 * one.bins[measure.name] / one.documents for one in (reference, own))
    scale = 1 if measure is LENGTH else 100
    names = [f"{scale * edge:.0f}" for edge in measure.edges] + (["∞"] if measure is LENGTH else ["100"])
    (filled,) = np.nonzero(before + now)
    shown = slice(max(filled[0] - 1, 0), filled[-1] + 2)
    return before[shown], now[shown], names[shown]


def _ticks(axes: Axes, names: Sequence[str]) -> None:
    """Label as many bars as there is room for."""
    width = max(map(len, names))
    step = -(-len(names) // (_MOST_TICKS + 6 * (width < 4)))
    places = range(len(names))[::step]
    axes.set_xticks(places, [names[place] for place in places], fontsize=7)


def _months(axes: Axes, pen: Pen, by_month: Mapping[str, Sequence[Shift]]) -> None:
    heights = [max(shift.distance / shift.least for shift in own) for own in by_month.values()]
    colors = [_ALARMED if any(shift.is_alarm for shift in own) else _CALM for own in by_month.values()]
    axes.bar(range(len(heights)), heights, width=0.85, color=colors, alpha=0.75)
    axes.axhline(1, color=INK, linewidth=1.2, linestyle="--")
    step = -(-len(by_month) // 4)
    places = range(len(by_month))[::step]
    axes.set_xticks(places, [list(by_month)[place] for place in places], fontsize=7)
    axes.set(xlim=(-0.6, len(heights) - 0.4), ylim=(0, None), xlabel=pen.word("drift_months"))
