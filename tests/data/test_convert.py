import sys

import pytest

from patent_hier.data.convert import converter
from patent_hier.data.raw import RawFormat
from patent_hier.errors import ConfigError


def test_traditional_becomes_simplified() -> None:
    assert RawFormat(convert="t2s").read(" 一種<b>電動</b>測量裝置 ") == "一种电动测量装置"
    assert RawFormat(convert="t2s").read("一种电动测量装置") == "一种电动测量装置"
    assert RawFormat().read("一種裝置") == "一種裝置"
    assert RawFormat(convert="t2s").content != RawFormat().content


def test_an_unknown_conversion_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"data.convert='s2t' is unknown; choose one of t2s"):
        RawFormat(convert="s2t")


def test_without_opencc_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opencc", None)
    converter.cache_clear()
    with pytest.raises(ConfigError, match=r'pip install "patent_hier\[convert\]"'):
        converter("t2s")
    converter.cache_clear()
