"""From one record of a raw patent file to a document, or to the reason why it is none.

The file's form is a :class:`RawFormat`; which column stands where in a given file is a :class:`Layout`, read from its
header. The rules for single values stand here. They keep what the patents wrote: markup that a database or spreadsheet
put around it is removed, text is put into NFC, and its white space made single blanks.
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
SPREADSHEET_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?E\+?[0-9]+", re.IGNORECASE)  # 2.02E+12: digits are lost
_PLAUSIBLE_ID = re.compile(r"(?=(?:.*[0-9]){5})[0-9A-Z][0-9A-Z./_-]*")
_COMMON_ID = re.compile(r"[A-Z]{2}[0-9]{5}[0-9A-Z./_-]*")  # folded as it stands, and plausible
_PLAIN = re.compile(r"[0-9A-Za-z./:-]*")  # numbers and dates, which are as they should be
_LETTER = re.compile(r"\w")


class TextFault(StrEnum):
    """Why a readable row with a good symbol is still no document."""

    EMPTY_TEXT = "empty_text"
    REPEATED_ID = "repeated_id"


@dataclass(frozen=True)
class RawFormat:
    """Format of the raw file, and how strictly to read it.

    Attributes:
        columns: Names in the file's header by our names; what is not named keeps the paper's name.
        text: Names in the file's header of the fields that make up the text, in their order.
        min_symbol: How deep the main symbol must go: ``class``, ``subclass`` or ``group``.
        edition: Edition of the IPC that decides which classes exist, ``2017`` or ``latest``.
        max_reject_share: Largest fraction of rejected rows; designs and exact duplicates are not counted.
        encoding: One of :data:`patent_hier.reading.encodings.ENCODINGS`, or another name of it, such as ``gbk``; a byte
            order mark in the file has the last word. None: found by the content.
        delimiter: Between fields, or its name such as ``tab``; None: found.
        sheet: Name of a workbook's sheet; None: the first.
        limits: How far one record may reach.
        convert: One of :data:`patent_hier.data.convert.CONVERSIONS`, or None.
        context: Our names of the columns that models read beside the text; the corpus has all of them anyway.

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
                f"data.text={shown(self.text)} names no list of columns; write data.text=[{self.text or '摘要'}]"
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
            raise ConfigError(f"data.max_reject_share={self.max_reject_share} is no fraction between 0 and 1")
        if self.encoding is not None:
            encoding = canonical(self.encoding)
            if encoding is None:
                raise ConfigError(f"data.encoding={self.encoding!r} is unknown; choose one of {', '.join(ENCODINGS)}")
            object.__setattr__(self, "encoding", encoding)
        object.__setattr__(self, "delimiter", parse_delimiter(self.delimiter))

    def read(self, text: str) -> str:
        """A text as models read it: normalised, and converted where that is set.

        Raises:
            ConfigError: If the converter is not installed.
        """
        text = normalise(text)
        return text if self.convert is None else converter(self.convert)(text)

    @property
    def header_names(self) -> Mapping[str, str]:
        """Our name → name in the file, for all 16 columns."""
        return {**PAPER_COLUMNS, **self.columns}

    @property
    def content(self) -> Mapping[str, object]:
        """The settings that decide which documents come out, as JSON can hold them; part of the fingerprint."""
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
    """Refuse pairs that are not our name and one header.

    Raises:
        ConfigError: Saying what to write instead.
    """
    for ours, header in columns.items():
        if ours not in PAPER_COLUMNS:
            if header in PAPER_COLUMNS:
                raise ConfigError(
                    f"data.columns={{{ours}: {header}}}: turn the pair round, 'data.columns={{{header}: {ours}}}': our "
                    "name stands first"
                )
            raise ConfigError(f"data.columns has no column {ours!r}; it knows {', '.join(PAPER_COLUMNS)}")
        if not isinstance(header, str):
            names = [str(name) for name in header] if isinstance(header, Sequence) else []
            raise ConfigError(
                f"data.columns.{ours}={header} names no single column; write 'data.columns={{{ours}: "
                f"{names[0] if names else PAPER_COLUMNS[ours]}}}'"
            )


@dataclass(frozen=True)
class Layout:
    """Where the columns stand in one file.

    Attributes:
        header: The names in the file, in their order; a whole row has as many fields.
        positions: Position of a column by our name; a column that the file lacks is not in it.
        text_positions: Positions of the fields that make up the text.
        found: Columns that known headers stand for, by our name or the text's: the header that was taken, then others
            that could have been.
    """

    header: tuple[str, ...]
    positions: Mapping[str, int]
    text_positions: tuple[int, ...]
    found: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def line(self, options: str = "data.columns and data.text") -> str | None:
        """What was found by known headers, in one line; None if nothing was.

        Args:
            options: What names other columns.
        """
        if not self.found:
            return None
        parts = [
            f"{name} = {taken}" + (f" (not {', '.join(others)})" if others else "")
            for name, (taken, *others) in self.found.items()
        ]
        return f"columns found by their headers: {', '.join(parts)}; {options} name others"


class Rejection(NamedTuple):
    """A row that is no document.

    Attributes:
        line_number: Where it starts.
        reason: Why.
        value: The offending value, or the beginning of the row.
        file: The part of the corpus that it stands in.
    """

    line_number: int
    reason: RowFault | RejectReason | TextFault
    value: str
    file: str = ""


def texts_of(rows: Iterable[Sequence[str]], layout: Layout) -> list[str]:
    """The texts of rows, as models read them in training and at prediction."""
    positions = layout.text_positions
    if len(positions) == 1:  # as most often, and then there is nothing to join
        return list(map(normalise, map(itemgetter(positions[0]), rows)))
    return [join_fields([row[position] for position in positions]) for row in rows]


def has_words(text: str) -> bool:
    """Whether there is anything to read in a text: one letter, Chinese character or digit, and no mere 无 or N/A."""
    return _LETTER.search(text) is not None and not is_placeholder(text)


def normalise(text: str) -> str:
    """Without markup, in NFC, every run of white space (line breaks and full-width blanks too) one blank."""
    if text.isascii() and _PLAIN.fullmatch(text):
        return text
    return " ".join(nfc(without_markup(text)).split())


def join_fields(fields: Sequence[str]) -> str:
    """Join fields into one text: ``。`` between them unless the former already ends in punctuation; placeholders go."""
    joined = ""
    for text in map(normalise, fields):
        if is_placeholder(text):
            continue
        if joined and text and not unicodedata.category(joined[-1]).startswith("P"):
            joined += _SENTENCE_END
        joined += text
    return joined


def document_id(publication_number: str | None, application_number: str | None, raw: str) -> str:
    """Name a document: by its number (see :func:`document_number`), else by its row.

    The row is hashed in GB18030, the encoding of the paper's file, whatever that of this one: it has all characters.
    """
    number = document_number(publication_number, application_number)
    return number or f"sha-{hashlib.sha256(raw.encode('gb18030')).hexdigest()[:16]}"


def document_number(publication_number: str | None, application_number: str | None) -> str | None:
    """The publication number, else the application number, folded; None where neither can be one.

    A number that a spreadsheet has rounded (``2.02E+12``) names many documents and is never used.
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
    """A document's number in one spelling: NFKC, upper case, without markup and white space."""
    return "".join(nfkc(without_markup(number)).upper().split())


def parse_date(text: str) -> date | None:
    """Read ``2017.01.24``, ``2017-01-24``, ``2017/1/24``, ``20170124`` or ``2017年1月24日``; None if it is none."""
    match = _DATE.fullmatch(text)
    if match is None:
        return None
    year, _, month, day, packed_month, packed_day = match.groups()
    try:
        return date(int(year), int(month or packed_month), int(day or packed_day))
    except ValueError:
        return None
