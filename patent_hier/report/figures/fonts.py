"""A font for Chinese labels in figures. matplotlib's own has no Chinese glyph and would draw empty boxes."""

import functools
from collections.abc import Iterable, Sequence

from matplotlib import font_manager

FALLBACK = "DejaVu Sans"  # travels with matplotlib
_SAMPLE = "中类"
_SIMPLIFIED = ("SC", "CN", "GB", "HANS", "GB18030")  # last words of families whose shapes are those of the mainland
_LAST_RESORT = "Last Resort"  # begins the family that travels with matplotlib and has the same box for every character
_LESS_SUITED = ("mono", "serif", "song", "ming", "kai")


@functools.cache
def cjk_font() -> str | None:
    """The family of an installed font that can draw Chinese, or None; a plain one for simplified characters first.

    Judged by the glyphs that its file holds, never by its name alone.
    """
    _register_new_fonts()
    families = {entry.name for entry in font_manager.fontManager.ttflist if not entry.name.startswith(_LAST_RESORT)}
    return next((name for name in sorted(families, key=_suitability) if can_draw(_SAMPLE, [name])), None)


def label_fonts() -> list[str]:
    """Families for labels that may be Chinese, the preferred one first; matplotlib goes through them glyph by glyph."""
    family = cjk_font()
    return [FALLBACK] if family is None else [family, FALLBACK]


def can_draw(text: str, families: Sequence[str]) -> bool:
    """Whether each character has a glyph in one of the font families."""
    return set(text) <= set().union(*(_covered(text, family) for family in families))


def _covered(characters: Iterable[str], family: str) -> set[str]:
    """The characters that the regular font of a family has glyphs for; none if the font cannot be opened."""
    try:
        wanted = font_manager.FontProperties(family=[family])
        path = font_manager.findfont(wanted, fallback_to_default=False, rebuild_if_missing=False)
        font = font_manager.get_font(path)
    except (OSError, RuntimeError, ValueError):  # removed since matplotlib listed it, or no format of FreeType's
        return set()
    return {character for character in characters if font.get_char_index(ord(character))}


def _register_new_fonts() -> None:
    """Tell matplotlib of fonts that were installed after it wrote its list, which it does not renew by itself."""
    listed = {entry.fname for entry in font_manager.fontManager.ttflist}
    for path in font_manager.findSystemFonts():
        if path not in listed:
            try:
                font_manager.fontManager.addfont(path)
            except (OSError, RuntimeError, ValueError):  # one broken font on the machine does not concern the others
                continue


def _suitability(family: str) -> tuple[bool, bool, str]:
    simplified = any(word in _SIMPLIFIED for word in family.upper().split())
    return not simplified, any(word in family.lower() for word in _LESS_SUITED), family
