"""Figure of a search for settings."""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

from patent_hier.report.figures import style
from patent_hier.report.figures.style import FAINT, PALETTE, WIDTH, Pen, drawing, in_english

_MOST = 5  # settings with a panel of their own


@in_english
@drawing
def search_history(
    _: Pen,
    trials: Sequence[tuple[int, float, Mapping[str, str]]],
    stopped: Sequence[tuple[int, float]],
    settings: Mapping[str, Sequence[str]],
) -> tuple[Figure, str]:
    """Draw the score of each trial, the best score so far, and the scores by each of the first five settings.

    Args:
        trials: Number, score (0 to 1) and settings of each completed trial, by number.
        stopped: Number and last score of each trial that was stopped early.
        settings: Values to choose from, by setting; empty for a range of numbers. Ranges that span more than a factor
            of ten get a logarithmic axis.
    """
    names = list(settings)[:_MOST]
    figure, places = style.panels(1 + len(names), (0.6 * WIDTH, WIDTH, WIDTH), 2.6, top=0.3)
    scores = [100 * score for _, score, _ in trials]
    first = places[0][0]
    numbers = [number for number, _, _ in trials]
    first.plot(numbers, scores, linestyle="none", marker="o", markersize=4, color=PALETTE[0], label="completed")
    if stopped:
        early = ([number for number, _ in stopped], [100 * score for _, score in stopped])
        first.plot(*early, linestyle="none", marker="x", markersize=4, color=FAINT, label="stopped early")
    best = [max(scores[: place + 1]) for place in range(len(scores))]
    first.step(numbers, best, where="post", color=PALETTE[1], linewidth=1.4, label="best so far")
    first.xaxis.set_major_locator(MaxNLocator(integer=True))
    first.set(xlabel="trial", ylabel="score on val (%)")
    figure.legend(*first.get_legend_handles_labels(), loc="outside upper left", ncols=3)
    for (axes,), name in zip(places[1:], names, strict=True):
        _slice(axes, name, settings[name], [chosen[name] for _, _, chosen in trials], scores)
    return figure, f"Scores of {len(trials)} completed trials on val, from {min(scores):.1f} % to {max(scores):.1f} %."


def _slice(axes: Axes, name: str, kinds: Sequence[str], values: Sequence[str], scores: Sequence[float]) -> None:
    """Draw the scores by one setting."""
    places = [float(kinds.index(value) if kinds else value) for value in values]
    axes.plot(places, scores, linestyle="none", marker="o", markersize=4, color=PALETTE[2])
    if kinds:
        axes.set_xticks(range(len(kinds)), [style.shorten(kind, 12) for kind in kinds])
    elif min(places) > 0 and max(places) / min(places) > 10:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda place, _: f"{place:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set(xlabel=name, ylabel="score on val (%)")
