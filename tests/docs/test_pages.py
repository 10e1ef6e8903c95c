"""README and site: short enough, in both languages, without a broken link, with commands that exist."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from tests.commands import command
from tests.docs.blocks import PAGES, ROOT, Block, blocks, chinese, commands

ENGLISH_ONLY = {"CONTRIBUTING.md", "docs/api.md"}  # docstrings are English
SITE = [page for page in PAGES if page.startswith("docs/")]
HEADING = re.compile(r"^#{1,6} (.+?)(?: \{ ?#([\w-]+) ?\})?$", re.M)
LINK = re.compile(r"(?<!!)\[[^\]]+\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)")
FIRST = ("README.md", "docs/getting-started.md", "docs/your-own-file.md")  # what a new user types
COMPOSED = ("run", "aggregate", "report", "audit")  # commands whose words are settings: `--cfg job` checks them


@pytest.mark.parametrize(("page", "most"), [("README.md", 12), ("README.zh-CN.md", 12), ("CONTRIBUTING.md", 13)])
def test_front_pages_are_short(page: str, most: int) -> None:
    assert len((ROOT / page).read_bytes()) <= most * 1024


@pytest.mark.parametrize("page", sorted(set(PAGES) - ENGLISH_ONLY))
def test_both_languages_have_the_same_commands(page: str) -> None:
    assert [block.code for block in blocks(page)] == [block.code for block in blocks(chinese(page))]
    assert [block.is_run for block in blocks(page)] == [block.is_run for block in blocks(chinese(page))]


@pytest.mark.parametrize("page", sorted({*PAGES, *map(chinese, set(PAGES) - ENGLISH_ONLY)}))
def test_links_lead_somewhere(page: str) -> None:
    """Of the front pages; those of the site are checked by ``mkdocs build --strict`` as well."""
    text = re.sub(r"```.*?```|`[^`]*`", "", (ROOT / page).read_text("utf-8"), flags=re.S)
    for target in (first or second for first, second in LINK.findall(text)):
        if re.match(r"https?://|mailto:", target):
            continue
        name, _, anchor = target.partition("#")
        path = (ROOT / page).parent / name if name else ROOT / page
        if page.endswith(".zh.md") and path.suffix == ".md":  # the site maps links to the reader's language
            translated = path.with_name(path.name.removesuffix(".md") + ".zh.md")
            path = translated if translated.exists() else path
        assert path.exists() or path.with_suffix(".ipynb").exists(), target
        if anchor and path.suffix == ".md" and path.exists():
            assert anchor in anchors(path), target


def anchors(path: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub and the site make them, and those that are written out."""
    text = path.read_text("utf-8")
    outside = re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S)
    made = {re.sub(r"[^\w\- ]", "", name.lower()).replace(" ", "-") for name, _ in HEADING.findall(outside)}
    given = {own for _, own in HEADING.findall(outside) if own}
    return made | given | set(re.findall(r'<a id="([\w-]+)">', text))


def shell_blocks() -> list[tuple[str, Block]]:
    return [(page, block) for page in PAGES for block in blocks(page) if block.language == "sh"]


def test_reasons_are_few_and_say_something() -> None:
    reasons = [block.reason for page in PAGES for block in blocks(page) if block.reason is not None]
    assert all(len(reason) > 10 for reason in reasons)
    assert sum(block.is_run for page in PAGES for block in blocks(page)) > len(reasons)


def test_make_targets_exist() -> None:
    """Also those of blocks that are not run."""
    lines = {line for _, block in shell_blocks() for line in commands(block.code) if line.startswith("make ")}
    assert len(lines) > 10
    for line in sorted(lines):
        done = subprocess.run(["make", "-n", *shlex.split(line)[1:]], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, (line, done.stderr)


@pytest.mark.parametrize(
    "page", [page if page in FIRST else pytest.param(page, marks=pytest.mark.slow) for page in PAGES]
)
def test_settings_of_the_commands_exist(page: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Compose what each command names, in blocks that are not run too; they are run by ``test_running.py``."""
    monkeypatch.chdir(tmp_path)
    for block in blocks(page):
        for line in commands(block.code) if block.language == "sh" else ():
            words = settings_of(line)
            if words is None or "--help" in words or "--cfg" in words:
                continue
            outcome = command("run", *words, "--cfg", "job")
            assert outcome.status == 0, (line, outcome.err)


def settings_of(line: str) -> list[str] | None:
    """The settings in a command that composes them, without its own options; None for any other command."""
    words = shlex.split(line.replace("<", "").replace(">", ""))
    if words[:2] == ["python", "run.py"]:
        words = ["patent-hier", "run", *words[2:]]
    if words[0] != "patent-hier" or words[1] not in COMPOSED:
        return None
    kept = [word for word in words[2:] if "=" in word and not word.startswith("--")]
    swept = [word for word in kept if not re.match(r"[\w.]+=[^\[{(]*,", word) and not word.startswith("hydra/")]
    return [word for word in swept if not word.startswith("hydra.")]
