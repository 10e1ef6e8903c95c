"""All rows in one run, their table, and the folder that records them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from patent_hier.artifacts import seal
from patent_hier.atomic import atomic_folder, exclusive, write_json
from patent_hier.bench.rows import Row
from patent_hier.bench.sizes import size_cells
from patent_hier.errors import ConfigError
from patent_hier.pipeline.environment import describe_environment
from patent_hier.progress import say
from patent_hier.settings import BF16, BertCnnSettings

JSON_FILE, TABLE_FILE = "bench.json", "bench.md"
_MEMORY = 0.5  # of the peer's peak, that preparing may take
_COLUMNS = ("work", "unit", "ours", "peer", "ratio", "target", "limit", "share of limit", "met")


@dataclass(frozen=True)
class Amounts:
    """How much each row does.

    Attributes:
        rows: Of the raw file.
        documents: Texts to encode.
        demo: Documents for a network of the demo's size.
        base: Documents for one of BERT-base's size.
        repeats: Of a row, in turn with its peer.
        sizes: Rows of the raw files at which the work before training is measured, ascending.
    """

    rows: int
    documents: int
    demo: int
    base: int
    repeats: int
    sizes: tuple[int, ...]

    @property
    def texts(self) -> int:
        """The most texts that any row reads."""
        return max(self.documents, self.demo, self.base)


AMOUNTS = {
    "quick": Amounts(200_000, 5_000, 512, 32, 3, (10_000, 30_000)),
    "full": Amounts(200_000, 50_000, 4_096, 256, 5, (10_000, 100_000, 1_000_000, 2_770_000)),
}


def check_request(works: Sequence[str], size: str) -> None:
    """Refuse rows and sizes that there are not.

    Raises:
        ConfigError: Naming what is unknown.
    """
    for word in works:
        if word not in WORKS:
            raise ConfigError(f"unknown row {word} of the bench; choose some of {','.join(WORKS)}")
    if size not in AMOUNTS:
        raise ConfigError(f"size {size} of the bench is unknown; choose one of {', '.join(AMOUNTS)}")


def run_bench(abstracts: Sequence[str], titles: Sequence[str], works: Sequence[str], size: str) -> Iterator[Row]:
    """Measure, row by row.

    Args:
        abstracts: Long texts; as many as the size asks for, or all there are.
        titles: Short ones.
        works: Some of :data:`WORKS`.
        size: One of :data:`AMOUNTS`.

    Raises:
        ConfigError: If a name is unknown, or the peer is not installed.
    """
    check_request(works, size)
    for work in works:
        yield from _ROWS[work](abstracts, titles, AMOUNTS[size])


def _prepare(abstracts: Sequence[str], titles: Sequence[str], amounts: Amounts) -> Iterator[Row]:
    from patent_hier.bench.prepare import measure

    found = measure(amounts.rows, amounts.repeats)
    kept, both = found["ours"]["documents"], found["documents_of_both"]
    yield Row(
        work=f"raw CSV to Parquet, {found['rows']:,} rows, generated",
        unit="rows/s",
        ours=found["ours"]["rows_per_second"],
        peer=found["peer"]["rows_per_second"],
        peer_name="pandas",
        ratio=found["ratio"],
        target=2.0,
        # The peer loses rows behind a quote that is never closed, so that it may keep fewer; what it keeps must agree.
        agrees=found["memory_ratio"] <= _MEMORY and both == found["same_labels"] == found["same_text"],
        repeats=amounts.repeats,
        facts={
            **{key: value for key, value in found.items() if key not in ("rows", "ratio")},
            "only_ours": kept - both,
        },
    )


def _tokens(abstracts: Sequence[str], titles: Sequence[str], amounts: Amounts) -> Iterator[Row]:
    from patent_hier.bench.tokens import measure

    found = measure(list(abstracts[: amounts.documents]), amounts.repeats)
    yield Row(
        work="text to token ids, length 200, one core",
        unit="documents/s",
        ours=found["ours"],
        peer=found["peer"],
        peer_name="transformers fast tokenizer",
        ratio=found["ratio"],
        target=10.0,
        agrees=found["different"] == 0,
        repeats=amounts.repeats,
        facts={key: found[key] for key in ("documents", "different", "ratio_with_tables", "tables_seconds")},
    )


def _segmentation(abstracts: Sequence[str], titles: Sequence[str], amounts: Amounts) -> Iterator[Row]:
    from patent_hier.bench.segmentation import segmentation_row

    yield segmentation_row(abstracts[: amounts.documents], amounts.repeats)


def _training(abstracts: Sequence[str], titles: Sequence[str], amounts: Amounts) -> Iterator[Row]:
    from patent_hier.bench.subjects import Subject
    from patent_hier.bench.training import training_row

    for size, count in (("demo", amounts.demo), ("base", amounts.base)):
        yield training_row(Subject(size, tuple(abstracts[:count]), BertCnnSettings()), amounts.repeats)


def _overhead(abstracts: Sequence[str], titles: Sequence[str], amounts: Amounts) -> Iterator[Row]:
    from patent_hier.bench.subjects import Subject
    from patent_hier.bench.training import overhead_row

    yield overhead_row(Subject("demo", tuple(abstracts[:1]), BertCnnSettings()), amounts.repeats)


def _scoring(abstracts: Sequence[str], titles: Sequence[str], amounts: Amounts) -> Iterator[Row]:
    from patent_hier.bench.scoring import scoring_row
    from patent_hier.bench.subjects import Subject

    for size, count in (("demo", amounts.demo), ("base", amounts.base)):
        # Titles have a tenth of an abstract's tokens; a batch of them alone would not show what like lengths are worth.
        for what, texts in (("abstracts", abstracts[:count]), ("titles", titles[: 8 * count])):
            yield scoring_row(Subject(size, tuple(texts), BertCnnSettings()), what, amounts.repeats)
    yield scoring_row(
        Subject("base", tuple(abstracts[: amounts.base]), BertCnnSettings()), "abstracts", amounts.repeats, BF16
    )


def _ablation(abstracts: Sequence[str], titles: Sequence[str], amounts: Amounts) -> Iterator[Row]:
    from patent_hier.bench.ablation import ablation_row
    from patent_hier.bench.subjects import Subject

    yield ablation_row(Subject("demo", tuple(abstracts[: amounts.demo]), BertCnnSettings()), 1)


def _startup(abstracts: Sequence[str], titles: Sequence[str], amounts: Amounts) -> Iterator[Row]:
    from patent_hier.bench.startup import startup_rows

    yield from startup_rows(2 * amounts.repeats + 1)


def _scale(abstracts: Sequence[str], titles: Sequence[str], amounts: Amounts) -> Iterator[Row]:
    from patent_hier.bench.scale import scale_rows

    yield from scale_rows(amounts.sizes, amounts.repeats)


def _serving(abstracts: Sequence[str], titles: Sequence[str], amounts: Amounts) -> Iterator[Row]:
    from patent_hier.bench.serving import serving_rows
    from patent_hier.bench.subjects import Subject

    subject = Subject("demo", tuple(abstracts[: amounts.demo]), BertCnnSettings())
    yield from serving_rows(subject, amounts.demo, amounts.repeats)


_ROWS: dict[str, Callable[[Sequence[str], Sequence[str], Amounts], Iterator[Row]]] = {
    "prepare": _prepare,
    "tokens": _tokens,
    "segmentation": _segmentation,
    "training": _training,
    "overhead": _overhead,
    "scoring": _scoring,
    "ablation": _ablation,
    "startup": _startup,
    "scale": _scale,
    "serving": _serving,
}
WORKS = tuple(_ROWS)


def cells(row: Row) -> tuple[str, ...]:
    """A row as it stands in the table."""
    shown = f"{row.ratio:.2f}" if row.ratio is not None else "–"
    bound = f"≥ {row.target:g}" if row.ratio is not None else f"≤ {row.target:g} {row.unit}"
    return (
        row.work,
        row.unit,
        _number(row.ours),
        "–" if row.peer is None else f"{_number(row.peer)} ({row.peer_name})",
        shown,
        bound,
        "–" if row.limit is None else f"{_number(row.limit)} ({row.limit_name})",
        "–" if row.share_of_limit is None else f"{row.share_of_limit:.0%}",
        ("yes" if row.met else "no") if row.agrees else "no: see facts",
    )


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def print_table(rows: Sequence[Row]) -> None:
    """The tables for a terminal."""
    _print("Ours beside what a user would pick instead, in turn on this machine", [_COLUMNS, *map(cells, rows)])
    if any("sizes" in row.facts for row in rows):
        _print("Time and peak memory by the size of the corpus", size_cells(rows))


def _print(title: str, lines: Sequence[Sequence[str]]) -> None:
    table = Table(*lines[0], title=title)
    for line in lines[1:]:
        table.add_row(*map(escape, line))
    Console(width=200).print(table)


def write_bench(
    rows: Sequence[Row],
    folder: Path,
    facts: dict[str, object],
    draw: Callable[[Sequence[Row]], Mapping[str, bytes]] | None = None,
) -> None:
    """Record a run: ``bench.json``, ``bench.md`` and a manifest with the machine; an older record is replaced.

    Args:
        rows: What was measured.
        folder: Where.
        facts: What was asked for, for the manifest.
        draw: Makes the record's figures from the rows, by file name; None for no figures.
    """
    tables = [[_COLUMNS, *map(cells, rows)], *([size_cells(rows)] if any("sizes" in row.facts for row in rows) else [])]
    figures = draw(rows) if draw else {}
    with exclusive(folder), atomic_folder(folder) as staging:
        write_json(staging / JSON_FILE, [row.as_dict() for row in rows])
        (staging / TABLE_FILE).write_text("\n\n".join(map(_markdown, tables)) + "\n", "utf-8")
        for name, content in figures.items():
            (staging / name).write_bytes(content)
        seal(staging, {"kind": "bench", **facts, "environment": describe_environment()})
    say(f"bench: {folder / TABLE_FILE}")


def _markdown(lines: Sequence[Sequence[str]]) -> str:
    head, *rest = lines
    return "\n".join(" | ".join(("", *line, "")).strip() for line in (head, ["---"] * len(head), *rest))
