"""The report as one HTML page and as Markdown, in both languages.

The page is one file that asks nothing of anybody: style, script and figures are inside, and its security policy
forbids everything else. Without JavaScript both languages are shown, English first.
"""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from html import escape
from importlib import resources
from pathlib import Path

from patent_hier.errors import ConfigError
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
    walk,
)
from patent_hier.report.figures.style import Language, Rendered
from patent_hier.report.markdown import render_markdown

__all__ = [
    "Block",
    "Details",
    "Facts",
    "FigureBlock",
    "Heading",
    "Listing",
    "Note",
    "Paragraph",
    "TableBlock",
    "render_html",
    "render_markdown",
    "write_report",
]

FIGURES = "figures"  # the figures' folder beside the page

_TAGS: dict[Language, str] = {"en": "en", "zh": "zh-Hans"}
_OWN_NAMES: dict[Language, str] = {"en": "English", "zh": "中文"}
_CONTENTS: dict[Language, str] = {"en": "Contents", "zh": "目录"}
_SKIP: dict[Language, str] = {"en": "Skip to the text", "zh": "跳到正文"}
_GENERATED: dict[Language, str] = {"en": "Made", "zh": "生成于"}
_FILES: dict[Language, str] = {"en": "in the folder figures/ beside this page", "zh": "位于本页旁的 figures/ 文件夹"}
_COPY: dict[Language, tuple[str, str]] = {"en": ("Copy", "Copied"), "zh": ("复制", "已复制")}


def render_html(title: Mapping[Language, str], bodies: Mapping[Language, Sequence[Block]], generated: str) -> str:
    """The whole page.

    Args:
        title: By language.
        bodies: By language, the first one is shown first; with one language there is no switch.
        generated: When and by what the page was made, in the caller's words.

    Raises:
        ConfigError: If a language is unknown or lacks its title, or an anchor comes twice in a language.
    """
    _check(title, bodies)
    script, css = _resource("report.js"), _resource("report.css")
    style = f"\n{css}"  # as it stands in the element: a browser compares every character
    policy = (
        f"default-src 'none'; img-src data:; style-src '{content_hash(style)}'; script-src '{content_hash(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    first = next(iter(bodies))
    articles = "\n".join(_article(language, title[language], body, generated) for language, body in bodies.items())
    return (
        f'<!doctype html>\n<html lang="{_TAGS[first]}">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n<meta name="referrer" content="no-referrer">\n'
        f"<title>{escape(title[first])}</title>\n<style>{style}</style>\n</head>\n<body>\n"
        f"{_switch(bodies)}<main>\n{articles}\n</main>\n<script>{script}</script>\n</body>\n</html>\n"
    )


def write_report(
    folder: Path, title: Mapping[Language, str], bodies: Mapping[Language, Sequence[Block]], generated: str
) -> None:
    """Write ``report.html``, the Markdown of each language and the figures' files.

    English lies in ``report.md`` and ``figures/<name>.svg``, Chinese in ``report.zh.md`` and
    ``figures/<name>.zh.svg``; each SVG has a PNG beside it.

    Args:
        folder: An existing folder; the caller makes the whole atomic.
        title: As in :func:`render_html`.
        bodies: Likewise.
        generated: Likewise.

    Raises:
        ConfigError: As in :func:`render_html`, or if two different figures of a language have one name.
    """
    page = render_html(title, bodies, generated)
    figures = {stem: figure for language, body in bodies.items() for stem, figure in _figures(body, language).items()}
    (folder / "report.html").write_text(page, "utf-8")
    for language, body in bodies.items():
        name = "report.md" if language == "en" else f"report.{language}.md"
        text = render_markdown(title[language], body, FIGURES, language)
        (folder / name).write_text(f"{text}\n{_GENERATED[language]}: {escape(generated)}\n", "utf-8")
    (folder / FIGURES).mkdir(exist_ok=True)
    for stem, figure in figures.items():
        (folder / FIGURES / f"{stem}.svg").write_bytes(figure.svg)
        (folder / FIGURES / f"{stem}.png").write_bytes(figure.png)


def content_hash(text: str) -> str:
    """The source expression by which a security policy allows one inline style or script."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")


def _figures(body: Sequence[Block], language: Language) -> dict[str, Rendered]:
    found: dict[str, Rendered] = {}
    for block in walk(body):
        if isinstance(block, FigureBlock):
            stem = figure_stem(block.figure, language)
            if found.setdefault(stem, block.figure) != block.figure:
                raise ConfigError(f"two different figures are named {block.figure.name!r}; give one another name")
    return found


def _check(title: Mapping[Language, str], bodies: Mapping[Language, Sequence[Block]]) -> None:
    if not bodies:
        raise ConfigError("a report without a body; give at least one language, en or zh")
    for language, body in bodies.items():
        if language not in _TAGS:
            raise ConfigError(f"unknown language {language!r}; choose en or zh")
        if language not in title:
            raise ConfigError(f"no title in the language {language!r}; give one for each body")
        anchors = [block.anchor for block in walk(body) if isinstance(block, Heading)]
        if twice := {anchor for anchor in anchors if anchors.count(anchor) > 1}:
            raise ConfigError(f"the anchor {min(twice)!r} comes twice; give each heading its own")


def _resource(name: str) -> str:
    return resources.files("patent_hier.resources").joinpath(name).read_text("utf-8")


def _switch(bodies: Mapping[Language, object]) -> str:
    """Buttons for the languages; hidden until the script runs, since nothing would happen without it."""
    skip = "".join(
        f'<a class="skip" data-language="{language}" lang="{_TAGS[language]}" href="#{language}">{_SKIP[language]}</a>'
        for language in bodies
    )
    if len(bodies) == 1:
        return f"{skip}\n"
    buttons = "".join(
        f'<button type="button" lang="{_TAGS[language]}" data-choose="{language}">{_OWN_NAMES[language]}</button>'
        for language in bodies
    )
    return f'{skip}\n<div class="switch" role="group" aria-label="Language / 语言" hidden>{buttons}</div>\n'


def _article(language: Language, title: str, body: Sequence[Block], generated: str) -> str:
    links = "\n".join(
        f'<li class="level-{block.level}"><a href="#{language}-{block.anchor}">{_inline(block.text)}</a></li>'
        for block in body
        if isinstance(block, Heading) and block.level < 4
    )
    contents = (
        f'<nav aria-label="{_CONTENTS[language]}"><p>{_CONTENTS[language]}</p>\n<ul>\n{links}\n</ul></nav>\n'
        if links
        else ""
    )
    blocks = "\n".join(_block(block, language) for block in body)
    copy, copied = _COPY[language]
    return (
        f'<article id="{language}" lang="{_TAGS[language]}" data-language="{language}" tabindex="-1"'
        f' data-title="{escape(title)}" data-copy="{copy}" data-copied="{copied}">\n{contents}'
        f'<div class="text">\n<h1>{_inline(title)}</h1>\n<p class="generated">{_GENERATED[language]}: '
        f"{_inline(generated)}</p>\n{blocks}\n</div>\n</article>"
    )


def _inline(text: str) -> str:
    return "".join(f"<code>{escape(piece)}</code>" if code else escape(piece) for code, piece in code_and_text(text))


def _block(block: Block, language: Language) -> str:
    match block:
        case Heading(level, text, anchor):
            return f'<h{level} id="{language}-{anchor}">{_inline(text)}</h{level}>'
        case Paragraph(text):
            return f"<p>{_inline(text)}</p>"
        case Note(text, kind):
            return f'<p class="note {kind}" role="note"><strong>{NOTES[kind][language]}</strong> {_inline(text)}</p>'
        case TableBlock():
            return _table(block)
        case FigureBlock():
            return _figure(block, language)
        case Listing(text):
            return f'<div class="listing"><pre tabindex="0"><code>{escape(text.strip(chr(10)))}</code></pre></div>'
        case Facts(pairs):
            lines = "".join(f"<div><dt>{_inline(name)}</dt><dd>{_inline(value)}</dd></div>" for name, value in pairs)
            return f"<dl>{lines}</dl>"
        case Details(summary, blocks):
            inner = "\n".join(_block(inside, language) for inside in blocks)
            return f"<details><summary>{_inline(summary)}</summary>\n{inner}\n</details>"


def _table(block: TableBlock) -> str:
    grid = block.grid
    kinds = ["name" if column < grid.n_names else "number" for column in range(len(grid.header))]
    header = "".join(
        f'<th scope="col" class="{kind}">{_lines(cell)}</th>' for kind, cell in zip(kinds, grid.header, strict=True)
    )
    rows = []
    for r, row in enumerate(grid.rows):
        cells = [
            f"<strong>{_lines(cell)}</strong>" if (r, c) in block.emphasis else _lines(cell)
            for c, cell in enumerate(row)
        ]
        first, *others = zip(kinds, cells, strict=True)
        rest = "".join(f'<td class="{kind}">{cell}</td>' for kind, cell in others)
        rows.append(f'<tr><th scope="row" class="{first[0]}">{first[1]}</th>{rest}</tr>')
    caption = block.caption or grid.title
    note = f'<p class="table-note">{_inline(block.note)}</p>' if block.note else ""
    return (
        f'<div class="table"><div class="scroll" role="region" tabindex="0" aria-label="{escape(caption)}">'
        f"<table><caption>{_inline(caption)}</caption><thead><tr>{header}</tr></thead>\n"
        f"<tbody>{chr(10).join(rows)}</tbody></table></div>{note}</div>"
    )


def _lines(cell: str) -> str:
    return "<br>".join(_inline(line) for line in cell.splitlines())


def _figure(block: FigureBlock, language: Language) -> str:
    data = base64.b64encode(block.figure.svg).decode()
    width, height = block.figure.size
    stem = figure_stem(block.figure, language)
    links = " ".join(
        f'<a href="{FIGURES}/{stem}.{kind}" title="{_FILES[language]}" download>{kind.upper()}</a>'
        for kind in ("svg", "png")
    )
    return (
        f'<figure><div class="scroll card" role="region" tabindex="0" aria-label="{escape(block.caption)}">'
        f'<img src="data:image/svg+xml;base64,{data}" alt="{escape(block.figure.alt)}"'
        f' width="{width}" height="{height}"></div>'
        f'<figcaption>{_inline(block.caption)} <span class="files">{links}</span></figcaption></figure>'
    )
