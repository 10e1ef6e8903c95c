"""Export of judgements as a raw file that ``prepare`` can read and a spreadsheet can safely show."""

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
FURTHER = ("预测分类", "模型版本", "时间")  # additional columns that patent databases do not have
_DEPTHS = {Level.CLASS: "class", Level.SUBCLASS: "subclass"}


class FeedbackTable:
    """Writer of judgements as rows of a raw file.

    Args:
        text_fields: Kinds of texts, by our names; each kind has a column.

    Attributes:
        written: Number of written rows.
        sections: Number of judgements left out because their label is only a section, which is useless for training.
        depths: Number of written labels by the setting ``data.min_symbol`` that they need; ``group`` is the default.
        odd: Number of written labels that are not IPC symbols.
    """

    def __init__(self, text_fields: Sequence[str]) -> None:
        self._text_fields = tuple(text_fields)
        self.written = 0
        self.sections = 0
        self.odd = 0
        self.depths: Counter[str] = Counter()

    def lines(self, judgements: Iterable[Stored]) -> Iterator[str]:
        """Yield the table as CSV lines, starting with the byte order mark and the header."""
        names = ["publication_number", "application_date", *self._text_fields, "symbols", "applicant", "kind"]
        yield BYTE_ORDER_MARK + _line([*(PAPER_COLUMNS[name] for name in names), *FURTHER])
        yield from self.rows(judgements)

    def rows(self, judgements: Iterable[Stored]) -> Iterator[str]:
        """Yield the CSV lines of judgements without the header."""
        for one in judgements:
            if one.judgement.label in SECTIONS:
                self.sections += 1
                continue
            self._note(one.judgement.label)
            yield _line(self._cells(one))

    @property
    def min_symbol(self) -> str:
        """Value of ``data.min_symbol`` that accepts all written labels."""
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
    """Return a number for a text whose document is unknown; the same text always gets the same number.

    The number is 64 bits of the text's digest in decimal digits, as readers of raw files expect of a document number.
    """
    return f"FB{int(text_digest(text)[:16], 16):020}"


def sanitize_cell(text: str) -> str:
    """Return a cell that a spreadsheet does not evaluate and that training reads as the original text.

    White space becomes single blanks, so that a row is a single line; the reader does the same anyway. NUL characters,
    which a table must not contain, are removed. The first character of a formula is written as an entity, which the
    reader resolves; an apostrophe would stay in the text.
    """
    text = " ".join(text.replace("\0", "").split())
    return text if cell(text) == text else f"&#{ord(text[0])};{text[1:]}"


def _line(cells: Iterable[str]) -> str:
    line = io.StringIO()
    csv.writer(line).writerow(map(sanitize_cell, cells))
    return line.getvalue()
