"""Small corpora with finished runs, for the tests of the report; figures that are drawn in no time."""

import re
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from patent_hier.report.content import details, systems, table_2
from patent_hier.report.figures import Pen, Rendered
from tests.commands import TINY, TINY_OF, Outcome, command, write_csv

FIGURES = {
    table_2: ("comparison_bars",),
    systems: ("frequency_bars", "reliability"),
    details: ("section_confusion", "class_bars", "learning_curves", "layer_bars"),
}
_PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">II", 200, 100)  # the head of a picture, all that is read

# Four sections; F's only document of one class and the rare H leave gaps in tables, as real corpora do.
SYMBOLS = {
    "A01B1/00": 70,
    "A23L1/00": 40,
    "A47C1/00": 25,
    "B05B1/00": 60,
    "B60K1/00": 20,
    "D01B1/00": 30,
    "D03C1/00": 25,
    "D06F1/00": 12,
    "F16B1/00": 2,
    "H01B1/00": 1,
}


class World(NamedTuple):
    """Where results lie, and the words that every command needs to find them."""

    words: tuple[str, ...]
    runs: Path
    cache: Path

    def run(self, model: str, *words: str) -> Outcome:
        """Train with tiny settings."""
        given = [word for word in (TINY if model == "bertcnn" else TINY_OF[model]) if not word.startswith("data.")]
        names = {word.split("=")[0] for word in words}
        tiny = [word for word in given if word.split("=")[0] not in names]
        done = command("run", f"model={model}", *tiny, *self.words, *words)
        assert done.status == 0, done
        return done

    def report(self, *words: object) -> Outcome:
        """Write the report with figures of no content."""
        with plain_figures():
            return command("report", *self.words, *words)

    def folder(self) -> Path:
        """The one report."""
        (folder,) = self.runs.glob("report-*")
        return folder

    def node(self, model: str, node: str) -> Path:
        """The one result of a node."""
        (folder,) = (self.runs / model).glob(f"{node}-*")
        return folder


def world(folder: Path, *words: str, runs: Path | None = None) -> World:
    """The place of a corpus whose settings are ``words``."""
    runs = runs or folder / "runs"
    return World((*words, f"runs_dir={runs}", f"cache_dir={folder / 'cache'}"), runs, folder / "cache")


def csv_world(folder: Path, symbols: Mapping[str, int] = SYMBOLS) -> World:
    """A raw file of titles of which every third names another class, so that no model is always right."""
    path = write_csv(folder / "titles.csv", dict(symbols))
    names = sorted({symbol[:3] for symbol in symbols})
    rng = np.random.default_rng(11)

    def title(found: re.Match[str]) -> str:
        return f"装置{rng.choice(names) if rng.random() < 1 / 3 else found[1]}"

    text = re.sub(r"装置([A-H]\d\d)", title, path.read_text("gb18030"))
    path.write_text(text, "gb18030")
    return world(folder, "data=gazette", "encoder=demo", f"data.path={path}", "split.test=0.35")


@contextmanager
def plain_figures() -> Iterator[None]:
    """Every figure of the report's parts is an empty picture: drawing is tested with the figures, and takes long."""
    with pytest.MonkeyPatch.context() as patch:
        for module, names in FIGURES.items():
            for name in names:
                patch.setattr(module, name, _plain(name))
        yield


def _plain(name: str) -> Any:
    def draw(pen: Pen, *_: object) -> Rendered:
        return Rendered(name, b"<svg/>", _PNG, f"{name} {pen.language}")

    return draw
