"""The International Patent Classification (IPC): its sections and classes, and a strict parser for symbols.

A symbol such as ``A01D42/04`` means section A, class A01, subclass A01D, main group A01D42/00, subgroup A01D42/04.
Real files spell it in many ways. :meth:`IpcSymbol.parse` accepts every spelling that can mean only one symbol, and
rejects everything else with a :class:`RejectReason`. Classes are checked against the list of an edition; groups are
checked for their form only.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, Self

from patent_hier.errors import ConfigError, DataError
from patent_hier.markup import without_markup
from patent_hier.taxonomy.spellings import symbols_in, without_explanations

IPC_LEVELS: tuple[str, ...] = ("section", "class", "subclass", "main_group", "subgroup")
SECTIONS: tuple[str, ...] = tuple("ABCDEFGH")
EDITIONS: tuple[str, ...] = ("2017", "latest")
MIN_LEVELS: tuple[str, ...] = ("class", "subclass", "group")

# Edition 2017, used in the paper: A99 ... H99 cover the subject matter that fits no other class of a section.
_CLASS_NUMBERS = {
    "A": "01 21-24 41-47 61-63 99",
    "B": "01-09 21-33 41-44 60-68 81-82 99",
    "C": "01-14 21-23 25 30 40 99",
    "D": "01-07 21 99",
    "E": "01-06 21 99",
    "F": "01-04 15-17 21-28 41-42 99",
    "G": "01-12 21 99",
    "H": "01-05 99",
}


def _spell_out(section: str, numbers: str) -> Iterator[str]:
    for span in numbers.split():
        first, _, last = span.partition("-")
        yield from (f"{section}{number:02}" for number in range(int(first), int(last or first) + 1))


CLASSES_2017: tuple[str, ...] = tuple(code for item in _CLASS_NUMBERS.items() for code in _spell_out(*item))
CLASSES_LATER: tuple[str, ...] = ("G16", "H10")  # added in 2018 and 2023

_CLASSES = {"2017": CLASSES_2017, "latest": tuple(sorted(CLASSES_2017 + CLASSES_LATER))}
_CLASS_SETS = {edition: frozenset(classes) for edition, classes in _CLASSES.items()}


def all_classes(edition: str = "latest") -> tuple[str, ...]:
    """Return every class of an edition in the order of the scheme: 130 in ``"2017"``, 132 in ``"latest"``.

    Raises:
        ConfigError: If the edition is not in :data:`EDITIONS`.
    """
    _check("IPC edition", edition, EDITIONS)
    return _CLASSES[edition]


class Level(StrEnum):
    """Level of the IPC that a symbol reaches."""

    SECTION = "section"
    CLASS = "class"
    SUBCLASS = "subclass"
    MAIN_GROUP = "main_group"
    SUBGROUP = "subgroup"


class RejectReason(StrEnum):
    """Reason why a text is not a usable IPC symbol; ``description`` is the text for messages."""

    description: str

    def __new__(cls, value: str, description: str) -> Self:  # noqa: D102
        member = str.__new__(cls, value)
        member._value_ = value
        member.description = description
        return member

    EMPTY = "empty_symbol", "the symbol is empty"
    LOCARNO = "locarno_design", "a Locarno code: the document is a design, which has no IPC symbol"
    UNKNOWN_CLASS = "unknown_class", "the form is valid, but the IPC edition has no such class"
    INCOMPLETE = "incomplete_symbol", "the symbol does not reach the required level"
    MALFORMED = "malformed_symbol", "not an IPC symbol such as A01D42/04"


class SymbolError(DataError):
    """An error for a text that is not a usable IPC symbol.

    Attributes:
        reason: Reason for the rejection.
        value: Text as it is in the file.
        hint: Remedy or detail; may be empty.
    """

    def __init__(self, reason: RejectReason, value: str, hint: str = "") -> None:
        super().__init__(reason, value, hint)  # all arguments, so that the error survives pickling
        self.reason = reason
        self.value = value
        self.hint = hint

    def __str__(self) -> str:
        shown = self.value if len(self.value) <= _SHOWN else self.value[:_SHOWN] + "…"
        return f"{shown!r}: {self.reason.description}" + (f"; {self.hint}" if self.hint else "")


_SHOWN = 40  # characters of an invalid value that an error message shows

# Full-width forms and unusual blanks become ASCII, and invisible characters are removed. This is NFKC for only the
# characters that occur in real files; full NFKC would also read "A⓪①" as a class.
_FOLD: dict[int, int | None] = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
_FOLD |= dict.fromkeys([0x00A0, *range(0x2000, 0x200B), 0x202F, 0x205F, 0x3000], 0x20)
_FOLD |= dict.fromkeys([0x200B, 0x2060, 0xFEFF], None)

_ALPHANUMERIC = re.compile(r"[^\W_]")
_SEPARATOR = re.compile("[;；|｜\r\n]")
# A subgroup of six digits is in the fixed-width form, padded with zeros. One of three to five digits that ends in zero
# is rejected: the scheme has none (it writes 23/20, not 23/2000), so the symbol was probably truncated.
_SYMBOL = re.compile(
    r"""
    ([A-Z]) ([0-9]{2})                                       # section and class; letters after H are rejected below
    (?: ([A-Z])                                              # subclass
        (?: (?: [ \t]* ([0-9]{1,4}) /                        # main group
                ([0-9]{2} | [0-9]{2,4}[1-9] | [0-9]{6})      # subgroup; see above
              | ([0-9]{4}) ([0-9]{6}) )                      # both in fixed width, without a slash
            (?: [ \t]* \( [0-9]{4} \. [0-9]{2} \)            # version of the scheme, such as (2006.01)
                [ \t]* [ACIN]{0,3} )?                        # advanced or core level, invention or additional
        )?
    )?
    """,
    re.ASCII | re.IGNORECASE | re.VERBOSE,
)
# A class from 01 to 32 (or 99 in old editions), a subclass and optionally the edition. Four digits alone are not read
# as a design: they could be anything, and designs do not count towards the allowed share of rejected rows.
_DESIGN = r"(?:LOC *\([0-9]{1,2}\) *CL\.? *)?(?:0[1-9]|[12][0-9]|3[0-2]|99)-[0-9]{2} *(?:\([0-9]{1,2}\))?"
_LOCARNO = re.compile(rf"[\[\"' ]*{_DESIGN}(?:[,、\"' ]+{_DESIGN})*[\]\"' ]*", re.ASCII | re.IGNORECASE)
_DEPTH_OF = {"class": 1, "subclass": 2, "group": 3}  # parts that the symbol must have


@dataclass(frozen=True, slots=True, order=True)
class IpcSymbol:
    """An IPC symbol, from class to subgroup; :meth:`parse` creates it, and symbols sort in the order of the scheme.

    Attributes:
        ipc_class: Section and class, such as ``"A01"``.
        subclass_letter: Letter of the subclass, such as ``"D"``; empty if the symbol ends at the class.
        main_number: Number of the main group, such as 42; 0 if the symbol ends above the main group.
        sub_digits: Digits of the subgroup, such as ``"04"``; ``"00"`` for the main group itself; empty if the symbol
            ends above. They are text because they sort as decimals do (1/02, 1/025, 1/03).
    """

    ipc_class: str
    subclass_letter: str = ""
    main_number: int = 0
    sub_digits: str = ""

    @classmethod
    def parse(cls, text: str, edition: str = "latest", min_level: str = "class") -> "IpcSymbol":
        """Parse one symbol in any of the spellings that occur in real files.

        Besides ``A01D42/04``, these are accepted: blanks before the group, the fixed-width form of 14 characters
        (``A01D0042040000``), a version with its letters (``(2006.01)I``), full-width and lower-case characters, and
        surrounding blanks. The zeros that pad a subgroup to six digits in the fixed-width form are removed.

        Args:
            text: Symbol to parse.
            edition: ``"2017"`` or ``"latest"``; the class must exist in this edition.
            min_level: Level that the symbol must reach: ``"class"``, ``"subclass"`` or ``"group"`` (main group or
                subgroup).

        Raises:
            SymbolError: If the text is not a usable symbol; its ``reason`` explains why.
            ConfigError: If ``edition`` or ``min_level`` is unknown.
        """
        _check_settings(edition, min_level)
        result = _read(text, edition, min_level)
        if isinstance(result, RejectReason):
            raise _error(result, text, edition, min_level)
        return result

    @property
    def section(self) -> str:
        """Section, such as ``"A"``."""
        return self.ipc_class[0]

    @property
    def subclass(self) -> str | None:
        """Subclass, such as ``"A01D"``; None if the symbol ends at the class."""
        return self.ipc_class + self.subclass_letter if self.subclass_letter else None

    @property
    def main_group(self) -> str | None:
        """Main group, such as ``"A01D42/00"``; None if the symbol ends above it."""
        return f"{self.ipc_class}{self.subclass_letter}{self.main_number}/00" if self.main_number else None

    @property
    def subgroup(self) -> str | None:
        """Subgroup, such as ``"A01D42/04"``; None if the symbol is a main group or ends above."""
        return str(self) if self.depth is Level.SUBGROUP else None

    @property
    def path(self) -> tuple[str | None, ...]:
        """Labels from section to subgroup, None below the symbol; a main group is repeated as its own subgroup."""
        group = self.main_group
        return self.section, self.ipc_class, self.subclass, group, str(self) if group else None

    @property
    def depth(self) -> Level:
        """Deepest level that the symbol names."""
        if self.main_number:
            return Level.MAIN_GROUP if self.sub_digits == "00" else Level.SUBGROUP
        return Level.SUBCLASS if self.subclass_letter else Level.CLASS

    def __str__(self) -> str:
        group = f"{self.main_number}/{self.sub_digits}" if self.main_number else ""
        return f"{self.ipc_class}{self.subclass_letter}{group}"


class SkippedSymbol(NamedTuple):
    """A further symbol that could not be used, with the reason."""

    value: str
    reason: RejectReason


class ParsedField(NamedTuple):
    """The symbols of a whole classification field.

    Attributes:
        main: First symbol, which determines the document's label.
        further: Other symbols in their order, without repetition and without ``main``.
        skipped: Further symbols that could not be used, with the reason.
    """

    main: IpcSymbol
    further: tuple[IpcSymbol, ...]
    skipped: tuple[SkippedSymbol, ...]


def parse_symbols(text: str, edition: str = "latest", min_level: str = "class") -> ParsedField:
    """Parse a field of symbols; the first is the main symbol.

    Symbols are separated by ``;``, ``|``, commas (also full-width), line breaks or blanks. Empty parts are skipped, so
    separators may be repeated or come last. Symbols may be surrounded by anything that
    :mod:`patent_hier.taxonomy.spellings` recognises, such as ``[1]``, ``Int.Cl.`` or quotation marks.

    Args:
        text: Field as it is in the file.
        edition: See :meth:`IpcSymbol.parse`.
        min_level: See :meth:`IpcSymbol.parse`; it also applies to further symbols.

    Raises:
        SymbolError: If there is no symbol, or the first is not usable. The document then has no main symbol, and no
            further symbol may replace it.
        ConfigError: If ``edition`` or ``min_level`` is unknown.
    """
    _check_settings(edition, min_level)
    parts = [
        part for part in _SEPARATOR.split(without_explanations(without_markup(text))) if _ALPHANUMERIC.search(part)
    ]
    found = [pair for part in parts for pair in _read_part(part.strip(), edition, min_level)]
    (value, main), *rest = found or [(text, RejectReason.EMPTY)]
    if isinstance(main, RejectReason):
        raise _error(main, value, edition, min_level)
    further = dict.fromkeys(symbol for _, symbol in rest if isinstance(symbol, IpcSymbol) and symbol != main)
    skipped = (SkippedSymbol(part, reason) for part, reason in rest if isinstance(reason, RejectReason))
    return ParsedField(main, tuple(further), tuple(skipped))


def _read_part(part: str, edition: str, min_level: str) -> list[tuple[str, IpcSymbol | RejectReason]]:
    """Return the unambiguous symbols of a part between separators, or reasons for rejection, each with its text."""
    symbol = _read(part, edition, min_level)
    if symbol is not RejectReason.MALFORMED:
        return [(part, symbol)]
    spelled = symbols_in(_fold(part))
    return [(one, _read(one, edition, min_level)) for one in spelled] or [(part, symbol)]


def _fold(text: str) -> str:
    return (text if text.isascii() else text.translate(_FOLD)).strip()


def _read(text: str, edition: str, min_level: str) -> IpcSymbol | RejectReason:
    """Parse one symbol; a reason is returned, not raised, because files hold millions of symbols."""
    text = _fold(text)
    match = _SYMBOL.fullmatch(text)
    if match is None:
        return _why_not(text)
    section, number, letter, main, sub, fixed_main, fixed_sub = match.groups(default="")
    ipc_class = section.upper() + number
    if ipc_class not in _CLASS_SETS[edition]:
        return RejectReason.UNKNOWN_CLASS
    main_number = int(main or fixed_main or 0)
    sub_digits = sub or fixed_sub
    if sub_digits and not main_number:
        return RejectReason.MALFORMED
    if bool(number) + bool(letter) + bool(main_number) < _DEPTH_OF[min_level]:
        return RejectReason.INCOMPLETE
    if len(sub_digits) > 2:
        sub_digits = sub_digits.rstrip("0").ljust(2, "0")
    return IpcSymbol(ipc_class, letter.upper(), main_number, sub_digits)


def _why_not(text: str) -> RejectReason:
    if not text:
        return RejectReason.EMPTY
    if text.upper() in SECTIONS:
        return RejectReason.INCOMPLETE
    return RejectReason.LOCARNO if _LOCARNO.fullmatch(" ".join(text.split())) else RejectReason.MALFORMED


def _error(reason: RejectReason, value: str, edition: str, min_level: str) -> SymbolError:
    if reason is RejectReason.INCOMPLETE:
        return SymbolError(reason, value, f"give at least a {min_level}")
    if reason is RejectReason.UNKNOWN_CLASS:
        later = _fold(value)[:3].upper() in CLASSES_LATER
        return SymbolError(reason, value, "edition 'latest' has this class" if later else f"the edition is {edition!r}")
    return SymbolError(reason, value)


def _check(what: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ConfigError(f"unknown {what} {value!r}; choose one of {', '.join(known)}")


def _check_settings(edition: str, min_level: str) -> None:
    _check("IPC edition", edition, EDITIONS)
    _check("min_level", min_level, MIN_LEVELS)
