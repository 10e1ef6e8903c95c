"""The inputs of a check, and the amount of work in each of its steps."""

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
    """How much the steps do."""

    size: str  # of the networks: a name in benchmarks.architecture.SIZES
    texts: int  # generated, each with a title and a section
    batch: int  # documents of a training step; the paper has 24
    large_batch: int  # of one that keeps a card busy
    training: int  # documents of an epoch, timed after one of warm-up
    steps: int  # of each loss curve
    scored: int  # texts; the peer reads them one by one
    scored_in_batches: int  # texts of our own larger run
    pretraining: tuple[int, int]  # rows of 128 tokens of a step, and steps of a round
    compiler: str  # torch.compile's backend
    length: int  # tokens of a document of a loss curve
    hier: tuple[str, ...]  # settings of level=hier
    hier_rows: int  # of its corpus, where it is the demo's


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
    """The inputs of all steps, and the rows that they have measured so far.

    Attributes:
        amounts: How much each step does.
        clock: The time that is left.
        abstracts: Generated texts of about 200 tokens.
        titles: Their titles.
        sections: Of each of them, a number below 8.
        paper: The paper's experiment by ``level``, as the plan takes it.
        words: Settings of ``level=hier``, the corpus among them.
        data: The name of that corpus, for a reader.
        runs: Folder of results, where older records are looked for.
        run: Runs a command.
        rows: What was measured, in the form of ``speed``.
        logs: Output of processes by the name of its file.
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
        """Whether there is one; else this is a rehearsal."""
        return torch.cuda.is_available()

    @property
    def device(self) -> str:
        """``cuda`` or ``cpu``."""
        return "cuda" if self.on_gpu else "cpu"

    def subject(self, count: int, **changes: Any) -> Subject:
        """A network of the check's size, and so many abstracts, again from the first where they do not suffice."""
        texts = [self.abstracts[i % len(self.abstracts)] for i in range(count)]
        return Subject(self.amounts.size, tuple(texts), **changes)


def made_up(count: int) -> dict[str, Any]:
    """About so many generated texts of the paper's length, as :class:`Check` takes them."""
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
