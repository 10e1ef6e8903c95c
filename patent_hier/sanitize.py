"""Safe handling of untrusted text in terminals, spreadsheets and Unicode normalisation.

Titles, file names, applicants and column names may contain escape sequences or formulas, or more combining marks on one
letter than any script uses.
"""

import re
import reprlib
import unicodedata

# Control characters, including those that start terminal commands; marks that change the text direction (the "Trojan
# Source" attack); further line separators; and lone surrogates, which file names may contain. A tab or a line feed does
# no harm where several lines are expected.
_LINE_ENDS = "\t\n"
_UNSEEN = (
    *range(0x20), *range(0x7F, 0xA0), 0x61C, 0x200E, 0x200F, *range(0x2028, 0x202F), *range(0x2066, 0x206A),
    *range(0xD800, 0xE000),
)  # fmt: skip
_ESCAPES = {code: f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" for code in _UNSEEN}
_ESCAPES_OF_LINES = {code: text for code, text in _ESCAPES.items() if chr(code) not in _LINE_ENDS}
# What a spreadsheet evaluates as a formula: also after leading blanks, which some programs drop, and in full width,
# which some language versions accept.
_FORMULA = re.compile(r"[\t\r\n]|[\s\ufeff\u200b]*[=+\-@＝＋－＠]")
# Possessive quantifiers give linear time on any input.
_NUMBER = re.compile(r"[+-]?(?:[0-9]++(?:\.[0-9]*+)?|\.[0-9]++)(?:[eE][+-]?[0-9]++)?")
_SHOWN, _SAID = 100, 300  # most characters of an untrusted value, and of a library's error, in a message
_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxlong = _SHORT.maxother = 80
_MOST_MARKS = 30  # in a row; real scripts use only a few
_JOINER = "\u034f"  # COMBINING GRAPHEME JOINER: invisible, and normalisation moves no mark across it
_BEGIN_WITH_MARKS = frozenset("\u0f73\u0f75\u0f81\uff9e\uff9f")  # not marks themselves, but they decompose into marks


def one_line(text: str) -> str:
    r"""Return a text as one safe line for a terminal: invisible characters become ``\xNN`` or ``\uNNNN``."""
    return text.translate(_ESCAPES)


def lines(text: str) -> str:
    """Return a text of several lines made safe for a terminal as by :func:`one_line`; line ends and tabs stay."""
    return text.translate(_ESCAPES_OF_LINES)


def cell(text: str) -> str:
    """Return a cell that a spreadsheet shows but does not evaluate: an apostrophe is put before a formula.

    A number is not a formula, whatever its sign.

    Source: OWASP, "CSV Injection".
    """
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


def is_unicode(text: str) -> bool:
    """Return whether a text can be encoded, that is, contains no lone surrogate."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def nfc(text: str) -> str:
    """Return a text in Unicode normalisation form NFC, in linear time; see :func:`stream_safe`."""
    return text if text.isascii() else unicodedata.normalize("NFC", stream_safe(text))


def nfkc(text: str) -> str:
    """Return a text in Unicode normalisation form NFKC, in linear time; see :func:`stream_safe`."""
    return unicodedata.normalize("NFKC", stream_safe(text))


def stream_safe(text: str) -> str:
    """Return the text with a COMBINING GRAPHEME JOINER after every 30 consecutive marks.

    CPython sorts a run of marks in quadratic time (issue gh-149079) and blocks all other threads meanwhile: 40 KB took
    2.6 s. Ordinary texts are returned unchanged.

    Source: Unicode Standard Annex 15, section 13, Stream-Safe Text Format; the marks at the end of a composed letter,
    at most 3, are not counted.
    """
    if 2 * len(text) <= _MOST_MARKS or text.isascii():  # a character decomposes into at most two marks
        return text
    every = text[:: _MOST_MARKS // 2 + 1]  # every longer run contains one of these; ordinary text has almost no marks
    if _BEGIN_WITH_MARKS.isdisjoint(every) and not any(map(unicodedata.combining, every)):
        return text
    run, parts = 0, []
    for character in text:
        is_mark = unicodedata.combining(character) or character in _BEGIN_WITH_MARKS
        marks = len(unicodedata.normalize("NFKD", character)) if is_mark else 0  # some decompose into two
        run = run + marks if marks else 0
        if run > _MOST_MARKS:
            parts.append(_JOINER)
            run = marks
        parts.append(character)
    return "".join(parts)


def shown(value: object) -> str:
    """Return the ``repr`` of an untrusted value for a message, cut to about 100 characters whatever its size."""
    try:
        return _cut(_SHORT.repr(value), _SHOWN)
    except ValueError:  # an integer with more digits than Python converts
        return f"a {type(value).__name__} with too many digits"


def reason(error: BaseException) -> str:
    """Return the message of a library's error as one line of at most a few hundred characters."""
    return _cut(" ".join(str(error).split()), _SAID)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 3]}..."
