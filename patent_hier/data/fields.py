"""The fields of many rows, decoded at once and kept in one Arrow array.

Rows with a NUL are rejected before, so that a NUL can stand between fields. Like quote and comma it is never part of
a longer character in GB18030 or UTF-8: what cannot be decoded in one row does not disturb the next.
"""

import codecs
import functools
import threading
import unicodedata
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from patent_hier.data.raw import normalise
from patent_hier.data.texts import have_markup

Positions = NDArray[np.int64]

_BLANK = 0x20
_COMMON = ((0x21, 0x7E), (0x3001, 0x3029), (0xFF01, 0xFF5E))  # ASCII, Chinese punctuation, full-width forms
_MARK = "patent_hier.mark"
_marked = threading.local()


def decode(joined: bytes, encoding: str) -> tuple[str, list[int]]:
    """Decode fields with NUL between them.

    Returns:
        The text, with as many NULs, and where in ``joined`` something cannot be decoded, ascending.
    """
    _marked.positions = []
    return joined.decode(encoding, _MARK), _marked.positions


def _mark(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    _marked.positions.append(error.start)
    return "\ufffd", error.start + 1  # one byte on, and not over a NUL that the codec may count to the error


codecs.register_error(_MARK, _mark)


class Fields:
    """The fields of some rows, which need not be of equal width.

    Args:
        text: The fields, row after row, with NUL between them.
        starts: The number of each row's first field, ascending.
    """

    def __init__(self, text: str, starts: Positions) -> None:
        self._starts = starts
        self._values = _split(text.encode())
        self._is_odd = np.zeros(len(self._values), np.bool_)
        self._is_odd[_odd_fields(text)] = True

    def raw(self, column: int, rows: Positions) -> "pa.Array[Any]":
        """The fields of one column as they stand in the file; ``rows`` are places in ``starts``, ``(n,)``."""
        return self._values.take(self._starts[rows] + column)

    def normalised(self, column: int, rows: Positions) -> "pa.Array[Any]":
        """The same, each as :func:`patent_hier.data.raw.normalise` gives it."""
        numbers = self._starts[rows] + column
        values = self._values.take(numbers)
        is_odd = self._is_odd[numbers] | have_markup(values)
        if not is_odd.any():
            return values
        changed = [normalise(str(value)) for value in values.filter(pa.array(is_odd)).to_pylist()]
        result: pa.Array[Any] = pc.replace_with_mask(values, pa.array(is_odd), pa.array(changed, pa.string()))
        return result


def _split(utf8: bytes) -> "pa.Array[Any]":
    """Cut UTF-8 at its NULs."""
    ends = np.flatnonzero(np.frombuffer(utf8, np.uint8) == 0)
    offsets = np.empty(len(ends) + 2, np.int32)
    offsets[0], offsets[-1] = 0, len(utf8) - len(ends)
    offsets[1:-1] = ends - np.arange(len(ends))
    values = pa.py_buffer(utf8.replace(b"\0", b""))
    return pa.StringArray.from_buffers(len(ends) + 1, pa.py_buffer(offsets.tobytes()), values)


def _odd_fields(text: str) -> Positions:
    """Numbers of the fields that :func:`normalise` may change, some more than once; no others change."""
    codes = np.frombuffer(text.encode("utf-16-le"), np.uint16)
    places = np.flatnonzero(~_common(codes))
    rare = codes[places]
    ends = places[rare == 0]
    is_odd = _odd_codes()[rare]
    places, rare = places[is_odd], rare[is_odd]
    # A single blank inside a field stays.
    before = np.where(places > 0, codes[places - 1], 0)
    after = np.where(places + 1 < len(codes), codes[np.minimum(places + 1, len(codes) - 1)], 0)
    is_inside = (before != 0) & (before != _BLANK) & (after != 0) & (after != _BLANK)
    places = places[(rare != _BLANK) | ~is_inside]
    numbers: Positions = np.searchsorted(ends, places)
    return numbers


def _common(codes: NDArray[np.uint16]) -> NDArray[np.bool_]:
    """Most characters of Chinese text, none of which is odd: a quick look that spares the table."""
    common = codes - np.uint16(0x4E00) < 0x5200  # Chinese characters; unsigned numbers wrap round
    for first, last in _COMMON:
        common |= codes - np.uint16(first) <= last - first
    return common


# What lies between: halves of longer characters; Chinese characters, Yi and Hangul syllables; private characters.
_LOOKED_AT = ((0x0000, 0x3400), (0x4DC0, 0x4E00), (0xA490, 0xAC00), (0xD7A4, 0xD800), (0xF900, 0x10000))


@functools.cache
def _odd_codes() -> NDArray[np.bool_]:
    """Which units of UTF-16 may be changed by :func:`normalise`, alone or by what stands beside them, ``(65536,)``.

    These are white space, halves of longer characters, and what can make a text differ from its NFC: characters that
    NFC replaces, combining marks, and characters that NFC composes with the one before.

    Source: Unicode Standard Annex 15, section 9, Detecting Normalization Forms; our set holds all of its No and Maybe.
    """
    odd = np.zeros(1 << 16, np.bool_)
    odd[0xD800:0xE000] = True
    odd[0x1161:0x1176] = odd[0x11A8:0x11C3] = True  # Hangul vowels and final consonants
    for code in chain.from_iterable(map(range, *zip(*_LOOKED_AT, strict=True))):
        character = chr(code)
        if character.isspace() or unicodedata.combining(character) or not unicodedata.is_normalized("NFC", character):
            odd[code] = True
        parts = unicodedata.decomposition(character).split()
        if len(parts) == 2 and not parts[0].startswith("<"):
            odd[int(parts[1], 16)] = True
    return odd
