"""From a path to its parts, and from a part to its bytes: regular files only, decompressed as far as makes sense."""

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
_OTHERS = {  # the first bytes of what is often taken for a table
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
    """The files that a path names.

    Args:
        given: A file, a folder, a pattern such as ``data/2019-*.csv``, or a list of these.

    Returns:
        The files; of a folder or pattern in natural order, ``2`` before ``10``.

    Raises:
        DataError: If there is none, or one is no regular file.
    """
    parts = _parts(given)
    for part in parts:
        size_of(part)
    return parts


def _parts(given: str | Path | Sequence[str | Path]) -> list[Path]:
    if not isinstance(given, str | Path):
        if not given:
            raise DataError("data.path=[] names no file; name one, a folder or a pattern")
        return [part for one in given for part in _parts(one)]
    path = Path(given)
    if path.is_dir():
        found = [one for one in path.iterdir() if not one.name.startswith((".", "~$"))]
        if others := [one for one in found if not one.is_file()]:
            raise DataError(f"{min(others)} is not a regular file; {path} is read as a folder of files only")
        tables = [one for one in found if one.suffix.lower() in SUFFIXES]
        if not tables:
            raise DataError(f"{path} is a folder without a table; it may hold {', '.join(SUFFIXES)}")
        if unknown := sorted(set(found) - set(tables)):
            raise DataError(f"{unknown[0]} is no table; move it out of {path}, or name the files, as {path}/*.csv does")
        return sorted(tables, key=_natural)
    if _GLOB.search(str(given)) and not path.exists():
        matches = [Path(name) for name in glob.glob(str(given), recursive=True)]  # noqa: PTH207 - of absolute patterns too
        if not matches:
            raise DataError(f"no file is named as {given}; check the pattern and the folder")
        return sorted(matches, key=_natural)
    return [path]


def _natural(path: Path) -> list[tuple[str, int]]:
    pieces = re.findall(r"([^0-9]*)([0-9]*)", str(path))
    return [(text, int(digits or -1)) for text, digits in pieces]


class Source:
    """One open file.

    Attributes:
        path: Its path.
        size: Its bytes on the disk; 0 of standard input.
        compression: ``gzip``, ``xz``, ``zip`` or empty.
        stream: The decompressed bytes; what goes wrong in reading them is a :class:`DataError`.
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
        """Bytes of the file that were read."""
        return min(self._raw.tell(), self.size) if self.size else 0

    def is_workbook(self) -> bool:
        """Whether it is an Excel workbook, old or new."""
        start = self.peek(8)
        if start.startswith(b"\xd0\xcf\x11\xe0"):
            return True
        return start.startswith(b"PK\x03\x04")  # a zip archive of something else was entered already

    def peek(self, size: int) -> bytes:
        """The first bytes that were not read yet, without reading them."""
        return self.stream.peek(size)

    def chunks(self) -> Iterator[bytes]:
        """All bytes in pieces."""
        while chunk := self.stream.read(CHUNK):
            yield chunk

    def whole(self) -> bytes:
        """All bytes at once, for formats that need them."""
        return b"".join(self.chunks())

    def refuse_others(self) -> None:
        """Refuse what is no table, by its first bytes.

        Raises:
            DataError: Saying what it is.
        """
        start = self.peek(1024)
        for mark, what in _OTHERS.items():
            if start.startswith(mark):
                raise DataError(f"{self.path} {what}")
        if _MARKUP.match(start):
            raise DataError(f"{self.path} is a web page or XML, whatever its name; open it and save it as Excel or CSV")

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
        """The one file in a zip archive, or the archive itself where it is a workbook."""
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
                    f"{self.path} is a zip archive of {len(own)} files, not of one; unpack it into a folder"
                )
            return "zip", self._closing.enter_context(archive.open(own[0]))
        except RuntimeError as error:  # zipfile says so of passwords
            raise DataError(f"{self.path} is protected by a password; unpack it") from error
        except _DAMAGED as error:
            raise DataError(f"{self.path} is damaged ({error}); fetch or export it again") from error

    def _check_size(self, archive: zipfile.ZipFile) -> None:
        """A workbook's parts are taken into memory: refuse one that becomes larger than sense, whatever it says."""
        left = most_decompressed(self.size)
        for one in archive.infolist():
            with archive.open(one) as member:
                while chunk := member.read(CHUNK):
                    left -= len(chunk)
                    if left < 0:
                        raise too_large(self.path)


class _Plain:
    """Reads ahead for looking, and says in one line what goes wrong."""

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
            raise DataError(f"{path} is damaged ({error}); fetch or export it again") from error
        except OSError as error:
            raise DataError(f"cannot read {path}: {error.strerror}; check the disk and permissions") from error


class _Bounded(_Plain):
    """The same of a decompressed file, which stops where no text would have gone."""

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
    """Bytes of a regular file; 0 of standard input.

    Raises:
        DataError: If it is none: a pipe would wait for ever, a device never end.
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
        raise DataError(f"{str(path)!r} cannot be the name of a file ({error}); check the path") from error
    if not stat.S_ISREG(status.st_mode):
        raise DataError(f"{path} is not a regular file; name a file, or a folder of files")
    return status.st_size


class _Unseekable(io.RawIOBase):
    """Standard input, whose end must not be closed."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        content = self._stream.read1(len(buffer)) if hasattr(self._stream, "read1") else self._stream.read(len(buffer))
        buffer[: len(content)] = content
        return len(content)
