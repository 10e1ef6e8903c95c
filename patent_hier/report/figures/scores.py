"""Figures of scores: by number of layers, next to the paper's, by class frequency, and by confidence."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from patent_hier.evaluation.calibration_error import Reliability
from patent_hier.evaluation.result import Score
from patent_hier.report.figures import style
from patent_hier.report.figures.style import FAINT, MARKERS, PALETTE, WIDTH, Pen, drawing
from patent_hier.report.published import COLUMNS, COUNTERPARTS, published_cells


@drawing
def layer_bars(pen: Pen, scores: Mapping[str, Mapping[int, Score]]) -> tuple[Figure, str]:
    """Draw the accuracy by the number N of last layers (the paper's Figure 6), with 95 % intervals.

    The bars start at 0. Below them, the same values appear as points on an enlarged axis, which is marked as such.

    ``scores`` is by node, then by N. Node D comes first, as in the paper, then the others in the given order.
    """
    nodes = sorted(scores, key=lambda node: node != "D")
    figure, places = style.panels(len(nodes), (0.7 * WIDTH, WIDTH, WIDTH), 4.3, ratios=(3, 2))
    for (above, below), node in zip(places, nodes, strict=True):
        _layer_panel(above, below, pen, node, scores[node])
    figure.legend(handles=[style.interval_key(pen)], loc="outside upper left")
    values = {node: [f"N={n} {100 * scores[node][n].value:.1f} %" for n in sorted(scores[node])] for node in nodes}
    alt = pen.say(
        "Accuracy by number of last layers N, with 95 % intervals. ",
        "准确率随所用最后几层的层数 N 的变化，附 95 % 置信区间。",
        [f"{node}: {', '.join(own)}" for node, own in values.items()],
    )
    return figure, alt


def _layer_panel(above: Axes, below: Axes, pen: Pen, node: str, scores: Mapping[int, Score]) -> None:
    layers = sorted(scores)
    places = [float(place) for place in range(len(layers))]
    ordered = [scores[n] for n in layers]
    style.score_bars(above, places, ordered, upright=len(layers) > 6, width=0.62, color=PALETTE[0])
    above.set_title(f"{pen.node(node)}\n{pen.documents(ordered[0].n_documents)}", linespacing=1.35)
    style.whiskers(below, places, ordered)
    below.plot(places, [100 * score.value for score in ordered], "o", color=PALETTE[0], markersize=5.5, zorder=4)
    below.grid(axis="y")
    below.set_title(pen.word("detail"), fontsize=8, fontweight="normal", color=FAINT)
    below.set_xlabel(pen.word("layers"))
    for axes in (above, below):
        axes.set_xticks(places, [str(n) for n in layers])
        axes.set(xlim=(-0.6, len(layers) - 0.4), ylabel=pen.word("accuracy"))
    below.spines["left"].set_linestyle((0, (2, 2)))


@drawing
def comparison_bars(pen: Pen, ours: Mapping[str, Mapping[str, Score]]) -> tuple[Figure, str]:
    """Draw our scores by model and column next to the paper's; any column may be missing."""
    figure = style.blank(WIDTH, 0.7 + 2.35 * len(ours))
    panels = figure.subplots(len(ours), 1, squeeze=False)[:, 0]
    for axes, (model, scores) in zip(panels, ours.items(), strict=True):
        _comparison_panel(axes, pen, scores)
        axes.set_title(pen.label(model))
    bar = Line2D([], [], linestyle="none", marker="s", markersize=8, color=PALETTE[0], label=pen.word("ours"))
    papers = [
        Line2D([], [], label=f"{pen.label(model)} ({pen.word('paper')})", **_paper_marker(rank))
        for rank, model in enumerate(COUNTERPARTS)
    ]
    figure.legend(handles=[bar, *papers], loc="outside upper left", ncols=4)
    names = ", ".join(COUNTERPARTS)
    parts = {
        model: [f"{c} {100 * scores[c].value:.1f}" for c in COLUMNS if c in scores] for model, scores in ours.items()
    }
    alt = pen.say(
        f"Accuracy in percent by column, next to the paper's {names}. ",
        f"各列准确率（%），与论文的 {names} 对照。",
        [f"{model}: {', '.join(own)}" for model, own in parts.items()],
    )
    return figure, alt


def _comparison_panel(axes: Axes, pen: Pen, scores: Mapping[str, Score]) -> None:
    there = [(place - 0.17, scores[column]) for place, column in enumerate(COLUMNS) if column in scores]
    style.score_bars(axes, [x for x, _ in there], [score for _, score in there], width=0.44, color=PALETTE[0])
    for place, column in enumerate(COLUMNS):
        if column not in scores:
            axes.text(place - 0.17, 2, "–", ha="center", color=FAINT)
    for rank, model in enumerate(COUNTERPARTS):
        printed, _ = published_cells(model)
        x = [place + 0.17 + 0.11 * rank for place in range(len(COLUMNS))]
        axes.plot(x, [printed[column] for column in COLUMNS], **_paper_marker(rank))
    labels = {"L2": pen.word("weighted"), "overall": pen.word("overall")}
    axes.set_xticks(range(len(COLUMNS)), [labels.get(column, column) for column in COLUMNS], linespacing=1.4)
    axes.set(xlim=(-0.6, len(COLUMNS) - 0.4), ylabel=pen.word("accuracy"))


def _paper_marker(rank: int) -> dict[str, Any]:
    return {
        "linestyle": "none", "marker": MARKERS[rank], "markersize": 5.5, "markeredgewidth": 1.4,
        "color": PALETTE[1 + rank], "markerfacecolor": "white", "zorder": 4,
    }  # fmt: skip


@drawing
def frequency_bars(pen: Pen, groups: Mapping[str, Mapping[str, Score]]) -> tuple[Figure, str]:
    """Draw scores by frequency of the classes in training, with models side by side.

    ``groups`` is by model, then by group, the most frequent first; all models are scored on the same documents.
    """
    first = next(iter(groups.values()))
    width, upright = 0.84 / len(groups), len(groups) * len(first) > 12
    figure = style.blank(WIDTH, 3.5)
    axes = figure.subplots()
    for rank, (model, scores) in enumerate(groups.items()):
        places = [place + (rank - (len(groups) - 1) / 2) * width for place in range(len(first))]
        style.score_bars(
            axes, places, list(scores.values()), upright=upright, label=pen.label(model), width=0.88 * width,
            color=PALETTE[rank], edgecolor="white", linewidth=0,
        )  # fmt: skip
    labels = [
        f"{pen.word(group) if group in ('head', 'middle', 'tail') else group}\n{pen.documents(score.n_documents)}\n"
        f"{score.n_classes_with_support:,} {pen.word('classes')}"
        for group, score in first.items()
    ]
    axes.set_xticks(range(len(first)), labels, linespacing=1.4)
    axes.set(xlim=(-0.6, len(first) - 0.4), ylabel=pen.word("accuracy"))
    handles = [*axes.get_legend_handles_labels()[0], style.interval_key(pen)]
    figure.legend(handles=handles, loc="outside upper left", ncols=4)
    alt = pen.say(
        "Accuracy by frequency of the classes in training. ",
        "按大类在训练集中的频率分组的准确率。",
        [
            f"{model}: " + ", ".join(f"{group} {100 * score.value:.1f} %" for group, score in scores.items())
            for model, scores in groups.items()
        ],
    )
    return figure, alt


@drawing
def reliability(pen: Pen, systems: Mapping[str, Reliability]) -> tuple[Figure, str]:
    """Draw accuracy against confidence, one panel for each system; on the diagonal, accuracy equals confidence.

    ``systems`` is by name; bins without documents are not drawn.
    """
    figure, places = style.panels(len(systems), (WIDTH / 3 + 0.8, WIDTH * 2 / 3, WIDTH), 3.3, top=0.4)
    for (axes,), (name, own) in zip(places, systems.items(), strict=True):
        _reliability_panel(axes, pen, own)
        axes.set_title(pen.label(name), pad=18)
    alt = pen.say(
        "Accuracy by confidence; expected calibration error: ",
        "准确率与置信度的关系；期望校准误差：",
        [f"{name} {100 * own.ece:.1f} %" for name, own in systems.items()],
        ", ",
    )
    return figure, alt


def _reliability_panel(axes: Axes, pen: Pen, own: Reliability) -> None:
    counts = np.array([n for n in own.count if n])
    x, y = (100 * np.array([mean for mean in means if mean is not None]) for means in (own.confidence, own.accuracy))
    axes.plot([0, 100], [0, 100], color=FAINT, linestyle="--", linewidth=1)
    axes.text(97, 3, f"– –  {pen.word('calibrated')}", ha="right", fontsize=7, color=FAINT)
    axes.vlines(x, y, x, color=PALETTE[1], linewidth=1.2)
    axes.plot(x, y, color=PALETTE[0], linewidth=1.2)
    axes.scatter(x, y, s=10 + 110 * counts / counts.max(), color=PALETTE[0], zorder=3, clip_on=False)
    ticks = range(0, 101, 20)
    axes.set(xlim=(-3, 103), ylim=(-3, 103), aspect="equal", xticks=ticks, yticks=ticks)
    axes.set(xlabel=pen.word("confidence"), ylabel=pen.word("accuracy"))
    axes.grid()
    facts = f"{pen.documents(own.n_documents)};  {pen.word('ece')} {100 * own.ece:.1f} %"
    axes.annotate(
        facts, (0, 1), xycoords="axes fraction", xytext=(0, 5), textcoords="offset points", fontsize=7.5, color=FAINT
    )
