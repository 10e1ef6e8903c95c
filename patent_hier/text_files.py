"""Line-by-line reading of text files, plain or compressed, in bounded memory.

A compressed file of a few kilobytes can expand to gigabytes, in one line or in many. Both are refused early.
"""

import contextlib
import csv
import gzip
import io
import lzma
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, BinaryIO

from patent_hier.errors import DataError
from patent_hier.regular_files import open_regular

MOST_CHARACTERS = 1 << 24  # in one line
# Largest expansion of a file. Chinese text expands 3 to 6 times, a repeated sentence with changing numbers 70 times;
# gzip reaches 1,000 and xz 7,000.
MOST_TIMES = 250
_ALWAYS = 1 << 26  # bytes that every file may expand to
_ENCODING = "utf-8-sig"  # drops the byte order mark that some editors write


def most_decompressed(size: int) -> int:
    """Return the number of bytes that a compressed file of ``size`` bytes may expand to."""
    return max(_ALWAYS, MOST_TIMES * size)


def too_large(path: Path) -> DataError:
    """Return the error for a file that expands too much."""
    return DataError(
        f"{path} expands to more than {MOST_TIMES} times its size, which text does not do; decompress it yourself if "
        "you trust it"
    )


@contextlib.contextmanager
def open_lines(path: Path, newline: str | None = None) -> Iterator[Iterator[str]]:
    """Open a UTF-8 text file, plain or compressed (``.xz``, ``.gz``), and yield an iterator over its lines.

    Args:
        path: The file.
        newline: As for :func:`open`; ``""`` for a CSV reader.

    Raises:
        DataError: While reading, if a line has more than :data:`MOST_CHARACTERS` characters, or if the file expands to
            more than :data:`MOST_TIMES` times its size.
        OSError: If the file cannot be read or is not a regular file; damaged content raises the errors of :mod:`lzma`
            and :mod:`gzip`.
    """
    with _open(path, newline) as file:
        yield _lines(file, path)


def csv_rows(path: Path) -> Iterator[list[str]]:
    """Return the rows of :func:`numbered_rows` without their numbers; it raises the same errors."""
    return (row for _, row in numbered_rows(path))


def numbered_rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows of a UTF-8 CSV file, plain or compressed (``.xz``, ``.gz``); a blank line is an empty row.

    Yields:
        The number of the row's last line in the file, counted from 1, and the row.

    Raises:
        DataError: If the file cannot be read, is not UTF-8, or is damaged.
    """
    try:
        with open_lines(path, newline="") as lines:
            reader = csv.reader(lines, strict=True)
            for row in reader:
                yield reader.line_num, row
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 ({error.reason}); save it as UTF-8") from error
    except (csv.Error, lzma.LZMAError, gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise DataError(f"{path} is damaged ({error}); download or export it again") from error
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}; check the path and its permissions") from error


def _open(path: Path, newline: str | None) -> IO[str]:
    file = open_regular(path)
    if path.suffix not in (".xz", ".gz"):
        return io.TextIOWrapper(file, encoding=_ENCODING, newline=newline)
    return io.TextIOWrapper(io.BufferedReader(_Bounded(file, path)), encoding=_ENCODING, newline=newline)


def _lines(file: IO[str], path: Path) -> Iterator[str]:
    number = 0
    while line := file.readline(MOST_CHARACTERS + 1):
        number += 1
        if len(line) > MOST_CHARACTERS:
            raise DataError(f"line {number} of {path} has more than {MOST_CHARACTERS:,} characters; split it")
        yield line


class _Bounded(io.RawIOBase):
    """A decompressed stream that raises an error once it exceeds the allowed size."""

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self._file = file
        self._inner = lzma.LZMAFile(file) if path.suffix == ".xz" else gzip.GzipFile(fileobj=file)  # noqa: SIM115
        self._path = path
        self._seen = 0
        self._most = most_decompressed(os.fstat(file.fileno()).st_size)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        count = self._inner.readinto(buffer)
        self._seen += count
        if self._seen > self._most:
            raise too_large(self._path)
        return count

    def close(self) -> None:
        self._inner.close()
        self._file.close()
        super().close()
