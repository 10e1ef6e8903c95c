"""Extraction of IPC symbols from the classification fields of patent database exports.

incoPat, PatSnap, Himmpat, Derwent, DOCDB, Lens and spreadsheets put labels, numbers, versions, explanations and other
separators around symbols, and pad main groups with zeros. All of these can be read without ambiguity. A range
(``1/00-1/08``) and a symbol that occurs only in running text are not read.
"""

import re
from collections.abc import Iterator

_VERSION = r"(?:19|20)[0-9]{2}[.\-/]?[0-9]{2}(?:[.\-/]?[0-9]{2})?"  # 2006.01, 20060101
# Level, position and value as in WIPO ST.8 (AFI), then the date, status, source and office; any of them may be missing.
_INDICATORS = rf"(?:\s?[ACFILNSVP]){{0,5}}(?:\s*(?:{_VERSION})\s*[BRVDM]?\s*[HMG]?\s*[A-Z]{{2}}\b)?"
_MARK = re.compile(
    rf"[\[(]\s*{_VERSION}\s*[\])](?:\s?\([AFILN]{{1,3}}\)|[ACFILNS]{{0,3}}?(?=[^A-Z]|$|[A-H][0-9]{{2}}[A-Z])|)",
    re.IGNORECASE,
)
_DOCDB = re.compile(rf"(?<=[0-9\s]){_VERSION}(?![0-9/]){_INDICATORS}")
_NUMBERED = re.compile(r"[\[【(〔][0-9]{1,3}[\])】〕]")
_LABEL = re.compile(
    r"(?:int\.?\s*c[li1]\.?|i\.?p\.?c\.?r?|(?:主|副|国际|专利|ipc)*分类号?|code|symbol)"
    r"(?:\s*[-(]?[0-9]\)?(?=\s*[:.\s])|\s*[⁰¹²³⁴⁵⁶⁷⁸⁹])?\s*\.?\s*[:]?(?=[^a-z0-9]|[A-H]\s?[0-9])",
    re.IGNORECASE,
)
_BRACKETS = re.compile(r"\([^()]*\)|【[^【】]*】|〔[^〔〕]*〕|\[[^\[\]]*\]|<[^<>]*>")
_BRACKETED = re.compile(r"[(（\[【][^()（）\[\]【】]*[)）\]】]")
_PROSE = re.compile("[\u3400-\u9fff]|[a-z]{2}")
_PAIRS = {"[": "]", "(": ")", "{": "}", "【": "】"}
_SEPARATORS = ",;、|\n"
_QUOTES = "\"'“”‘’`*"
_LONGEST = 1 << 15  # characters between two semicolons; no list of symbols is longer
_SPLIT = re.compile(f"[{_SEPARATORS}]")
_GROUP = r"[A-Z]\s?[0-9]{2}\s?[A-Z]\s*(?:-\s*)?(?:[0-9]{1,4}\s*/\s*[0-9]{2,6}|[0-9]{10})"
_TOKEN = re.compile(
    rf"""
    (?<![A-Za-z0-9/])
    (?: (?P<group>{_GROUP}) (?:[A-Z]{{1,3}})?              # a letter of the Japanese FI, or indicators, may follow
      | (?P<above>[A-Z][0-9]{{2}}[A-Z]?) (?!\s*[.:_]?\s*[0-9]) )
    (?! [A-Za-z0-9/_] | \s*(?:[-~至到]|to\b)\s*(?:[A-Z][0-9]{{2}}[A-Z]\s*)?[0-9] )   # not a range
    """,
    re.ASCII | re.IGNORECASE | re.VERBOSE,
)
_FILLER = re.compile(r"(?:\s|[0-9]{1,3}\s*[.):]|[:()\[\]{}.\-])*")


def without_explanations(field: str) -> str:
    """Remove bracketed prose after symbols: it may contain separators and mention other symbols."""
    if _PROSE.search(field) is None:
        return field
    return _BRACKETED.sub(lambda match: " " if match.start() and _PROSE.search(match[0]) else match[0], field)


def symbols_in(field: str) -> list[str]:
    """Return the symbols of a field in the scheme's spelling, and unreadable items in their place.

    Args:
        field: Text without markup, with full-width forms already converted to ASCII.

    Returns:
        Symbols and unreadable items in order; empty if the field does not begin with a symbol.
    """
    if len(field) > _LONGEST:
        return []
    text = " ".join(field.translate(_DASHES).split())
    for mark in _QUOTES:
        text = text.replace(mark, " ")
    text = _outer(text).replace("//", ";")  # in older IPC editions, additional information follows the double slash
    text = _NUMBERED.sub(";", text)
    text = _MARK.sub(";", text)
    text = _DOCDB.sub(";", text)
    text = _BRACKETS.sub(" ", text)
    text = _LABEL.sub(" ", text)
    found: list[str] = []
    end = 0
    for match in _TOKEN.finditer(text):
        gap = text[end : match.start()]
        if not found and not _is_filler(gap):
            return []
        if found and not _ends_item(gap, is_group=match["group"] is not None):
            continue  # the symbol is only mentioned in an explanation
        found += _strays(gap)
        found.append(_plain(match["group"]) if match["group"] else match["above"])
        end = match.end()
    return found + list(_strays(text[end:])) if found else []


_DASHES = str.maketrans(dict.fromkeys("‐‑‒–—−－", "-") | dict.fromkeys("∕⁄╱", "/"))


def shape_of(value: str) -> str:
    """Return the pattern of a value: 9 for a digit, A or a for a letter, 文 for a run of others; ``A99A.999/99``."""
    shape = _DIGIT.sub("9", value[:_SHAPE].translate(_LETTERS))
    return _OTHER.sub("文", shape) + ("…" if len(value) > _SHAPE else "")


_SHAPE = 40  # characters of a value that its pattern shows
_DIGIT, _OTHER = re.compile("[0-9]"), re.compile(r"[^\x00-\x7f]+")
_LETTERS = {**dict.fromkeys(range(ord("A"), ord("Z") + 1), "A"), **dict.fromkeys(range(ord("a"), ord("z") + 1), "a")}


def _outer(text: str) -> str:
    """Remove the brackets around a list."""
    text = text.strip()
    while (
        len(text) > 1 and _PAIRS.get(text[0]) == text[-1] and text[-1] not in text[1:-1] and text[0] not in text[1:-1]
    ):
        text = text[1:-1].strip()
    return text


def _plain(group: str) -> str:
    digits = re.sub(r"[\s-]", "", group)
    if "/" not in digits:
        return digits
    main, sub = digits[4:].split("/")
    return f"{digits[:4]}{int(main)}/{sub}"


def _is_filler(text: str) -> bool:
    return all(_FILLER.fullmatch(part) for part in _SPLIT.split(text))


def _ends_item(gap: str, *, is_group: bool) -> bool:
    """Return whether a symbol may follow the gap: any symbol after a separator, a group also after blanks."""
    last = _SPLIT.split(gap)
    return bool(_FILLER.fullmatch(last[-1])) and (len(last) > 1 or is_group)


def _strays(gap: str) -> Iterator[str]:
    """Yield the unreadable items between separators; the first part is skipped, as it explains the symbol before it."""
    for part in _SPLIT.split(gap)[1:]:
        if not _FILLER.fullmatch(part):
            yield part.strip()
