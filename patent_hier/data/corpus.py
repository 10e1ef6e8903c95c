"""The corpus: a folder with ``corpus.parquet``, ``rejects.csv`` and a manifest, created once from raw files.

:func:`prepare` creates it, :func:`check` reports what would be created without writing, and :class:`Corpus` reads it.
"""

import csv
import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from patent_hier.artifacts import file_digest, find_damage, fingerprint, seal
from patent_hier.atomic import atomic_file, read_json
from patent_hier.data.accounting import Accounting, files_shown, refuse_rejects
from patent_hier.data.cleaning import Cleaning, Part, Progress
from patent_hier.data.columns import SCHEMA
from patent_hier.data.raw import RawFormat, Rejection
from patent_hier.errors import ArtifactError
from patent_hier.sanitize import cell, one_line

CORPUS_VERSION = 2
CORPUS_FILE = "corpus.parquet"
REJECTS_FILE = "rejects.csv"
_REJECTS_ENCODING = "utf-8-sig"  # the byte order mark makes spreadsheets read the file as UTF-8
ROW_GROUP = 8192  # smallest number of documents that are compressed together
# Columns with few distinct values; for texts, a dictionary would be built and then discarded.
_FEW = ["section", "ipc_class", "subclass", "main_group", "subgroup", "kind", "applicant", "part"]
_FACTS = ("compression", "encoding", "delimiter", "sheet", "header_line")
_EXAMPLES = 3  # rejected rows that a check shows for each reason


def source_digest(digests: Sequence[str]) -> str:
    """Return one digest for all files of a corpus from their digests, in order; that of a single file is unchanged."""
    return digests[0] if len(digests) == 1 else hashlib.sha256("\n".join(digests).encode()).hexdigest()


def corpus_fingerprint(source_digest: str, fmt: RawFormat) -> str:
    """Return the fingerprint of a corpus, which covers the bytes of its files, the format and :data:`CORPUS_VERSION`.

    Args:
        source_digest: Digest of the files; see :func:`source_digest`.
        fmt: The format; ``max_reject_share`` has no effect, because it only decides whether a corpus is created at all.
    """
    return fingerprint({"corpus_version": CORPUS_VERSION, "source": source_digest, "format": fmt.content})


def prepare(
    source: str | Path | Sequence[str | Path],
    folder: Path,
    fmt: RawFormat,
    *,
    extra_manifest: Mapping[str, object] | None = None,
    progress: Progress | None = None,
) -> Accounting:
    """Clean raw files into a corpus folder in constant memory, and seal the folder.

    Args:
        source: A file, a folder, a pattern, or several of these; see :func:`patent_hier.reading.sources.find_parts`.
        folder: An empty folder, preferably a staging folder of :func:`patent_hier.atomic.atomic_folder`.
        fmt: Format of the files, and how strictly to read them.
        extra_manifest: Further facts for the manifest.
        progress: Callback that is called after each batch with the bytes read, the total bytes and the rows.

    Returns:
        Counts of the rows.

    Raises:
        DataError: If a file cannot be used, no row is valid, or too many rows are rejected; nothing is written.
        ArtifactError: If the folder cannot be written.
    """
    cleaning = Cleaning(source, fmt, progress)
    try:
        _write(cleaning, folder, fmt)
        digests = [file_digest(file) for file in cleaning.files]
        manifest = {
            "corpus_version": CORPUS_VERSION,
            "fingerprint": corpus_fingerprint(source_digest(digests), fmt),
            "source_sha256": source_digest(digests),
            "format": fmt.content,
            "parts": [
                {"sha256": digest, **part.as_dict()} for digest, part in zip(digests, cleaning.parts, strict=True)
            ],
            "accounting": cleaning.accounting.as_dict(),
            "classes": dict(sorted(cleaning.classes.items())),
            "mean_text_length": cleaning.mean_text_length,
        }
        seal(folder, {**(extra_manifest or {}), **manifest})
    except OSError as error:
        why = error.strerror or error
        raise ArtifactError(f"cannot write {folder}: {why}; free some space there or choose another folder") from error
    return cleaning.accounting


def _write(cleaning: Cleaning, folder: Path, fmt: RawFormat) -> None:
    """Write the corpus and the rejected rows, or neither."""
    with ExitStack() as stack:
        corpus_path = stack.enter_context(atomic_file(folder / CORPUS_FILE))
        rejects_path = stack.enter_context(atomic_file(folder / REJECTS_FILE))
        rejects = csv.writer(stack.enter_context(rejects_path.open("w", encoding=_REJECTS_ENCODING, newline="")))
        rejects.writerow(Rejection._fields)
        few: Any = _FEW  # the type stubs accept no list here
        corpus = stack.enter_context(pq.ParquetWriter(corpus_path, SCHEMA, compression="zstd", use_dictionary=few))
        # Arrow compresses without holding Python's lock, so rows are read meanwhile; at most one table is waiting.
        writing = stack.enter_context(ThreadPoolExecutor(1))
        pending: Future[None] | None = None
        tables: list[pa.Table] = []
        for batch in stack.enter_context(closing(cleaning.batches())):
            tables.append(batch.documents)
            rejects.writerows(map(sanitize_rejection, batch.rejections))
            if sum(map(len, tables)) >= ROW_GROUP:
                if pending:
                    pending.result()
                pending, tables = writing.submit(corpus.write_table, pa.concat_tables(tables).combine_chunks()), []
        if pending:
            pending.result()
        if tables:
            corpus.write_table(pa.concat_tables(tables))
        cleaning.accounting.check()
        refuse_rejects(cleaning.accounting, files_shown(cleaning.files), fmt.max_reject_share)


def sanitize_rejection(rejection: Rejection) -> tuple[int, str, str, str]:
    """Return a rejection as a row of ``rejects.csv``, with control characters and formulas made harmless."""
    value, file = cell(one_line(rejection.value)), cell(one_line(rejection.file))
    return rejection.line_number, str(rejection.reason), value, file


@dataclass(frozen=True)
class CheckReport:
    """Forecast of what :func:`prepare` would do with raw files.

    Attributes:
        accounting: Counts of the rows.
        parts: The files.
        classes: Documents by IPC class.
        mean_text_length: Mean length of a text in characters; 0 without documents.
        examples: The first rejected rows by reason.
        problem: Why ``prepare`` would refuse the files, or None.
    """

    accounting: Accounting
    parts: list[Part]
    classes: Counter[str]
    mean_text_length: float
    examples: dict[str, list[Rejection]]
    problem: str | None

    def lines(self) -> list[str]:
        """Return the lines of the report to print."""
        layout = self.parts[0].layout
        columns = [f"  {ours:<20}{layout.header[position]}" for ours, position in layout.positions.items()]
        text = ", ".join(layout.header[position] for position in layout.text_positions)
        examples = [
            f"  {reason}, {one.file + ' ' if one.file else ''}line {one.line_number}: {one_line(one.value)}"
            for reason, rejections in self.examples.items()
            for one in rejections
        ]
        return [
            *described([part.as_dict() for part in self.parts]),
            "columns:",
            *columns,
            f"text: {text}, {self.mean_text_length:.1f} characters on average",
            f"classes: {len(self.classes)} in {len({name[0] for name in self.classes})} sections",
            *self.accounting.lines(),
            *(["first rejected rows by reason:", *examples] if examples else []),
            f"prepare would stop: {self.problem}" if self.problem else "prepare would accept this file",
        ]


def described(parts: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return lines that describe each file, given as :meth:`Part.as_dict`; several files also show their row counts."""
    lines = []
    for part in parts:
        facts = [f"{name.replace('_', ' ')} {part[name]}" for name in _FACTS if name in part]
        lines.append(f"{part['file']}: {', '.join([part['format'], *facts])}")
        lines += [f"  note: {note}" for note in part["notes"]]
        if len(parts) > 1:
            counts = Accounting.from_dict(part["accounting"])
            rejected = f"{counts.rejected.total():,} rejected, {counts.duplicates:,} duplicates"
            lines.append(f"  {counts.rows:,} rows: {counts.kept:,} kept, {rejected}")
    return lines


def check(source: str | Path | Sequence[str | Path], fmt: RawFormat) -> CheckReport:
    """Read raw files as :func:`prepare` does, without writing anything.

    Args:
        source: The same as for :func:`prepare`.
        fmt: Format of the files, and how strictly to read them.

    Raises:
        DataError: If a file cannot be read at all; refusals based on the counts are part of the report instead.
    """
    cleaning = Cleaning(source, fmt)
    examples: dict[str, list[Rejection]] = {}
    for batch in cleaning.batches():
        for rejection in batch.rejections:
            shown = examples.setdefault(str(rejection.reason), [])
            if len(shown) < _EXAMPLES:
                shown.append(rejection)
    accounting = cleaning.accounting
    accounting.check()
    problem = accounting.problem(fmt.max_reject_share)
    return CheckReport(accounting, cleaning.parts, cleaning.classes, cleaning.mean_text_length, examples, problem)


def shared_strings(column: "pa.ChunkedArray[Any]") -> NDArray[np.object_]:
    """Return a column with few distinct strings as an array in which equal strings are one object.

    Arrow's own conversion creates an object of about 50 bytes for each value: 125 MB for the sections of 2.5 million
    documents.

    Args:
        column: Strings, ``(n,)``.

    Returns:
        Strings ``(n,)``, ``None`` for null, equal to ``column.to_numpy()``.
    """
    shared: Any = column.dictionary_encode().unify_dictionaries().to_pandas().cat
    codes: NDArray[np.int64] = shared.codes.to_numpy()
    values: NDArray[np.object_] = np.array([*shared.categories, None], object)
    return values[codes]  # the code of null is -1, which selects the last value


class Corpus:
    """A finished corpus folder; columns are read on demand.

    Attributes:
        folder: The folder.
        manifest: The manifest that :func:`prepare` wrote.
    """

    def __init__(self, folder: Path, manifest: Mapping[str, Any]) -> None:
        self.folder = folder
        self.manifest = manifest

    @classmethod
    def open(cls, folder: Path) -> "Corpus":
        """Open a corpus folder.

        Raises:
            ArtifactError: If the folder is missing, incomplete, damaged or of another version.
        """
        again = f"delete {folder} and run patent-hier prepare again"
        if not folder.exists():
            raise ArtifactError(f"the corpus {folder} is missing; {again}")
        if damaged := find_damage(folder):
            raise ArtifactError(f"the corpus {folder} is damaged ({damaged} differs from its manifest); {again}")
        manifest = read_json(folder / "manifest.json")
        if manifest.get("corpus_version") != CORPUS_VERSION:
            version = manifest.get("corpus_version")
            raise ArtifactError(f"{folder} has corpus version {version}, not {CORPUS_VERSION}; {again}")
        return cls(folder, manifest)

    @property
    def fingerprint(self) -> str:
        """Fingerprint of the content, 12 hexadecimal digits."""
        return str(self.manifest["fingerprint"])

    @property
    def size(self) -> int:
        """Number of documents."""
        return int(self.manifest["accounting"]["kept"])

    @property
    def classes(self) -> tuple[str, ...]:
        """IPC classes that occur, sorted."""
        return tuple(self.manifest["classes"])

    @property
    def document_ids(self) -> "pa.ChunkedArray[Any]":
        """Ids of all documents, ``(size,)``, in the order of the corpus."""
        return self.column("document_id")

    def column(self, name: str) -> "pa.ChunkedArray[Any]":
        """Return one column, ``(size,)``, of type ``SCHEMA.field(name).type``.

        Raises:
            ArtifactError: If the file is damaged.
            KeyError: If there is no such column.
        """
        return self.table([name]).column(name)

    def table(self, names: list[str]) -> pa.Table:
        """Return several columns as a table of ``size`` rows.

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
        """Yield the texts in the order of the corpus, with one batch in memory at a time.

        Args:
            batch_size: Largest number of texts in a batch.

        Raises:
            ArtifactError: If the file is damaged.
        """
        for batch in self.iter_columns(["text"], batch_size):
            yield [str(text) for text in batch.column(0).to_pylist()]

    def iter_columns(self, names: list[str], batch_size: int = 8192) -> Iterator[pa.RecordBatch]:
        """Yield several columns in batches, like the texts of :meth:`iter_texts`.

        Raises:
            ArtifactError: If the file is damaged.
        """
        try:
            with pq.ParquetFile(self.folder / CORPUS_FILE) as file:
                yield from (batch.select(names) for batch in file.iter_batches(batch_size, columns=names))
        except (OSError, pa.ArrowInvalid) as error:
            raise self._damaged() from error

    def _damaged(self) -> ArtifactError:
        return ArtifactError(
            f"{self.folder / CORPUS_FILE} is damaged; delete its folder and run patent-hier prepare again"
        )
