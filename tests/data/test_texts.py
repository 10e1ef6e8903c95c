import numpy as np
import pyarrow as pa
import pytest

from patent_hier.data.accounting import Accounting
from patent_hier.data.raw import fold_number, has_words, join_fields, normalise
from patent_hier.data.texts import WARNINGS, is_mojibake, text_warnings

ABSTRACT = "本发明公开了一种低温等离子体除臭装置，包括壳体和设于其中的放电管。"


@pytest.mark.parametrize(
    "text", ["无", "N/A", "-", "null", "暂无", "NULL", "None", "（无）", "无。", "【暂无摘要】", "nan", "--"]
)
def test_a_placeholder_is_no_text(text: str) -> None:
    assert not has_words(normalise(text))


@pytest.mark.parametrize("text", ["无线充电器", "空气净化器", "无人机", "N/A转换器", "Null调制器", "不详细的图"])
def test_a_text_that_begins_like_one_is_kept(text: str) -> None:
    assert has_words(text)


def test_markup_and_placeholders_leave_no_trace_in_joined_fields() -> None:
    assert join_fields(["除臭<b>装置</b>", "无", "含CO<sub>2</sub>&nbsp;_x000D_\n气体"]) == "除臭装置。含CO2 气体"
    assert normalise('="除臭装置"') == "除臭装置"
    assert fold_number('="cn 102345678a"') == "CN102345678A"


@pytest.mark.parametrize(
    "garbled",
    [
        ABSTRACT.encode().decode("gbk", "replace"),
        ABSTRACT.encode().decode("gb18030", "ignore"),
        ABSTRACT.encode().decode("latin-1"),
        ABSTRACT.encode().decode("cp1252", "replace"),
        ABSTRACT.encode("gbk").decode("latin-1"),
        "一种装置".encode().decode("gbk", "replace"),
    ],
)
def test_texts_in_another_encoding_are_named(garbled: str) -> None:
    text = normalise(garbled)
    assert is_mojibake(text)
    assert text_warnings(pa.array([text]), [])["mojibake"].tolist() == [True]


@pytest.mark.parametrize(
    "text", [ABSTRACT, "锛子", "鏈", "A device for deodorizing", "é", "ΔT≥5℃的除臭装置", "一種除臭裝置"]
)
def test_other_texts_are_not(text: str) -> None:
    assert not is_mojibake(text)


def test_warnings_have_words() -> None:
    texts = pa.array([ABSTRACT, "除臭�装置", "摘要", "摘要（中文）"])
    found = text_warnings(texts, ["摘要", "摘要（中文）"])
    assert {name: np.flatnonzero(flags).tolist() for name, flags in found.items()} == {
        "mojibake": [], "damaged_characters": [1], "header_as_text": [2, 3],
    }  # fmt: skip
    counts = Accounting(rows=3, kept=3)
    counts.warnings.update(found.keys())
    assert counts.lines()[-3:] == [f"{name}: {WARNINGS[name]}" for name in sorted(found)]


def test_a_shape_that_unread_symbols_share_is_told() -> None:
    counts = Accounting(rows=60, kept=1)
    counts.rejected["malformed_symbol"] = 59
    counts.count_unread([f"B64C.{number:03}/02" for number in range(58)] + ["?"])
    problem = counts.problem(0.2)
    assert problem is not None
    assert "58 of 59 unreadable symbols have the form A99A.999/99" in problem
    counts.count_unread([f"{'x' * number}" for number in range(30)])
    counts.rejected["malformed_symbol"] += 30
    assert "look like" not in str(counts.problem(0.2))
