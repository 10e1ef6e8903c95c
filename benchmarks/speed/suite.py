"""Run all rows; each row's amount of work is set here."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from benchmarks.architecture import ENGINE_SIZES
from benchmarks.speed.ablation import ablation_row
from benchmarks.speed.jobs import job_rows
from benchmarks.speed.labels import BATCH as LABELS_BATCH
from benchmarks.speed.labels import labels_row
from benchmarks.speed.prepare import prepare_row
from benchmarks.speed.rows import Row
from benchmarks.speed.scale import scale_rows
from benchmarks.speed.scoring import ENGINES, scoring_rows
from benchmarks.speed.serving import engine_row, serving_rows
from benchmarks.speed.startup import startup_rows
from benchmarks.speed.subjects import Subject
from benchmarks.speed.texts import segmentation_row, tokens_row
from benchmarks.speed.training import overhead_row, training_row
from benchmarks.speed.tree import IPC_SIZES, make_tree, tree_row
from patent_hier.inference.engines import Engine
from patent_hier.settings import BF16


class Amounts(NamedTuple):
    """Amount of work of each row."""

    rows: int  # rows of the raw file
    texts: int  # texts to encode and to segment; no row reads more
    demo: int  # documents for a network of the demo's size
    base: int  # documents for a network of BERT-base's size
    repeats: int  # repeats of a row, in turn with its peer
    sizes: tuple[int, ...]  # rows of the raw files for the row 'scale', ascending


AMOUNTS = {
    "quick": Amounts(200_000, 5_000, 512, 32, 3, (10_000, 30_000)),
    "full": Amounts(200_000, 50_000, 4_096, 256, 5, (10_000, 100_000, 1_000_000, 2_770_000)),
}
_TREE_DOCUMENTS = 256
_DEMO_ROWS = 1_500  # rows of the corpus for the row 'jobs'


@dataclass(frozen=True)
class Bench:
    """Inputs of the rows, at most as many as set in ``amounts``, and the work of each row."""

    abstracts: tuple[str, ...]
    titles: tuple[str, ...]
    amounts: Amounts

    def subjects(self) -> tuple[Subject, Subject]:
        """Return networks of the demo's and of BERT-base's size, with their abstracts."""
        sizes = (("demo", self.amounts.demo), ("base", self.amounts.base))
        demo, base = (Subject(size, self.abstracts[:count]) for size, count in sizes)
        return demo, base


def _training(bench: Bench) -> Iterator[Row]:
    for subject in bench.subjects():
        yield training_row(subject, bench.amounts.repeats)


def _scoring(bench: Bench) -> Iterator[Row]:
    for subject in bench.subjects():
        yield from scoring_rows(subject, "abstracts", bench.amounts.repeats, Engine())
        # Titles have a tenth of an abstract's tokens; one batch of them would not show the gain from similar lengths.
        titles = bench.titles[: 8 * len(subject.texts)]
        yield from scoring_rows(Subject(subject.size, titles), "titles", bench.amounts.repeats, Engine())
    yield from scoring_rows(bench.subjects()[1], "abstracts", bench.amounts.repeats, Engine(precision=BF16))


def _engines(bench: Bench) -> Iterator[Row]:
    counts = {"abstracts": bench.amounts.base, "titles": 8 * bench.amounts.base}  # as many tokens
    for size in ENGINE_SIZES:
        for what, texts in (("titles", bench.titles), ("abstracts", bench.abstracts)):
            yield from scoring_rows(Subject(size, texts[: counts[what]]), what, bench.amounts.repeats, *ENGINES)


def _labels(bench: Bench) -> Iterator[Row]:
    whole_steps = LABELS_BATCH * max(2, bench.amounts.base // LABELS_BATCH)
    yield labels_row(Subject("base", bench.abstracts[:whole_steps]), bench.amounts.repeats)


def _serving(bench: Bench) -> Iterator[Row]:
    yield from serving_rows(bench.subjects()[0], bench.amounts.demo, bench.amounts.repeats)
    yield engine_row(Subject("small", bench.titles[: bench.amounts.demo]), bench.amounts.demo, bench.amounts.repeats)


ROWS: dict[str, Callable[[Bench], Iterable[Row]]] = {
    "prepare": lambda bench: [prepare_row(bench.amounts.rows, bench.amounts.repeats)],
    "tokens": lambda bench: [tokens_row(bench.abstracts, bench.amounts.repeats)],
    "segmentation": lambda bench: [segmentation_row(bench.abstracts, bench.amounts.repeats)],
    "training": _training,
    "overhead": lambda bench: [overhead_row(bench.subjects()[0], bench.amounts.repeats)],
    "scoring": _scoring,
    "engines": _engines,
    "ablation": lambda bench: [ablation_row(bench.subjects()[0])],
    "tree": lambda bench: [tree_row(make_tree(IPC_SIZES), _TREE_DOCUMENTS, bench.amounts.repeats)],
    "labels": _labels,
    "startup": lambda bench: startup_rows(2 * bench.amounts.repeats + 1),
    "jobs": lambda bench: job_rows(_DEMO_ROWS, bench.amounts.repeats),
    "scale": lambda bench: scale_rows(bench.amounts.sizes, bench.amounts.repeats),
    "serving": _serving,
}
