"""Figures of scores: by number of layers, next to the paper's, by frequency of the classes."""

from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from patent_hier.errors import DataError
from patent_hier.evaluation.result import Score
from patent_hier.ipc import SECTIONS
from patent_hier.report.figures.style import (
    FAINT,
    INK,
    MARKERS,
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
    interval_key,
    pen,
    percent_axis,
    whiskers,
)

COLUMNS = ("L1", *SECTIONS, "L2", "overall")  # keys of comparison_bars; L2 is weighted by documents

_ROOM, _ROOM_UPRIGHT = 114.0, 124.0  # %: the top of an axis whose bars bear labels, lying or upright
_PER_ROW = 3  # panels


def layer_bars(
    scores: Mapping[str, Mapping[int, Score]],
    *,
    language: Language = "en",
    names: Mapping[str, str] | None = None,
    name: str = "layer_bars",
) -> Rendered:
    """Accuracy against the number N of last layers: the paper's Figure 6, with 95 % intervals.

    The bars start at 0. Below them the same numbers stand as points on an enlarged axis, which is marked as such.

    Args:
        scores: By node, then by N. Node D comes first, as in the paper, then the others in their order.
        language: Of the words; English where no font has Chinese letters.
        names: Name of a section by its letter.
        name: Of the figure's files.

    Raises:
        DataError: If there is nothing to draw.
    """
    check_given(scores, "scores by layer")
    nodes = sorted(scores, key=lambda node: node != "D")
    for node in nodes:
        check_given(scores[node], f"scores of node {node}")
    writer = pen(language, names or {})
    columns = min(_PER_ROW, len(nodes))
    rows = -(-len(nodes) // columns)
    with canvas(writer):
        figure = blank(WIDTH if columns > 1 else 0.7 * WIDTH, 4.3 * rows)
        grid = figure.subplots(2 * rows, columns, squeeze=False, height_ratios=[3, 2] * rows)
        for place in range(rows * columns):
            above, below = (grid[2 * (place // columns) + half][place % columns] for half in (0, 1))
            if place < len(nodes):
                _layer_panel(above, below, writer, nodes[place], scores[nodes[place]])
            else:
                above.set_axis_off()
                below.set_axis_off()
        figure.legend(handles=[interval_key(writer)], loc="outside upper left")
        return finish(figure, name, _layer_alt(nodes, scores, writer))


def _layer_panel(above: Axes, below: Axes, writer: Pen, node: str, scores: Mapping[int, Score]) -> None:
    layers = sorted(scores)
    places = [float(place) for place in range(len(layers))]
    ordered = [scores[n] for n in layers]
    above.bar(places, [100 * score.value for score in ordered], width=0.62, color=PALETTE[0])
    whiskers(above, places, ordered)
    for place, score in zip(places, ordered, strict=True):
        _value(above, place, score, 90 if len(layers) > 6 else 0)
    percent_axis(above, _ROOM_UPRIGHT if len(layers) > 6 else _ROOM)
    counts = sorted({score.n_documents for score in ordered})
    documents = writer.documents(counts[-1]) if len(counts) == 1 else f"{counts[0]:,}–{writer.documents(counts[-1])}"
    above.set_title(f"{writer.node(node)}\n{documents}", linespacing=1.35)
    whiskers(below, places, ordered)
    below.plot(places, [100 * score.value for score in ordered], "o", color=PALETTE[0], markersize=5.5, zorder=4)
    below.grid(axis="y")
    below.set_title(writer.word("detail"), fontsize=8, fontweight="normal", color=FAINT)
    below.set_xlabel(writer.word("layers"))
    for axes in (above, below):
        axes.set_xticks(places, [str(n) for n in layers])
        axes.set_xlim(-0.6, len(layers) - 0.4)
        axes.set_ylabel(writer.word("accuracy"))
    below.spines["left"].set_linestyle((0, (2, 2)))


def _layer_alt(nodes: list[str], scores: Mapping[str, Mapping[int, Score]], writer: Pen) -> str:
    parts = []
    for node in nodes:
        values = ", ".join(f"N={n} {100 * scores[node][n].value:.1f} %" for n in sorted(scores[node]))
        parts.append(f"{node}: {values}")
    start = {
        "en": "Accuracy by number of last layers N, with 95 % intervals. ",
        "zh": "准确率随最后层数 N 的变化，附 95 % 区间。",
    }
    return start[writer.language] + writer.close(parts)


def comparison_bars(
    ours: Mapping[str, Mapping[str, Score]],
    published: Mapping[str, Mapping[str, float]],
    *,
    language: Language = "en",
    name: str = "comparison_bars",
) -> Rendered:
    """Our scores next to the paper's, one panel for each of our models.

    Args:
        ours: By model, then by column; the columns are those of ``COLUMNS``, and any may be missing.
        published: The paper's, by model, then by column: fractions. All of them stand in every panel.
        language: Of the words.
        name: Of the figure's files.

    Raises:
        DataError: If there is nothing to draw, a column is unknown or a published number is no fraction.
    """
    check_given(ours, "models")
    for model, columns in [*ours.items(), *published.items()]:
        if unknown := set(columns) - set(COLUMNS):
            raise DataError(f"{model} has the column {min(unknown)!r}; the columns are {', '.join(COLUMNS)}")
    for model, values in published.items():
        check_fractions({f"{model} (paper), {column}": value for column, value in values.items()})
    writer = pen(language, {})
    with canvas(writer):
        figure = blank(WIDTH, 0.7 + 2.35 * len(ours))
        panels = figure.subplots(len(ours), 1, squeeze=False)[:, 0]
        for axes, (model, scores) in zip(panels, ours.items(), strict=True):
            _comparison_panel(axes, writer, scores, published)
            axes.set_title(writer.label(model))
        figure.legend(handles=_comparison_legend(writer, published), loc="outside upper left", ncols=4)
        return finish(figure, name, _comparison_alt(ours, published, writer))


def _comparison_panel(
    axes: Axes, writer: Pen, scores: Mapping[str, Score], published: Mapping[str, Mapping[str, float]]
) -> None:
    there = [(float(place), scores[column]) for place, column in enumerate(COLUMNS) if column in scores]
    places = [place - 0.17 for place, _ in there]
    axes.bar(places, [100 * score.value for _, score in there], width=0.44, color=PALETTE[0])
    whiskers(axes, places, [score for _, score in there])
    for place, (_, score) in zip(places, there, strict=True):
        _value(axes, place, score)
    for place, column in enumerate(COLUMNS):
        if column not in scores:
            axes.text(place - 0.17, 2, "–", ha="center", color=FAINT)
    for rank, values in enumerate(published.values()):
        x = [place + 0.17 + 0.11 * rank for place, column in enumerate(COLUMNS) if column in values]
        axes.plot(x, [100 * values[column] for column in COLUMNS if column in values], **_paper_marker(rank))
    labels = {"L2": writer.word("weighted"), "overall": writer.word("overall")}
    axes.set_xticks(range(len(COLUMNS)), [labels.get(column, column) for column in COLUMNS], linespacing=1.4)
    axes.set_xlim(-0.6, len(COLUMNS) - 0.4)
    axes.set_ylabel(writer.word("accuracy"))
    percent_axis(axes, _ROOM)


def _paper_marker(rank: int) -> dict[str, Any]:
    colour = PALETTE[1:][rank % (len(PALETTE) - 1)]
    marker = MARKERS[rank % len(MARKERS)]
    return {
        "linestyle": "none", "marker": marker, "markersize": 5.5, "color": colour, "markerfacecolor": "white",
        "markeredgewidth": 1.4, "zorder": 4,
    }  # fmt: skip


def _comparison_legend(writer: Pen, published: Mapping[str, object]) -> list[Line2D]:
    bar = Line2D([], [], linestyle="none", marker="s", markersize=8, color=PALETTE[0], label=writer.word("ours"))
    paper = writer.word("paper")
    return [
        bar,
        *(
            Line2D([], [], label=f"{writer.label(model)} ({paper})", **_paper_marker(rank))
            for rank, model in enumerate(published)
        ),
    ]


def _comparison_alt(
    ours: Mapping[str, Mapping[str, Score]], published: Mapping[str, Mapping[str, float]], writer: Pen
) -> str:
    parts = [
        f"{model}: " + ", ".join(f"{column} {100 * scores[column].value:.1f}" for column in COLUMNS if column in scores)
        for model, scores in ours.items()
    ]
    paper = ", ".join(published)
    start = {
        "en": f"Accuracy in percent by column, next to the paper's {paper}. ",
        "zh": f"各列准确率（%），与论文的 {paper} 对照。",
    }
    return start[writer.language] + writer.close(parts)


def frequency_bars(
    groups: Mapping[str, Mapping[str, Score]],
    *,
    language: Language = "en",
    name: str = "frequency_bars",
) -> Rendered:
    """Scores by how frequent the classes are in training, models side by side.

    Args:
        groups: By model, then by group, the most frequent first; the usual groups are head, middle and tail.
        language: Of the words.
        name: Of the figure's files.

    Raises:
        DataError: If there is nothing to draw.
    """
    check_given(groups, "models")
    order = list(dict.fromkeys(group for scores in groups.values() for group in scores))
    check_given(order, "groups of classes")
    writer = pen(language, {})
    width, upright = 0.84 / len(groups), len(groups) * len(order) > 12
    with canvas(writer):
        figure = blank(WIDTH, 3.5)
        axes = figure.subplots()
        for rank, (model, scores) in enumerate(groups.items()):
            there = [group for group in order if group in scores]
            places = [order.index(group) + (rank - (len(groups) - 1) / 2) * width for group in there]
            heights = [100 * scores[group].value for group in there]
            colour = PALETTE[rank % len(PALETTE)]
            hatch = ("", "///", "...")[rank // len(PALETTE) % 3]
            axes.bar(
                places, heights, width=0.88 * width, color=colour, hatch=hatch, edgecolor="white", linewidth=0,
                label=writer.label(model),
            )  # fmt: skip
            whiskers(axes, places, [scores[group] for group in there])
            for place, group in zip(places, there, strict=True):
                _value(axes, place, scores[group], 90 if upright else 0)
        axes.set_xticks(range(len(order)), [_group(writer, group, groups) for group in order], linespacing=1.4)
        axes.set_xlim(-0.6, len(order) - 0.4)
        axes.set_ylabel(writer.word("accuracy"))
        percent_axis(axes, _ROOM_UPRIGHT if upright else _ROOM)
        handles = [*axes.get_legend_handles_labels()[0], interval_key(writer)]
        figure.legend(handles=handles, loc="outside upper left", ncols=4)
        return finish(figure, name, _frequency_alt(groups, writer))


def _group(writer: Pen, group: str, groups: Mapping[str, Mapping[str, Score]]) -> str:
    """A group's label: its name and what it rests on, as a range where the models differ."""
    scores = [by_group[group] for by_group in groups.values() if group in by_group]
    ranges = []
    for counts in ({score.n_documents for score in scores}, {score.n_classes_with_support for score in scores}):
        low, high = min(counts), max(counts)
        ranges.append(f"{low:,}" if low == high else f"{low:,}–{high:,}")
    title = writer.word(group) if group in ("head", "middle", "tail") else writer.label(group)
    return f"{title}\n{ranges[0]} {writer.word('documents')}\n{ranges[1]} {writer.word('classes')}"


def _frequency_alt(groups: Mapping[str, Mapping[str, Score]], writer: Pen) -> str:
    parts = [
        f"{model}: " + ", ".join(f"{group} {100 * score.value:.1f} %" for group, score in scores.items())
        for model, scores in groups.items()
    ]
    start = {"en": "Accuracy by frequency of the classes in training. ", "zh": "按大类在训练集中的频次分组的准确率。"}
    return start[writer.language] + writer.close(parts)


def _value(axes: Axes, place: float, score: Score, rotation: int = 0) -> None:
    """A score's number above its bar and whisker."""
    top = 100 * max(score.value, score.interval[1])
    axes.annotate(
        f"{100 * score.value:.1f}", (place, top), xytext=(0, 3), textcoords="offset points", ha="center", va="bottom",
        fontsize=7.5, rotation=rotation, color=INK,
    )  # fmt: skip
