"""Figures of training and of confidence."""

import math
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from patent_hier.report.figures.style import (
    FAINT,
    INK,
    PALETTE,
    WIDTH,
    Language,
    Pen,
    Rendered,
    blank,
    canvas,
    check_fractions,
    check_given,
    finish,
    pen,
    percent_axis,
)

_PER_ROW = 3  # panels
_TRAIN = {"color": PALETTE[1], "linestyle": "--", "marker": "o", "markersize": 3, "linewidth": 1.4}
_VAL = {"color": PALETTE[0], "linestyle": "-", "marker": "s", "markersize": 3, "linewidth": 1.4}
_ACCURACY = {"color": PALETTE[2], "linestyle": "-", "marker": "^", "markersize": 3.5, "linewidth": 1.4}
_BEST = {"linestyle": "none", "marker": "o", "markersize": 9, "markerfacecolor": "none", "color": INK}

_Epochs = Sequence[Mapping[str, float]]
_Bin = tuple[float, float, int]


def learning_curves(
    histories: Mapping[str, _Epochs],
    *,
    language: Language = "en",
    names: Mapping[str, str] | None = None,
    name: str = "learning_curves",
) -> Rendered:
    """Losses and validation accuracy by epoch, one pair of panels for each node; the best epoch has a ring.

    Args:
        histories: By node the records of ``training.callbacks.History``: ``epoch`` and any of ``train/loss``,
            ``val/loss``, ``val/accuracy`` (a fraction); what an epoch lacks is left out.
        language: Of the words.
        names: Name of a section by its letter.
        name: Of the figure's files.

    Raises:
        DataError: If there is nothing to draw, or an accuracy is no fraction.
    """
    check_given(histories, "learning curves")
    for node, epochs in histories.items():
        check_given(epochs, f"epochs of node {node}")
        check_fractions({f"val/accuracy of {node}": e["val/accuracy"] for e in epochs if _there(e, "val/accuracy")})
    writer = pen(language, names or {})
    columns = min(_PER_ROW, len(histories))
    rows = -(-len(histories) // columns)
    with canvas(writer):
        figure = blank(WIDTH if columns > 1 else 0.6 * WIDTH, 0.5 + 3.1 * rows)
        grid = figure.subplots(2 * rows, columns, squeeze=False)
        for axes in grid.flat:
            axes.set_axis_off()
        for place, (node, epochs) in enumerate(histories.items()):
            above, below = (grid[2 * (place // columns) + half][place % columns] for half in (0, 1))
            _curves(above, below, writer, epochs)
            above.set_title(writer.node(node))
        styles = {"train/loss": _TRAIN, "val/loss": _VAL, "val/accuracy": _ACCURACY, "best": _BEST}
        handles = [Line2D([], [], label=writer.word(key), **look) for key, look in styles.items()]  # type: ignore[arg-type]  # looks of lines
        figure.legend(handles=handles, loc="outside upper left", ncols=4)
        return finish(figure, name, _curves_alt(histories, writer))


def _there(epoch: Mapping[str, float], key: str) -> bool:
    return key in epoch and not math.isnan(epoch[key])


def _line(epochs: _Epochs, key: str, scale: float = 1.0) -> tuple[list[float], list[float]]:
    points = [(epoch["epoch"], scale * epoch[key]) for epoch in epochs if _there(epoch, key)]
    return [x for x, _ in points], [y for _, y in points]


def _best(epochs: _Epochs) -> Mapping[str, float] | None:
    """The first epoch of the highest validation accuracy, which training keeps."""
    scored = [epoch for epoch in epochs if _there(epoch, "val/accuracy")]
    return max(scored, key=lambda epoch: epoch["val/accuracy"], default=None)


def _curves(above: Axes, below: Axes, writer: Pen, epochs: _Epochs) -> None:
    above.plot(*_line(epochs, "train/loss"), **_TRAIN)  # type: ignore[arg-type]  # a look of lines, of many types
    above.plot(*_line(epochs, "val/loss"), **_VAL)  # type: ignore[arg-type]  # likewise
    losses = [epoch[key] for epoch in epochs for key in ("train/loss", "val/loss") if _there(epoch, key)]
    above.set_ylim(0, 1.08 * max(losses, default=1.0) or 1.0)
    above.set_ylabel(writer.word("loss"))
    above.grid(axis="y")
    below.plot(*_line(epochs, "val/accuracy", 100), **_ACCURACY)  # type: ignore[arg-type]  # likewise
    if best := _best(epochs):
        below.plot([best["epoch"]], [100 * best["val/accuracy"]], **_BEST)  # type: ignore[arg-type]  # likewise
    percent_axis(below, 104)
    below.set_ylabel(writer.word("accuracy"))
    below.set_xlabel(writer.word("epoch"))
    first, last = min(epoch["epoch"] for epoch in epochs), max(epoch["epoch"] for epoch in epochs)
    for axes in (above, below):
        axes.set_axis_on()
        axes.set_xlim(first - 0.5, last + 0.5)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True, min_n_ticks=1, steps=[1, 2, 5, 10]))


def _curves_alt(histories: Mapping[str, _Epochs], writer: Pen) -> str:
    parts = []
    for node, epochs in histories.items():
        best = _best(epochs)
        if best is None:
            parts.append(f"{node} –")
        elif writer.language == "zh":
            parts.append(f"{node} 第 {best['epoch']:.0f} 轮 {100 * best['val/accuracy']:.1f} %")
        else:
            parts.append(f"{node} {100 * best['val/accuracy']:.1f} % in epoch {best['epoch']:.0f}")
    start = {
        "en": "Losses and validation accuracy by epoch; best accuracy: ",
        "zh": "各训练轮的损失与验证准确率；最高准确率：",
    }
    return start[writer.language] + writer.close(parts, ", ")


def reliability(
    bins: Mapping[str, Sequence[_Bin]],
    *,
    language: Language = "en",
    name: str = "reliability",
) -> Rendered:
    """Accuracy against confidence, one panel for each model; on the diagonal a model is as often right as it says.

    Args:
        bins: By model its bins: mean confidence, accuracy, documents. Bins without documents are not drawn.
        language: Of the words.
        name: Of the figure's files.

    Raises:
        DataError: If there is nothing to draw, or a number is no fraction.

    Source: expected calibration error: Guo, Pleiss, Sun and Weinberger, "On calibration of modern neural networks",
    ICML 2017, equation (3), here over the given bins.
    """
    check_given(bins, "models")
    for model, given in bins.items():
        check_given([n for _, _, n in given if n], f"documents in the bins of {model}")
        check_fractions({f"a bin of {model}": value for bin_ in given for value in bin_[:2]})
    writer = pen(language, {})
    columns = min(_PER_ROW, len(bins))
    rows = -(-len(bins) // columns)
    with canvas(writer):
        figure = blank(WIDTH * columns / _PER_ROW + (0.8 if columns == 1 else 0), 0.4 + 3.3 * rows)
        grid = figure.subplots(rows, columns, squeeze=False)
        for axes in grid.flat:
            axes.set_axis_off()
        for axes, (model, given) in zip(grid.flat, bins.items(), strict=False):  # the last row may have free places
            _reliability_panel(axes, writer, model, [bin_ for bin_ in given if bin_[2]])
        return finish(figure, name, _reliability_alt(bins, writer))


def _reliability_panel(axes: Axes, writer: Pen, model: str, bins: Sequence[_Bin]) -> None:
    total = sum(n for _, _, n in bins)
    x, y = [100 * bin_[0] for bin_ in bins], [100 * bin_[1] for bin_ in bins]
    axes.set_axis_on()
    axes.plot([0, 100], [0, 100], color=FAINT, linestyle="--", linewidth=1)
    axes.text(97, 3, f"– –  {writer.word('calibrated')}", ha="right", fontsize=7, color=FAINT)
    axes.vlines(x, y, x, color=PALETTE[1], linewidth=1.2)
    axes.plot(x, y, color=PALETTE[0], linewidth=1.2)
    axes.scatter(
        x,
        y,
        s=[10 + 110 * n / max(n for _, _, n in bins) for _, _, n in bins],
        color=PALETTE[0],
        zorder=3,
        clip_on=False,
    )
    axes.set_xlim(-3, 103)
    axes.set_ylim(-3, 103)
    axes.set_aspect("equal")
    axes.set_xticks([0, 20, 40, 60, 80, 100])
    axes.set_yticks([0, 20, 40, 60, 80, 100])
    axes.grid()
    axes.set_xlabel(writer.word("confidence"))
    axes.set_ylabel(writer.word("accuracy"))
    facts = f"{writer.documents(total)};  {writer.word('ece')} {100 * _calibration_error(bins):.1f} %"
    axes.set_title(writer.label(model), pad=18)
    axes.annotate(
        facts, (0, 1), xycoords="axes fraction", xytext=(0, 5), textcoords="offset points", fontsize=7.5, color=FAINT
    )


def _calibration_error(bins: Sequence[_Bin]) -> float:
    return sum(n * abs(accuracy - confidence) for confidence, accuracy, n in bins) / sum(n for _, _, n in bins)


def _reliability_alt(bins: Mapping[str, Sequence[_Bin]], writer: Pen) -> str:
    parts = (f"{model} {100 * _calibration_error(given):.1f} %" for model, given in bins.items())
    start = {"en": "Accuracy by confidence; expected calibration error: ", "zh": "准确率与置信度的关系；期望校准误差："}
    return start[writer.language] + writer.close(parts, ", ")
