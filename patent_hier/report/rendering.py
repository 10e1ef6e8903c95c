"""Rendering of templates as HTML and Markdown, and the report's files in both languages.

Jinja escapes HTML. The Markdown templates escape text with the filters ``md`` and ``cell``. All texts are plain text;
the only markup is a pair of single backquotes around code. The page loads nothing: style, script and figures are
embedded, and its security policy forbids everything else.
"""

import base64
import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from patent_hier.report.words import Language

if TYPE_CHECKING:  # importing matplotlib is slow, and tables do not need it
    from patent_hier.report.figures import Rendered

FIGURES = "figures"  # folder of the figures, next to the page
_CODE = re.compile(r"`([^`]+)`")
_SPECIAL = re.compile(r"([\\`*\[\]<>|~$&]|(?<!\w)_|_(?!\w))")
_LINE_START = re.compile(r"^(?:([#+=-])|(\d+)([.)]))")  # a list, a heading, a rule


class _Absent(StrictUndefined):
    """A variable that the report does not define: testing it with ``if`` is allowed, using it is an error."""

    def __bool__(self) -> bool:  # type: ignore[override]  # in the base class, a test is an error
        return False


def _pieces(text: str) -> Iterator[tuple[bool, str]]:
    """Yield the pieces of a text, put on one line: whether the piece is code, and the piece."""
    for place, piece in enumerate(_CODE.split(" ".join(text.split()))):
        if piece:
            yield place % 2 == 1, piece


def _inline(text: str) -> Markup:
    return Markup().join(
        Markup("<code>{}</code>").format(piece) if code else escape(piece) for code, piece in _pieces(text)
    )


def _lines(cell: str) -> Markup:
    return Markup("<br>").join(map(_inline, cell.splitlines()))


def _md_cell(text: str, stroke: str = "\\|") -> str:
    """Return a cell of a Markdown table, where a vertical bar ends the cell even inside code."""
    return "".join(
        f"`{piece}`".replace("|", stroke) if code else _SPECIAL.sub(r"\\\1", piece) for code, piece in _pieces(text)
    )


def _md(text: str) -> str:
    """Return one line of Markdown that shows the text unchanged."""
    escaped = _md_cell(text, stroke="|")
    return _LINE_START.sub(lambda m: f"\\{m[1]}" if m[1] else f"{m[2]}\\{m[3]}", escaped)


def _fence(text: str) -> str:
    """Return a fence for a listing: more backquotes than the listing has in a row."""
    return "`" * max(3, 1 + max((len(run) for run in re.findall(r"`+", text)), default=0))


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


@cache
def _environment(*, html: bool) -> Environment:
    made = Environment(
        loader=PackageLoader("patent_hier.report"),
        autoescape=html,  # noqa: S701  # the Markdown templates escape with filters
        undefined=_Absent,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters |= {
        "inline": _inline,
        "lines": _lines,
        "md": _md,
        "cell": _md_cell,
        "fence": _fence,
        "base64": _base64,
    }
    made.policies["json.dumps_kwargs"] = {"ensure_ascii": False, "allow_nan": False, "separators": (",", ":")}
    return made


def render(template: str, *, html: bool = False, **variables: Any) -> str:
    """Render a template of ``templates/`` with its variables; in HTML, every variable is escaped."""
    return _environment(html=html).get_template(template).render(variables)


def table_markdown(grid: Any) -> str:
    """Return a table as Markdown with its title as a paragraph; the text ends with a newline."""
    blocks: Any = _environment(html=False).get_template("markdown.j2").module
    return str(blocks.table(grid))


def page_parts(style: str, script: str) -> dict[str, str]:
    """Return style, script and security policy of a page, from files of the package; nothing else may load or run.

    The policy lists both by their digests. A browser compares every character, so the page must contain both texts
    unchanged.
    """
    parts, policy = {}, "default-src 'none'; img-src data:"
    for kind, name in (("style", style), ("script", script)):
        text = resources.files("patent_hier.resources").joinpath(name).read_text("utf-8")
        parts[kind] = Markup(text)  # noqa: S704  # our own file
        policy += f"; {kind}-src 'sha256-{_base64(hashlib.sha256(text.encode()).digest())}'"
    return {**parts, "policy": Markup(f"{policy}; base-uri 'none'; form-action 'none'")}  # noqa: S704  # built from our own text


@dataclass
class Document:
    """The report in one language while it is rendered.

    Attributes:
        language: Language of all texts.
        headings: Level, anchor and text of each heading in order; rendering the blocks fills this list.
        figures: Figures by file name without suffix; also filled by rendering.
    """

    language: Language
    headings: list[tuple[int, str, str]] = field(default_factory=list)
    figures: "dict[str, Rendered]" = field(default_factory=dict)

    @property
    def title(self) -> str:
        """The title of the report."""
        return self.t("IPC classification of Chinese patents: results", "中国专利 IPC 自动分类：实验结果")

    def t(self, en: str, zh: str, **facts: object) -> str:
        """Return the text in the document's language with ``facts`` filled into its placeholders."""
        return (zh if self.language == "zh" else en).format(**facts)

    def heading(self, level: int, anchor: str, text: str) -> str:
        """Add a heading to the contents and return its id in the page."""
        self.headings.append((level, f"{self.language}-{anchor}", text))
        return self.headings[-1][1]

    def figure(self, figure: "Rendered") -> str:
        """Keep a figure for the folder and return its file name without suffix; English figures have the plain name."""
        stem = figure.name if self.language == "en" else f"{figure.name}.{self.language}"
        self.figures[stem] = figure
        return stem

    def body(self, variables: Mapping[str, Any], *, html: bool) -> str:
        """Render the body of the report in one format."""
        blocks = "html.j2" if html else "markdown.j2"
        return render("report.j2", html=html, doc=self, t=self.t, blocks=blocks, **variables)


def write_report(folder: Path, variables: Mapping[Language, Mapping[str, Any]], generated: str) -> None:
    """Write ``report.html``, the Markdown of each language and the files of the figures.

    English goes to ``report.md`` and ``figures/<name>.svg``, Chinese to ``report.zh.md`` and
    ``figures/<name>.zh.svg``. Each SVG has a PNG next to it.

    Args:
        folder: An existing folder; the caller makes the write atomic.
        variables: Variables of ``report.j2`` by language; the page shows the first language first.
        generated: Date and program of the report.
    """
    (folder / FIGURES).mkdir()
    articles = []
    for language, own in variables.items():
        document = Document(language)
        text = document.body(own, html=False).rstrip("\n")
        made = f"{document.t('Generated: ', '生成时间：')}{_md(generated)}"
        name = "report.md" if language == "en" else f"report.{language}.md"
        (folder / name).write_text(f"# {_md(document.title)}\n\n{text}\n\n{made}\n", "utf-8")
        articles.append((document, Markup(document.body(own, html=True))))  # noqa: S704  # escaped when it was rendered
        for stem, figure in document.figures.items():
            (folder / FIGURES / f"{stem}.svg").write_bytes(figure.svg)
            (folder / FIGURES / f"{stem}.png").write_bytes(figure.png)
    page = render(
        "page.html.j2", html=True, articles=articles, generated=generated, **page_parts("report.css", "report.js")
    )
    (folder / "report.html").write_text(page, "utf-8")
