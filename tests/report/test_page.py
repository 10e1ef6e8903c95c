import base64
import hashlib
import re
from html import escape
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from patent_hier.errors import ConfigError
from patent_hier.evaluation.result import Score
from patent_hier.report import figures
from patent_hier.report.page import (
    Details,
    Facts,
    FigureBlock,
    Heading,
    Listing,
    Note,
    Paragraph,
    TableBlock,
    render_html,
    render_markdown,
    write_report,
)
from patent_hier.report.tables import Grid

MARKUP = "<script>alert(\"x\")</script> & 'a' | **b** _c_ [d](e) ![f](g) $h$ ~~i~~ \\"
HOSTILE = f"{MARKUP} 100`"
CODE = f"</code>{MARKUP}"  # between backquotes
HOSTILE_WITH_CODE = f"{MARKUP} `{CODE}` {MARKUP} 100`"
TITLE = {"en": "A report", "zh": "报告"}
VOID = {"meta", "br", "img"}
MARKDOWN = MarkdownIt("commonmark").enable(["table", "strikethrough"])


@pytest.fixture(scope="module")
def figure():
    return figures.frequency_bars({"m": {"head": Score.of_hits(5, 10, 2)}})


def body(figure, text="plain"):
    grid = Grid("grid's title", ("name", "two\nlines"), ((text, "1.0"), ("other", "2.0")))
    return [
        Heading(2, text, "first"),
        Paragraph(text),
        *(Note(text, kind) for kind in ("warning", "info", "missing")),
        TableBlock(grid, text, text, frozenset({(1, 1)})),
        FigureBlock(figure, text),
        Listing(text),
        Facts(((text, text),)),
        Details(text, (Heading(3, text, "inside"), Paragraph(text))),
    ]


class Page(HTMLParser):
    """Elements with their attributes, the text of each, and a check that they are nested as they should be."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.texts, self.open = [], [], []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("script", "style"):
            self.texts.append((self.open[-1], data))

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


def html(figure, **options):
    return render_html(TITLE, {"en": body(figure, **options), "zh": body(figure, **options)}, "today")


def shown(token):
    """What a line of Markdown shows, with code between backquotes."""
    formats = {"text": "{}", "code_inline": "`{}`"}
    return "".join(formats[c.type].format(c.content) for c in token.children if c.type in formats)


def test_equal_reports_are_equal(figure, tmp_path):
    assert html(figure) == html(figure)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write_report(tmp_path / name, TITLE, {"en": body(figure), "zh": body(figure)}, "today")
    first, second = (
        {path.relative_to(tmp_path / name): path.read_bytes() for path in (tmp_path / name).rglob("*.*")}
        for name in ("a", "b")
    )
    assert first == second
    assert sorted(str(path) for path in first) == [
        "figures/frequency_bars.png",
        "figures/frequency_bars.svg",
        "figures/frequency_bars.zh.png",
        "figures/frequency_bars.zh.svg",
        "report.html",
        "report.md",
        "report.zh.md",
    ]


def test_the_page_asks_nobody(figure):
    text = html(figure)
    page = Page(text)
    without_figures = re.sub(r"data:image/svg\+xml;base64,[A-Za-z0-9+/=]+", "", text)
    without_figures = re.sub(r"sha256-[A-Za-z0-9+/=]+", "", without_figures)
    for address in ("http:", "https:", "//", "url(", "@import"):
        assert address not in without_figures
    addresses = [
        value for _, attributes in page.elements for key, value in attributes.items() if key in ("src", "href")
    ]
    assert addresses
    assert all(re.match(r"#(en|zh)\b|figures/[\w.]+$|data:image/svg", address) for address in addresses)
    assert not [tag for tag, _ in page.elements if tag in ("link", "iframe", "form", "object", "base")]


def test_the_policy_allows_the_one_script_and_style_and_no_other(figure):
    text = html(figure)
    (script,) = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    (style,) = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)
    digest, style_digest = (
        base64.b64encode(hashlib.sha256(content.encode()).digest()).decode() for content in (script, style)
    )
    (policy,) = [meta["content"] for meta in Page(text).all("meta") if "http-equiv" in meta]
    assert policy.split("; ") == [
        "default-src 'none'",
        "img-src data:",
        f"style-src 'sha256-{style_digest}'",
        f"script-src 'sha256-{digest}'",
        "base-uri 'none'",
        "form-action 'none'",
    ]
    keys = {key for _, attributes in Page(text).elements for key in attributes}
    assert not [key for key in keys if key.startswith("on") or key == "style"]


def test_hostile_text_stays_text_in_html(figure):
    calm, hostile = Page(html(figure)), Page(html(figure, text=HOSTILE))
    assert [tag for tag, _ in hostile.elements] == [tag for tag, _ in calm.elements]
    assert HOSTILE in [data for tag, data in hostile.texts if tag == "p"]
    assert hostile.all("figure") == calm.all("figure")


def test_hostile_code_stays_code_in_html(figure):
    calm, hostile = Page(html(figure, text="a `b` c")), Page(html(figure, text=HOSTILE_WITH_CODE))
    assert [tag for tag, _ in hostile.elements] == [tag for tag, _ in calm.elements]
    codes = {data for tag, data in hostile.texts if tag == "code"}
    assert codes == {CODE, HOSTILE_WITH_CODE}  # a listing shows its text as it is
    assert sum(data == CODE for _, data in hostile.texts) == sum(data == "b" for _, data in calm.texts) > 10


@pytest.mark.parametrize("hostile", [HOSTILE, HOSTILE_WITH_CODE])
def test_hostile_text_stays_text_in_markdown(figure, hostile):
    """Read by another program, which comes with rich: every text is there as it was, and nothing else became markup."""
    text = render_markdown(hostile, body(figure, text=hostile), "figures")
    tokens = MARKDOWN.parse(text)
    inside = [child for token in tokens for child in token.children or []]
    assert sum(shown(token).count(hostile) for token in tokens if token.children) == 14
    allowed = {"text", "strong_open", "strong_close", "em_open", "em_close", "image", "code_inline"}
    assert {child.type for child in inside} <= allowed
    assert {child.content for child in inside if child.type == "code_inline"} <= {CODE}
    assert [child.attrs["src"] for child in inside if child.type == "image"] == ["figures/frequency_bars.svg"]
    blocks = [token.content for token in tokens if token.type == "html_block"]
    summary = escape(hostile).replace(f"`{escape(CODE)}`", f"<code>{escape(CODE)}</code>")
    assert blocks == [f"<details>\n<summary>{summary}</summary>\n", "</details>\n"]
    assert [token.content for token in tokens if token.type == "fence"] == [hostile + "\n"]
    in_text = hostile.replace(CODE, "").count("$h$")
    assert text.count(r"\$h\$") == 14 * in_text  # GitHub reads dollar signs as a formula


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a_b and _c_", r"a_b and \_c\_"),
        ("# no heading", r"\# no heading"),
        ("- no list", r"\- no list"),
        ("2019. No list", r"2019\. No list"),
        ("1) no list", r"1\) no list"),
        ("two\nlines", "two lines"),
        ("`a|<b>` and |", r"`a|<b>` and \|"),
        ("100` open", r"100\` open"),
        ("`a``b`", r"\`a\`\`b\`"),
        ("no end ##", r"no end \##"),
        ("&amp;", r"\&amp;"),
    ],
)
def test_markdown_shows_the_text_as_it_is(text, expected):
    assert render_markdown("t", [Paragraph(text)], "figures") == f"# t\n\n{expected}\n"


@given(st.text("`\\|<>a$*_ -#1.&;!~[]()=+:", min_size=1, max_size=14).filter(str.strip))
def test_any_text_is_read_back(text):
    """As heading, paragraph and cell; but for blanks, which Markdown takes off the ends of code."""
    table = TableBlock(Grid("title", ("a", "b"), ((text, "end"),)), "")
    tokens = MARKDOWN.parse(render_markdown("t", [Heading(2, text, "x"), Paragraph(text), table], "figures"))
    lines = [shown(token) for token in tokens if token.type == "inline"]
    expected = ["t", text, text, "title", "a", "b", text, "end"]
    assert [line.replace(" ", "") for line in lines] == [line.replace(" ", "") for line in expected]


def test_code_is_the_only_markup():
    page = render_html({"en": "t"}, {"en": [Paragraph("run `a <b>` *now*")]}, "today")
    assert "<p>run <code>a &lt;b&gt;</code> *now*</p>" in page


def test_a_listing_keeps_its_lines_and_cannot_be_left():
    text = "```\n# a\n\n  b & <c>\n"
    assert render_markdown("t", [Listing(text)], "figures").endswith("````\n```\n# a\n\n  b & <c>\n````\n")
    assert "<code>```\n# a\n\n  b &amp; &lt;c&gt;</code>" in render_html({"en": "t"}, {"en": [Listing(text)]}, "today")


def test_table_in_both_formats(figure):
    block = body(figure)[5]
    markdown = render_markdown("t", [block], "figures")
    assert markdown.splitlines()[2:] == [
        "**plain**", "", "| name | two lines |", "| :-- | --: |", "| plain | 1.0 |", "| other | **2.0** |", "", "plain",
    ]  # fmt: skip
    page = render_html({"en": "t"}, {"en": [block]}, "today")
    assert '<th scope="col" class="number">two<br>lines</th>' in page
    assert '<tr><th scope="row" class="name">other</th><td class="number"><strong>2.0</strong></td></tr>' in page
    assert "<caption>plain</caption>" in page


def test_a_table_without_caption_has_its_grids_title():
    block = TableBlock(Grid("its title", ("a",), ()), "")
    assert "**its title**" in render_markdown("t", [block], "figures")
    assert "<caption>its title</caption>" in render_html({"en": "t"}, {"en": [block]}, "today")


def test_figures_have_a_text_a_size_and_files(figure):
    page = Page(html(figure))
    for image in page.all("img"):
        assert image["alt"] == figure.alt
        assert base64.b64decode(image["src"].split(",")[1]) == figure.svg
        assert (int(image["width"]), int(image["height"])) == figure.size
    links = [link["href"] for link in page.all("a") if "download" in link]
    assert links == [f"figures/frequency_bars.{kind}" for kind in ("svg", "png", "zh.svg", "zh.png")]
    assert f"({'figures'}/frequency_bars.zh.svg)" in render_markdown("t", [FigureBlock(figure, "c")], "figures", "zh")


def test_links_of_the_contents_lead_to_headings(figure):
    page = Page(html(figure))
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = [link["href"][1:] for link in page.all("a") if link["href"].startswith("#")]
    assert {"en", "zh", "en-first", "zh-first"} == set(links)
    assert set(links) <= set(ids)


def test_languages_are_marked_and_can_be_switched(figure):
    page = Page(html(figure))
    assert page.all("html") == [{"lang": "en"}]
    assert [article["lang"] for article in page.all("article")] == ["en", "zh-Hans"]
    assert [button["data-choose"] for button in page.all("button")] == ["en", "zh"]
    alone = Page(render_html(TITLE, {"zh": body(figure)}, "today"))
    assert not alone.all("button")
    assert alone.all("html") == [{"lang": "zh-Hans"}]


def test_words_before_notes_follow_the_language():
    note = [Note("x", "missing")]
    assert "> **缺失.** x" in render_markdown("t", note, "figures", "zh")
    assert "<strong>Missing</strong> x" in render_html({"en": "t"}, {"en": note}, "today")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Heading(1, "x", "x"), "level 1"),
        (lambda: Heading(2, "x", 'a" onclick'), "anchor"),
        (lambda: Note("x", "hint"), "kind of note 'hint'"),
        (lambda: render_html(TITLE, {}, "today"), "without a body"),
        (lambda: render_html(TITLE, {"de": []}, "today"), "language 'de'"),
        (lambda: render_html({"en": "t"}, {"zh": []}, "today"), "no title in the language 'zh'"),
        (
            lambda: render_html(TITLE, {"en": [Heading(2, "x", "a"), Details("s", (Heading(3, "y", "a"),))]}, "today"),
            "'a' comes twice",
        ),
    ],
)
def test_what_cannot_be_is_an_error(make, message):
    with pytest.raises(ConfigError, match=message):
        make()


def test_two_figures_cannot_share_a_name(figure, tmp_path):
    other = figures.reliability({"m": [(0.5, 0.5, 1)]}, name=figure.name)
    with pytest.raises(ConfigError, match="two different figures are named 'frequency_bars'"):
        write_report(tmp_path, TITLE, {"en": [FigureBlock(figure, ""), FigureBlock(other, "")]}, "today")
    assert not list(tmp_path.iterdir())
