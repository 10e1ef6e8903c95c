"""Rules that turn one record of a raw patent file into a document, or into a rejection with a reason.

A :class:`RawFormat` describes the format of the file; a :class:`Layout`, read from its header, gives the positions of
the columns. This module has the rules for single values. They preserve the wording of the patent: markup from a
database or spreadsheet is removed, text is converted to NFC, and white space becomes single blanks.
"""

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from operator import itemgetter
from typing import NamedTuple

from patent_hier.data.convert import CONVERSIONS, converter
from patent_hier.data.texts import is_placeholder
from patent_hier.errors import ConfigError
from patent_hier.markup import without_markup
from patent_hier.reading.dialect import parse_delimiter
from patent_hier.reading.encodings import ENCODINGS, canonical
from patent_hier.reading.rows import Limits, RowFault
from patent_hier.sanitize import nfc, nfkc, shown
from patent_hier.taxonomy.symbols import EDITIONS, MIN_LEVELS, RejectReason

# The 16 columns of doi:10.18170/DVN/ASRTHL (applications of 2017, State Information Center of China) under our names.
PAPER_COLUMNS: Mapping[str, str] = {
    "application_number": "申请号",
    "application_date": "申请日",
    "publication_number": "公开号",
    "publication_date": "公开日",
    "title": "专利名称",
    "symbols": "专利分类",
    "abstract": "摘要",
    "applicant": "申请（专利权）人",
    "inventors": "发明人",
    "address": "申请人地址",
    "postcode": "申请人邮编",
    "province": "所在省代码",
    "city": "所在市代码",
    "county": "所在县代码",
    "kind": "法律状态",
    "validity": "有效性",
}

_SENTENCE_END = "。"
_DATE = re.compile(r"([0-9]{4})(?:([./年-])([0-9]{1,2})(?:\2|月)([0-9]{1,2})日?|([0-9]{2})([0-9]{2}))")
SPREADSHEET_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?E\+?[0-9]+", re.IGNORECASE)  # 2.02E+12: has lost digits
_PLAUSIBLE_ID = re.compile(r"(?=(?:.*[0-9]){5})[0-9A-Z][0-9A-Z./_-]*")
_COMMON_ID = re.compile(r"[A-Z]{2}[0-9]{5}[0-9A-Z./_-]*")  # already in normal form, and plausible
_PLAIN = re.compile(r"[0-9A-Za-z./:-]*")  # numbers and dates that need no change
_LETTER = re.compile(r"\w")


class TextFault(StrEnum):
    """Reason why a readable row with a valid symbol is still rejected."""

    EMPTY_TEXT = "empty_text"
    REPEATED_ID = "repeated_id"


@dataclass(frozen=True)
class RawFormat:
    """Format of a raw file, and how strictly to read it.

    Attributes:
        columns: Names in the file's header by our names; columns that are not given have the paper's names.
        text: Names in the file's header of the fields that form the text, in order.
        min_symbol: Shallowest level that the main symbol may have: ``class``, ``subclass`` or ``group``.
        edition: IPC edition that decides which classes exist, ``2017`` or ``latest``.
        max_reject_share: Largest allowed share of rejected rows, 0 to 1; designs and duplicates are not counted.
        encoding: One of :data:`patent_hier.reading.encodings.ENCODINGS`, or an alias such as ``gbk``; a byte order mark
            in the file takes precedence. None to detect it from the content.
        delimiter: Character between fields, or its name such as ``tab``; None to detect it.
        sheet: Name of the sheet of a workbook; None for the first.
        limits: Size limits of one record.
        convert: One of :data:`patent_hier.data.convert.CONVERSIONS`, or None.
        context: Our names of the columns that models read besides the text; the corpus has all of them in any case.

    Raises:
        ConfigError: If a value is unknown or out of range.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    text: Sequence[str] = ("摘要",)
    min_symbol: str = "group"
    edition: str = "latest"
    max_reject_share: float = 0.2
    encoding: str | None = None
    delimiter: str | None = None
    sheet: str | None = None
    limits: Limits = field(default_factory=Limits)
    convert: str | None = None
    context: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_columns(self.columns)
        if isinstance(self.text, str) or not self.text:
            raise ConfigError(
                f"data.text={shown(self.text)} is not a list of columns; write data.text=[{self.text or '摘要'}]"
            )
        for option, value, known in (
            ("min_symbol", self.min_symbol, MIN_LEVELS),
            ("edition", self.edition, EDITIONS),
        ):
            if value not in known:
                raise ConfigError(f"data.{option}={shown(value)} is unknown; choose one of {', '.join(known)}")
        if self.convert not in (None, *CONVERSIONS):
            raise ConfigError(
                f"data.convert={shown(self.convert)} is unknown; choose one of {', '.join(CONVERSIONS)} or null"
            )
        if not 0 <= self.max_reject_share <= 1:
            raise ConfigError(f"data.max_reject_share is {self.max_reject_share}; use a number from 0 to 1")
        if self.encoding is not None:
            encoding = canonical(self.encoding)
            if encoding is None:
                raise ConfigError(f"data.encoding={self.encoding!r} is unknown; choose one of {', '.join(ENCODINGS)}")
            object.__setattr__(self, "encoding", encoding)
        object.__setattr__(self, "delimiter", parse_delimiter(self.delimiter))

    def read(self, text: str) -> str:
        """Return a text as models read it: normalised, and converted if a conversion is set.

        Raises:
            ConfigError: If the converter is not installed.
        """
        text = normalise(text)
        return text if self.convert is None else converter(self.convert)(text)

    @property
    def header_names(self) -> Mapping[str, str]:
        """Names in the file of all 16 columns, by our names."""
        return {**PAPER_COLUMNS, **self.columns}

    @property
    def content(self) -> Mapping[str, object]:
        """JSON-compatible settings that determine the documents; part of the fingerprint."""
        return {
            "columns": dict(self.header_names),
            "text": list(self.text),
            "min_symbol": self.min_symbol,
            "edition": self.edition,
            "encoding": self.encoding,
            "delimiter": self.delimiter,
            "sheet": self.sheet,
            "convert": self.convert,
            "limits": [self.limits.max_bytes, self.limits.max_lines],
        }


def check_columns(columns: Mapping[str, object]) -> None:
    """Refuse pairs that are not one of our names and a single header.

    Raises:
        ConfigError: If there is such a pair; the message shows the correct form.
    """
    for ours, header in columns.items():
        if ours not in PAPER_COLUMNS:
            if header in PAPER_COLUMNS:
                raise ConfigError(
                    f"data.columns={{{ours}: {header}}} has the names in the wrong order; write "
                    f"'data.columns={{{header}: {ours}}}'"
                )
            raise ConfigError(f"data.columns has no column {ours!r}; use one of {', '.join(PAPER_COLUMNS)}")
        if not isinstance(header, str):
            names = [str(name) for name in header] if isinstance(header, Sequence) else []
            raise ConfigError(
                f"data.columns.{ours}={header} is not a single column; write 'data.columns={{{ours}: "
                f"{names[0] if names else PAPER_COLUMNS[ours]}}}'"
            )


@dataclass(frozen=True)
class Layout:
    """Positions of the columns in one file.

    Attributes:
        header: Column names in the order of the file; a complete row has as many fields.
        positions: Positions of the columns by our names; columns that the file lacks are left out.
        text_positions: Positions of the fields that form the text.
        found: Columns found by known headers, by our name or that of the text: the header that is used, then others
            that also match.
    """

    header: tuple[str, ...]
    positions: Mapping[str, int]
    text_positions: tuple[int, ...]
    found: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def line(self, options: str = "data.columns and data.text") -> str | None:
        """Return a line on the columns found by known headers; None if there are none.

        Args:
            options: Names of the options that select other columns.
        """
        if not self.found:
            return None
        parts = [
            f"{name} = {taken}" + (f" (not {', '.join(others)})" if others else "")
            for name, (taken, *others) in self.found.items()
        ]
        return f"columns found by their headers: {', '.join(parts)}; use {options} to choose others"


class Rejection(NamedTuple):
    """A rejected row.

    Attributes:
        line_number: Line on which the row starts.
        reason: Reason for the rejection.
        value: The offending value, or the beginning of the row.
        file: Name of the raw file that contains the row; empty if there is only one file.
    """

    line_number: int
    reason: RowFault | RejectReason | TextFault
    value: str
    file: str = ""


def texts_of(rows: Iterable[Sequence[str]], layout: Layout) -> list[str]:
    """Return the texts of rows as models read them in training and prediction."""
    positions = layout.text_positions
    if len(positions) == 1:  # the usual case, in which there is nothing to join
        return list(map(normalise, map(itemgetter(positions[0]), rows)))
    return [join_fields([row[position] for position in positions]) for row in rows]


def has_words(text: str) -> bool:
    """Return whether a text has a letter, Chinese character or digit and is not a placeholder such as 无 or N/A."""
    return _LETTER.search(text) is not None and not is_placeholder(text)


def normalise(text: str) -> str:
    """Return a text without markup, in NFC, with each run of white space (also line breaks) replaced by one blank."""
    if text.isascii() and _PLAIN.fullmatch(text):
        return text
    return " ".join(nfc(without_markup(text)).split())


def join_fields(fields: Sequence[str]) -> str:
    """Join fields without placeholders into one text, with ``。`` after a field that does not end in punctuation."""
    joined = ""
    for text in map(normalise, fields):
        if is_placeholder(text):
            continue
        if joined and text and not unicodedata.category(joined[-1]).startswith("P"):
            joined += _SENTENCE_END
        joined += text
    return joined


def document_id(publication_number: str | None, application_number: str | None, raw: str) -> str:
    """Return the id of a document: its number (see :func:`document_number`), else a hash of its row.

    The row is hashed in GB18030, the encoding of the paper's file, whatever the encoding of this file; GB18030 covers
    all characters.
    """
    number = document_number(publication_number, application_number)
    return number or f"sha-{hashlib.sha256(raw.encode('gb18030')).hexdigest()[:16]}"


def document_number(publication_number: str | None, application_number: str | None) -> str | None:
    """Return the normalised publication number, else the application number; None if neither is plausible.

    A number that a spreadsheet has rounded (``2.02E+12``) matches many documents and is never used.
    """
    for number in (publication_number, application_number):
        if number:
            if _COMMON_ID.fullmatch(number):
                return number
            folded = fold_number(number)
            if _PLAUSIBLE_ID.fullmatch(folded) and not SPREADSHEET_NUMBER.fullmatch(folded):
                return folded
    return None


def fold_number(number: str) -> str:
    """Return a document number in one spelling: NFKC, upper case, without markup and white space."""
    return "".join(nfkc(without_markup(number)).upper().split())


def parse_date(text: str) -> date | None:
    """Parse ``2017.01.24``, ``2017-01-24``, ``2017/1/24``, ``20170124`` or ``2017年1月24日``; None if not a date."""
    match = _DATE.fullmatch(text)
    if match is None:
        return None
    year, _, month, day, packed_month, packed_day = match.groups()
    try:
        return date(int(year), int(month or packed_month), int(day or packed_day))
    except ValueError:
        return None
