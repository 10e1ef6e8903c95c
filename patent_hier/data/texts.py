"""Detection of suspicious texts: placeholders, text decoded with the wrong encoding, and column names."""

import re
from collections.abc import Collection
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

Flags = NDArray[np.bool_]

# Placeholders that databases and spreadsheets write for a missing text; they count only if they are the whole text.
_NO_TEXT = """
无|暂无|没有|空|空白|缺失|未知|不详|无摘要|暂无摘要|无标题|暂无标题|无数据|暂无数据|无内容|暂无内容|无信息|暂无信息|未提供
無|暫無|無摘要|暫無摘要|n/a|na|n.a|#n/a|n\\a|nan|null|none|nil|nul|undefined|unknown|missing|empty|blank|tbd|no data
not available|not applicable|no abstract|no abstract available|abstract not available"""
PLACEHOLDERS = frozenset(_NO_TEXT.strip().replace("\n", "|").split("|"))
_AROUND = " .。,，、;；:：-–—_*'\"“”()（）[]【】<>《》"
_LONGEST = max(map(len, PLACEHOLDERS)) + 2 * 8  # characters, including punctuation around a placeholder

WARNINGS = {
    "damaged_characters": "texts with the replacement character �, which marks lost bytes",
    "damaged_application_number": "application numbers that a spreadsheet has rounded, such as 2.02E+12",
    "header_as_text": "texts that are the name of a column",
    "mojibake": "texts that look like UTF-8 decoded as GBK, or GBK decoded as Latin-1; export the file again",
}
"""Explanations of the warnings of :class:`patent_hier.data.accounting.Accounting`, by name."""

# Characters of UTF-8 text that was decoded as GBK; other texts rarely contain them. GBK decodes the first two bytes of
# a Chinese character in UTF-8, or the last two, as a character of its own.
_COMMON = "，。、的一种方法及装置系统本发明公开了提供涉用于包括其和在中上有该所述与"
_TELLING = "".join(
    sorted(
        {
            character
            for common in _COMMON
            for pair in (common.encode()[:2], common.encode()[1:])
            for character in pair.decode("gbk", "ignore")
            if not (0xB0 <= character.encode("gbk")[0] <= 0xD7 and character.encode("gbk")[1] >= 0xA1)  # common itself
        }
    )
)
_LATIN = "\x80-\xff"
_LOST = re.compile("[\ufffd\ue000-\uf8ff]")  # bytes for which GBK has no character
_SUSPECT = f"[{_TELLING}\ufffd\ue000-\uf8ff]|[{_LATIN}]{{4}}"
_LOOKED_AT = 80  # characters at the start of a text that are examined
_LEAST_LATIN, _LEAST_CHINESE = 6, 3  # smallest numbers of telling characters
_CHINESE = re.compile("[\u4e00-\u9fff\u3000-\u3002\uff01-\uff5e]")


def is_placeholder(text: str) -> bool:
    """Return whether a normalised text is only a placeholder for a missing text."""
    return len(text) <= _LONGEST and text.strip(_AROUND).lower() in PLACEHOLDERS


def is_mojibake(text: str) -> bool:
    """Return whether a text looks like UTF-8 decoded as GBK, or Chinese text decoded as Latin-1."""
    start = text[:_LOOKED_AT]
    latin = sum("\x80" <= character <= "\xff" for character in start)
    if latin >= _LEAST_LATIN and 3 * latin >= len(start):
        return True
    given = start.replace("\ufffd", "").encode("gb18030", "ignore")
    read_right = len(_CHINESE.findall(given.decode("utf-8", "ignore")))
    least = _LEAST_CHINESE - (_LOST.search(start) is not None)
    return read_right >= least and 3 * read_right >= 0.4 * len(given)  # a Chinese character has three bytes


def text_warnings(texts: "pa.Array[Any]", header: Collection[str]) -> dict[str, Flags]:
    """Return, for each oddity in :data:`WARNINGS`, a mask ``(n,)`` of the normalised texts that have it.

    Args:
        texts: The texts, ``(n,)``.
        header: Column names of the file.
    """
    beginnings: Any = pc.binary_slice(texts.cast(pa.binary()), 0, 3 * _LOOKED_AT).view(pa.string())
    suspect = np.array(pc.match_substring_regex(beginnings, _SUSPECT))
    for place in np.flatnonzero(suspect).tolist():
        suspect[place] = is_mojibake(texts[place].as_py())
    names = sorted({" ".join(name.split()) for name in header})
    return {
        "mojibake": suspect,
        "damaged_characters": np.array(pc.match_substring_regex(texts, r"\x{FFFD}")) & ~suspect,
        "header_as_text": np.array(pc.is_in(texts, pa.array(names, pa.string()))),
    }
