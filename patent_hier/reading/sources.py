"""Find the files that a path names and read their bytes: regular files only, decompressed up to a limit."""

import glob
import gzip
import io
import lzma
import re
import stat
import sys
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, BinaryIO, Self, cast

from patent_hier.errors import DataError
from patent_hier.regular_files import open_regular
from patent_hier.text_files import most_decompressed, too_large

CHUNK = 1 << 21  # bytes
STDIN = Path("/dev/stdin")
_TABLES = (".csv", ".tsv", ".tab", ".txt", ".xlsx", ".xlsm", ".xls", ".json", ".jsonl", ".ndjson")
SUFFIXES = (*_TABLES, ".gz", ".xz", ".zip")
_DAMAGED = (lzma.LZMAError, gzip.BadGzipFile, zlib.error, EOFError, zipfile.BadZipFile, NotImplementedError)
_GLOB = re.compile(r"[*?\[]")
_OTHERS = {  # first bytes of files that are often mistaken for tables
    b"BZh": "is bzip2-compressed; decompress it",
    b"\x28\xb5\x2f\xfd": "is zstd-compressed; decompress it",
    b"7z\xbc\xaf": "is a 7z archive; unpack it",
    b"Rar!": "is a RAR archive; unpack it",
    b"%PDF": "is a PDF document; export a table as CSV or Excel",
    b"PAR1": "is a Parquet file; export it as CSV",
    b"SQLite format 3": "is an SQLite database; export a table as CSV",
    b"{\\rtf": "is a text document; save the table as CSV or Excel",
}
_MARKUP = re.compile(rb"(?:\xef\xbb\xbf)?\s*<(?:!doctype html|html|\?xml|table|meta)", re.IGNORECASE)


def find_parts(given: str | Path | Sequence[str | Path]) -> list[Path]:
    """Return the files that a path names.

    Args:
        given: A file, a folder, a pattern such as ``data/2019-*.csv``, or a list of these.

    Returns:
        The files; those of a folder or pattern in natural order, ``2`` before ``10``.

    Raises:
        DataError: If there are none, or one is not a regular file.
    """
    parts = _parts(given)
    for part in parts:
        size_of(part)
    return parts


def _parts(given: str | Path | Sequence[str | Path]) -> list[Path]:
    if not isinstance(given, str | Path):
        if not given:
            raise DataError("data.path=[] names no file; set a file, a folder or a pattern")
        return [part for one in given for part in _parts(one)]
    path = Path(given)
    if path.is_dir():
        found = [one for one in path.iterdir() if not one.name.startswith((".", "~$"))]
        if others := [one for one in found if not one.is_file()]:
            raise DataError(f"{min(others)} is not a regular file; keep nothing but files in {path}")
        tables = [one for one in found if one.suffix.lower() in SUFFIXES]
        if not tables:
            raise DataError(f"{path} contains no tables; add files with names ending in {', '.join(SUFFIXES)}")
        if unknown := sorted(set(found) - set(tables)):
            raise DataError(f"{unknown[0]} is not a table; move it out of {path}, or use a pattern like {path}/*.csv")
        return sorted(tables, key=_natural)
    if _GLOB.search(str(given)) and not path.exists():
        matches = [Path(name) for name in glob.glob(str(given), recursive=True)]  # noqa: PTH207 - absolute patterns too
        if not matches:
            raise DataError(f"no file matches {given}; check the pattern and the folder")
        return sorted(matches, key=_natural)
    return [path]


def _natural(path: Path) -> list[tuple[str, int]]:
    pieces = re.findall(r"([^0-9]*)([0-9]*)", str(path))
    return [(text, int(digits or -1)) for text, digits in pieces]


class Source:
    """One open file.

    Attributes:
        path: Path of the file.
        size: Size on disk in bytes; 0 for standard input.
        compression: ``gzip``, ``xz``, ``zip`` or empty.
        stream: The decompressed bytes; a failure to read them raises :class:`DataError`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._closing = ExitStack()
        try:
            self._raw, self.size = _open_regular(path)
            self._closing.push(self._raw)
            self.compression, stream = self._decompressed()
        except BaseException:
            self._closing.close()
            raise
        self.stream = _Bounded(stream, self) if self.compression else _Plain(stream, self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.close()

    @property
    def position(self) -> int:
        """Number of bytes of the file read so far."""
        return min(self._raw.tell(), self.size) if self.size else 0

    def is_workbook(self) -> bool:
        """Return whether the file is an Excel workbook, old or new."""
        start = self.peek(8)
        if start.startswith(b"\xd0\xcf\x11\xe0"):
            return True
        return start.startswith(b"PK\x03\x04")  # any other zip archive has already been opened

    def peek(self, size: int) -> bytes:
        """Return the next bytes without consuming them."""
        return self.stream.peek(size)

    def chunks(self) -> Iterator[bytes]:
        """Yield all bytes in pieces."""
        while chunk := self.stream.read(CHUNK):
            yield chunk

    def whole(self) -> bytes:
        """Return all bytes at once, for formats that need them."""
        return b"".join(self.chunks())

    def refuse_others(self) -> None:
        """Reject a file whose first bytes show that it is not a table.

        Raises:
            DataError: If the file is of another kind; the message names the kind.
        """
        start = self.peek(1024)
        for mark, what in _OTHERS.items():
            if start.startswith(mark):
                raise DataError(f"{self.path} {what}")
        if _MARKUP.match(start):
            raise DataError(f"{self.path} is a web page or XML despite its name; open it and save it as Excel or CSV")

    def _decompressed(self) -> tuple[str, IO[bytes]]:
        start = self._raw.peek(6)[:6]
        if start.startswith(b"\x1f\x8b"):
            return "gzip", cast(IO[bytes], self._closing.enter_context(gzip.GzipFile(fileobj=self._raw)))
        if start == b"\xfd7zXZ\0":
            return "xz", self._closing.enter_context(lzma.LZMAFile(self._raw))
        if start.startswith((b"PK\x03\x04", b"PK\x05\x06")) and self.size:
            return self._unzipped()
        return "", self._raw

    def _unzipped(self) -> tuple[str, IO[bytes]]:
        """Open the only file in a zip archive, or the archive itself if it is a workbook."""
        try:
            archive = self._closing.enter_context(zipfile.ZipFile(self._raw))
            names = [one.filename for one in archive.infolist() if not one.is_dir()]
            if "[Content_Types].xml" in names:
                self._check_size(archive)
                self._raw.seek(0)
                return "", self._raw
            own = [name for name in names if not Path(name).name.startswith(".") and "__MACOSX" not in name]
            if len(own) != 1:
                raise DataError(
                    f"{self.path} is a zip archive of {len(own)} files instead of one; unpack it into a folder"
                )
            return "zip", self._closing.enter_context(archive.open(own[0]))
        except RuntimeError as error:  # zipfile's error for password-protected archives
            raise DataError(f"{self.path} is password-protected; unpack it") from error
        except _DAMAGED as error:
            raise DataError(f"{self.path} is damaged ({error}); download or export it again") from error

    def _check_size(self, archive: zipfile.ZipFile) -> None:
        """Reject a workbook that decompresses to more than the limit, since its parts are read into memory."""
        left = most_decompressed(self.size)
        for one in archive.infolist():
            with archive.open(one) as member:
                while chunk := member.read(CHUNK):
                    left -= len(chunk)
                    if left < 0:
                        raise too_large(self.path)


class _Plain:
    """Stream that supports peeking and reports failures as one-line errors."""

    def __init__(self, stream: IO[bytes], source: Source) -> None:
        self._stream = stream
        self._source = source
        self._ahead = b""

    def peek(self, size: int) -> bytes:
        while len(self._ahead) < size and (more := self._fetch(size - len(self._ahead))):
            self._ahead += more
        return self._ahead[:size]

    def read(self, size: int) -> bytes:
        ahead, self._ahead = self._ahead[:size], self._ahead[size:]
        return ahead if len(ahead) == size else ahead + self._fetch(size - len(ahead))

    def _fetch(self, size: int) -> bytes:
        path = self._source.path
        try:
            return self._stream.read(size)
        except _DAMAGED as error:
            raise DataError(f"{path} is damaged ({error}); download or export it again") from error
        except OSError as error:
            raise DataError(f"cannot read {path}: {error.strerror}; check the disk and permissions") from error


class _Bounded(_Plain):
    """Stream of a decompressed file that stops at a size which no real text reaches."""

    def __init__(self, stream: IO[bytes], source: Source) -> None:
        super().__init__(stream, source)
        self._left = most_decompressed(source.size)

    def _fetch(self, size: int) -> bytes:
        content = super()._fetch(size)
        self._left -= len(content)
        if self._left < 0:
            raise too_large(self._source.path)
        return content


def _open_regular(path: Path) -> tuple[Any, int]:
    if path == STDIN:
        return io.BufferedReader(_Unseekable(sys.stdin.buffer)), 0
    size = size_of(path)
    try:
        return open_regular(path), size
    except OSError as error:
        raise DataError(f"cannot open {path}: {error.strerror}; check the path and its permissions") from error


def size_of(path: Path) -> int:
    """Return the size of a regular file in bytes; 0 for standard input.

    Raises:
        DataError: If the path is not a regular file; reading a pipe or a device might never end.
    """
    if path == STDIN:
        return 0
    try:
        status = path.stat()
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist; check the path") from error
    except OSError as error:
        raise DataError(f"cannot open {path}: {error.strerror}; check the path and its permissions") from error
    except ValueError as error:
        raise DataError(f"{str(path)!r} is not a valid file name ({error}); check the path") from error
    if not stat.S_ISREG(status.st_mode):
        raise DataError(f"{path} is not a regular file; use a file or a folder of files")
    return status.st_size


class _Unseekable(io.RawIOBase):
    """Standard input as a stream that does not close it."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        content = self._stream.read1(len(buffer)) if hasattr(self._stream, "read1") else self._stream.read(len(buffer))
        buffer[: len(content)] = content
        return len(content)
