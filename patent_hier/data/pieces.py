"""Cutting a CSV file into pieces that can be read by themselves, in flat memory.

A piece begins where :class:`patent_hier.data.records.RecordReader`, reading the whole file, begins a record. Two kinds
of lines show such a place, whatever stands before them: a line that is a whole row, and one that is longer than a
record may be. An open quote never reaches over either, so that the reader is at the start of a record before such a
line and after it. Where a stretch of the file has neither, its rows are split from its beginning, which is the start
of a record, as far as lines yet unread cannot change them.
"""

import re
from collections.abc import Iterable, Iterator

from patent_hier.data.records import Limits, is_row
from patent_hier.data.rows import split_rows

_LINE_END = re.compile(rb"\r\n|\r|\n")
_WINDOW = 1 << 16  # bytes before the end in which a whole row is looked for first


class PieceCutter:
    """Takes the header, then the pieces, off one file.

    Args:
        chunks: Consecutive parts of the file, of any size.
        limits: How far one record may reach. Of an unfinished line only ``max_bytes + 1`` bytes are kept while waiting
            for its end: one more than allowed shows that it is too long.

    Attributes:
        lines: Physical lines up to the first piece.
        blank_lines: Empty ones among them.
    """

    def __init__(self, chunks: Iterable[bytes], limits: Limits) -> None:
        self.lines = 0
        self.blank_lines = 0
        self._chunks = _with_whole_line_ends(chunks)
        self._limits = limits
        self._rest = b""  # begins with a line

    def header(self) -> bytes:
        """Take the first line that is not empty; empty bytes if there is none."""
        while True:
            end = _LINE_END.search(self._rest)
            if end is None and self._grow():
                continue
            line = self._rest[: end.start()] if end else self._rest
            self._rest = self._rest[end.end() :] if end else b""
            self.lines += bool(line or end)
            if line or end is None:
                return line
            self.blank_lines += 1

    def pieces(self, width: int) -> Iterator[bytes]:
        """Cut up the rest of the file.

        Args:
            width: The number of fields of a whole row.

        Yields:
            Whole lines that begin at the start of a record, together the rest of the file; about a chunk each.
        """
        while True:
            cut = self._cut(width)
            if cut:
                piece, self._rest = self._rest[:cut], self._rest[cut:]
                yield piece
            if not self._grow():
                break
        if self._rest:
            yield self._rest

    def _grow(self) -> bool:
        """Append the next chunk; False if there is none."""
        chunk = next(self._chunks, None)
        if chunk is None:
            return False
        self._rest = self._rest[: _end_of_lines(self._rest) + self._limits.max_bytes + 1] + chunk
        return True

    def _cut(self, width: int) -> int:
        """The last place known to be the start of a record, in bytes from the beginning; 0 if there is none."""
        end = _end_of_lines(self._rest)
        start = max(end - _WINDOW, 0)
        lines = self._rest[start:end].splitlines(keepends=True)
        cut = self._after_last_row(lines[bool(start) :], end, width)  # the first line of a window lacks its beginning
        if not cut and start:
            lines = self._rest[:end].splitlines(keepends=True)
            cut = self._after_last_row(lines, end, width)
        if not cut:
            decided = split_rows([line.rstrip(b"\r\n") for line in lines], width, self._limits).decided
            cut = sum(map(len, lines[:decided]))
        return cut

    def _after_last_row(self, lines: list[bytes], end: int, width: int) -> int:
        for line in reversed(lines):
            content = line.rstrip(b"\r\n")
            if len(content) > self._limits.max_bytes or is_row(content, width):
                return end
            end -= len(line)
        return 0


def _with_whole_line_ends(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes, but no chunk ends between the CR and LF of a CRLF."""
    held = b""
    for chunk in chunks:
        whole = held + chunk
        held = b"\r" if whole.endswith(b"\r") else b""
        yield whole.removesuffix(b"\r")
    if held:
        yield held


def _end_of_lines(content: bytes) -> int:
    """Where the last unfinished line begins."""
    return max(content.rfind(b"\n"), content.rfind(b"\r")) + 1
