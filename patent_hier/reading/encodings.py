"""Decode bytes into lines, with the encoding set, marked or detected; one bad byte loses only its line.

Lines are split as bytes, before decoding: CR and LF are never part of a longer character in UTF-8, GB18030 or Big5.
UTF-16 is converted to UTF-8 first, with its invalid units as bytes that UTF-8 does not have.
"""

import codecs
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import NamedTuple

from patent_hier.errors import DataError
from patent_hier.reading.rows import EXCERPT, Options, RowFault
from patent_hier.reading.sources import Source

UTF8, GB18030, BIG5, UTF16_LE, UTF16_BE = ENCODINGS = ("utf-8", "gb18030", "big5", "utf-16-le", "utf-16-be")
NAMES = {"utf-8": "UTF-8", "gb18030": "GB18030", "big5": "Big5", "utf-16-le": "UTF-16", "utf-16-be": "UTF-16"}
_ALIASES = {
    **dict.fromkeys(("utf8", "utf8sig", "utf8bom", "cp65001"), UTF8),
    **dict.fromkeys(("gb18030", "gbk", "gb2312", "gb", "cp936", "ms936", "euccn", "hz", "ansi"), GB18030),
    **dict.fromkeys(("big5", "big5hkscs", "cp950", "ms950"), BIG5),
    **dict.fromkeys(("utf16", "utf16le", "unicode", "ucs2"), UTF16_LE),
    "utf16be": UTF16_BE,
}
_CODECS = {BIG5: "big5hkscs"}  # has the characters of Big5 and those of Hong Kong
_MARKS = {
    codecs.BOM_UTF8: UTF8,
    codecs.BOM_UTF16_LE: UTF16_LE,
    codecs.BOM_UTF16_BE: UTF16_BE,
    b"\x84\x31\x95\x33": GB18030,
}
_ENOUGH = 16  # bytes above 127; so many do not decode in another encoding by accident
_UNUSUAL = bytes(range(0x80, 0xA1))  # frequent in UTF-8, rare in GB18030
_SHOWN = 3  # ranges of lines that a note lists
_START = 1 << 16  # least number of bytes from which the encoding is detected
_ESCAPE = "patent_hier.escape"


def _escape(error: UnicodeError) -> tuple[str, int]:
    r"""Replace one bad byte by ``\xNN`` and keep other bytes of the error, such as a comma or a quote."""
    assert isinstance(error, UnicodeDecodeError)
    return f"\\x{error.object[error.start]:02x}", error.start + 1


codecs.register_error(_ESCAPE, _escape)


def canonical(name: str) -> str | None:
    """Return the name of an encoding in :data:`ENCODINGS`; None if it is unknown."""
    return _ALIASES.get("".join(filter(str.isalnum, name.lower())))


def read_mark(start: bytes) -> tuple[str | None, int]:
    """Return the encoding from the byte order mark or from the zero bytes of UTF-16, and the mark's length."""
    for mark, encoding in _MARKS.items():
        if start.startswith(mark):
            return encoding, len(mark)
    head, line = start[:400], start[: max(start.find(b"\n"), 8)]
    odd, even = head[1::2].count(0), head[::2].count(0)
    # In UTF-16, the same half of every ASCII unit, such as a comma, is zero; the other half rarely is (as in 一).
    if b"\0" in line and max(odd, even) > len(head) // 50 + 1 and max(odd, even) >= 4 * min(odd, even):
        return (UTF16_LE if odd > even else UTF16_BE), 0
    return None, 0


def guess(start: bytes) -> str | None:
    """Return the encoding in which the fewest lines of a file's beginning cannot be read; None if it is all ASCII.

    Args:
        start: The first bytes, without a mark; an incomplete last line is ignored.
    """
    start = start[: start.rfind(b"\n") + 1 or len(start)]
    if start.isascii():
        return None
    lines = [line for line in start.splitlines() if not line.isascii()]
    # UTF-8 wins a tie: its lines are valid GB18030 by accident more often than the other way round.
    best = min((UTF8, GB18030), key=lambda encoding: _unreadable(lines, encoding))
    return BIG5 if best == GB18030 and _looks_big5(start) else best


def settle(start: bytes, setting: str, source: object) -> str:
    """Return the encoding that was set, unless the content is clearly in another one.

    Raises:
        DataError: If the content is in another encoding, which the message names.
    """
    found = guess(start)
    if found is None or found == setting:
        return setting
    lines = [line for line in start[: start.rfind(b"\n") + 1 or len(start)].splitlines() if not line.isascii()]
    high = sum(byte > 127 for byte in start[:10_000])
    others = _unreadable(lines, found)
    if _unreadable(lines[:1], setting) and not _unreadable(lines[:1], found):
        high = _ENOUGH  # the header itself is clear evidence
    is_clear = found == BIG5 or others < _unreadable(lines, setting) or (found == UTF8 and not others)
    if high >= _ENOUGH and is_clear and others <= len(lines) // 5:
        raise DataError(f"{source} looks like {NAMES[found]}, but data.encoding={setting}; set data.encoding={found}")
    return setting


def _unreadable(lines: Sequence[bytes], encoding: str) -> int:
    return sum(not _can_decode(line, encoding) for line in lines)


def _looks_big5(content: bytes) -> bool:
    """Return whether second bytes are ASCII as often as in Big5 (2 of 5); in common GB18030 characters none is."""
    pairs = seconds = place = 0
    content = content[:100_000]
    while place < len(content) - 1:
        if content[place] < 0x81:
            place += 1
            continue
        pairs += 1
        seconds += 0x40 <= content[place + 1] <= 0x7E
        place += 2
    return pairs >= _ENOUGH // 2 and seconds > 0.2 * pairs and _can_decode(content[:place], BIG5)


def _can_decode(content: bytes, encoding: str) -> bool:
    try:
        content.decode(_CODECS.get(encoding, encoding))
    except UnicodeDecodeError:
        return False
    return True


def _unusual(content: bytes) -> int:
    """Return the number of bytes that are frequent in UTF-8 and rare in GB18030."""
    return len(content) - len(content.translate(None, _UNUSUAL))


class Block(NamedTuple):
    """Consecutive physical lines.

    Attributes:
        lines: Lines without their ends; of a line with a fault, the part that can be shown.
        faults: Why a line cannot be read, by its number from 0.
        has_quotes: Whether any line contains a quote.
    """

    lines: list[str]
    faults: dict[int, RowFault]
    has_quotes: bool


class Decoder:
    """Decoder of a stream, block by block.

    In a file in UTF-8 or GB18030, lines that are clearly in the other encoding are decoded in that encoding and listed
    in ``notes``; such files were put together from parts in different encodings.

    Args:
        chunks: Bytes of the source, without a mark.
        encoding: One of :data:`ENCODINGS`.
        max_bytes: Longest line in bytes; no more than this of a longer line is kept in memory.
    """

    def __init__(self, chunks: Iterable[bytes], encoding: str, max_bytes: int) -> None:
        self._encoding = encoding
        is_wide = encoding in (UTF16_LE, UTF16_BE)
        self._codec = UTF8 if is_wide else _CODECS.get(encoding, encoding)
        self._other = {UTF8: GB18030, GB18030: UTF8}.get(encoding)
        self._max_bytes = max_bytes
        self._blocks = _whole_lines(_narrowed(chunks, encoding) if is_wide else chunks, max_bytes)
        self._line = 0
        self._stretches: list[list[int]] = []

    @property
    def notes(self) -> list[str]:
        """Note on the lines so far that are in another encoding than the file."""
        if not self._stretches or self._other is None:
            return []
        shown = [str(first) if first == last else f"{first}-{last}" for first, last in self._stretches[:_SHOWN]]
        more = f" and {len(self._stretches) - _SHOWN} more ranges" if len(self._stretches) > _SHOWN else ""
        where = f"line{'s' * (len(shown) > 1 or '-' in shown[0])} {', '.join(shown)}{more}"
        verb = "are" if "lines" in where else "is"
        return [f"{where} {verb} {NAMES[self._other]}, the others {NAMES[self._encoding]}; each was read as such"]

    def blocks(self) -> Iterator[Block]:
        """Yield all lines in order, in blocks."""
        for block in self._blocks:
            decoded = self._decode(block)
            self._line += len(decoded.lines)
            yield decoded

    def _decode(self, block: bytes) -> Block:
        if b"\r" in block:
            block = block.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        may_mix = self._encoding == GB18030 and _unusual(block) >= _ENOUGH // 3
        if not may_mix and b"\0" not in block:
            try:
                lines = block.decode(self._codec).split("\n")
            except UnicodeDecodeError:
                pass
            else:
                if not lines[-1]:  # follows the end of the last line
                    lines.pop()
                if 4 * max(map(len, lines), default=0) <= self._max_bytes:
                    return Block(lines, {}, b'"' in block)
        return self._decode_each(block.removesuffix(b"\n").split(b"\n"), may_mix)

    def _decode_each(self, lines: list[bytes], may_mix: bool) -> Block:
        codec, most = self._codec, self._max_bytes
        texts: list[str] = []
        odd: list[int] = []
        for number, line in enumerate(lines):
            try:
                texts.append(line.decode(codec) if len(line) <= most else "")
            except UnicodeDecodeError:
                texts.append("")
                odd.append(number)
        # Decoded lines may still be wrong.
        odd += [number for number, line in enumerate(lines) if len(line) > most or b"\0" in line]
        if may_mix:
            odd += [number for number, line in enumerate(lines) if _unusual(line) >= _ENOUGH // 3]
        faults: dict[int, RowFault] = {}
        for number in sorted(set(odd)):
            texts[number], fault = self._decode_odd(lines[number], self._line + number + 1)
            if fault is not None:
                faults[number] = fault
        return Block(texts, faults, any('"' in text for text in texts))

    def _decode_odd(self, line: bytes, number: int) -> tuple[str, RowFault | None]:
        if len(line) > self._max_bytes:
            return line[: 4 * EXCERPT].decode(self._codec, _ESCAPE)[:EXCERPT], RowFault.TOO_LONG
        fault = RowFault.NUL_BYTE if b"\0" in line else None
        if self._other is not None and self._is_other(line):
            self._note(number)
            return line.decode(self._other), fault
        try:
            return line.decode(self._codec), fault
        except UnicodeDecodeError:
            return line.decode(self._codec, _ESCAPE), RowFault.UNDECODABLE

    def _is_other(self, line: bytes) -> bool:
        assert self._other is not None
        if not _can_decode(line, self._other):
            return False
        high = len(line) - len(line.translate(None, bytes(range(128, 256))))
        if self._other == UTF8:
            return high >= _ENOUGH
        # In a damaged UTF-8 line few bytes are invalid; in a GB18030 line most are.
        return high >= _ENOUGH // 2 and 3 * line.decode(UTF8, "replace").count("\ufffd") >= high

    def _note(self, number: int) -> None:
        if self._stretches and self._stretches[-1][1] >= number - 1:
            self._stretches[-1][1] = number
        else:
            self._stretches.append([number, number])


def open_text(source: Source, options: Options) -> tuple[str, Iterator[bytes]]:
    """Return the encoding of a source and its bytes without a mark.

    Raises:
        DataError: If the source is empty or in another encoding than the one set.
    """
    chunks = source.chunks()
    start = b""
    while len(start) < _START and (chunk := next(chunks, b"")):
        start += chunk
    if not start:
        raise DataError(f"{source.path} is empty; use a table with a header")
    encoding, mark = read_mark(start)
    if encoding is None:
        encoding = guess(start) or options.encoding if options.guess else settle(start, options.encoding, source.path)
    return encoding, chain([start[mark:]], chunks)


def decoded(chunks: Iterable[bytes], encoding: str) -> Iterator[str]:
    """Yield the text in arbitrary pieces, with bad bytes escaped."""
    decoder = codecs.getincrementaldecoder(_CODECS.get(encoding, encoding))(_ESCAPE)
    for chunk in chunks:
        yield decoder.decode(chunk)
    yield decoder.decode(b"", final=True)


def _narrowed(chunks: Iterable[bytes], encoding: str) -> Iterator[bytes]:
    """Convert UTF-16 to UTF-8; half a surrogate pair or half a unit becomes bytes that cannot be decoded."""
    decoder = codecs.getincrementaldecoder(encoding)("surrogatepass")
    for chunk in chunks:
        yield decoder.decode(chunk).encode(UTF8, "surrogatepass")
    try:
        yield decoder.decode(b"", final=True).encode(UTF8, "surrogatepass")
    except UnicodeDecodeError:
        yield b"\xff"


def _whole_lines(chunks: Iterable[bytes], max_bytes: int) -> Iterator[bytes]:
    """Yield the bytes in blocks that end with a line; a line that is too long is cut to ``max_bytes + 1`` bytes."""
    rest = held = b""
    for chunk in chunks:
        data = held + chunk
        held = b"\r" if data.endswith(b"\r") else b""  # an LF may follow
        data = data.removesuffix(b"\r")
        end = max(data.rfind(b"\n"), data.rfind(b"\r")) + 1
        if end:
            yield rest + data[:end]
            rest = data[end : end + max_bytes + 1]
        else:
            rest = (rest + data)[: max_bytes + 1]
    if rest or held:
        yield rest + held
