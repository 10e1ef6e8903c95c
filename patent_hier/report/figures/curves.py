"""Figures of curves: training, pre-training, risk by coverage."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from patent_hier.report.figures import style
from patent_hier.report.figures.style import (
    FAINT,
    INK,
    PALETTE,
    WIDTH,
    Pen,
    check_fractions,
    check_given,
    drawing,
    in_english,
)

_LOOKS: dict[str, dict[str, Any]] = {
    "train/loss": {"color": PALETTE[1], "linestyle": "--", "marker": "o", "markersize": 3, "linewidth": 1.4},
    "val/loss": {"color": PALETTE[0], "linestyle": "-", "marker": "s", "markersize": 3, "linewidth": 1.4},
    "val/accuracy": {"color": PALETTE[2], "linestyle": "-", "marker": "^", "markersize": 3.5, "linewidth": 1.4},
    "best": {"linestyle": "none", "marker": "o", "markersize": 9, "markerfacecolor": "none", "color": INK},
}

_Records = Sequence[Mapping[str, float]]


@drawing
def learning_curves(pen: Pen, histories: Mapping[str, _Records]) -> tuple[Figure, str]:
    """Losses and validation accuracy by epoch, one pair of panels for each node; the best epoch has a ring.

    Args:
        pen: What to write with.
        histories: By node the records of ``training.callbacks.History``: ``epoch`` and any of ``train/loss``,
            ``val/loss``, ``val/accuracy`` (a fraction); what an epoch lacks is left out.

    Raises:
        DataError: If there is nothing to draw, or an accuracy is no fraction.
    """
    check_given(histories, "learning curves")
    for node, epochs in histories.items():
        check_given(epochs, f"epochs of node {node}")
        accuracies = zip(*_line(epochs, "epoch", "val/accuracy"), strict=True)
        check_fractions({f"val/accuracy of {node}, epoch {number}": value for number, value in accuracies})
    figure, places = style.panels(len(histories), (0.6 * WIDTH, WIDTH, WIDTH), 3.1, top=0.5, ratios=(1, 1))
    bests = []
    for (above, below), (node, epochs) in zip(places, histories.items(), strict=True):
        best = _best(epochs)
        bests.append(_in_words(pen, node, best))
        _curves(above, below, pen, epochs, best)
        above.set_title(pen.node(node))
    handles = [Line2D([], [], label=pen.word(key), **look) for key, look in _LOOKS.items()]
    figure.legend(handles=handles, loc="outside upper left", ncols=4)
    alt = pen.say(
        "Losses and validation accuracy by epoch; best accuracy: ",
        "各训练轮的损失与验证准确率；最高准确率：",
        bests,
        ", ",
    )
    return figure, alt


def _line(records: _Records, x: str, y: str, x_scale: float = 1.0, y_scale: float = 1.0) -> tuple[list[float], ...]:
    """The points that are there, as two lists."""
    points = [row for row in records if not math.isnan(row.get(y, math.nan))]
    return [x_scale * row[x] for row in points], [y_scale * row[y] for row in points]


def _best(epochs: _Records) -> tuple[float, float] | None:
    """The first epoch of the highest validation accuracy, which training keeps, and that accuracy in percent."""
    points = zip(*_line(epochs, "epoch", "val/accuracy", y_scale=100), strict=True)
    return max(points, key=lambda point: point[1], default=None)


def _in_words(pen: Pen, node: str, best: tuple[float, float] | None) -> str:
    if best is None:
        return f"{node} –"
    return (
        f"{node} 第 {best[0]:.0f} 轮 {best[1]:.1f} %"
        if pen.language == "zh"
        else f"{node} {best[1]:.1f} % in epoch {best[0]:.0f}"
    )


def _curves(above: Axes, below: Axes, pen: Pen, epochs: _Records, best: tuple[float, float] | None) -> None:
    losses = [1e-9]
    for key in ("train/loss", "val/loss"):
        x, y = _line(epochs, "epoch", key)
        above.plot(x, y, **_LOOKS[key])
        losses += y
    above.set(ylim=(0, 1.08 * max(losses) if max(losses) > 1e-9 else 1.0), ylabel=pen.word("loss"))
    above.grid(axis="y")
    below.plot(*_line(epochs, "epoch", "val/accuracy", y_scale=100), **_LOOKS["val/accuracy"])
    if best:
        below.plot([best[0]], [best[1]], **_LOOKS["best"])
    style.percent_axis(below, 104)
    below.set(ylabel=pen.word("accuracy"), xlabel=pen.word("epoch"))
    first, last = min(epoch["epoch"] for epoch in epochs), max(epoch["epoch"] for epoch in epochs)
    for axes in (above, below):
        axes.set_xlim(first - 0.5, last + 0.5)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True, min_n_ticks=1, steps=[1, 2, 5, 10]))


@in_english
@drawing
def loss_curve(_: Pen, rounds: _Records) -> tuple[Figure, str]:
    """Loss on training and held-out text by tokens read, for the card of a pre-trained encoder.

    Args:
        rounds: Records with ``tokens``, ``dev/loss`` and, but for the first, ``train/loss`` (nats per hidden token).

    Raises:
        DataError: If there is nothing to draw.
    """
    check_given(rounds, "rounds of pre-training")
    figure = style.blank(5.2, 3.0)
    axes = figure.subplots()
    looks = {
        "train/loss": {"color": PALETTE[1], "linestyle": "--", "linewidth": 1.4, "label": "training text"},
        "dev/loss": {"color": PALETTE[0], "linewidth": 1.6, "label": "held-out text"},
    }
    for key, look in looks.items():
        axes.plot(*_line(rounds, "tokens", key, x_scale=1e-6), **look)  # type: ignore[arg-type]  # a look, of many types
    axes.set(xlabel="tokens read (millions)", ylabel="loss (nats per hidden token)")
    axes.set_xlim(left=0)
    axes.grid(axis="y")
    axes.legend()
    first, last = rounds[0]["dev/loss"], rounds[-1]["dev/loss"]
    return figure, f"Loss on held-out text: {first:.2f} nats at first, {last:.2f} at last"


@in_english
@drawing
def risk_coverage(
    _: Pen, curves: Mapping[str, Sequence[Sequence[float]]], targets: Sequence[float] = ()
) -> tuple[Figure, str]:
    """Error rate by the share of documents that are answered, the most confident first.

    Args:
        curves: By level its pairs of coverage and risk, ascending, both 0 to 1.
        targets: Accuracies, 0 to 1, drawn as lines of the risk that each allows.

    Raises:
        DataError: If there is nothing to draw.
    """
    check_given(curves, "curves")
    figure = style.blank(WIDTH, 3.2)
    axes = figure.subplots()
    parts = []
    for number, (level, curve) in enumerate(curves.items()):
        check_given(curve, f"points of {level}")
        coverage, risk = ([100 * point[column] for point in curve] for column in (0, 1))
        axes.plot(coverage, risk, color=PALETTE[number], linewidth=1.6, label=level)
        half = min(curve, key=lambda point: abs(point[0] - 0.5))
        parts.append(f"{level}: {100 * half[1]:.1f} % of the surer half, {100 * curve[-1][1]:.1f} % of all")
    for target in targets:
        axes.axhline(100 * (1 - target), color=FAINT, linewidth=0.8)
        axes.annotate(f"{100 * target:.0f} % right", (100, 100 * (1 - target)), ha="right", va="bottom", fontsize=7)
    axes.set(xlim=(0, 100), ylim=(0, None), xlabel="documents answered (%)", ylabel="wrong among them (%)")
    axes.grid(axis="y")
    axes.legend(loc="upper left")
    return figure, f"Wrong answers by the share of documents that are answered. {'; '.join(parts)}."
