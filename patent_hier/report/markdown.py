"""Blocks as Markdown (GitHub's flavour)."""

import html
import re
from collections.abc import Sequence

from patent_hier.report.blocks import (
    NOTES,
    Block,
    Details,
    Facts,
    FigureBlock,
    Heading,
    Listing,
    Note,
    Paragraph,
    TableBlock,
    code_and_text,
    figure_stem,
)
from patent_hier.report.figures.style import Language

_SPECIAL = re.compile(r"([\\`*\[\]<>|~$&]|(?<!\w)_|_(?!\w)|(?<= )#+$)")  # the last: the end of a heading
_LINE_START = re.compile(r"^(?:([#+=-])|(\d+)([.)]))")  # a list, a heading, a rule


def render_markdown(title: str, blocks: Sequence[Block], figures_folder: str, language: Language = "en") -> str:
    """The twin of one language's body, for a reader without a browser.

    Args:
        title: The first heading.
        blocks: The body.
        figures_folder: Where the figures lie, as seen from the file.
        language: Chooses among the figures' files, and the words before notes.
    """
    parts = [f"# {_text(title)}", *(_block(block, figures_folder, language) for block in blocks)]
    return "\n\n".join(parts) + "\n"


def _text(text: str) -> str:
    """One line of Markdown that shows the text as it is."""
    escaped = "".join(f"`{piece}`" if code else _SPECIAL.sub(r"\\\1", piece) for code, piece in code_and_text(text))
    return _LINE_START.sub(lambda m: f"\\{m[1]}" if m[1] else f"{m[2]}\\{m[3]}", escaped)


def _cell(text: str) -> str:
    """A table's cell: there, a stroke ends the cell even inside code."""
    return "".join(
        f"`{piece}`".replace("|", "\\|") if code else _SPECIAL.sub(r"\\\1", piece)
        for code, piece in code_and_text(text)
    )


def _block(block: Block, folder: str, language: Language) -> str:
    match block:
        case Heading(level, text, _):
            return f"{'#' * level} {_text(text)}"
        case Paragraph(text):
            return _text(text)
        case Note(text, kind):
            return f"> **{NOTES[kind][language]}.** {_text(text)}"
        case TableBlock():
            return _table(block)
        case FigureBlock(figure, caption):
            alt = " ".join(_SPECIAL.sub(r"\\\1", figure.alt).split())
            return f"![{alt}]({folder}/{figure_stem(figure, language)}.svg)\n\n*{_text(caption)}*"
        case Listing(text):
            return _listing(text)
        case Facts(pairs):
            return "\n".join(f"- **{_text(name)}**: {_text(value)}" for name, value in pairs)
        case Details(summary, blocks):
            inner = "\n\n".join(_block(inside, folder, language) for inside in blocks)
            return f"<details>\n<summary>{_html(summary)}</summary>\n\n{inner}\n\n</details>"


def _table(block: TableBlock) -> str:
    grid = block.grid
    rows = [
        [f"**{_cell(cell)}**" if cell and (r, c) in block.emphasis else _cell(cell) for c, cell in enumerate(row)]
        for r, row in enumerate(grid.rows)
    ]
    rule = [":--" if column < grid.n_names else "--:" for column in range(len(grid.header))]
    lines = [f"| {' | '.join(row)} |" for row in ([_cell(cell) for cell in grid.header], rule, *rows)]
    parts = [f"**{_text(block.caption or grid.title)}**", "\n".join(lines)]
    return "\n\n".join([*parts, _text(block.note)] if block.note else parts)


def _listing(text: str) -> str:
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}\n{text.strip(chr(10))}\n{fence}"


def _html(text: str) -> str:
    """A summary stands inside HTML, where Markdown's escapes do not count."""
    return "".join(
        f"<code>{html.escape(piece)}</code>" if code else html.escape(piece) for code, piece in code_and_text(text)
    )
