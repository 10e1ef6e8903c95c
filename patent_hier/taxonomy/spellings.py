"""How exports of patent databases spell a field of IPC symbols, and the symbols in it as the scheme writes them.

incoPat, PatSnap, Himmpat, Derwent, DOCDB, Lens and spreadsheets put labels, numbers, versions, explanations and other
separators around symbols, and fill main groups up with zeros. Each of these has one reading. A range (``1/00-1/08``) or
a symbol that prose mentions has none.
"""

import re
from collections.abc import Iterator

_VERSION = r"(?:19|20)[0-9]{2}[.\-/]?[0-9]{2}(?:[.\-/]?[0-9]{2})?"  # 2006.01, 20060101
# Level, position and value of ST.8 (AFI), then its date, status, source and office; each of them may be missing.
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
_LONGEST = 1 << 15  # characters between two semicolons: no list of symbols is so long
_SPLIT = re.compile(f"[{_SEPARATORS}]")
_GROUP = r"[A-Z]\s?[0-9]{2}\s?[A-Z]\s*(?:-\s*)?(?:[0-9]{1,4}\s*/\s*[0-9]{2,6}|[0-9]{10})"
_TOKEN = re.compile(
    rf"""
    (?<![A-Za-z0-9/])
    (?: (?P<group>{_GROUP}) (?:[A-Z]{{1,3}})?              # a letter of the Japanese FI, or indicators, may follow
      | (?P<above>[A-Z][0-9]{{2}}[A-Z]?) (?!\s*[.:_]?\s*[0-9]) )
    (?! [A-Za-z0-9/_] | \s*(?:[-~至到]|to\b)\s*(?:[A-Z][0-9]{{2}}[A-Z]\s*)?[0-9] )   # no range
    """,
    re.ASCII | re.IGNORECASE | re.VERBOSE,
)
_FILLER = re.compile(r"(?:\s|[0-9]{1,3}\s*[.):]|[:()\[\]{}.\-])*")


def without_explanations(field: str) -> str:
    """A field without the prose in brackets behind symbols: it may hold separators and name other symbols."""
    if _PROSE.search(field) is None:
        return field
    return _BRACKETED.sub(lambda match: " " if match.start() and _PROSE.search(match[0]) else match[0], field)


def symbols_in(field: str) -> list[str]:
    """The symbols of a field, each as the scheme writes it, and between them what is none.

    Args:
        field: In ASCII as far as full-width forms go, without markup.

    Returns:
        Empty if the field does not begin with a symbol.
    """
    if len(field) > _LONGEST:
        return []
    text = " ".join(field.translate(_DASHES).split())
    for mark in _QUOTES:
        text = text.replace(mark, " ")
    text = _outer(text).replace("//", ";")  # of older IPC: what follows is additional information
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
            continue  # an explanation mentions it
        found += _strays(gap)
        found.append(_plain(match["group"]) if match["group"] else match["above"])
        end = match.end()
    return found + list(_strays(text[end:])) if found else []


_DASHES = str.maketrans(dict.fromkeys("‐‑‒–—−－", "-") | dict.fromkeys("∕⁄╱", "/"))


def shape_of(value: str) -> str:
    """What a value looks like: a 9 for each digit, A or a for letters, 文 for runs of others; ``A99A.999/99``."""
    shape = _DIGIT.sub("9", value[:_SHAPE].translate(_LETTERS))
    return _OTHER.sub("文", shape) + ("…" if len(value) > _SHAPE else "")


_SHAPE = 40  # characters of a value that are looked at
_DIGIT, _OTHER = re.compile("[0-9]"), re.compile(r"[^\x00-\x7f]+")
_LETTERS = {**dict.fromkeys(range(ord("A"), ord("Z") + 1), "A"), **dict.fromkeys(range(ord("a"), ord("z") + 1), "a")}


def _outer(text: str) -> str:
    """Without the brackets of a list around it."""
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
    """Whether the next symbol may stand after it: behind a separator, or a group behind blanks."""
    last = _SPLIT.split(gap)
    return bool(_FILLER.fullmatch(last[-1])) and (len(last) > 1 or is_group)


def _strays(gap: str) -> Iterator[str]:
    """What stands between separators by itself; the first part explains the symbol before it."""
    for part in _SPLIT.split(gap)[1:]:
        if not _FILLER.fullmatch(part):
            yield part.strip()
