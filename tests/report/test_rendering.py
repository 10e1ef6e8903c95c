"""The templates: both languages have the same facts, foreign text stays text in both formats, the page asks nobody."""

import base64
import hashlib
import re
from dataclasses import replace
from importlib import resources
from string import Formatter

import pytest
from jinja2 import UndefinedError, nodes
from markdown_it import MarkdownIt
from markupsafe import escape

from patent_hier.evaluation.calibration_error import Reliability
from patent_hier.report import figures
from patent_hier.report.build import content
from patent_hier.report.rendering import Document, _environment, write_report
from patent_hier.report.tables import Grid
from tests.report.reading import Page
from tests.report.worlds import plain_figures

HOSTILE = "<script>alert(\"x\")</script> & 'a' | **b** _c_ [d](e) ![f](g) $h$ ~~i~~ \\ {{ 7 }} =1+1"
KEPT = {"first_command", "ablation"}  # what templates branch on, or that is compared below


def blocks(source, *, html, language="en", **variables):
    """Some blocks in one format; ``f`` has them, as in the report."""
    document = Document(language)
    name = "html.j2" if html else "markdown.j2"
    template = _environment(html=html).from_string("{% import blocks as f with context %}\n" + source)
    return template.render(blocks=name, doc=document, t=document.t, **variables)


def replaced(value, text):
    """Every text within the variables of the report replaced."""
    match value:
        case str():
            return text
        case Grid():
            return replace(value, rows=replaced(value.rows, text))
        case dict():
            return {key: inner if key in KEPT else replaced(inner, text) for key, inner in value.items()}
        case list() | tuple():
            return type(value)(replaced(inner, text) for inner in value)
    return value


@pytest.fixture(scope="module")
def variables(contexts):
    """Of the whole report, with every part in it; figures are empty pictures."""
    with plain_figures():
        found = {language: content(context) for language, context in contexts.items()}
    gap = {"name": "rnn", "seed": 3, "nodes": ["B", "D"], "command": "python run.py"}
    for own in found.values():
        own |= {"demo": True, "missing": [gap], "titles_table": own["cost_table"]}
        own["attention"] = {"figure": own["curves_figure"], "encoder": "bertcnn", "layers": "2, 11"}
    return found


def written(folder, variables):
    folder.mkdir()
    write_report(folder, variables, "today")
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.*")}


@pytest.fixture(scope="module")
def calm(variables, tmp_path_factory):
    return written(tmp_path_factory.mktemp("calm") / "report", variables)


@pytest.fixture(scope="module")
def hostile(variables, tmp_path_factory):
    return written(tmp_path_factory.mktemp("hostile") / "report", replaced(variables, HOSTILE))


# --- texts


def pairs():
    source = resources.files("patent_hier.report").joinpath("templates", "report.j2").read_text("utf-8")
    for call in _environment(html=True).parse(source).find_all(nodes.Call):
        if isinstance(call.node, nodes.Name) and call.node.name == "t":
            yield tuple(argument.value for argument in call.args)


@pytest.mark.parametrize(("en", "zh"), list(pairs()))
def test_both_languages_have_the_same_facts(en, zh):
    facts = [sorted({name for _, name, _, _ in Formatter().parse(text) if name}) for text in (en, zh)]
    assert facts[0] == facts[1]
    assert en.count("`") == zh.count("`")
    assert set(en) - set(map(chr, range(128))) <= set("–±")
    assert re.search(r"[\u4e00-\u9fff]", zh)


def test_a_text_without_its_fact_is_an_error():
    with pytest.raises(KeyError, match="name"):
        blocks('{{ f.p(t("{name}", "{name}")) }}', html=True)
    with pytest.raises(UndefinedError, match="best"):
        blocks("{% if best %}no{% endif %}{{ f.p(best) }}", html=True)


# --- foreign text


def test_hostile_text_stays_text_in_html(calm, hostile):
    before, after = (Page(files["report.html"].decode()) for files in (calm, hostile))
    assert [tag for tag, _ in after.elements] == [tag for tag, _ in before.elements if tag != "br"]
    assert sum(HOSTILE in data for _, data in after.texts) > 300
    assert any(HOSTILE in data for tag, data in after.texts if tag == "td")
    assert {key for _, own in after.elements for key in own} == {key for _, own in before.elements for key in own}


@pytest.mark.parametrize("name", ["report.md", "report.zh.md"])
def test_hostile_text_stays_text_in_markdown(name, calm, hostile):
    """Read by another program, which comes with rich: every text is there as it was, and nothing else became markup."""
    parser = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    before, after = (parser.parse(files[name].decode()) for files in (calm, hostile))
    assert [token.type for token in after] == [token.type for token in before]
    inside = [child for token in after for child in token.children or []]
    shown = [
        "".join(child.content for child in token.children if child.type == "text") for token in after if token.children
    ]
    assert sum(text.count(HOSTILE) for text in shown) > 300
    usual = {"text", "strong_open", "strong_close", "em_open", "em_close", "image", "code_inline", "softbreak"}
    assert {child.type for child in inside} <= usual
    assert all(re.fullmatch(r"figures/[\w.]+", child.attrs["src"]) for child in inside if child.type == "image")
    html = "".join(token.content for token in after if token.type == "html_block")
    assert str(escape(HOSTILE)) in html
    assert set(re.findall(r"<[^>]*>", html)) == {"<details>", "</details>", "<summary>", "</summary>"}
    assert HOSTILE + "\n" in [token.content for token in after if token.type == "fence"]


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
        ("&amp;", r"\&amp;"),
    ],
)
def test_markdown_shows_the_text_as_it_is(text, expected):
    assert blocks("{{ f.p(text) }}", html=False, text=text) == f"{expected}\n"


def test_code_is_the_only_markup():
    assert blocks("{{ f.p(text) }}", html=True, text="run `a <b>` *now*") == "<p>run <code>a &lt;b&gt;</code> *now*</p>"


def test_a_listing_keeps_its_lines_and_cannot_be_left():
    text = "```\n# a\n\n  b & <c>\n"
    assert blocks("{{ f.listing(text) }}", html=False, text=text) == "````\n```\n# a\n\n  b & <c>\n````\n"
    assert "<code>```\n# a\n\n  b &amp; &lt;c&gt;</code>" in blocks("{{ f.listing(text) }}", html=True, text=text)


def test_table_in_both_formats():
    grid = Grid("its title", ("name", "two\nlines"), (("plain", "1.0"), ("a|b", "2.0")), bold=frozenset({(1, 1)}))
    assert blocks('{{ f.table(grid, "", "below") }}', html=False, grid=grid).splitlines() == [
        "**its title**", "", "| name | two lines |", "| :-- | --: |", "| plain | 1.0 |", r"| a\|b | **2.0** |", "",
        "below",
    ]  # fmt: skip
    page = blocks('{{ f.table(grid, "other") }}', html=True, grid=grid)
    assert '<th scope="col" class="number">two<br>lines</th>' in page
    assert '<tr><th scope="row" class="name">a|b</th><td class="number"><strong>2.0</strong></td></tr>' in page
    assert "<caption>other</caption>" in page


# --- the files


def test_equal_reports_are_equal(variables, calm, tmp_path):
    assert written(tmp_path / "report", variables) == calm


def test_the_page_asks_nobody(calm):
    text = calm["report.html"].decode()
    page = Page(text)
    without_figures = re.sub(r"data:image/svg\+xml;base64,[A-Za-z0-9+/=]+", "", text)
    without_figures = re.sub(r"sha256-[A-Za-z0-9+/=]+", "", without_figures)
    for address in ("http:", "https:", "//", "url(", "@import"):
        assert address not in without_figures
    addresses = [own[key] for _, own in page.elements for key in ("src", "href") if key in own]
    assert addresses
    assert all(re.match(r"#(en|zh)\b|figures/[\w.]+$|data:image/svg", address) for address in addresses)
    assert not [tag for tag, _ in page.elements if tag in ("link", "iframe", "form", "object", "base", "embed")]


def test_the_policy_allows_the_one_script_and_style_and_no_other(calm):
    text = calm["report.html"].decode()
    digests = []
    for kind in ("style", "script"):
        (own,) = re.findall(rf"<{kind}>(.*?)</{kind}>", text, re.DOTALL)
        digests.append(f"{kind}-src 'sha256-{base64.b64encode(hashlib.sha256(own.encode()).digest()).decode()}'")
    (policy,) = [meta["content"] for meta in Page(text).all("meta") if "http-equiv" in meta]
    assert policy.split("; ") == [
        "default-src 'none'", "img-src data:", *digests, "base-uri 'none'", "form-action 'none'",
    ]  # fmt: skip
    keys = {key for _, attributes in Page(text).elements for key in attributes}
    assert not [key for key in keys if key.startswith("on") or key == "style"]


def test_figures_have_a_text_a_size_and_files():
    figure = figures.reliability(figures.pen("zh"), {"m": Reliability(0.0, 0.0, 1, (1,), (0.5,), (0.5,))})
    page = Page(blocks('{{ f.figure(figure, "c") }}', html=True, language="zh", figure=figure))
    (image,) = page.all("img")
    assert image["alt"] == figure.alt
    assert base64.b64decode(image["src"].split(",")[1]) == figure.svg
    assert (int(image["width"]), int(image["height"])) == figure.size
    assert [link["href"] for link in page.all("a")] == [f"figures/reliability.zh.{kind}" for kind in ("svg", "png")]
    text = blocks('{{ f.figure(figure, "c", "seen") }}', html=False, figure=figure)
    assert text == "![seen](figures/reliability.svg)\n\n*c*\n"


def test_links_of_the_contents_lead_to_headings_and_languages_are_marked(calm):
    page = Page(calm["report.html"].decode())
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = [link["href"][1:] for link in page.all("a") if link["href"].startswith("#")]
    assert {"en", "zh", "en-data", "zh-data", "en-tests"} <= set(links) <= set(ids)
    assert page.all("html") == [{"lang": "en"}]
    assert [article["lang"] for article in page.all("article")] == ["en", "zh-Hans"]
    assert [button["data-choose"] for button in page.all("button")] == ["en", "zh"]


@pytest.mark.parametrize(("name", "words"), [("report.md", ("Warning", "Missing")), ("report.zh.md", ("注意", "缺失"))])
def test_words_before_notes_follow_the_language(name, words, calm):
    found = re.findall(r"^> \*\*(.+?)[.：]\*\* ", calm[name].decode(), re.MULTILINE)
    assert tuple(dict.fromkeys(found)) == words
