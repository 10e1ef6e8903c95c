"""What the report's page is made of, not yet in any format.

Every text is plain text and is always escaped. Between two single backquotes stands code; nothing else has a meaning.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from patent_hier.errors import ConfigError
from patent_hier.report.figures.style import Language, Rendered
from patent_hier.report.tables import Grid

NOTES: dict[str, dict[Language, str]] = {
    "warning": {"en": "Warning", "zh": "注意"},
    "info": {"en": "Note", "zh": "说明"},
    "missing": {"en": "Missing", "zh": "缺失"},
}
_CODE = re.compile(r"(?<!`)`([^`]+)`(?!`)")


@dataclass(frozen=True)
class Heading:
    """A heading.

    Attributes:
        level: 2 to 4; the page's title is 1.
        text: Its words.
        anchor: Where links lead: small letters, digits and ``-``, once in a language's body.
    """

    level: int
    text: str
    anchor: str

    def __post_init__(self) -> None:
        """Check level and anchor.

        Raises:
            ConfigError: If one of them cannot be.
        """
        if not 2 <= self.level <= 4:
            raise ConfigError(f"heading {self.text!r} has level {self.level}; choose 2, 3 or 4")
        if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", self.anchor):
            raise ConfigError(f"heading {self.text!r} has the anchor {self.anchor!r}; use a to z, 0 to 9 and -")


@dataclass(frozen=True)
class Paragraph:
    """A paragraph of text."""

    text: str


@dataclass(frozen=True)
class Note:
    """A paragraph that must not be overlooked: what to beware of, what to know, what is not there."""

    text: str
    kind: Literal["warning", "info", "missing"]

    def __post_init__(self) -> None:
        """Check the kind.

        Raises:
            ConfigError: If it is unknown.
        """
        if self.kind not in NOTES:
            raise ConfigError(f"unknown kind of note {self.kind!r}; choose one of {', '.join(NOTES)}")


@dataclass(frozen=True)
class TableBlock:
    """A table.

    Attributes:
        grid: Its cells.
        caption: Above it; without one, the grid's title.
        note: Below it.
        emphasis: Row and column, both from 0, of the cells in bold; the header has no number.
    """

    grid: Grid
    caption: str
    note: str = ""
    emphasis: frozenset[tuple[int, int]] = frozenset()


@dataclass(frozen=True)
class FigureBlock:
    """A figure and its caption."""

    figure: Rendered
    caption: str


@dataclass(frozen=True)
class Listing:
    """Commands or a file's text, to be copied as they stand."""

    text: str


@dataclass(frozen=True)
class Facts:
    """Names and what they stand for, line by line."""

    pairs: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Details:
    """Blocks that are folded until a reader asks for them."""

    summary: str
    blocks: "tuple[Block, ...]"


Block: TypeAlias = Heading | Paragraph | Note | TableBlock | FigureBlock | Listing | Facts | Details


def walk(blocks: Sequence[Block]) -> Iterator[Block]:
    """All blocks in the order of reading, those inside :class:`Details` too."""
    for block in blocks:
        yield block
        if isinstance(block, Details):
            yield from walk(block.blocks)


def code_and_text(text: str) -> Iterator[tuple[bool, str]]:
    """The pieces of a text on one line: whether it is code, and the piece."""
    for place, piece in enumerate(_CODE.split(" ".join(text.split()))):
        if piece:
            yield place % 2 == 1, piece


def figure_stem(figure: Rendered, language: Language) -> str:
    """File name of a figure without its suffix; the English one has the plain name."""
    return figure.name if language == "en" else f"{figure.name}.{language}"
