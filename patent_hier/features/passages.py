"""Passages of unlabelled text for pre-training, read from Parquet files and text files, compressed or not."""

import hashlib
import lzma
import zlib
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from patent_hier.errors import ConfigError, DataError
from patent_hier.regular_files import require_regular
from patent_hier.sanitize import reason
from patent_hier.text_files import open_lines

PARQUET = ".parquet"
SUFFIXES = (".txt", ".xz", ".gz", PARQUET)
_COLUMN = "text"
_BATCH = 4096  # passages in memory at a time


def read_passages(files: Sequence[Path]) -> Iterator[list[str]]:
    """Yield the passages of the files in order, in batches; empty lines are skipped.

    Args:
        files: ``.txt`` in UTF-8 with one passage per line, plain or compressed (``.xz``, ``.gz``), or ``.parquet``
            with a column ``text``.

    Raises:
        DataError: If a file cannot be read or has another format.
    """
    for file in files:
        yield from _parquet(file) if file.suffix == PARQUET else _lines(file)


def require_text_files(files: Sequence[Path], option: str) -> None:
    """Check the files before any work starts, so that :func:`read_passages` does not fail halfway.

    Args:
        files: The files that the user named.
        option: The option that named them, for the message: ``text=``, or ``--text`` with a space after it.

    Raises:
        ConfigError: If one of them is not a file or has another suffix; the message names the first one.
    """
    for file in files:
        if not file.is_file() or file.suffix not in SUFFIXES:
            raise ConfigError(f"{option}{file} is not a file, or its name does not end in {', '.join(SUFFIXES)}")


def is_held_out(passage: str, share: float) -> bool:
    """Return whether a passage is held out; its content decides, so identical passages are in the same part.

    Args:
        passage: The text.
        share: Fraction of the passages that is held out.
    """
    digest = hashlib.blake2b(passage.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest) < share * 2**64


def _lines(file: Path) -> Iterator[list[str]]:
    if file.suffix not in SUFFIXES:
        raise DataError(
            f"text file {file} does not end in {', '.join(SUFFIXES)}; convert it to text with one passage per line"
        )
    try:
        with open_lines(file) as lines:
            passages = filter(None, map(str.strip, lines))
            while batch := list(islice(passages, _BATCH)):
                yield batch
    except (EOFError, OSError, lzma.LZMAError, zlib.error, UnicodeDecodeError) as error:
        raise DataError(f"text file {file} cannot be read ({error}); use UTF-8 with one passage per line") from error


def _parquet(file: Path) -> Iterator[list[str]]:
    try:
        require_regular(file)
        with pq.ParquetFile(file) as table:
            schema = table.schema_arrow
            if _COLUMN not in schema.names or schema.field(_COLUMN).type not in (pa.string(), pa.large_string()):
                raise DataError(f"text file {file} has no string column {_COLUMN}; rename or convert the column")
            for part in table.iter_batches(_BATCH, columns=[_COLUMN]):
                passages = [text.strip() for text in part.column(0).to_pylist() if text and text.strip()]
                if passages:
                    yield passages
    except (OSError, UnicodeDecodeError, pa.ArrowException) as error:
        raise DataError(f"text file {file} cannot be read ({reason(error)}); write the Parquet file again") from error
