"""Attention between two texts as a static figure for the report: the paper's Figure 5."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from patent_hier.models.attention import AttentionMaps, AttentionShares, attention_shares, crossing_head
from patent_hier.report.figures.fonts import can_draw, label_fonts

RANDOM_NOTE = "Random weights: the lines do not show anything that an encoder has learned."
_WITHIN, _ACROSS, _SPECIAL = (
    "#0072B2",
    "#D55E00",
    "#8A8A8A",
)  # colours of Okabe and Ito, which most readers can tell apart
_FAINTEST = 0.1  # share of the strongest link between words; weaker links are omitted
_EMPHASIS = 2  # times the weight of uniform attention; weaker links are omitted, or the lines would fill the panel
_PANEL, _ROW = 2.9, 0.17  # inches: width of a panel, height of a token
_HEAD, _FOOT = 0.8, 0.9  # inches above the first row of panels and below the last
_BETWEEN = 0.8  # inches between rows of panels
_DPI = 150
_FULL = 0.2  # smallest weight drawn as a full line, so that weak links look weak
_STYLE = {"svg.fonttype": "path", "svg.hashsalt": "patent_hier", "axes.unicode_minus": False}


def save_attention_figure(maps: AttentionMaps, layers: Sequence[int], folder: Path, *, random_weights: bool) -> None:
    """Draw the chosen layers as ``attention.svg`` and ``attention.png``.

    Each layer has two panels: the mean of its heads, and the head whose words attend most to the words of the other
    text. Lines join the attending tokens (left) to the attended tokens (right).

    Args:
        maps: The attention weights.
        layers: Layers to draw, counted from 1; at least one.
        folder: Folder for the files.
        random_weights: Whether the caption states that the encoder's weights are random.

    Source: arXiv:1911.06241, Figure 5. BertViz colours links by head. Here the colour shows whether a link stays
    inside its text, because a mean has no head and the paper discusses the links between the two sentences.
    """
    style: Any = {**_STYLE, "font.family": label_fonts()}  # Any, because the stubs require literal keys
    with mpl.rc_context(style):
        figure = _draw(maps, layers, random_weights)
        figure.savefig(folder / "attention.svg", metadata={"Date": None, "Title": "Attention between two texts"})
        figure.savefig(folder / "attention.png", dpi=_DPI)


def token_labels(tokens: Sequence[str], families: Sequence[str]) -> list[str]:
    """Return a label for each token: the token, or its position from 1 if no font has its characters."""
    return [token if can_draw(token, families) else f"({position})" for position, token in enumerate(tokens, start=1)]


def _draw(maps: AttentionMaps, layers: Sequence[int], random_weights: bool) -> Figure:
    n_columns = 2 * min(len(layers), 2)
    n_rows = -(-len(layers) // 2)
    body = _ROW * len(maps.tokens)
    height = _HEAD + n_rows * body + (n_rows - 1) * _BETWEEN + _FOOT
    width = _PANEL * max(n_columns, 2)
    figure = Figure(figsize=(width, height))
    labels = token_labels(maps.tokens, label_fonts())
    shares = attention_shares(maps)
    for number, layer in enumerate(layers):
        row, column = divmod(number, 2)
        bottom = height - _HEAD - row * (body + _BETWEEN) - body
        head = crossing_head(maps, layer)
        panels = (
            (f"layer {layer}, mean of {maps.num_heads} heads", maps.weights[layer - 1].mean(axis=0)),
            (f"layer {layer}, head {head + 1}", maps.weights[layer - 1, head]),
        )
        for side, (title, weights) in enumerate(panels):
            left = (2 * column + side) * _PANEL
            box = ((left + 0.62) / width, bottom / height, (_PANEL - 1.24) / width, body / height)
            axes = figure.add_axes(box)
            _panel(axes, maps, weights, labels)
            axes.set_title(
                f"{title}\n{_percents(shares[layer - 1]) if side == 0 else 'most to the other text'}", size=8
            )
    _explain(figure, maps, labels, random_weights)
    return figure


def _panel(axes: Axes, maps: AttentionMaps, weights: NDArray[np.float32], labels: Sequence[str]) -> None:
    """Draw one bipartite view of weights ``(n, n)``."""
    n = len(labels)
    sources, targets, opacity = _links(maps, weights)
    special = maps.special[sources] | maps.special[targets]
    across = maps.segments[sources] != maps.segments[targets]
    for chosen, colour in ((special, _SPECIAL), (~special & ~across, _WITHIN), (~special & across, _ACROSS)):
        ends = [((0.0, float(i)), (1.0, float(j))) for i, j in zip(sources[chosen], targets[chosen], strict=True)]
        if ends:  # matplotlib rejects an empty list of opacities
            axes.add_collection(LineCollection(ends, colors=colour, linewidths=1.1, alpha=opacity[chosen]))
    if not len(sources):
        axes.text(0.5, (n - 1) / 2, "no strong\nlinks", ha="center", va="center", size=8, color=_SPECIAL)
    for row, label in enumerate(labels):
        colour = _SPECIAL if maps.special[row] else "black"
        axes.text(-0.04, row, label, ha="right", va="center", size=8, color=colour, parse_math=False)
        axes.text(1.04, row, label, ha="left", va="center", size=8, color=colour, parse_math=False)
    axes.set(xlim=(0, 1), ylim=(n - 0.5, -0.5))
    axes.set_axis_off()


def _links(
    maps: AttentionMaps, weights: NDArray[np.float32]
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]:
    """Return the links to draw: attending tokens, attended tokens and opacities, the weakest first (at the bottom)."""
    words = ~maps.special
    strongest = float(weights[np.ix_(words, words)].max())
    opacity = np.minimum(weights / max(strongest, _FULL), 1)
    order = np.argsort(opacity, axis=None, kind="stable")
    order = order[(opacity.ravel()[order] >= _FAINTEST) & (weights.ravel()[order] >= _EMPHASIS / len(weights))]
    sources, targets = np.unravel_index(order, opacity.shape)
    return sources, targets, opacity[sources, targets].astype(np.float32)


def _percents(shares: AttentionShares) -> str:
    named = {"next": shares.next_token, "other text": shares.crossing, "special": shares.special}
    return ", ".join(f"{name} {100 * share:.0f} %" for name, share in named.items())


def _explain(figure: Figure, maps: AttentionMaps, labels: Sequence[str], random_weights: bool) -> None:
    """Add the legend above the panels and the notes below them."""
    height = figure.get_figheight()
    kinds = ((_WITHIN, "same text"), (_ACROSS, "other text"), (_SPECIAL, "[CLS], [SEP]"))
    handles = [Line2D([], [], color=colour, linewidth=2, label=name) for colour, name in kinds]
    figure.legend(handles=handles, loc="upper center", ncols=3, fontsize=8, frameon=False, bbox_to_anchor=(0.5, 1.0))
    notes = [
        "Left attends to right. Opacity: weight relative to the panel's strongest link between words, or to "
        f"{100 * _FULL:.0f} % if that is higher.",
        f"No line: below a tenth of that, or below twice the weight of uniform attention, {_EMPHASIS}/{len(labels)}.",
        "Percentages: share of a word's attention. Attention illustrates; it does not explain a decision.",
    ]
    if any(label != token for label, token in zip(labels, maps.tokens, strict=True)):
        notes.append("(n): the n-th token; no font is installed for its characters.")
    if random_weights:
        notes.append(RANDOM_NOTE)
    figure.text(0.5, 0.08 / height, "\n".join(notes), ha="center", va="bottom", size=7.5, color="#444444")
