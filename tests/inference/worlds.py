"""Tiny finished systems on one demo corpus, made once for a session: by section and class, and down to the subgroup."""

from pathlib import Path
from typing import Any, NamedTuple

import pytest

from patent_hier.data.corpus import Corpus
from patent_hier.data.raw import PAPER_COLUMNS
from patent_hier.evaluation.contract import NetworkPredictions
from patent_hier.inference.classifier import HierarchicalClassifier
from patent_hier.inference.predictor import System
from patent_hier.inference.results import LabelPath
from tests.commands import TINY_OF, command


class World(NamedTuple):
    folder: Path
    depth: str = "class"

    @property
    def runs(self) -> Path:
        return self.folder / ("runs" if self.depth == "class" else f"runs-{self.depth}")

    @property
    def deep(self) -> "World":
        """The systems down to the subgroup, on the same corpus."""
        return self._replace(depth="subgroup")

    @property
    def raw(self) -> Path:
        """The raw file that all systems were trained on."""
        (file,) = (self.folder / "cache" / "demo").glob("*.csv")
        return file

    @property
    def corpus(self) -> Corpus:
        (folder,) = (self.folder / "cache" / "corpora").glob("demo-*")
        return Corpus.open(folder)

    def texts(self) -> dict[str, str]:
        """Text by document id."""
        texts = [text for batch in self.corpus.iter_texts() for text in batch]
        return dict(zip(self.corpus.document_ids.to_pylist(), texts, strict=True))

    def result(self, model: str, level: str) -> Path:
        (folder,) = (self.runs / model).glob(f"result-{level}-*")
        return folder

    def node(self, model: str, node: str) -> Path:
        (folder,) = (self.runs / model).glob(f"{node}-*")
        return folder

    def predictions(self, model: str, node: str) -> NetworkPredictions:
        return NetworkPredictions.read(self.node(model, node) / "predictions.parquet").select("test")


SYSTEMS = [("linear", "hier"), ("textcnn", "flat"), ("combination", "hier"), ("combination", "flat")]
DEEP = [("linear", "hier"), ("textcnn", "shared")]
TRAINED = {"class": SYSTEMS[:2], "subgroup": DEEP}


def world(factory: pytest.TempPathFactory) -> World:
    """At depth class linear models in nine nodes, a flat TextCNN, and the combination of both; see :data:`TRAINED`."""
    made = World(factory.getbasetemp() / "inference-world")
    if not made.folder.exists():
        for own in (made, made.deep):
            folders = (f"runs_dir={own.runs}", f"cache_dir={made.folder / 'cache'}", f"data.depth={own.depth}")
            for model, level in TRAINED[own.depth]:
                outcome = command("run", f"model={model}", f"level={level}", *TINY_OF[model], *folders)
                assert outcome.status == 0, outcome
        results = [made.result("linear", "hier"), made.result("textcnn", "flat")]
        outcome = command("combine", *results, "--runs-dir", made.runs)
        assert outcome.status == 0, outcome
    return made


def paths_by(system: System, texts: list[str], top_k: int = 3) -> list[list[LabelPath]]:
    """The likeliest paths of each text, without temperatures."""
    return [list(one.paths) for one in HierarchicalClassifier(system, None, {}).predict(texts, top_k)]


def raw_row(**values: str) -> str:
    """A row of a raw file in the paper's 16 columns; values by our names."""
    return ",".join(values.get(name, "") for name in PAPER_COLUMNS)


def raw_text(*rows: str) -> str:
    """A raw file with header."""
    return "\n".join([",".join(PAPER_COLUMNS.values()), *rows]) + "\n"


def write_raw(path: Path, *rows: Any, encoding: str = "utf-8") -> Path:
    path.write_bytes(raw_text(*rows).encode(encoding))
    return path
