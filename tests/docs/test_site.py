"""The site builds without a warning, in both languages, and its pages load nothing from another address."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.blocks import ROOT

_H1 = re.compile(r"<h1[^>]*>(.*?)<")
_LOADED = re.compile(r"<(?:script|img|iframe|link)\b[^>]*?\b(?:src|href)=[\"']?((?:https?:)?//[^\"'\s>]+)")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("docs") / "site"
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder


def pages(site: Path) -> set[str]:
    return {path.relative_to(site).as_posix() for path in site.rglob("*.html")} - {"404.html"}


def test_every_page_has_both_languages(site: Path) -> None:
    english = {page for page in pages(site) if not page.startswith("zh/")}
    assert {"index.html", "predicting.html", "api.html", "notebooks/own-model.html"} < english
    assert {f"zh/{page}" for page in english} == pages(site) - english
    for page in english - {"index.html", "faq.html"}:  # a page without a translation would show the English one
        titles = [_H1.search((site / own).read_text("utf-8")) for own in (page, f"zh/{page}")]
        assert all(titles), page
        assert titles[0][1] != titles[1][1], page  # type: ignore[index]


def test_pages_load_nothing_from_elsewhere(site: Path) -> None:
    for page in pages(site):
        assert _LOADED.findall((site / page).read_text("utf-8")) == [], page


def test_search_knows_both_languages(site: Path) -> None:
    index = json.loads((site / "search" / "search_index.json").read_text("utf-8"))
    assert index["config"]["lang"] == ["en", "zh"]
    texts = " ".join(entry["text"] for entry in index["docs"])
    assert "calibration" in texts
    assert "校准" in texts.replace("\u200b", "")
    assert "\u200b" in texts  # jieba has separated the words, so that parts of a sentence are found
