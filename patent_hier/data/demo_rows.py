"""Rows of the demo corpus: numbers, dates, symbols, applicants, and the defects of real rows.

Every name is invented from random syllables; no real company or person served as a model.
"""

import csv
import io
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Any, NamedTuple

from patent_hier.data.demo_text import Text, Topic

COLUMNS = (
    "申请号", "申请日", "公开号", "公开日", "专利名称", "专利分类", "摘要", "申请（专利权）人", "发明人",
    "申请人地址", "申请人邮编", "所在省代码", "所在市代码", "所在县代码", "法律状态", "有效性",
)  # fmt: skip
ABSTRACT = COLUMNS.index("摘要")
SYMBOLS = COLUMNS.index("专利分类")
STATUS = {"A": ("发明公布", "审中"), "B": ("发明授权", "有效"), "U": ("实用新型", "有效"), "S": ("外观设计", "有效")}

_FIRST_DAY = date(2016, 1, 4)
_DAYS = tuple((_FIRST_DAY + timedelta(number)).strftime("%Y.%m.%d") for number in range(724))  # to the end of 2017
_SYLLABLES = "澜砚岚禾霁朔珩沅岫漪昱瑭荔蔚澍棠筠衡钰渝璟皓泓铎峤苒桓翊澄淞"
_SURNAMES = "欧房祁覃逄阮漆桑郁植璩廉晏简郜盘"
_PROVINCES = ("11", "31", "32", "33", "34", "35", "37", "41", "42", "43", "44", "50", "51", "61")
_TRADES = ("科技", "实业", "机械", "制品", "设备", "材料", "工程", "技术")
_DESIGNS = (
    ("02-01", "内衣"), ("05-05", "面料"), ("06-01", "椅"), ("06-03", "桌"), ("07-01", "杯"), ("08-06", "拉手"),
    ("09-01", "瓶"), ("12-08", "汽车"), ("14-02", "显示器"), ("14-03", "手机"), ("21-01", "玩具"), ("23-01", "水龙头"),
    ("26-05", "灯"),
)  # fmt: skip
_FULL_WIDTH = str.maketrans({chr(code): chr(code + 0xFEE0) for code in range(0x21, 0x7F)})
_CHECK_WEIGHTS = (2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5)

Row = list[str]


class Applicant(NamedTuple):
    """An applicant with its address; the codes are those of province, city and county."""

    name: str
    address: str
    postcode: str
    codes: tuple[str, str, str]


class Symbol(NamedTuple):
    """The main symbol of a document, in the pieces that its different spellings need."""

    subclass: str
    main_group: int
    subgroup: str

    def __str__(self) -> str:
        return f"{self.subclass}{self.main_group}/{self.subgroup}"


class Defect(StrEnum):
    """Defect of a broken row."""

    UNDECODABLE = "undecodable"
    NUL_BYTE = "nul_byte"
    SHORT_ROW = "short_row"
    LONG_ROW = "long_row"
    UNCLOSED_QUOTE = "unclosed_quote"
    RAW_LINE_BREAK = "raw_line_break"
    EMPTY_SYMBOL = "empty_symbol"
    MALFORMED_SYMBOL = "malformed_symbol"
    UNKNOWN_CLASS = "unknown_class"
    EMPTY_ABSTRACT = "empty_abstract"


DEFECTS = tuple(Defect)
_OF_ONE_FIELD = {  # its column, and the values that replace the content
    Defect.EMPTY_SYMBOL: (SYMBOLS, ("",)),
    Defect.MALFORMED_SYMBOL: (SYMBOLS, ("A1B 2", "XX", "A01D42-04", "H04W8/", "详见公报", "B65D/00")),
    Defect.UNKNOWN_CLASS: (SYMBOLS, ("A77B1/00", "Y02E10/50", "B77C3/02", "D55B1/00")),
    Defect.EMPTY_ABSTRACT: (ABSTRACT, ("", " ", "　")),
}


class RowWriter:
    """Writer that completes a text to a row of 16 columns.

    Args:
        topics: The word lists, from which the classes of further symbols are taken.
        rows: Number of documents; a larger corpus also has more applicants.
        draw: Source of uniform random numbers in ``[0, 1)``.
    """

    def __init__(self, topics: Sequence[Topic], rows: int, draw: Callable[[], float]) -> None:
        self._draw = draw
        self._topics = {topic.code: topic for topic in topics}
        self._applicants_per_class = max(6, rows // 1500)
        self._serial = 0

    def document(self, code: str, text: Text, kind: str) -> Row:
        """Return a valid row of kind ``A`` (发明公布), ``B`` (发明授权) or ``U`` (实用新型)."""
        symbols = self._symbols(code)
        abstract = text.abstract if kind == "U" else text.abstract.replace("实用新型", "发明")
        rare = self._draw()
        if rare < 0.01:  # rare cases: quotes and a comma, a line break, or a character that GB18030 has and GBK lacks
            abstract = abstract.replace("，", ',"改进型",', 1)
        elif rare < 0.02:
            abstract = abstract.replace("，", "\n", 1)  # valid, because the field is quoted
        elif rare < 0.03:
            abstract = abstract.replace("，", "𣲗，", 1)
        return self._row(self._applicant(code), self._inventors(), Text(text.title, abstract), symbols, kind)

    def twin(self, row: Row) -> Row:
        """Return the utility model that the same applicant files on the same day as the invention ``row``.

        The text is the same, except that half of the twins say 实用新型 instead of 发明.
        """
        twin = row.copy()
        twin[0], twin[2] = self._numbers("U", row[1])
        if self._draw() < 0.5:
            twin[ABSTRACT] = row[ABSTRACT].replace("发明", "实用新型")
        twin[-2:] = STATUS["U"]
        return twin

    def design(self) -> Row:
        """Return a registered design, with a Locarno code and no abstract."""
        locarno, thing = self._pick(_DESIGNS)
        title = f"{thing}（{self._pick(_SYLLABLES)}{int(self._draw() * 900) + 100}）"
        applicant = self._applicant(self._pick(tuple(self._topics)))
        version = self._pick(("", " (11)", " (12)  "))
        return self._row(applicant, self._inventors(), Text(title, ""), locarno + version, "S")

    def broken(self, row: Row, defect: Defect) -> bytes:
        """Return a row with one defect, as bytes that include the line end."""
        if defect in _OF_ONE_FIELD:
            column, values = _OF_ONE_FIELD[defect]
            row[column] = self._pick(values) if len(values) > 1 else values[0]
            return csv_line(row).encode("gb18030")
        row[ABSTRACT] = row[ABSTRACT].replace('"', "").replace("\n", "").replace(",", "，")
        head, tail = row[ABSTRACT][:20], row[ABSTRACT][20:]
        if defect is Defect.SHORT_ROW:
            del row[9 + int(self._draw() * 6) :]
        elif defect is Defect.LONG_ROW:
            row[ABSTRACT : ABSTRACT + 1] = [head, tail]
        elif defect is Defect.UNCLOSED_QUOTE:
            row[ABSTRACT] = '"' + head + tail
        elif defect is Defect.RAW_LINE_BREAK:
            row[ABSTRACT] = head + "\r\n" + tail
        elif defect is Defect.NUL_BYTE:
            row[ABSTRACT] = head + "\0" + tail
        raw = (",".join(row) + "\r\n").encode("gb18030")
        if defect is Defect.UNDECODABLE:
            mark = head.encode("gb18030")
            raw = raw.replace(mark, mark + b"\xff\xfe", 1)
        return raw

    def _row(self, applicant: Applicant, inventors: str, text: Text, symbols: str, kind: str) -> Row:
        filed = int(self._draw() * (len(_DAYS) - 120))
        published = filed + 60 + int(self._draw() * (len(_DAYS) - filed - 60))
        application, publication = self._numbers(kind, _DAYS[filed])
        return [
            application, _DAYS[filed], publication, _DAYS[published], text.title, symbols, text.abstract,
            applicant.name, inventors, applicant.address, applicant.postcode, *applicant.codes, *STATUS[kind],
        ]  # fmt: skip

    def _numbers(self, kind: str, day: str) -> tuple[str, str]:
        """Return a unique application number with its check digit, and a unique publication number."""
        self._serial += 1
        serial = self._serial
        digits = f"{day[:4]}{ {'U': 2, 'S': 3}.get(kind, 1) }{serial:07}"
        check = sum(int(digit) * weight for digit, weight in zip(digits, _CHECK_WEIGHTS, strict=True)) % 11
        first = {"U": 206, "S": 304}.get(kind, 106) * 1_000_000
        return f"CN{digits}.{'X' if check == 10 else check}", f"CN{first + serial}{kind}"

    def _symbols(self, code: str) -> str:
        """Return the main symbol, sometimes in an unusual spelling, and up to three further symbols."""
        main = self._symbol(code)
        further = []
        for _ in range(int(self._draw() * self._draw() * 4)):
            further.append(str(self._symbol(code if self._draw() < 0.6 else self._pick(self._topics[code].near))))
        return ";".join([self._spelled(main), *further])

    def _symbol(self, code: str) -> Symbol:
        letters = self._topics[code].subclasses
        subclass = code + letters[int(self._draw() * self._draw() * len(letters))]  # the first ones are most frequent
        return Symbol(subclass, 1 + 2 * int(self._draw() * self._draw() * 40), f"{2 * int(self._draw() * 20):02}")

    def _spelled(self, symbol: Symbol) -> str:
        plain, draw = str(symbol), self._draw()
        if draw >= 0.06:
            return plain
        spellings = (
            plain.translate(_FULL_WIDTH),
            plain.lower(),
            f"{plain}(2006.01)I",
            f"{symbol.subclass}{symbol.main_group:04}{symbol.subgroup}0000",
            f"{plain}  ",
            f"{symbol.subclass} {symbol.main_group}/{symbol.subgroup}",
        )
        return spellings[int(draw / 0.06 * len(spellings))]

    def _applicant(self, code: str) -> Applicant:
        """Return a company, usually of the document's own field, or else a university or a person."""
        draw = self._draw()
        if draw < 0.15:
            return _person(int(self._draw() * 5000))
        if draw < 0.27:
            return _university(int(self._draw() * 40))
        field = code if draw < 0.85 else self._pick(self._topics[code].near)
        number = int(self._draw() * self._draw() * self._applicants_per_class)  # a few companies file many documents
        return _firm(field, number)

    def _inventors(self) -> str:
        return ";".join(
            self._pick(_SURNAMES) + self._pick(_SYLLABLES) + (self._pick(_SYLLABLES) if self._draw() < 0.6 else "")
            for _ in range(1 + int(self._draw() * 3))
        )

    def _pick(self, items: Sequence[Any]) -> Any:
        return items[int(self._draw() * len(items))]


def csv_line(row: Row) -> str:
    """Return a row as one CSV record with its line end; fields are quoted only if necessary."""
    line = io.StringIO(newline="")
    csv.writer(line).writerow(row)
    return line.getvalue()


@lru_cache(maxsize=1 << 16)
def _firm(field: str, number: int) -> Applicant:
    seed = (ord(field[0]) - 64) * 100 + int(field[1:]) + 1009 * number
    return _located(f"{_coined(seed)}{_TRADES[seed % len(_TRADES)]}有限公司", seed)


@lru_cache(maxsize=1 << 10)
def _university(number: int) -> Applicant:
    seed = 20_011 + 37 * number
    return _located(f"{_coined(seed)}{('理工大学', '大学', '工业学院', '农业大学')[number % 4]}", seed)


@lru_cache(maxsize=1 << 14)
def _person(number: int) -> Applicant:
    return _located("个人", 50_021 + number)


def _coined(seed: int) -> str:
    """Return a name of at least three syllables, different for every ``seed``."""
    name = ""
    while seed or len(name) < 3:
        seed, syllable = divmod(seed, len(_SYLLABLES))
        name += _SYLLABLES[syllable]
    return name


def _located(name: str, seed: int) -> Applicant:
    province, city, county = _PROVINCES[seed % len(_PROVINCES)], seed % 13 + 1, seed % 7 + 1
    codes = (province, f"{province}{city:02}", f"{province}{city:02}{county:02}")
    address = f"{_coined(seed * 7 % 27_000)[:2]}市{_coined(seed * 11 % 27_000)[:2]}路{seed % 300 + 1}号"
    return Applicant(name, address, f"{100_000 + seed * 37 % 800_000}", codes)
