"""One trained suite for all tests of a session: nine tiny nodes on 400 demo documents."""

import json
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from patent_hier.evaluation.contract import NetworkPredictions
from tests.commands import TINY_OF, Outcome, command


class Trained(NamedTuple):
    """The nine nodes of a model, and the words with which every command finds them."""

    model: str
    words: list[str]
    runs: Path
    cache: Path
    first: Outcome | None = None
    depth: str = "class"

    def folders(self, pattern: str) -> list[Path]:
        return list((self.runs / self.model).glob(pattern))

    def nodes(self) -> dict[str, Path]:
        """Finished nodes of a hierarchical result."""
        return {path.name.split("-")[0]: path for path in self.folders("[!.]*-*") if len(path.name.split("-")[0]) < 5}

    def result(self, level: str = "hier") -> Path:
        (folder,) = self.folders(f"result-{level}-*")
        return folder


def place(model: str, runs: Path, cache: Path, depth: str = "class") -> Trained:
    words = [f"model={model}", *TINY_OF[model], f"data.depth={depth}", f"runs_dir={runs}", f"cache_dir={cache}"]
    return Trained(model, words, runs, cache, depth=depth)


def train(model: str, runs: Path, cache: Path, depth: str = "class") -> Trained:
    made = place(model, runs, cache, depth)
    first = command("run", "level=hier", *made.words)
    assert (first.status, first.err) == (0, ""), first
    return made._replace(first=first)


def read(folder: Path, name: str) -> Any:
    return json.loads((folder / name).read_text("utf-8"))


def scores(result_folder: Path) -> dict[str, Any]:
    return read(result_folder, "result.json")


def predictions(folder: Path) -> NetworkPredictions:
    return NetworkPredictions.read(folder / "predictions.parquet")


def contents(folder: Path) -> dict[Path, tuple[bytes, int]]:
    """Every result file with its bytes and time of change; the notes of single commands are left aside."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {
        path.relative_to(folder): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in files
        if not {".jobs", ".locks"} & set(path.parts) and not path.parent.name.startswith("result-")
    }


@pytest.fixture(scope="session")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("suite")
    return train("bertcnn", folder / "runs", folder / "cache")


@pytest.fixture
def copied(suite: Trained, tmp_path: Path) -> Trained:
    """The suite for a test that damages it; its inputs are the same bytes, so its nodes keep their names."""
    shutil.copytree(suite.runs, tmp_path / "runs")
    shutil.copytree(suite.cache, tmp_path / "cache")
    return place("bertcnn", tmp_path / "runs", tmp_path / "cache")
