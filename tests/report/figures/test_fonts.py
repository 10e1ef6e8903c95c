from pathlib import Path

import pytest
from matplotlib import font_manager

from patent_hier.report.figures import fonts

DEJAVU = Path(font_manager.findfont(fonts.FALLBACK))


@pytest.fixture
def only_dejavu(monkeypatch):
    """A machine without any other font than matplotlib's own, one of whose families bears a Chinese font's name."""
    entries = [entry for entry in font_manager.fontManager.ttflist if entry.name == fonts.FALLBACK]
    liar = font_manager.FontEntry(fname=str(DEJAVU), name="Noto Sans CJK SC")
    gone = font_manager.FontEntry(fname="/nonexistent/font.ttf", name="SimHei")
    monkeypatch.setattr(font_manager.fontManager, "ttflist", [*entries, liar, gone])
    monkeypatch.setattr(font_manager, "findSystemFonts", list)
    font_manager.fontManager._findfont_cached.cache_clear()
    fonts.cjk_font.cache_clear()
    yield
    fonts.cjk_font.cache_clear()
    font_manager.fontManager._findfont_cached.cache_clear()


def test_the_font_has_the_glyphs():
    family = fonts.cjk_font()
    if family is None:
        pytest.skip("no Chinese font on this machine")
    font = font_manager.get_font(font_manager.findfont(family, fallback_to_default=False))
    assert all(font.get_char_index(ord(character)) for character in "中类")
    assert fonts.can_draw("固体绝缘开关柜", [family])
    assert fonts.label_fonts() == [family, fonts.FALLBACK]


def test_names_are_not_trusted(only_dejavu):
    assert fonts.cjk_font() is None
    assert fonts.label_fonts() == [fonts.FALLBACK]
    assert fonts.can_draw("[CLS] ##ing", fonts.label_fonts())
    assert not fonts.can_draw("A类", fonts.label_fonts())


def test_a_font_that_has_one_box_for_every_character_is_not_taken(only_dejavu):
    bundled = list(DEJAVU.parent.glob("LastResort*"))
    for path in bundled:
        font_manager.fontManager.addfont(path)
    assert any(entry.name.startswith("Last Resort") for entry in font_manager.fontManager.ttflist) == bool(bundled)
    assert fonts.cjk_font() is None


def test_coverage_is_joined_over_families(only_dejavu):
    assert fonts.can_draw("", [])
    assert not fonts.can_draw("A", [])
    assert not fonts.can_draw("A", ["SimHei"])  # its file is gone
    assert fonts.can_draw("A", ["SimHei", fonts.FALLBACK])


def test_fonts_newer_than_the_list_are_found(only_dejavu, monkeypatch, tmp_path):
    broken = tmp_path / "broken.ttf"
    broken.write_bytes(b"no font")
    new = tmp_path / "new.ttf"
    new.write_bytes(DEJAVU.read_bytes())
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: [str(broken), str(new)])
    fonts.cjk_font()
    assert str(new) in [entry.fname for entry in font_manager.fontManager.ttflist]


@pytest.mark.parametrize(
    ("families", "first"),
    [
        (["Noto Sans CJK JP", "Noto Sans CJK SC", "Noto Serif CJK SC"], "Noto Sans CJK SC"),
        (["Noto Sans Mono CJK SC", "Noto Sans CJK SC"], "Noto Sans CJK SC"),
        (["Noto Serif CJK JP", "Droid Sans Fallback"], "Droid Sans Fallback"),
    ],
)
def test_plain_fonts_for_simplified_characters_come_first(families, first):
    assert min(families, key=fonts._suitability) == first
