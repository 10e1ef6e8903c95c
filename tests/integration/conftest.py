"""One trained suite for all tests of a session: nine tiny nodes on 400 demo documents."""

import json
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.commands import TINY, Outcome, command


class Suite(NamedTuple):
    words: list[str]
    runs: Path
    cache: Path
    first: Outcome

    def nodes(self) -> dict[str, Path]:
        folders = (self.runs / "bertcnn").iterdir()
        return {path.name.split("-")[0]: path for path in folders if path.name[0] != "." and "result" not in path.name}

    def result(self) -> Path:
        (folder,) = (self.runs / "bertcnn").glob("result-hier-*")
        return folder


def scores(result_folder: Path) -> dict[str, Any]:
    return json.loads((result_folder / "result.json").read_text("utf-8"))


@pytest.fixture(scope="session")
def suite(tmp_path_factory) -> Suite:
    folder = tmp_path_factory.mktemp("suite")
    words = [*TINY, f"runs_dir={folder / 'runs'}", f"cache_dir={folder / 'cache'}"]
    first = command("run", "level=hier", *words)
    assert first.status == 0, first
    return Suite(words, folder / "runs", folder / "cache", first)


@pytest.fixture
def copied(suite, tmp_path) -> Suite:
    """The suite for a test that damages it; its inputs are the same bytes, so its nodes keep their names."""
    shutil.copytree(suite.runs, tmp_path / "runs")
    shutil.copytree(suite.cache, tmp_path / "cache")
    words = [*TINY, f"runs_dir={tmp_path / 'runs'}", f"cache_dir={tmp_path / 'cache'}"]
    return Suite(words, tmp_path / "runs", tmp_path / "cache", suite.first)
