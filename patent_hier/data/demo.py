"""The built-in demo corpus: a raw patent CSV, generated from word lists, with the faults of real files.

Tests, the demo and load tests use it as a file of any size in the paper's layout (16 columns, GB18030, CRLF). The same
``rows`` and ``seed`` give the same bytes. :class:`DemoTruth` records what a cleaner must find in the file.
"""

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path

from patent_hier.data.demo_rows import COLUMNS, DEFECTS, Defect, RowWriter, csv_line
from patent_hier.data.demo_text import Text, TextWriter, Topic, read_topics
from patent_hier.errors import ConfigError

DEMO_VERSION = 1  # increase it whenever the bytes for the same rows and seed change
MIN_ROWS = 300

# Section sizes in the order of the paper's Table 1, evened out so that every class gets 30 of 6,000 documents.
_SECTION_WEIGHTS = {"A": 790, "B": 1233, "C": 660, "D": 512, "E": 540, "F": 690, "G": 845, "H": 730}
_CLASS_FLOOR = 31  # weight of the smallest class on the same scale
_KINDS = "AAAABUUUUU"
_BUFFER = 1 << 20  # bytes written at once


class _Extra(IntEnum):
    """Kind of row that follows a document in the file, if any."""

    NOTHING = 0
    TWIN = 1
    DUPLICATE = 2
    DESIGN = 3
    BROKEN = 4


# Reasons for rejecting a broken row, if they differ from the name of the defect.
_REASONS = {
    Defect.SHORT_ROW: "too_few_fields",
    Defect.LONG_ROW: "too_many_fields",
    Defect.RAW_LINE_BREAK: "too_few_fields",
    Defect.EMPTY_ABSTRACT: "empty_text",
}


@dataclass
class DemoTruth:
    """Known content of a demo file; ``rows == kept + duplicates + rejects.total()``.

    Attributes:
        classes: Number of valid documents of every class.
        duplicates: Rows that repeat the row before them byte for byte.
        twins: Valid documents that are the utility model of an invention filed on the same day.
        designs: Registered designs, which a cleaner must reject.
        defects: Number of broken rows by defect.
    """

    classes: Counter[str] = field(default_factory=Counter)
    duplicates: int = 0
    twins: int = 0
    designs: int = 0
    defects: Counter[str] = field(default_factory=Counter)

    @property
    def kept(self) -> int:
        """Number of valid documents, each counted once."""
        return self.classes.total()

    @property
    def rejects(self) -> Counter[str]:
        """Number of rows to reject by reason, as named in ``RejectReason`` and ``RowFault``."""
        counts = Counter({"locarno_design": self.designs})
        for name, count in self.defects.items():
            defect = Defect(name)
            # any reader sees a row with a raw line break as two short rows
            counts[_REASONS.get(defect, name)] += 2 * count if defect is Defect.RAW_LINE_BREAK else count
        return counts

    @property
    def rows(self) -> int:
        """Number of records below the header."""
        return self.kept + self.duplicates + self.rejects.total()


def write_demo_csv(path: Path, rows: int = 6000, seed: int = 2017, texts: int = 1) -> DemoTruth:
    """Write a demo file.

    Rows are written as they are generated; memory grows by two bytes per row and a bounded cache of applicants.

    Args:
        path: Path of the file; an existing file is replaced.
        rows: Number of documents that a cleaner should keep; the file has about 10 % more rows.
        seed: Seed of all random choices.
        texts: Number of generated abstracts that each row joins into one; two are about as long as a real abstract.

    Returns:
        Counts of the written rows.

    Raises:
        ConfigError: If ``rows`` is below :data:`MIN_ROWS`.
    """
    if rows < MIN_ROWS:
        raise ConfigError(
            f"data.rows={rows} is too small; the demo corpus needs at least {MIN_ROWS} rows to cover its 130 classes"
        )
    truth = DemoTruth()
    with path.open("wb", buffering=_BUFFER) as file:
        file.write(csv_line(list(COLUMNS)).encode("gb18030"))
        file.writelines(_records(rows, seed, texts, truth))
    return truth


def _records(rows: int, seed: int, number: int, truth: DemoTruth) -> Iterator[bytes]:
    """Yield every record below the header, encoded, with its line end."""
    topics = read_topics()
    draw = random.Random(f"{seed} text").random  # noqa: S311 - the same seed must give the same texts
    texts, writer = TextWriter(topics, draw), RowWriter(topics, rows, draw)
    for label, extra in _plan(rows, random.Random(f"{seed} plan"), topics):  # noqa: S311 - see above
        code = topics[label].code
        kind = "A" if extra is _Extra.TWIN else _KINDS[int(draw() * len(_KINDS))]
        text = _write(texts, code, "实用新型" if kind == "U" or extra is _Extra.TWIN else "发明", number)
        row = writer.document(code, text, kind)
        line = csv_line(row).encode("gb18030")
        yield line
        truth.classes[code] += 1
        if extra is _Extra.TWIN:
            yield csv_line(writer.twin(row)).encode("gb18030")
            truth.classes[code] += 1
            truth.twins += 1
        elif extra is _Extra.DUPLICATE:
            yield line
            truth.duplicates += 1
        elif extra is _Extra.DESIGN:
            truth.designs += 1
            yield csv_line(writer.design()).encode("gb18030")
        elif extra is _Extra.BROKEN:
            defect = DEFECTS[truth.defects.total() % len(DEFECTS)]
            truth.defects[defect.value] += 1
            yield writer.broken(writer.document(code, _write(texts, code, "发明", number), "A"), defect)


def _write(texts: TextWriter, code: str, filing: str, number: int) -> Text:
    """Return a title, and ``number`` abstracts joined into one."""
    parts = [texts.write(code, filing) for _ in range(number)]
    return Text(parts[0].title, "".join(part.abstract for part in parts))


def _plan(rows: int, shuffler: random.Random, topics: Sequence[Topic]) -> Iterator[tuple[int, _Extra]]:
    """Yield each document's label and the kind of row that follows it, in random order; both take one byte per row."""
    wanted = {
        _Extra.TWIN: round(rows * 0.015),
        _Extra.DUPLICATE: round(rows * 0.01),
        _Extra.DESIGN: round(rows * 0.064),
        _Extra.BROKEN: max(round(rows * 0.02), len(DEFECTS)),
    }
    documents = rows - wanted[_Extra.TWIN]
    extras = bytearray(b"".join(bytes([extra]) * count for extra, count in wanted.items()).ljust(documents, b"\0"))
    labels = _labels(documents, topics)
    shuffler.shuffle(labels)
    shuffler.shuffle(extras)
    return zip(labels, map(_Extra, extras), strict=True)


def _labels(documents: int, topics: Sequence[Topic]) -> bytearray:
    """Return the topic number of each document, sorted; the largest remainder method sets the quotas."""
    total = sum(_SECTION_WEIGHTS.values())
    exact = [weight / total * documents for weight in _class_weights(topics)]
    quotas = [int(quota) for quota in exact]
    by_remainder = sorted(range(len(topics)), key=lambda number: (quotas[number] - exact[number], number))
    for number in by_remainder[: documents - sum(quotas)]:
        quotas[number] += 1
    return bytearray(number for number, quota in enumerate(quotas) for _ in range(quota))


def _class_weights(topics: Sequence[Topic]) -> Iterator[float]:
    """Yield the class weights: a floor, plus a share of the section by rank (1, 1/2, 1/3, ...) except for class 99."""
    sizes = Counter(topic.code[0] for topic in topics)
    ranks: Counter[str] = Counter()
    for topic in topics:
        section = topic.code[0]
        ranks[section] += 1
        shares = sum(1 / rank for rank in range(1, sizes[section]))
        share = 0 if topic.code.endswith("99") else 1 / ranks[section] / shares
        yield _CLASS_FLOOR + share * (_SECTION_WEIGHTS[section] - _CLASS_FLOOR * sizes[section])
