"""The corpus: a folder with ``corpus.parquet``, ``rejects.csv`` and a manifest, made once from a raw file.

:func:`prepare` makes it, :func:`check` tells what it would make without writing, :class:`Corpus` reads it.
"""

import csv
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from patent_hier.artifacts import find_damage, fingerprint, seal
from patent_hier.atomic import atomic_file, read_json
from patent_hier.data.accounting import Accounting, refuse_rejects
from patent_hier.data.cleaning import Cleaning, Progress
from patent_hier.data.columns import SCHEMA
from patent_hier.data.raw import Layout, RawFormat, Rejection
from patent_hier.errors import ArtifactError
from patent_hier.sanitize import cell, one_line

CORPUS_VERSION = 2
CORPUS_FILE = "corpus.parquet"
REJECTS_FILE = "rejects.csv"
_REJECTS_ENCODING = "utf-8-sig"  # the mark at the start makes spreadsheets read the file as UTF-8
_EXAMPLES = 3  # rejected rows that a check shows for each reason


def corpus_fingerprint(source_digest: str, fmt: RawFormat) -> str:
    """Name a corpus by what decides its content: the raw file's bytes, the format and :data:`CORPUS_VERSION`.

    Args:
        source_digest: SHA-256 of the raw file in hexadecimal digits.
        fmt: The format; its ``max_reject_share`` decides only whether there is a corpus at all and does not count.
    """
    return fingerprint({"corpus_version": CORPUS_VERSION, "source": source_digest, "format": fmt.content})


def prepare(
    source: Path,
    folder: Path,
    fmt: RawFormat,
    *,
    extra_manifest: Mapping[str, object] | None = None,
    progress: Progress | None = None,
    processes: int = 1,
) -> Accounting:
    """Clean a raw file into a corpus folder, in flat memory, and seal the folder.

    Args:
        source: The raw CSV file.
        folder: An empty folder, best a staging folder of :func:`patent_hier.atomic.atomic_folder`.
        fmt: What the file looks like and how strict to be.
        extra_manifest: Further facts for the manifest.
        progress: Called after each batch with bytes read, bytes in all and rows.
        processes: How many clean rows, this one among them; nothing that is written depends on it.

    Returns:
        Where every row went.

    Raises:
        DataError: If the file cannot be used, has no valid row, or too many rows are rejected; nothing is written.
        ArtifactError: If the folder cannot be written.
    """
    cleaning = Cleaning(source, fmt, progress, processes=processes)
    try:
        _write(cleaning, folder, source, fmt)
        manifest = {
            "corpus_version": CORPUS_VERSION,
            "fingerprint": corpus_fingerprint(cleaning.source_digest, fmt),
            "source_sha256": cleaning.source_digest,
            "format": fmt.content,
            "encoding": cleaning.layout.encoding,
            "accounting": cleaning.accounting.as_dict(),
            "classes": dict(sorted(cleaning.classes.items())),
            "mean_text_length": cleaning.mean_text_length,
        }
        seal(folder, {**(extra_manifest or {}), **manifest})
    except OSError as error:
        why = error.strerror or error
        raise ArtifactError(f"cannot write {folder}: {why}; free space there or choose another folder") from error
    return cleaning.accounting


def _write(cleaning: Cleaning, folder: Path, source: Path, fmt: RawFormat) -> None:
    """Write the corpus and the rejects, or neither."""
    with ExitStack() as stack:
        corpus_path = stack.enter_context(atomic_file(folder / CORPUS_FILE))
        rejects_path = stack.enter_context(atomic_file(folder / REJECTS_FILE))
        rejects = csv.writer(stack.enter_context(rejects_path.open("w", encoding=_REJECTS_ENCODING, newline="")))
        rejects.writerow(Rejection._fields)
        corpus = stack.enter_context(pq.ParquetWriter(corpus_path, SCHEMA, compression="zstd"))
        # Arrow compresses without Python's lock, so that the next batch is made meanwhile; no more than one waits.
        writing = stack.enter_context(ThreadPoolExecutor(1))
        pending: Future[None] | None = None
        for batch in stack.enter_context(closing(cleaning.batches())):
            if pending:
                pending.result()
            pending = writing.submit(corpus.write_table, batch.documents) if len(batch.documents) else None
            rejects.writerows(map(harmless, batch.rejections))
        if pending:
            pending.result()
        cleaning.accounting.check()
        refuse_rejects(cleaning.accounting, source, fmt.max_reject_share)


def harmless(rejection: Rejection) -> tuple[int, str, str]:
    """A rejection as a row of ``rejects.csv``: no control characters, and an apostrophe before a formula."""
    return rejection.line_number, str(rejection.reason), cell(one_line(rejection.value))


@dataclass(frozen=True)
class CheckReport:
    """Forecast of what :func:`prepare` would do with a file.

    Attributes:
        accounting: Where the rows would go.
        layout: Encoding and columns of the file.
        classes: Documents by IPC class.
        mean_text_length: In characters; 0 without documents.
        examples: The first rejected rows by reason.
        problem: Why ``prepare`` would refuse the file, or None.
    """

    accounting: Accounting
    layout: Layout
    classes: Counter[str]
    mean_text_length: float
    examples: dict[str, list[Rejection]]
    problem: str | None

    def lines(self) -> list[str]:
        """The report to print."""
        header = self.layout.header
        columns = [f"  {ours:<20}{header[position]}" for ours, position in self.layout.positions.items()]
        text = ", ".join(header[position] for position in self.layout.text_positions)
        examples = [
            f"  {reason}, line {rejection.line_number}: {one_line(rejection.value)}"
            for reason, rejections in self.examples.items()
            for rejection in rejections
        ]
        return [
            f"encoding: {self.layout.encoding}",
            "columns:",
            *columns,
            f"text: {text}, {self.mean_text_length:.1f} characters on average",
            f"classes: {len(self.classes)} in {len({name[0] for name in self.classes})} sections",
            *self.accounting.lines(),
            *(["first rejected rows by reason:", *examples] if examples else []),
            f"prepare would stop: {self.problem}" if self.problem else "prepare would keep this file",
        ]


def check(source: Path, fmt: RawFormat, processes: int = 1) -> CheckReport:
    """Read a raw file as :func:`prepare` does and write nothing.

    Args:
        source: The raw CSV file.
        fmt: What the file looks like and how strict to be.
        processes: As for :func:`prepare`.

    Raises:
        DataError: If the file cannot be read at all; refusals that come from counting are in the report.
    """
    cleaning = Cleaning(source, fmt, processes=processes)
    examples: dict[str, list[Rejection]] = {}
    for batch in cleaning.batches():
        for rejection in batch.rejections:
            shown = examples.setdefault(str(rejection.reason), [])
            if len(shown) < _EXAMPLES:
                shown.append(rejection)
    accounting = cleaning.accounting
    accounting.check()
    problem = accounting.problem(fmt.max_reject_share)
    return CheckReport(accounting, cleaning.layout, cleaning.classes, cleaning.mean_text_length, examples, problem)


def shared_strings(column: "pa.ChunkedArray[Any]") -> NDArray[np.object_]:
    """A column of few different strings as an array in which equal ones are one object.

    Arrow's own conversion makes an object of some 50 bytes for each value: 125 MB for the sections of 2.5 million
    documents.

    Args:
        column: ``(n,)`` of strings.

    Returns:
        ``(n,)``, ``None`` for null, equal to ``column.to_numpy()``.
    """
    shared: Any = column.dictionary_encode().unify_dictionaries().to_pandas().cat
    codes: NDArray[np.int64] = shared.codes.to_numpy()
    values: NDArray[np.object_] = np.array([*shared.categories, None], object)
    return values[codes]  # null: -1, the last one


class Corpus:
    """A finished corpus folder; columns are read when they are asked for.

    Attributes:
        folder: The folder.
        manifest: What :func:`prepare` recorded.
    """

    def __init__(self, folder: Path, manifest: Mapping[str, Any]) -> None:
        self.folder = folder
        self.manifest = manifest

    @classmethod
    def open(cls, folder: Path) -> "Corpus":
        """Open a corpus folder.

        Raises:
            ArtifactError: If it is missing, incomplete, damaged or of another version.
        """
        again = f"delete {folder} and run patent-hier prepare again"
        if not folder.exists():
            raise ArtifactError(f"the corpus {folder} is missing; {again}")
        if damaged := find_damage(folder):
            raise ArtifactError(f"the corpus {folder} is damaged ({damaged} is not as its manifest says); {again}")
        manifest = read_json(folder / "manifest.json")
        if manifest.get("corpus_version") != CORPUS_VERSION:
            version = manifest.get("corpus_version")
            raise ArtifactError(f"{folder} holds corpus version {version}, not {CORPUS_VERSION}; {again}")
        return cls(folder, manifest)

    @property
    def fingerprint(self) -> str:
        """The name of the content, 12 hexadecimal digits."""
        return str(self.manifest["fingerprint"])

    @property
    def size(self) -> int:
        """Number of documents."""
        return int(self.manifest["accounting"]["kept"])

    @property
    def classes(self) -> tuple[str, ...]:
        """The IPC classes that occur, sorted."""
        return tuple(self.manifest["classes"])

    @property
    def document_ids(self) -> "pa.ChunkedArray[Any]":
        """Ids of all documents, ``(size,)``, in the order of the corpus."""
        return self.column("document_id")

    def column(self, name: str) -> "pa.ChunkedArray[Any]":
        """One column, ``(size,)``, of type ``SCHEMA.field(name).type``.

        Raises:
            ArtifactError: If the file is damaged.
            KeyError: If there is no such column.
        """
        return self.table([name]).column(name)

    def table(self, names: list[str]) -> pa.Table:
        """Several columns, of ``size`` rows.

        Raises:
            ArtifactError: If the file is damaged.
            KeyError: If there is no such column.
        """
        if unknown := [name for name in names if name not in SCHEMA.names]:
            raise KeyError(f"the corpus has no column {unknown[0]!r}; it has {', '.join(SCHEMA.names)}")
        try:
            return pq.read_table(self.folder / CORPUS_FILE, columns=names)
        except (OSError, pa.ArrowInvalid) as error:
            raise self._damaged() from error

    def iter_texts(self, batch_size: int = 8192) -> Iterator[list[str]]:
        """The texts in the order of the corpus, a batch at a time in memory.

        Args:
            batch_size: Largest number of texts in a batch.

        Raises:
            ArtifactError: If the file is damaged.
        """
        try:
            with pq.ParquetFile(self.folder / CORPUS_FILE) as file:
                for batch in file.iter_batches(batch_size, columns=["text"]):
                    yield [str(text) for text in batch.column(0).to_pylist()]
        except (OSError, pa.ArrowInvalid) as error:
            raise self._damaged() from error

    def _damaged(self) -> ArtifactError:
        return ArtifactError(f"{self.folder / CORPUS_FILE} is damaged; delete its folder and run patent-hier prepare")
