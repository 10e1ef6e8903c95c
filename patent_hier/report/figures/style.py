"""Elements shared by all figures: palette, words in both languages, fonts, and conversion to bytes.

Figures use only matplotlib's classes, never pyplot, which would leave global state behind. Identical data give
identical bytes: no date, fixed identifiers, text as outlines.
"""

import functools
import io
import struct
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Concatenate, ParamSpec

from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D

from patent_hier.evaluation.result import Score
from patent_hier.report.figures import fonts
from patent_hier.report.words import Language, word

P = ParamSpec("P")

WIDTH = 9.5  # inches, about the width of the page's text
# Colours of Okabe and Ito, distinguishable with any colour blindness; yellow and sky blue are too pale for thin lines.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#5B4B8A", "#7A5C3E")
MARKERS = ("D", "s", "^", "o", "v", "P", "X", "*")
INK, FAINT = "#22262b", "#5c6670"  # as in report.mplstyle

_DPI = 200  # resolution of the PNG
_STYLE = Path(__file__).with_name("report.mplstyle")


@dataclass(frozen=True)
class Rendered:
    """A finished figure.

    Attributes:
        name: File name without suffix.
        svg: The figure as SVG, with text as outlines.
        png: The figure as PNG, 200 dots per inch.
        alt: Alternative text: a sentence that describes the figure.
    """

    name: str
    svg: bytes
    png: bytes
    alt: str

    @property
    def size(self) -> tuple[int, int]:
        """Width and height on a page in CSS pixels (96 per inch), read from the PNG header."""
        width, height = struct.unpack(">II", self.png[16:24])
        return round(width * 96 / _DPI), round(height * 96 / _DPI)


@dataclass(frozen=True)
class Pen:
    """Source of the words of one figure, in its language and only in characters that an installed font has.

    Attributes:
        language: Language of the alternative text, and of the figure if a font supports it.
        drawn: Language of the drawn words; English if no font has Chinese characters.
        families: Font families; the first one that has a character draws it.
        names: Names of sections and classes by code.
    """

    language: Language
    drawn: Language
    families: tuple[str, ...]
    names: Mapping[str, str]

    def word(self, key: str) -> str:
        """Return one of the figure's words."""
        return word(f"figure_{key}", self.drawn)

    def label(self, text: str) -> str:
        """Return a text on one line, with a question mark for each character that no font has."""
        one_line = " ".join(text.split())
        return "".join(letter if fonts.can_draw(letter, self.families) else "?" for letter in one_line)

    def code(self, code: str) -> str:
        """Return an IPC code with its name, or the code alone if the name is unknown or cannot be drawn."""
        name = " ".join(self.names.get(code, "").split())
        return f"{self.label(code)}  {name}" if name and fonts.can_draw(name, self.families) else self.label(code)

    def node(self, node: str) -> str:
        """Return a node's title: sections, all classes at once, or a section with its name."""
        return self.word({"root": "sections"}.get(node, node)) if node in ("root", "flat") else self.code(node)

    def say(self, en: str, zh: str, parts: Iterable[str] = (), between: str = "; ") -> str:
        """Return an alternative text in the page's language regardless of fonts: introduction, parts, full stop."""
        text = (zh if self.language == "zh" else en) + between.join(parts)
        return text if text.endswith((".", "。")) else text + ("。" if self.language == "zh" else ".")

    def documents(self, n: int) -> str:
        """Return a number with the word for documents."""
        return f"{n:,} {self.word('documents')}"


def pen(language: Language, names: Mapping[str, str] | None = None) -> Pen:
    """Return a pen that suits the installed fonts; ``names`` are the names of sections and classes by code."""
    families = tuple(fonts.label_fonts())
    drawn = language if len(families) > 1 else "en"
    return Pen(language, drawn, families if drawn == "zh" else families[::-1], names or {})


def drawing(draw: Callable[Concatenate[Pen, P], tuple[Figure, str]]) -> Callable[Concatenate[Pen, P], Rendered]:
    """Turn a function that returns a figure and its alternative text into one that returns a :class:`Rendered`.

    The figure is drawn in the report's style, regardless of matplotlib's settings, which are restored afterwards.
    """

    @functools.wraps(draw)
    def rendered(pen: Pen, /, *data: P.args, **options: P.kwargs) -> Rendered:
        with style.context(["default", _STYLE, {"font.family": list(pen.families)}]):
            figure, alt = draw(pen, *data, **options)
            svg, png = io.BytesIO(), io.BytesIO()
            figure.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
            figure.savefig(png, format="png", dpi=_DPI, metadata={"Software": None})
        return Rendered(draw.__name__, svg.getvalue(), png.getvalue(), alt)

    return rendered


def in_english(draw: Callable[Concatenate[Pen, P], Rendered]) -> Callable[P, Rendered]:
    """Turn a drawing function into one that always draws in English and takes no pen."""

    @functools.wraps(draw)
    def rendered(*data: P.args, **options: P.kwargs) -> Rendered:
        return draw(pen("en"), *data, **options)

    return rendered


def blank(width: float, height: float) -> Figure:
    """Return an empty white figure, sizes in inches; matplotlib arranges the axes so that texts do not overlap."""
    layout = ConstrainedLayoutEngine(w_pad=0.07, h_pad=0.07)  # inches
    return Figure(figsize=(width, height), layout=layout, facecolor="white")


def panels(
    n: int, widths: tuple[float, float, float], height: float, top: float = 0.0, ratios: Sequence[int] = (1,)
) -> tuple[Figure, list[list[Axes]]]:
    """Return a figure with ``n`` panels, at most three in a row, and the axes of each panel.

    Args:
        n: Number of panels.
        widths: Width of the figure in inches with one, two and three panels in a row.
        height: Height of a row in inches.
        top: Inches above the first row.
        ratios: Relative heights of the axes stacked in a panel.
    """
    columns = min(len(widths), n)
    rows, deep = -(-n // columns), len(ratios)
    figure = blank(widths[columns - 1], top + height * rows)
    grid = figure.subplots(deep * rows, columns, squeeze=False, height_ratios=[*ratios] * rows)
    places = [list(grid[deep * (k // columns) :, k % columns][:deep]) for k in range(rows * columns)]
    for axes in (axes for place in places[n:] for axes in place):
        axes.set_axis_off()
    return figure, places[:n]


def score_bars(
    axes: Axes, places: Sequence[float], scores: Sequence[Score], *, upright: bool = False, **look: Any
) -> None:
    """Draw bars of scores with their 95 % intervals and the values above them."""
    axes.bar(places, [100 * score.value for score in scores], **look)
    whiskers(axes, places, scores)
    for place, score in zip(places, scores, strict=True):
        axes.annotate(
            f"{100 * score.value:.1f}", (place, 100 * max(score.value, score.interval[1])), xytext=(0, 3),
            textcoords="offset points", ha="center", va="bottom", fontsize=7.5, color=INK, rotation=90 * upright,
        )  # fmt: skip
    percent_axis(axes, 124.0 if upright else 114.0)


def percent_axis(axes: Axes, top: float) -> None:
    """Set a vertical axis from 0 to 100 %, with room up to ``top`` for labels above the bars."""
    axes.set_ylim(0, top)
    axes.set_yticks([0, 20, 40, 60, 80, 100])
    axes.spines["left"].set_bounds(0, 100)
    axes.grid(axis="y")


def whiskers(axes: Axes, places: Sequence[float], scores: Sequence[Score]) -> None:
    """Draw the 95 % intervals as vertical lines with short ends.

    ``errorbar`` is unsuitable: a percentile interval may not contain its score, and ``errorbar`` rejects negative
    lengths.
    """
    low = [100 * score.interval[0] for score in scores]
    high = [100 * score.interval[1] for score in scores]
    axes.vlines(places, low, high, color=INK, linewidth=1.1, zorder=3)
    for ends in (low, high):
        axes.plot(places, ends, linestyle="none", marker="_", markersize=4.5, color=INK, zorder=3)


def interval_key(pen: Pen) -> Line2D:
    """Return the legend entry that explains the whiskers as 95 % intervals."""
    return Line2D([], [], linestyle="none", marker="|", markersize=9, color=INK, label=pen.word("interval"))


def shorten(text: str, points: float) -> str:
    """Shorten a text to a width in multiples of the font size; a Chinese character counts 1, any other 0.56."""
    width = 0.0
    for place, letter in enumerate(text):
        width += 1.0 if unicodedata.east_asian_width(letter) in "WF" else 0.56
        if width > points:
            return text[:place].rstrip() + "…"
    return text
