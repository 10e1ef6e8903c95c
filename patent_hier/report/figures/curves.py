"""Figures with curves: training, pre-training, and risk by coverage."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from patent_hier.report.figures import style
from patent_hier.report.figures.style import FAINT, INK, PALETTE, WIDTH, Pen, drawing, in_english

_LOOKS: dict[str, dict[str, Any]] = {
    "train/loss": {"color": PALETTE[1], "linestyle": "--", "marker": "o", "markersize": 3, "linewidth": 1.4},
    "val/loss": {"color": PALETTE[0], "linestyle": "-", "marker": "s", "markersize": 3, "linewidth": 1.4},
    "val/accuracy": {"color": PALETTE[2], "linestyle": "-", "marker": "^", "markersize": 3.5, "linewidth": 1.4},
    "best": {"linestyle": "none", "marker": "o", "markersize": 9, "markerfacecolor": "none", "color": INK},
}

_Records = Sequence[Mapping[str, float]]


@drawing
def learning_curves(pen: Pen, histories: Mapping[str, _Records]) -> tuple[Figure, str]:
    """Draw losses and validation accuracy by epoch, a pair of panels for each node; a ring marks the best epoch.

    ``histories`` maps each node to the records of ``training.callbacks.History``: ``epoch`` and any of ``train/loss``,
    ``val/loss``, ``val/accuracy`` (a fraction); values that an epoch lacks are omitted.
    """
    figure, places = style.panels(len(histories), (0.6 * WIDTH, WIDTH, WIDTH), 3.1, top=0.5, ratios=(1, 1))
    bests = []
    for (above, below), (node, records) in zip(places, histories.items(), strict=True):
        epochs = _frame(records, "epoch", "train/loss", "val/loss", "val/accuracy")
        accuracy = 100 * epochs["val/accuracy"].dropna()
        best = accuracy.nlargest(1)  # the first of equal values, as training keeps its weights
        bests.append(f"{node} {''.join(_in_words(pen, *item) for item in best.items()) or '–'}")
        _losses(above, pen, epochs)
        below.plot(accuracy, **_LOOKS["val/accuracy"])
        below.plot(best, **_LOOKS["best"])
        style.percent_axis(below, 104)
        below.set(ylabel=pen.word("accuracy"), xlabel=pen.word("epoch"))
        for axes in (above, below):
            axes.set_xlim(epochs.index.min() - 0.5, epochs.index.max() + 0.5)
            axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True, min_n_ticks=1, steps=[1, 2, 5, 10]))
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


def _frame(records: _Records, x: str, *columns: str) -> pd.DataFrame:
    """Return the given columns by ``x``, with NaN where a record lacks one."""
    return pd.DataFrame(records).set_index(x).reindex(columns=columns)


def _in_words(pen: Pen, epoch: Any, accuracy: float) -> str:
    zh = pen.language == "zh"
    return f"第 {epoch:.0f} 轮 {accuracy:.1f} %" if zh else f"{accuracy:.1f} % in epoch {epoch:.0f}"


def _losses(axes: Axes, pen: Pen, epochs: pd.DataFrame) -> None:
    for key in ("train/loss", "val/loss"):
        axes.plot(epochs[key].dropna(), **_LOOKS[key])
    most = np.nanmax(epochs[["train/loss", "val/loss"]].to_numpy(float), initial=0)
    axes.set(ylim=(0, 1.08 * most if most > 1e-9 else 1.0), ylabel=pen.word("loss"))
    axes.grid(axis="y")


@in_english
@drawing
def loss_curve(_: Pen, rounds: _Records) -> tuple[Figure, str]:
    """Draw the loss on training and held-out text by tokens read, for the card of a pre-trained encoder.

    ``rounds`` have ``tokens``, ``dev/loss`` and, except the first, ``train/loss`` (nats per hidden token).
    """
    figure = style.blank(5.2, 3.0)
    axes = figure.subplots()
    losses = _frame(rounds, "tokens", "train/loss", "dev/loss")
    losses.index = losses.index * 1e-6
    axes.plot(losses["train/loss"].dropna(), color=PALETTE[1], linestyle="--", linewidth=1.4, label="training text")
    axes.plot(losses["dev/loss"], color=PALETTE[0], linewidth=1.6, label="held-out text")
    axes.set(xlabel="tokens read (millions)", ylabel="loss (nats per hidden token)")
    axes.set_xlim(left=0)
    axes.grid(axis="y")
    axes.legend()
    first, last = rounds[0]["dev/loss"], rounds[-1]["dev/loss"]
    return figure, f"Loss on held-out text: {first:.2f} nats at the start, {last:.2f} at the end"


@in_english
@drawing
def risk_coverage(
    _: Pen, curves: Mapping[str, Sequence[Sequence[float]]], targets: Sequence[float] = ()
) -> tuple[Figure, str]:
    """Draw the error rate by the share of documents answered, the most confident first.

    Args:
        curves: By level, ascending pairs of coverage and risk, both from 0 to 1.
        targets: Accuracies from 0 to 1, each drawn as a line at the risk that it allows.
    """
    figure = style.blank(WIDTH, 3.2)
    axes = figure.subplots()
    parts = []
    for number, (level, curve) in enumerate(curves.items()):
        coverage, risk = ([100 * point[column] for point in curve] for column in (0, 1))
        axes.plot(coverage, risk, color=PALETTE[number], linewidth=1.6, label=level)
        half = min(curve, key=lambda point: abs(point[0] - 0.5))
        parts.append(f"{level}: {100 * half[1]:.1f} % of the more confident half, {100 * curve[-1][1]:.1f} % of all")
    for target in targets:
        axes.axhline(100 * (1 - target), color=FAINT, linewidth=0.8)
        axes.annotate(f"{100 * target:.0f} % right", (100, 100 * (1 - target)), ha="right", va="bottom", fontsize=7)
    axes.set(xlim=(0, 100), ylim=(0, None), xlabel="documents answered (%)", ylabel="wrong answers (%)")
    axes.grid(axis="y")
    axes.legend(loc="upper left")
    return figure, f"Wrong answers by the share of documents answered. {'; '.join(parts)}."
