"""Figures of single labels: which sections are taken for which, and every class by itself."""

from collections.abc import Mapping, Sequence
from itertools import groupby

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from patent_hier.errors import DataError
from patent_hier.report.figures import style
from patent_hier.report.figures.style import (
    FAINT,
    GRID,
    INK,
    PALETTE,
    WIDTH,
    Pen,
    check_fractions,
    check_given,
    drawing,
)

_Row = tuple[str, float, int]

# Inches in the figure of the classes.
_PITCH, _TITLE, _LABEL, _COUNT, _FOOT, _HEAD = 0.18, 0.52, 2.4, 0.45, 0.15, 0.35
_LABEL_SIZE = 7.5  # points


@drawing
def section_confusion(pen: Pen, sections: Sequence[str], counts: NDArray[np.int64]) -> tuple[Figure, str]:
    """Which section is taken for which: shares of each row by shade and number, documents below them.

    Args:
        pen: What to write with.
        sections: ``m`` sections.
        counts: ``(m, m)`` documents: rows are the true sections, columns the predicted ones.

    Raises:
        DataError: If there is nothing to draw or the shape does not fit.
    """
    check_given(sections, "sections")
    m = len(sections)
    if counts.shape != (m, m) or (counts < 0).any():
        raise DataError(f"counts of shape {counts.shape} for {m} sections; give {m} x {m} numbers of documents")
    totals = counts.sum(axis=1, keepdims=True)  # (m, 1)
    shares = 100 * counts / np.maximum(totals, 1)  # (m, m), %
    figure = style.blank(WIDTH, 1.3 + 0.53 * m)
    axes = figure.subplots()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=100, aspect="auto")
    for row, column in np.ndindex(m, m):
        _cell(axes, row, column, int(counts[row, column]), float(shares[row, column]), int(totals[row, 0]))
    axes.set_xticks(range(m), [pen.label(section) for section in sections])
    axes.set_yticks(range(m), [f"{pen.code(s)}  ({int(totals[i, 0]):,})" for i, s in enumerate(sections)])
    axes.set_xticks(np.arange(m + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(m + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=2)
    axes.tick_params(which="both", length=0)
    axes.spines[:].set_visible(False)
    axes.set(xlabel=pen.word("predicted"), ylabel=f"{pen.word('true')}  ({pen.word('documents')})")
    bar = figure.colorbar(image, ax=axes, fraction=0.035, pad=0.02, label=pen.word("share"))
    bar.outline.set_visible(False)
    return figure, _confusion_alt(sections, counts, pen)


def _cell(axes: Axes, row: int, column: int, count: int, share: float, total: int) -> None:
    colour = "white" if share > 55 else INK if count else FAINT
    if total == 0:
        axes.text(column, row, "–", ha="center", va="center", color=FAINT)
    elif count == 0:
        axes.text(column, row, "0", ha="center", va="center", color=colour, fontsize=8)
    else:
        weight = "bold" if row == column else "normal"
        axes.text(column, row - 0.14, f"{share:.1f}", ha="center", va="center", color=colour, weight=weight)
        axes.text(column, row + 0.25, f"{count:,}", ha="center", va="center", color=colour, fontsize=6.5)


def _confusion_alt(sections: Sequence[str], counts: NDArray[np.int64], pen: Pen) -> str:
    right, total = int(np.trace(counts)), int(counts.sum())
    off = counts - np.diag(np.diag(counts))
    row, column = np.unravel_index(int(off.argmax()), off.shape)
    one, other, most = sections[int(row)], sections[int(column)], int(off.max())
    worst = (
        pen.say(
            f"The most frequent error: {one} taken for {other}, {most:,} times",
            f"最常见的错误：{one} 被判为 {other}，{most:,} 篇",
        )
        if most
        else pen.say("No errors", "没有错误")
    )
    return pen.say(
        f"Confusion matrix of the sections: {right:,} of {total:,} documents are right. {worst}",
        f"部的混淆矩阵：{total:,} 篇文档中 {right:,} 篇判断正确。{worst}",
    )


@drawing
def class_bars(pen: Pen, rows: Sequence[_Row]) -> tuple[Figure, str]:
    """Every class by itself, grouped by section in two columns; long names are cut.

    Args:
        pen: What to write with.
        rows: IPC class, fraction of its documents that are right, its test documents.

    Raises:
        DataError: If there is nothing to draw, or a number is no fraction.
    """
    check_given(rows, "classes")
    check_fractions({ipc_class: value for ipc_class, value, _ in rows})
    ordered = sorted(rows, key=lambda row: row[0])
    sections = {section: list(group) for section, group in groupby(ordered, key=lambda row: row[0][:1])}
    columns = _two_columns(sections)
    height = max(sum(len(sections[s]) * _PITCH + _TITLE for s in column) for column in columns) + _FOOT + _HEAD
    figure = Figure(figsize=(WIDTH, height), facecolor="white")  # placed by hand: rows as high everywhere
    most = max(documents for _, _, documents in rows)
    key = f"{pen.word('recall')}. {pen.word('size')}"
    figure.text(0.1 / WIDTH, 1 - 0.2 / height, key, fontsize=8, color=FAINT, va="center")
    for side, column in enumerate(columns):
        top = height - _HEAD
        for section in column:
            top -= _TITLE + len(sections[section]) * _PITCH
            _section_panel(figure, pen, (side, top), section, sections[section], most)
    ranked = [f"{name} {100 * value:.0f} %" for name, value, _ in sorted(rows, key=lambda row: (row[1], row[0]))]
    worst, best = ", ".join(ranked[:3]), ", ".join(ranked[:-4:-1])
    return figure, pen.say(
        f"Share of right documents for each of {len(rows)} classes. Lowest: {worst}; highest: {best}",
        f"{len(rows)} 个大类各自判断正确的比例与测试文档数。最低：{worst}；最高：{best}",
    )


def _two_columns(sections: Mapping[str, Sequence[_Row]]) -> tuple[list[str], list[str]]:
    """The sections in order, cut where the longer column is shortest."""
    keys = list(sections)
    sizes = [len(sections[key]) * _PITCH + _TITLE for key in keys]
    cut = min(range(1, len(keys) + 1), key=lambda place: max(sum(sizes[:place]), sum(sizes[place:])))
    return keys[:cut], keys[cut:]


def _section_panel(
    figure: Figure, pen: Pen, corner: tuple[int, float], section: str, rows: Sequence[_Row], most: int
) -> None:
    """One section's classes; ``corner`` is the column and the bottom in inches, ``most`` the largest class's size."""
    width, height = figure.get_size_inches()
    left = corner[0] * width / 2 + _LABEL
    inner = width / 2 - _LABEL - _COUNT
    axes = figure.add_axes((left / width, corner[1] / height, inner / width, len(rows) * _PITCH / height))
    values, places = np.array([100 * value for _, value, _ in rows]), np.arange(len(rows))
    documents = np.array([n for _, _, n in rows])
    axes.hlines(places, 0, values, color=PALETTE[5], linewidth=1.2)
    axes.scatter(values, places, s=6 + 44 * documents / most, color=PALETTE[0], zorder=3, clip_on=False)
    labels = [style.shorten(pen.code(ipc_class), (_LABEL - 0.15) * 72 / _LABEL_SIZE) for ipc_class, _, _ in rows]
    axes.set_yticks(places, labels, fontsize=_LABEL_SIZE, ha="left")
    axes.tick_params(length=0)
    axes.tick_params(axis="y", pad=(_LABEL - 0.1) * 72)
    right = 100 * (inner + _COUNT - 0.06) / inner
    for place, (_, _, n) in enumerate(rows):
        axes.text(right, place, f"{n:,}", fontsize=6.5, color=FAINT, ha="right", va="center", clip_on=False)
    axes.set(xlim=(0, 100), ylim=(len(rows) - 0.5, -0.5), xticks=[0, 25, 50, 75, 100])
    axes.xaxis.set_tick_params(labelbottom=False)
    axes.grid(axis="x", color=GRID)
    axes.spines[:].set_visible(False)
    title = f"{pen.code(section)}  ({pen.documents(int(documents.sum()))})"
    figure.text((left - _LABEL + 0.1) / width, (corner[1] + len(rows) * _PITCH + 0.2) / height, title, weight="bold")
    for value in (0, 50, 100):  # above each panel: a reader far down must not search for the axis
        axes.annotate(
            f"{value} %", (value, -0.5), xytext=(0, 2), textcoords="offset points", ha="center", va="bottom",
            fontsize=6.5, color=FAINT, annotation_clip=False,
        )  # fmt: skip
