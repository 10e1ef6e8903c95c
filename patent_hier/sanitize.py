"""Foreign text where programs would read more into it than text: terminals and spreadsheets.

Titles, names of files and applicants, columns of a header: any of them may hold escape sequences or formulas.
"""

import re

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
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")


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
