"""Read plain text with one document per line."""

from collections.abc import Iterator, Mapping, Sequence

from patent_hier.reading.encodings import Decoder, open_text
from patent_hier.reading.rows import Options, Rows
from patent_hier.reading.sources import Source


class LineReader:
    """Reader of one source of lines; a blank line counts as a row.

    Args:
        source: The source, at its first byte.
        options: How to read it.
    """

    names: tuple[str, ...] = ("text",)

    def __init__(self, source: Source, options: Options) -> None:
        self._encoding, chunks = open_text(source, options)
        self._decoder = Decoder(chunks, self._encoding, options.limits.max_bytes)

    @property
    def facts(self) -> Mapping[str, object]:
        """Properties of the source; see :class:`patent_hier.reading.rows.Reader`."""
        return {"format": "lines of text", "encoding": self._encoding}

    @property
    def notes(self) -> Sequence[str]:
        """Remarks about the source; see :class:`patent_hier.reading.rows.Reader`."""
        return self._decoder.notes

    def rows(self) -> Iterator[Rows]:
        """Yield all rows in order; see :class:`patent_hier.reading.rows.Reader`."""
        line = 1
        for block in self._decoder.blocks():
            fields = [[] if place in block.faults else [text] for place, text in enumerate(block.lines)]
            numbers = list(range(line, line + len(block.lines)))
            line += len(block.lines)
            yield Rows(block.lines, numbers, fields, block.faults)
