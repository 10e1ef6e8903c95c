"""Foreign text where programs would read more into it than text: terminals, spreadsheets, Unicode normalisation.

Titles, names of files and applicants, columns of a header: any of them may hold escape sequences or formulas, or more
marks on one letter than any script has.
"""

import re
import reprlib
import unicodedata

# Control characters, among them those that begin a terminal's commands; marks that turn the direction of what follows
# (Unicode's "Trojan Source"); further line ends; and halves of characters, as names of files may hold. A tab and a line
# feed do no harm where several lines are meant.
_LINE_ENDS = "\t\n"
_UNSEEN = (
    *range(0x20), *range(0x7F, 0xA0), 0x61C, 0x200E, 0x200F, *range(0x2028, 0x202F), *range(0x2066, 0x206A),
    *range(0xD800, 0xE000),
)  # fmt: skip
_ESCAPES = {code: f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" for code in _UNSEEN}
_ESCAPES_OF_LINES = {code: text for code, text in _ESCAPES.items() if chr(code) not in _LINE_ENDS}
# What a spreadsheet runs as a formula: after blanks too, which some drop, and in full width, as some languages have it.
_FORMULA = re.compile(r"[\t\r\n]|[\s\ufeff\u200b]*[=+\-@＝＋－＠]")
# Possessive: linear time on any input.
_NUMBER = re.compile(r"[+-]?(?:[0-9]++(?:\.[0-9]*+)?|\.[0-9]++)(?:[eE][+-]?[0-9]++)?")
_SHOWN, _SAID = 100, 300  # characters of a message that a foreign value takes, and that an error of a library takes
_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxlong = _SHORT.maxother = 80
_MOST_MARKS = 30  # that follow one another; no script writes more than some
_JOINER = "\u034f"  # COMBINING GRAPHEME JOINER: shows nothing, and no mark moves across it
_BEGIN_WITH_MARKS = frozenset("\u0f73\u0f75\u0f81\uff9e\uff9f")  # no marks, but decomposed into marks


def one_line(text: str) -> str:
    r"""One line that a terminal only shows: unseen characters become ``\xNN`` or ``\uNNNN``."""
    return text.translate(_ESCAPES)


def lines(text: str) -> str:
    """The same for several lines, whose ends stay."""
    return text.translate(_ESCAPES_OF_LINES)


def cell(text: str) -> str:
    """A cell that a spreadsheet only shows: what it would run as a formula begins with an apostrophe.

    A number is none, whatever its sign.

    Source: OWASP, "CSV Injection".
    """
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


def is_unicode(text: str) -> bool:
    """Whether a text can be encoded: no half of a surrogate pair stands in it."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def nfc(text: str) -> str:
    """Unicode's form NFC of any text in linear time; see :func:`stream_safe`."""
    return text if text.isascii() else unicodedata.normalize("NFC", stream_safe(text))


def nfkc(text: str) -> str:
    """Unicode's form NFKC of any text in linear time; see :func:`stream_safe`."""
    return unicodedata.normalize("NFKC", stream_safe(text))


def stream_safe(text: str) -> str:
    """The text with a COMBINING GRAPHEME JOINER after each 30 marks that follow one another.

    CPython sorts such a run in quadratic time (its issue gh-149079) and lets nothing else run meanwhile: 40 KB took
    2.6 s. Texts as people write them come back as they are.

    Source: Unicode Standard Annex 15, section 13, Stream-Safe Text Format; marks at the end of a composed letter, of
    which there are at most 3, are not counted.
    """
    if 2 * len(text) <= _MOST_MARKS or text.isascii():  # a character is two marks at most
        return text
    every = text[:: _MOST_MARKS // 2 + 1]  # a longer run holds one of these, and honest text hardly any
    if _BEGIN_WITH_MARKS.isdisjoint(every) and not any(map(unicodedata.combining, every)):
        return text
    run, parts = 0, []
    for character in text:
        is_mark = unicodedata.combining(character) or character in _BEGIN_WITH_MARKS
        marks = len(unicodedata.normalize("NFKD", character)) if is_mark else 0  # some are two
        run = run + marks if marks else 0
        if run > _MOST_MARKS:
            parts.append(_JOINER)
            run = marks
        parts.append(character)
    return "".join(parts)


def shown(value: object) -> str:
    """A value of a foreign file for a message, in Python's spelling, cut to about 100 characters whatever its size."""
    try:
        return _cut(_SHORT.repr(value), _SHOWN)
    except ValueError:  # an integer with more digits than Python writes
        return f"a {type(value).__name__} of very many digits"


def reason(error: BaseException) -> str:
    """What a library says of a foreign file, in one line of at most some hundred characters."""
    return _cut(" ".join(str(error).split()), _SAID)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 3]}..."
