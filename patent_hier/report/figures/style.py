"""Elements common to all figures: the palette, the words in both languages, the fonts, and the conversion to bytes.

Figures are drawn with matplotlib's classes alone, never with pyplot, whose global state would stay behind. Equal data
give identical bytes: no date, fixed identifiers, letters as outlines.
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

WIDTH = 9.5  # inches: about the width of the page's text
# Okabe and Ito's colours, told apart in any kind of colour blindness; yellow and sky blue are too pale for thin lines.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#5B4B8A", "#7A5C3E")
MARKERS = ("D", "s", "^", "o", "v", "P", "X", "*")
INK, FAINT = "#22262b", "#5c6670"  # as in report.mplstyle

_DPI = 200  # of the PNG
_STYLE = Path(__file__).with_name("report.mplstyle")


@dataclass(frozen=True)
class Rendered:
    """A finished figure.

    Attributes:
        name: File name without its suffix.
        svg: As SVG, letters as outlines.
        png: As PNG, 200 dots per inch.
        alt: A sentence that says what the figure shows, for those who do not see it.
    """

    name: str
    svg: bytes
    png: bytes
    alt: str

    @property
    def size(self) -> tuple[int, int]:
        """Width and height on a page in CSS pixels, 96 an inch; from the head of the PNG."""
        width, height = struct.unpack(">II", self.png[16:24])
        return round(width * 96 / _DPI), round(height * 96 / _DPI)


@dataclass(frozen=True)
class Pen:
    """Writes the words of one figure: in its language, and only in letters that an installed font has.

    Attributes:
        language: Of the alternative text, and of the figure if there is a font for it.
        drawn: Language of what is drawn: English where Chinese has no font.
        families: Font families, the first that has a letter draws it.
        names: Name of sections and classes by code.
    """

    language: Language
    drawn: Language
    families: tuple[str, ...]
    names: Mapping[str, str]

    def word(self, key: str) -> str:
        """A word of the figure's own."""
        return word(f"figure_{key}", self.drawn)

    def label(self, text: str) -> str:
        """A caller's text on one line, a question mark for each letter that no font here has."""
        one_line = " ".join(text.split())
        return "".join(letter if fonts.can_draw(letter, self.families) else "?" for letter in one_line)

    def code(self, code: str) -> str:
        """An IPC code with its name; the code alone if the name is unknown or cannot be drawn."""
        name = " ".join(self.names.get(code, "").split())
        return f"{self.label(code)}  {name}" if name and fonts.can_draw(name, self.families) else self.label(code)

    def node(self, node: str) -> str:
        """A node's title: the sections' model, the model of all classes, or a section with its name."""
        return self.word({"root": "sections"}.get(node, node)) if node in ("root", "flat") else self.code(node)

    def say(self, en: str, zh: str, parts: Iterable[str] = (), between: str = "; ") -> str:
        """An alternative text, in the page's language whatever the fonts: its beginning, its parts, a full stop."""
        text = (zh if self.language == "zh" else en) + between.join(parts)
        return text if text.endswith((".", "。")) else text + ("。" if self.language == "zh" else ".")

    def documents(self, n: int) -> str:
        """A number of documents in words."""
        return f"{n:,} {self.word('documents')}"


def pen(language: Language, names: Mapping[str, str] | None = None) -> Pen:
    """Return a pen that suits this machine's fonts; ``names`` are those of sections and classes by code."""
    families = tuple(fonts.label_fonts())
    drawn = language if len(families) > 1 else "en"
    return Pen(language, drawn, families if drawn == "zh" else families[::-1], names or {})


def drawing(draw: Callable[Concatenate[Pen, P], tuple[Figure, str]]) -> Callable[Concatenate[Pen, P], Rendered]:
    """Make a function that draws, and says in words what it drew, one that returns a finished figure of its name.

    It draws in the report's style, whatever matplotlib was set to; matplotlib's settings are put back afterwards.
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
    """Make a drawing one that is always in English."""

    @functools.wraps(draw)
    def rendered(*data: P.args, **options: P.kwargs) -> Rendered:
        return draw(pen("en"), *data, **options)

    return rendered


def blank(width: float, height: float) -> Figure:
    """An empty white figure of so many inches, its axes arranged by matplotlib so that no texts overlap."""
    layout = ConstrainedLayoutEngine(w_pad=0.07, h_pad=0.07)  # inches
    return Figure(figsize=(width, height), layout=layout, facecolor="white")


def panels(
    n: int, widths: tuple[float, float, float], height: float, top: float = 0.0, ratios: Sequence[int] = (1,)
) -> tuple[Figure, list[list[Axes]]]:
    """A figure with ``n`` panels, at most three in a row.

    Args:
        n: How many.
        widths: Of the figure in inches, with one, two and three in a row.
        height: Of a row in inches.
        top: Inches above the first row.
        ratios: Heights of the axes that stand one above the other in a panel.
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
    """Bars of scores with their 95 % intervals, and the numbers above them."""
    axes.bar(places, [100 * score.value for score in scores], **look)
    whiskers(axes, places, scores)
    for place, score in zip(places, scores, strict=True):
        axes.annotate(
            f"{100 * score.value:.1f}", (place, 100 * max(score.value, score.interval[1])), xytext=(0, 3),
            textcoords="offset points", ha="center", va="bottom", fontsize=7.5, color=INK, rotation=90 * upright,
        )  # fmt: skip
    percent_axis(axes, 124.0 if upright else 114.0)


def percent_axis(axes: Axes, top: float) -> None:
    """A vertical axis from 0 to 100 %, with room up to ``top`` for labels above the bars."""
    axes.set_ylim(0, top)
    axes.set_yticks([0, 20, 40, 60, 80, 100])
    axes.spines["left"].set_bounds(0, 100)
    axes.grid(axis="y")


def whiskers(axes: Axes, places: Sequence[float], scores: Sequence[Score]) -> None:
    """The 95 % intervals as vertical lines with short ends.

    Not ``errorbar``: a percentile interval need not hold its score, and a negative length is an error there.
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
    """Cut a text to a width, given in multiples of the font's size; a Chinese letter is about 1 wide, others 0.56."""
    width = 0.0
    for place, letter in enumerate(text):
        width += 1.0 if unicodedata.east_asian_width(letter) in "WF" else 0.56
        if width > points:
            return text[:place].rstrip() + "…"
    return text
