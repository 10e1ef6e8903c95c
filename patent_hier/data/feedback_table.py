"""Judgements as a raw file: a table that ``prepare`` reads as it is, and a spreadsheet only shows."""

import csv
import io
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from patent_hier.data.feedback import Stored, text_digest
from patent_hier.data.raw import PAPER_COLUMNS
from patent_hier.sanitize import cell
from patent_hier.settings.data import APPLICANT
from patent_hier.taxonomy.symbols import SECTIONS, IpcSymbol, Level, SymbolError

BYTE_ORDER_MARK = "\ufeff"  # makes spreadsheets read the file as UTF-8
FURTHER = ("预测分类", "模型版本", "时间")  # columns that no raw file of a database has
_DEPTHS = {Level.CLASS: "class", Level.SUBCLASS: "subclass"}


class FeedbackTable:
    """Writes judgements as rows of a raw file.

    Args:
        text_fields: What the texts are, by our names; each has a column.

    Attributes:
        written: How many rows were written.
        sections: How many judgements were left out since their label is a section only, which trains nothing.
        depths: The written labels by the setting ``data.min_symbol`` that they need; ``group`` is the default.
        odd: How many written labels are no symbols of the IPC.
    """

    def __init__(self, text_fields: Sequence[str]) -> None:
        self._text_fields = tuple(text_fields)
        self.written = 0
        self.sections = 0
        self.odd = 0
        self.depths: Counter[str] = Counter()

    def lines(self, judgements: Iterable[Stored]) -> Iterator[str]:
        """The table as CSV, a line at a time: byte order mark and header first."""
        names = ["publication_number", "application_date", *self._text_fields, "symbols", "applicant", "kind"]
        yield BYTE_ORDER_MARK + _line([*(PAPER_COLUMNS[name] for name in names), *FURTHER])
        yield from self.rows(judgements)

    def rows(self, judgements: Iterable[Stored]) -> Iterator[str]:
        """The lines of judgements without the header."""
        for one in judgements:
            if one.judgement.label in SECTIONS:
                self.sections += 1
                continue
            self._note(one.judgement.label)
            yield _line(self._cells(one))

    @property
    def min_symbol(self) -> str:
        """The setting ``data.min_symbol`` with which all written labels are read."""
        return next((depth for depth in _DEPTHS.values() if self.depths[depth]), "group")

    def _note(self, label: str) -> None:
        self.written += 1
        try:
            self.depths[_DEPTHS.get(IpcSymbol.parse(label).depth, "group")] += 1
        except SymbolError:
            self.odd += 1

    def _cells(self, one: Stored) -> list[str]:
        said, when = one.judgement, one.when
        return [
            said.document_id or _number_of(said.text),
            when.date().isoformat(),
            *(said.text if field == said.text_field else "" for field in self._text_fields),
            said.label,
            said.context.get(APPLICANT) or "",
            said.verdict,
            said.predicted or "",
            said.model_version,
            when.isoformat(timespec="seconds"),
        ]


def _number_of(text: str) -> str:
    """A number for a text whose document is not known; it stays the same when the text is judged again.

    Decimal digits, as a reader of raw files expects them of a document's number: 64 bits of the text's digest.
    """
    return f"FB{int(text_digest(text)[:16], 16):020}"


def sanitize_cell(text: str) -> str:
    """A cell that a spreadsheet only shows, and that reads in training as the text itself does.

    White space becomes single blanks, as the reader makes it anyway, so that a row is a line. The zero byte, which no
    table may hold, is left out. The first character of a formula is spelled as an entity, which the reader resolves;
    an apostrophe would stay in the text.
    """
    text = " ".join(text.replace("\0", "").split())
    return text if cell(text) == text else f"&#{ord(text[0])};{text[1:]}"


def _line(cells: Iterable[str]) -> str:
    line = io.StringIO()
    csv.writer(line).writerow(map(sanitize_cell, cells))
    return line.getvalue()
