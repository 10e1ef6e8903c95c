"""Text files, compressed or not, read line by line in bounded memory whatever the file becomes.

A compressed file of some kilobytes can hold gigabytes, in one line or in many. Both are refused soon.
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

MOST_CHARACTERS = 1 << 24  # of a line
# Of a file. Chinese text becomes 3 to 6 times as large, one sentence with changing numbers 70 times; gzip goes up to
# 1,000, xz to 7,000.
MOST_TIMES = 250
_ALWAYS = 1 << 26  # bytes that any file may become
_ENCODING = "utf-8-sig"  # the mark that some editors put first is no text


def most_decompressed(size: int) -> int:
    """Bytes that a compressed file of ``size`` bytes may become."""
    return max(_ALWAYS, MOST_TIMES * size)


def too_large(path: Path) -> DataError:
    """What to raise for a file that becomes more."""
    return DataError(
        f"{path} becomes more than {MOST_TIMES} times as large when it is decompressed, as no text does; "
        "decompress it yourself if you trust it"
    )


@contextlib.contextmanager
def open_lines(path: Path, newline: str | None = None) -> Iterator[Iterator[str]]:
    """Open a text in UTF-8, plain or compressed (``.xz``, ``.gz``), and give its lines with their ends.

    Args:
        path: The file.
        newline: As for :func:`open`; ``""`` for what reads CSV.

    Raises:
        DataError: While reading, if a line has more than :data:`MOST_CHARACTERS`, or the file becomes more than
            :data:`MOST_TIMES` times as large as it is.
        OSError: If it cannot be read or is no regular file; of damaged content what :mod:`lzma` and :mod:`gzip` raise.
    """
    with _open(path, newline) as file:
        yield _lines(file, path)


def csv_rows(path: Path) -> Iterator[list[str]]:
    """The rows of :func:`numbered_rows` alone; errors as there."""
    return (row for _, row in numbered_rows(path))


def numbered_rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The rows of a CSV file in UTF-8, plain or compressed (``.xz``, ``.gz``); a blank line is an empty row.

    Returns:
        The number of each row's last line in the file, from 1, and the row.

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
        raise DataError(f"{path} is damaged ({error}); fetch or export it again") from error
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
            raise DataError(f"{path} has a line of more than {MOST_CHARACTERS:,} characters, line {number}; split it")
        yield line


class _Bounded(io.RawIOBase):
    """A decompressed file that stops where no text would have gone."""

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
