"""Fonts for Chinese labels in figures. matplotlib's own font has no Chinese glyphs and would draw empty boxes."""

import functools
from collections.abc import Iterable, Sequence

from matplotlib import font_manager

FALLBACK = "DejaVu Sans"  # comes with matplotlib
_SAMPLE = "中类"
_SIMPLIFIED = ("SC", "CN", "GB", "HANS", "GB18030")  # words in names of families with mainland Chinese glyph shapes
_LAST_RESORT = "Last Resort"  # start of a family in matplotlib with the same box for every character
_LESS_SUITED = ("mono", "serif", "song", "ming", "kai")


@functools.cache
def cjk_font() -> str | None:
    """Return the family of an installed font that can draw Chinese, or None; plain fonts for Simplified Chinese first.

    The font file's glyphs decide, not its name alone.
    """
    _register_new_fonts()
    families = {entry.name for entry in font_manager.fontManager.ttflist if not entry.name.startswith(_LAST_RESORT)}
    return next((name for name in sorted(families, key=_suitability) if can_draw(_SAMPLE, [name])), None)


def label_fonts() -> list[str]:
    """Return font families for labels that may be Chinese, the preferred one first; matplotlib tries them by glyph."""
    family = cjk_font()
    return [FALLBACK] if family is None else [family, FALLBACK]


def can_draw(text: str, families: Sequence[str]) -> bool:
    """Return whether each character has a glyph in at least one of the font families."""
    return set(text) <= set().union(*(_covered(text, family) for family in families))


def _covered(characters: Iterable[str], family: str) -> set[str]:
    """Return the characters for which a family's regular font has glyphs; empty if the font cannot be opened."""
    try:
        wanted = font_manager.FontProperties(family=[family])
        path = font_manager.findfont(wanted, fallback_to_default=False, rebuild_if_missing=False)
        font = font_manager.get_font(path)
    except (
        OSError,
        RuntimeError,
        ValueError,
    ):  # deleted since matplotlib listed it, or a format that FreeType cannot read
        return set()
    return {character for character in characters if font.get_char_index(ord(character))}


def _register_new_fonts() -> None:
    """Register fonts installed after matplotlib wrote its font list, which it does not update automatically."""
    listed = {entry.fname for entry in font_manager.fontManager.ttflist}
    for path in font_manager.findSystemFonts():
        if path not in listed:
            try:
                font_manager.fontManager.addfont(path)
            except (OSError, RuntimeError, ValueError):  # a broken font must not block the others
                continue


def _suitability(family: str) -> tuple[bool, bool, str]:
    simplified = any(word in _SIMPLIFIED for word in family.upper().split())
    return not simplified, any(word in family.lower() for word in _LESS_SUITED), family
