"""Figures by label: confusion matrix of the sections, and accuracy of each class."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from patent_hier.report.figures import style
from patent_hier.report.figures.style import FAINT, INK, PALETTE, WIDTH, Pen, drawing

# Sizes in the figure of the classes, in inches.
_PITCH, _TITLE, _LABEL, _COUNT, _FOOT, _HEAD = 0.18, 0.52, 2.4, 0.45, 0.15, 0.35
_LABEL_SIZE = 7.5  # points


@drawing
def section_confusion(pen: Pen, confusion: pd.DataFrame) -> tuple[Figure, str]:
    """Draw the confusion matrix of the sections: shares of each row by shade and number, with documents below.

    ``confusion`` holds numbers of documents ``(m, m)`` by true section (rows) and predicted section (columns).
    """
    sections, counts, m = list(confusion.index), confusion.to_numpy(), len(confusion)
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
    return figure, _confusion_alt(pen, confusion)


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


def _confusion_alt(pen: Pen, confusion: pd.DataFrame) -> str:
    right, total = int(np.trace(confusion)), int(confusion.to_numpy().sum())
    errors = confusion.to_numpy() * ~np.eye(len(confusion), dtype=bool)
    one, other = (confusion.index[int(place)] for place in np.unravel_index(errors.argmax(), errors.shape))
    most = errors.max()
    worst = pen.say(
        f"The most frequent error: {one} classified as {other}, {most:,} times" if most else "No errors",
        f"最常见的错误：{one} 误分为 {other}，{most:,} 篇" if most else "没有错误",
    )
    return pen.say(
        f"Confusion matrix of the sections: {right:,} of {total:,} documents are right. {worst}",
        f"部的混淆矩阵：{total:,} 篇文档中 {right:,} 篇分类正确。{worst}",
    )


@drawing
def class_bars(pen: Pen, classes: pd.DataFrame) -> tuple[Figure, str]:
    """Draw the accuracy of each class, grouped by section in two columns; long names are shortened.

    ``classes`` is in ascending order of the IPC class: ``right`` is the fraction of its test documents that are right,
    ``documents`` their number.
    """
    sections = {str(section): own for section, own in classes.groupby(classes.index.str[0])}
    columns = _two_columns({section: len(own) * _PITCH + _TITLE for section, own in sections.items()})
    height = max(map(sum, (column.values() for column in columns))) + _FOOT + _HEAD
    figure = Figure(
        figsize=(WIDTH, height), facecolor="white"
    )  # axes are placed by hand so that all rows have the same height
    key = f"{pen.word('recall')}. {pen.word('size')}"
    figure.text(0.1 / WIDTH, 1 - 0.2 / height, key, fontsize=8, color=FAINT, va="center")
    for side, column in enumerate(columns):
        top = height - _HEAD
        for section, own_height in column.items():
            top -= own_height
            _section_panel(figure, pen, (side, top), section, sections[section], classes["documents"].max())
    ranked = [f"{name} {100 * value:.0f} %" for name, value in classes["right"].sort_values(kind="stable").items()]
    worst, best = ", ".join(ranked[:3]), ", ".join(ranked[:-4:-1])
    return figure, pen.say(
        f"Share of documents classified correctly in each of {len(classes)} classes. Lowest: {worst}; highest: {best}",
        f"{len(classes)} 个大类各自的分类正确率与测试文档数。最低：{worst}；最高：{best}",
    )


def _two_columns(heights: dict[str, float]) -> list[dict[str, float]]:
    """Return the sections in order, split into two columns so that the longer one is as short as possible."""
    items = list(heights.items())
    cuts = [[dict(items[:place]), dict(items[place:])] for place in range(1, len(items) + 1)]
    return min(cuts, key=lambda columns: max(sum(column.values()) for column in columns))


def _section_panel(
    figure: Figure, pen: Pen, corner: tuple[int, float], section: str, classes: pd.DataFrame, most: int
) -> None:
    """Draw one section's classes; ``corner`` is column and bottom in inches, ``most`` the size of the largest class."""
    width, height = figure.get_size_inches()
    left = corner[0] * width / 2 + _LABEL
    inner = width / 2 - _LABEL - _COUNT
    axes = figure.add_axes((left / width, corner[1] / height, inner / width, len(classes) * _PITCH / height))
    values, documents, places = 100 * classes["right"], classes["documents"], np.arange(len(classes))
    axes.hlines(places, 0, values, color=PALETTE[5], linewidth=1.2)
    axes.scatter(values, places, s=6 + 44 * documents / most, color=PALETTE[0], zorder=3, clip_on=False)
    labels = [style.shorten(pen.code(name), (_LABEL - 0.15) * 72 / _LABEL_SIZE) for name in classes.index]
    axes.set_yticks(places, labels, fontsize=_LABEL_SIZE, ha="left")
    axes.tick_params(length=0)
    axes.tick_params(axis="y", pad=(_LABEL - 0.1) * 72)
    right = 100 * (inner + _COUNT - 0.06) / inner
    for place, n in enumerate(documents):
        axes.text(right, place, f"{n:,}", fontsize=6.5, color=FAINT, ha="right", va="center", clip_on=False)
    axes.set(xlim=(0, 100), ylim=(len(classes) - 0.5, -0.5), xticks=[0, 25, 50, 75, 100])
    axes.xaxis.set_tick_params(labelbottom=False)
    axes.grid(axis="x")
    axes.spines[:].set_visible(False)
    title = f"{pen.code(section)}  ({pen.documents(int(documents.sum()))})"
    figure.text((left - _LABEL + 0.1) / width, (corner[1] + len(classes) * _PITCH + 0.2) / height, title, weight="bold")
    for value in (0, 50, 100):  # above each panel, so that readers far down the page see an axis
        axes.annotate(
            f"{value} %", (value, -0.5), xytext=(0, 2), textcoords="offset points", ha="center", va="bottom",
            fontsize=6.5, color=FAINT, annotation_clip=False,
        )  # fmt: skip
