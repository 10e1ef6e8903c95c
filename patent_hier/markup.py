"""Removal of web-page and spreadsheet markup from single values: entities, tags, Excel escapes and formulas."""

import re
from html import unescape
from html.entities import html5

# Entities end in a semicolon, so "R&D" stays; an entity that was escaped several times (&amp;lt;) is resolved at once.
_ENTITY = re.compile(
    r"&(?:(?:amp|#38|#x26);)*(#[0-9]{1,7}|#x[0-9a-f]{1,6}|[a-z][a-z0-9]{1,31});", re.ASCII | re.IGNORECASE
)
_ESCAPE = re.compile("_x([0-9A-Fa-f]{4})_", re.ASCII)  # how Office writes control characters in a cell
_FORMULA = re.compile(r'\s*=\s*"(.*)"\s*', re.DOTALL)  # prevents a spreadsheet from reading the text as a number
_LINES = "br p div li tr hr h1 h2 h3 h4 h5 h6 ul ol dl dt dd table tbody thead para abstract claim claim-text"
_INLINE = (
    "sub sup em strong small big span font img td th col colgroup center pre tt del ins strike code figref claim-ref "
    "maths math mi mn mo mrow mtext msub msup msubsup mfrac msqrt mroot mover munder mfenced mtable mtr mtd mspace "
    "mstyle chemistry tables smallcaps crossref patcit nplcit sub2 sup2 html body head meta link style title"
)
_LETTERS = "a b i o q s u"  # also variable names: "a<b>c" has no tag without "</b>"
_TAG = re.compile(
    rf"<(/?)({'|'.join(sorted([*_LINES.split(), *_INLINE.split(), *_LETTERS.split()], key=len, reverse=True))})"
    r"(?:\s[^<>]{0,400})?\s*/?>|<!--[^<>]{0,400}-->|<!\[CDATA\[|\]\]>",
    re.ASCII | re.IGNORECASE | re.DOTALL,
)
_LINE_TAGS, _LETTER_TAGS = frozenset(_LINES.split()), frozenset(_LETTERS.split())


def without_markup(text: str) -> str:
    """Resolve entities and Excel escapes, remove tags, and unwrap a formula that only holds text (``="CN1A"``).

    Only elements of HTML, MathML and patent XML count as tags. Tags that end a line become line breaks; all others are
    removed without a trace, so that ``H<sub>2</sub>O`` becomes ``H2O``.
    """
    if not ("&" in text or "<" in text or "_x" in text or "]]>" in text or text.lstrip()[:1] == "="):
        return text
    if formula := _FORMULA.fullmatch(text):
        text = formula[1].replace('""', '"')
    text = _ENTITY.sub(_character, text)
    text = _ESCAPE.sub(lambda match: _printable(int(match[1], 16)), text)
    ended = {match[2].lower() for match in _TAG.finditer(text) if match[1]} & _LETTER_TAGS

    def remove(match: re.Match[str]) -> str:
        name = (match[2] or "").lower()
        if name in _LETTER_TAGS and name not in ended:
            return match[0]
        return "\n" if name in _LINE_TAGS else ""

    return _TAG.sub(remove, text)


def _character(match: re.Match[str]) -> str:
    name = match[1]
    if name[0] != "#":
        known = next((own for own in (name, name.lower()) if f"{own};" in html5), None)
        return match[0] if known is None else html5[f"{known};"]
    character = unescape(f"&{name};")  # like browsers, which read 0x80 to 0x9F as Windows characters
    return character if len(character) != 1 else _printable(ord(character))


def _printable(code: int) -> str:
    character = chr(code)
    if character.isspace():
        return " " if character == "\xa0" else "\n" if code < 0x20 else character
    return "" if code < 0x20 or 0xD800 <= code < 0xE000 or code == 0x7F else character
