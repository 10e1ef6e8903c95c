"""Read JSON in bounded memory: one object per line, or a list of objects in any layout.

The end of an object is found by its brackets before it is parsed, so that a broken object loses only itself.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any, NamedTuple

from patent_hier.errors import DataError
from patent_hier.reading.encodings import Decoder, decoded, open_text
from patent_hier.reading.rows import EXCERPT, Options, RowFault, Rows
from patent_hier.reading.sources import Source
from patent_hier.sanitize import is_unicode

BATCH = 2048  # rows
_HEADER_OBJECTS = 1000  # objects whose keys form the header
_TOKEN = re.compile(r'"(?:[^"\\\n]++|\\.)*+"|["{}]')  # a string, one that does not end in its line, a bracket
_START_OF_LIST = re.compile(rb"(?:\xef\xbb\xbf|\xff\xfe|\xfe\xff)?[\s\0]*\[[\s\0]*(?:\{|$)")
_START_OF_OBJECT = re.compile(rb'(?:\xef\xbb\xbf|\xff\xfe|\xfe\xff)?[\s\0]*\{[\s\0]*["}]')
_Text = tuple[int, str, RowFault | None]


class _Item(NamedTuple):
    line: int
    raw: str
    content: Any
    fault: RowFault | None


class JsonReader:
    """Reader of one source of JSON.

    The keys of the first objects form the header. Keys may use the package's own names (``abstract``); a value that is
    not a string is converted to its JSON text.

    Args:
        source: The source, at its first byte.
        options: How to read it.

    Raises:
        DataError: If no object has the necessary keys.
    """

    def __init__(self, source: Source, options: Options) -> None:
        self._is_list = looks_like_list(source.peek(1024))
        self._encoding, chunks = open_text(source, options)
        self._decoder = Decoder(chunks, self._encoding, options.limits.max_bytes)
        most = options.limits.max_bytes
        self._texts = _objects(decoded(chunks, self._encoding), most) if self._is_list else _lines(self._decoder)
        self._options = options
        self._blank_lines = 0
        items = self._items()
        first = list(islice(items, _HEADER_OBJECTS))
        keys = dict.fromkeys(self._name(key) for item in first if item.fault is None for key in item.content)
        if not keys and not options.json_header:
            raise DataError(f"{source.path} does not begin with JSON objects; write one object per line, or a list")
        self.names, texts = _find_header(tuple(keys), options)
        self._text_names = [self.names[position] for position in texts]
        self._items_left = chain(first, items)

    @property
    def facts(self) -> Mapping[str, object]:
        """Properties of the source; see :class:`patent_hier.reading.rows.Reader`."""
        return {"format": "JSON list" if self._is_list else "JSON lines", "encoding": self._encoding}

    @property
    def notes(self) -> Sequence[str]:
        """Remarks about the source; see :class:`patent_hier.reading.rows.Reader`."""
        return self._decoder.notes

    def rows(self) -> Iterator[Rows]:
        """Yield all rows in order; see :class:`patent_hier.reading.rows.Reader`."""
        while items := list(islice(self._items_left, BATCH)):
            rows = Rows(blank_lines=self._blank_lines)
            self._blank_lines = 0
            for line, raw, content, fault in items:
                fields, fault = ([], fault) if fault else self._fields(content)
                rows.add(line, raw, fields, fault)
            yield rows
        if self._blank_lines:
            yield Rows(blank_lines=self._blank_lines)

    def _name(self, key: str) -> str:
        return self._options.json_names.get(key, key)

    def _fields(self, content: dict[str, Any]) -> tuple[list[str], RowFault | None]:
        values: dict[str, Any] = {}
        for key, value in content.items():
            if value is not None and values.get(self._name(key), "") == "":
                values[self._name(key)] = value
        texts = [values[name] for name in self._text_names if name in values]
        if not texts or not all(isinstance(text, str) for text in texts):
            return [], RowFault.NO_TEXT_FIELD
        fields = [_written(values.get(name, "")) for name in self.names]
        return (fields, None) if is_unicode("".join(fields)) else ([], RowFault.BAD_UNICODE)

    def _items(self) -> Iterator[_Item]:
        for line, text, fault in self._texts:
            if text.strip() or fault is not None:
                yield _parsed(line, text, fault)
            else:
                self._blank_lines += 1


def _lines(decoder: Decoder) -> Iterator[_Text]:
    number = 0
    for block in decoder.blocks():
        for place, line in enumerate(block.lines):
            number += 1
            yield number, line, block.faults.get(place)


def looks_like_json(start: bytes) -> bool:
    """Return whether a source begins like an object or a list of objects."""
    return looks_like_list(start) or _START_OF_OBJECT.match(start) is not None


def looks_like_list(start: bytes) -> bool:
    """Return whether a source begins like a list of objects."""
    return _START_OF_LIST.match(start) is not None


def _objects(chunks: Iterator[str], most: int) -> Iterator[_Text]:
    """Yield the text of each object in a list, from its opening to its closing bracket, with its first line."""
    text, line, open_ = "", 1, _Open()  # `text` begins where the open object begins
    for chunk in chunks:
        text += chunk
        for begin, end, fault in open_.scan(text):
            yield line + text.count("\n", 0, begin), text[begin:end], fault
        cut = open_.begin if open_.depth else open_.place
        line += text.count("\n", 0, cut)
        text = text[cut:]
        open_.begin, open_.place = 0, open_.place - cut
        if len(text) > most:
            yield line, text[:EXCERPT], RowFault.TOO_LONG
            line += text.count("\n")
            text, open_ = "", _Open()
    if open_.depth:
        yield line, text, RowFault.BAD_JSON


def _find_header(keys: tuple[str, ...], options: Options) -> tuple[tuple[str, ...], Sequence[int]]:
    """Return the column names and the positions of the text; columns that no object has may be added."""
    try:
        return keys, options.accept(keys)
    except DataError:
        if keys and not set(keys) & set(options.json_header):
            raise
    names = tuple(dict.fromkeys([*keys, *options.json_header]))
    return names, options.accept(names)


@dataclass
class _Open:
    """State of a scan for objects.

    Attributes:
        place: Position up to which the text has been scanned.
        begin: Start of the open object.
        depth: Number of open brackets.
    """

    place: int = 0
    begin: int = 0
    depth: int = 0

    def scan(self, text: str) -> Iterator[tuple[int, int, RowFault | None]]:
        """Yield start, end and fault of each object that ends in a text, and of values that are not objects.

        An object without its closing bracket ends where a later line begins another object with no deeper indentation.
        """
        for match in _TOKEN.finditer(text, self.place):
            mark, start = match[0], match.start()
            if mark == '"' and text.find("\n", start) < 0:
                break  # the string may end in the next chunk
            self.place = match.end()
            if mark == "{":
                if self.depth and _indent(text, start) <= _indent(text, self.begin):
                    yield self.begin, start, RowFault.BAD_JSON
                    self.depth = 0
                self.depth += 1
                self.begin = start if self.depth == 1 else self.begin
            elif mark == "}":
                self.depth -= self.depth > 0
                if self.depth == 0:
                    yield self.begin, self.place, None
            elif self.depth == 0:
                yield start, self.place, RowFault.NO_OBJECT


def _indent(text: str, place: int) -> int:
    """Return the indentation of a bracket that is the first character of its line, else the length of the text."""
    before = text[text.rfind("\n", 0, place) + 1 : place]
    return len(text) if before.strip() else len(before)


def _parsed(line: int, text: str, fault: RowFault | None) -> _Item:
    if fault is not None:
        return _Item(line, text, None, fault)
    try:
        content = json.loads(text.removeprefix("\ufeff"))
    except (ValueError, RecursionError):
        return _Item(line, text, None, RowFault.BAD_JSON)
    return _Item(line, text, content, None if isinstance(content, dict) else RowFault.NO_OBJECT)


def _written(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
