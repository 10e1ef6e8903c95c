"""Inputs of the GPU check, and the amount of work in each of its steps."""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import torch

from benchmarks.gpu.commands import Ended, run_process
from benchmarks.gpu.steps import Clock
from benchmarks.speed.rows import Row
from benchmarks.speed.subjects import LABELS, Subject
from patent_hier.data.corpus import Corpus, prepare
from patent_hier.data.demo import write_demo_csv
from patent_hier.data.raw import RawFormat
from patent_hier.settings import Settings
from patent_hier.taxonomy.symbols import SECTIONS


class Amounts(NamedTuple):
    """Amount of work in each step."""

    size: str  # size of the networks: a name in benchmarks.architecture.SIZES
    texts: int  # number of generated texts, each with a title and a section
    batch: int  # documents per training step; the paper uses 24
    large_batch: int  # documents per step that keep a card busy
    training: int  # documents of an epoch, timed after a warm-up epoch
    steps: int  # steps of each loss curve
    scored: int  # texts to score; the peer reads them one by one
    scored_in_batches: int  # texts of our own larger run
    pretraining: tuple[int, int]  # rows of 128 tokens per step, and steps per round
    compiler: str  # torch.compile's backend
    length: int  # tokens per document of a loss curve
    hier: tuple[str, ...]  # settings of level=hier
    hier_rows: int  # rows of its corpus, if that is the demo corpus


_BASE = ("hidden_size=768", "num_hidden_layers=12", "num_attention_heads=12", "intermediate_size=3072", "dropout=0.1")
_TINY = ("hidden_size=16", "num_hidden_layers=2", "num_attention_heads=2", "intermediate_size=32", "max_length=16")
AMOUNTS = {
    "base": Amounts(
        "base", 6000, 24, 96, 2400, 120, 256, 3000, (256, 30), "inductor", 200,
        (
            *(f"encoder.{word}" for word in _BASE),
            *("trainer.max_epochs=3", "trainer.min_steps=0", "trainer.batch_size=32", "optimizer.lr=1e-4"),
        ),
        6000,
    ),
    "tiny": Amounts(
        "demo", 300, 4, 8, 16, 4, 4, 12, (2, 2), "eager", 24,
        (
            *(f"encoder.{word}" for word in _TINY),
            *("model.num_last_layers=2", "trainer.max_epochs=1", "trainer.min_steps=0", "trainer.num_threads=1"),
        ),
        300,
    ),
}  # fmt: skip


@dataclass
class Check:
    """The inputs of all steps, and the rows measured so far.

    Attributes:
        amounts: Amount of work in each step.
        clock: Clock with the remaining time.
        abstracts: Generated texts of about 200 tokens.
        titles: Titles of the texts.
        sections: Section of each text, a number below 8.
        paper: Settings of the paper's experiment by ``level``, for the plan.
        words: Settings of ``level=hier``, including its corpus.
        data: Name of that corpus, for display.
        runs: Folder of results, which is searched for older records.
        run: Function that runs a command.
        rows: Measured rows, in the format of ``speed``.
        logs: Output of processes, by file name.
    """

    amounts: Amounts
    clock: Clock
    abstracts: tuple[str, ...]
    titles: tuple[str, ...]
    sections: tuple[int, ...]
    paper: Mapping[str, Settings]
    words: Sequence[str]
    data: str
    runs: Path
    run: Callable[[Sequence[str], float], Ended] = run_process
    rows: list[Row] = field(default_factory=list)
    logs: dict[str, str] = field(default_factory=dict)

    @property
    def on_gpu(self) -> bool:
        """Whether there is a GPU; without one, the check is a rehearsal."""
        return torch.cuda.is_available()

    @property
    def device(self) -> str:
        """Name of the device, ``cuda`` or ``cpu``."""
        return "cuda" if self.on_gpu else "cpu"

    def subject(self, count: int, **changes: Any) -> Subject:
        """Return a network of the check's size with ``count`` abstracts, repeated if there are not enough."""
        texts = [self.abstracts[i % len(self.abstracts)] for i in range(count)]
        return Subject(self.amounts.size, tuple(texts), **changes)


def made_up(count: int) -> dict[str, Any]:
    """Generate about ``count`` texts of the paper's length, as arguments for :class:`Check`."""
    assert len(SECTIONS) == len(LABELS)
    with tempfile.TemporaryDirectory() as name:
        source, place = Path(name) / "raw.csv", Path(name) / "corpus"
        write_demo_csv(source, count, texts=2)
        place.mkdir()
        prepare(source, place, RawFormat())
        corpus = Corpus.open(place)
        abstracts = tuple(chain.from_iterable(corpus.iter_texts()))
        titles = tuple(title or "" for title in corpus.column("title").to_pylist())
        sections = tuple(map(SECTIONS.index, corpus.column("section").to_pylist()))
    return {"abstracts": abstracts, "titles": titles, "sections": sections}
