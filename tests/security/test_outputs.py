"""What is written for people: pages, figures and lines in which foreign names stay names."""

import base64
import hashlib
import io
import json
import re
import shlex
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

import pytest
from markdown_it import MarkdownIt
from rich.console import Console

from patent_hier.artifacts import MANIFEST, write_manifest
from patent_hier.atomic import read_json
from patent_hier.cli.messages import describe
from patent_hier.errors import DataError
from patent_hier.progress import say
from patent_hier.report.figures import comparison_bars, pen
from patent_hier.report.tables import Grid, print_grid
from tests.commands import command, write_csv
from tests.inference.worlds import World, raw_row
from tests.report.figures.test_figures import OURS
from tests.report.worlds import World as ReportWorld
from tests.report.worlds import world as report_world

CODE = "</code><svg onload=alert(1)>"  # between backquotes, which show code and are not shown themselves
MARKUP = f"</script></style><img src=x onerror=alert(1)>&\"'`{CODE}`[a](javascript:x)![b](http://evil.example/x)"
FILE_NAME = '<img src=x onerror=alert(1)>&"[red]x[∕red] (1).csv'
ESCAPES = "\x1b[31mred\x1b[0m\x1b]0;title\x07\x9b2J\r\u202ea[red]b[/red][link=http://evil.example]c"
ADDRESS = re.compile(r"(?:https?:|ftp:|file:|javascript:|(?<![:\w])//)[\w.\[]", re.IGNORECASE)


class Elements(HTMLParser):
    """The elements of a page in their order, each with its attributes; and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


class Reports(NamedTuple):
    calm: Path
    hostile: Path


def replaced(value: Any, text: str) -> Any:
    """Every string within a value replaced."""
    if isinstance(value, dict):
        return {key: replaced(inner, text) for key, inner in value.items()}
    if isinstance(value, list):
        return [replaced(inner, text) for inner in value]
    return text if isinstance(value, str) else value


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Reports:
    """A report, and one of the same results after all names in their manifests have become markup."""
    folder = tmp_path_factory.mktemp("outputs")
    raw = write_csv(folder / FILE_NAME, {"A01B1/00": 40, "A23L1/00": 30, "B05B1/00": 40, "B60K1/00": 20})
    path = str(raw).replace("\\", "\\\\")
    own: ReportWorld = report_world(folder, "data=gazette", "encoder=demo", f"data.path='{path}'", "split.test=0.3")
    own.run("linear", "level=hier")
    done = own.report("--output", folder / "calm")
    assert done.status == 0, done
    for file in own.runs.glob(f"*/*/{MANIFEST}"):
        manifest = read_json(file)
        manifest["environment"] = replaced(manifest["environment"], MARKUP)
        manifest["overrides"] = [f"data.path={MARKUP}", MARKUP]
        manifest["model"] = MARKUP
        write_manifest(file.parent, manifest)
    done = own.report("--output", folder / "hostile")
    assert done.status == 0, done
    return Reports(folder / "calm", folder / "hostile")


def test_names_bring_no_element_into_the_report(reports: Reports) -> None:
    calm, hostile = (Elements((folder / "report.html").read_text("utf-8")) for folder in reports)
    assert MARKUP.replace("`", "") in hostile.text
    assert FILE_NAME in "".join(calm.text) or shlex.quote(FILE_NAME) in calm.text
    assert [tag for tag, _ in hostile.found if tag in ("script", "style", "img", "svg", "a", "meta")] == [
        tag for tag, _ in calm.found if tag in ("script", "style", "img", "svg", "a", "meta")
    ]
    assert {tag for tag, _ in hostile.found} <= {tag for tag, _ in calm.found}
    for _, attributes in (*calm.found, *hostile.found):
        assert not [key for key in attributes if key.startswith("on") or key == "style"]
        for key in ("src", "href"):
            assert re.match(r"#|figures/[\w.]+$|data:image/svg\+xml;base64,|\Z", attributes.get(key) or "")


def pages(reports: Reports) -> Iterator[tuple[Path, str]]:
    for folder in reports:
        for path in sorted(folder.rglob("*.html")):
            yield path, path.read_text("utf-8")


def test_every_page_has_a_strict_policy(reports: Reports) -> None:
    seen = 0
    for path, page in pages(reports):
        (policy,) = [
            attributes["content"] or ""
            for tag, attributes in Elements(page).found
            if tag == "meta" and attributes.get("http-equiv") == "Content-Security-Policy"
        ]
        rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
        assert (rules["default-src"], rules["base-uri"], rules["form-action"]) == ("'none'",) * 3, path
        assert "unsafe" not in policy
        assert rules.get("img-src", "data:") == "data:"
        for kind in ("script", "style"):
            hashes = {
                "'sha256-" + base64.b64encode(hashlib.sha256(content.encode()).digest()).decode() + "'"
                for content in re.findall(rf"<{kind}>(.*?)</{kind}>", page, re.DOTALL)
            }
            assert hashes == {rules[f"{kind}-src"]}
        seen += 1
    assert seen == 2


def test_the_report_names_no_address(reports: Reports) -> None:
    """Not even the one that stands in a name: there it is text, never what a browser or Markdown would follow."""
    for path, page in pages(reports):
        page = re.sub(r"data:image/svg\+xml;base64,[A-Za-z0-9+/=]+|sha256-[A-Za-z0-9+/=]+", "", page)
        for _, attributes in Elements(page).found:
            assert not [value for value in attributes.values() if value and ADDRESS.match(value)], path
        assert "evil.example" in page or path.parent == reports.calm
        for content in re.findall(r"<(?:script|style)>(.*?)</(?:script|style)>", page, re.DOTALL):
            assert not ADDRESS.search(re.sub(r"/\*.*?\*/|^\s*//.*$", "", content, flags=re.DOTALL | re.MULTILINE))
        if path.parent == reports.calm:
            assert not ADDRESS.search(page)


def test_markdown_has_no_foreign_element(reports: Reports) -> None:
    """As GitHub's renderer reads it: no link, no picture and no HTML but our own."""
    for folder in reports:
        for path in folder.rglob("*.md"):
            tokens = MarkdownIt("commonmark").enable("table").parse(path.read_text("utf-8"))
            for token in (inner for outer in tokens for inner in (outer, *(outer.children or ()))):
                assert token.type not in ("link_open", "html_inline"), path
                if token.type == "image":
                    assert re.fullmatch(r"figures/[\w.]+", str(token.attrs["src"]))
                if token.type == "html_block":
                    assert set(re.findall(r"<[^>]*>", token.content)) <= {
                        *("<details>", "</details>", "<summary>", "</summary>", "<code>", "</code>")
                    }


@pytest.mark.parametrize("language", ["en", "zh"])
def test_names_in_figures_are_drawn(language: Any) -> None:
    name = f"{MARKUP} $x^2$ --> ]]> <!-- <script>"
    drawn = comparison_bars(pen(language), {name: next(iter(OURS.values()))})
    root = ElementTree.fromstring(drawn.svg)
    tags = {element.tag.rpartition("}")[2] for element in root.iter() if isinstance(element.tag, str)}
    assert not tags & {"script", "img", "image", "foreignObject", "iframe", "animate", "set", "a", "text"}
    for key, value in (item for element in root.iter() for item in element.attrib.items()):
        assert not key.rpartition("}")[2].startswith("on")
        assert not key.endswith("href") or value.startswith("#")
    own = re.sub(
        r'xmlns(:\w+)?="[^"]+"|<!DOCTYPE.*?>|<metadata>.*?</metadata>', "", drawn.svg.decode(), flags=re.DOTALL
    )
    assert not ADDRESS.search(re.sub(r"<!--.*?-->", "", own, flags=re.DOTALL))


# --- terminals


def assert_only_shown(text: str) -> None:
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", text), repr(text)


def test_file_names_in_lines_of_a_command(made: World, tmp_path: Path) -> None:
    name = ESCAPES.replace("/", "∕")
    source = tmp_path / f"{name}.csv"
    done = command("predict", made.result("linear", "hier"), source)
    assert done.status == 1
    assert len(done.err.splitlines()) == 1
    assert_only_shown(done.err)
    assert "\\x1b[31mred" in done.err
    assert "[red]b[∕red]" in done.err
    source.write_bytes(f"{raw_row(abstract='x')}\n".encode())
    assert_only_shown(command("predict", made.result("linear", "hier"), source).err)
    folder = tmp_path / name
    for words in (
        ("predict", folder, source),
        ("combine", folder, folder),
        ("run", f"data.path={name}", "data=cnipa"),
        (name,),
        ("run", name),
        ("run", f"--{name}"),
        ("prepare", f"data.{name}=1"),
    ):
        done = command(*words)
        assert done.status != 0, words
        assert len(done.err.splitlines()) == 1, done.err
        assert_only_shown(done.out + done.err)


def test_headers_and_rows_in_a_check(tmp_path: Path) -> None:
    source = tmp_path / "raw.csv"
    rows = [f"一种装置{n},A01B1/00" for n in range(20)] + [f"{ESCAPES}一种,{ESCAPES}" for _ in range(2)]
    source.write_text("\n".join([f"名称{ESCAPES.replace(chr(13), '')},IPC", *rows]) + "\n", "utf-8")
    words = ["data=cnipa", f"data.path={source}", "data.encoding=utf-8", "data.max_reject_share=1"]
    done = command("prepare", "--check", *words, "data.text=[名称]", "data.columns={symbols: IPC}")
    assert_only_shown(done.out + done.err)
    done = command("prepare", "--check", *words, "data.text=[IPC]", "data.columns={symbols: IPC}")
    assert_only_shown(done.out + done.err)
    assert "\\x1b[31mred" in done.out


def test_tables_show_names_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    grid = Grid(f"title {ESCAPES}", ("name [bold]", "%"), ((ESCAPES, "1.0"), (MARKUP, "[/red]")))
    plain, terminal = io.StringIO(), io.StringIO()
    print_grid(Console(file=plain), grid)
    print_grid(Console(file=terminal, force_terminal=True, width=300, color_system="truecolor"), grid)
    assert_only_shown(plain.getvalue())
    own = re.sub(r"\x1b\[[0-9;]*m", "", terminal.getvalue())  # rich's colours; the foreign ones have no escape
    assert_only_shown(own)
    for text in (plain.getvalue().replace("\n", ""), own):
        assert "[red]b[/red]" in text.replace(" ", "")
        assert "[/red]" in text
        assert "[bold]" in text
    assert "\\x1b[31mred\\x1b[0m" in own
    say(ESCAPES)
    assert_only_shown(capsys.readouterr().out)


@pytest.mark.parametrize("kind", [DataError, RuntimeError, FileNotFoundError, UnicodeError, KeyError])
def test_every_error_is_one_harmless_line(kind: type[Exception]) -> None:
    error = kind(2, "x", ESCAPES) if kind is FileNotFoundError else kind(f"{ESCAPES}\n{ESCAPES}")
    assert_only_shown(describe(error))
    assert len(describe(error).splitlines()) == 1
    assert json.dumps(describe(error))
