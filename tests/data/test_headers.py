import pytest

from patent_hier.data.headers import field_of, fold_loosely, known_headers
from patent_hier.data.layout import accepted_headers, find_columns, find_text
from patent_hier.data.raw import PAPER_COLUMNS, RawFormat
from patent_hier.errors import ConfigError, DataError

# Headers of exports, each with what they mean to us: number, title, abstract, main symbol or else all symbols.
EXPORTS = {
    "CNIPA": "申请号,申请日,公开（公告）号,公开（公告）日,发明名称,IPC分类号,申请（专利权）人,发明人,摘要",
    "incoPat": "序号,标题 (中文),摘要 (中文),申请人,公开（公告）号,公开（公告）日,申请号,申请日,IPC主分类号,IPC",
    "PatSnap": "公开(公告)号,标题,摘要,[标]当前申请(专利权)人,申请日,公开(公告)日,IPC分类号",
    "Himmpat": "公开号,名称,摘要,申请人,IPC主分类,IPC",
    "Derwent": "Publication Number,Title - DWPI,Abstract - DWPI,Assignee/Applicant,IPC - Current,Application Number",
    "Lens": "#,Jurisdiction,Kind,Display Key,Lens ID,Publication Date,Title,Abstract,Applicants,IPCR Classifications",
    "PATENTSCOPE": "Application Id,Application Number,Publication Number,Title,Abstract,I P C,Applicants,Inventors",
}
MEANT = {
    "CNIPA": ("公开（公告）号", "发明名称", "摘要", "IPC分类号"),
    "incoPat": ("公开（公告）号", "标题 (中文)", "摘要 (中文)", "IPC主分类号"),
    "PatSnap": ("公开(公告)号", "标题", "摘要", "IPC分类号"),
    "Himmpat": ("公开号", "名称", "摘要", "IPC主分类"),
    "Derwent": ("Publication Number", "Title - DWPI", "Abstract - DWPI", "IPC - Current"),
    "Lens": ("Display Key", "Title", "Abstract", "IPCR Classifications"),
    "PATENTSCOPE": ("Publication Number", "Title", "Abstract", "I P C"),
}
FIELDS = ("publication_number", "title", "abstract", "symbols")


@pytest.mark.parametrize("source", EXPORTS)
def test_known_exports(source: str) -> None:
    names = EXPORTS[source].split(",")
    layout = find_columns(names, RawFormat(), "export.csv")
    assert tuple(names[layout.positions[name]] for name in FIELDS) == MEANT[source]
    assert layout.text_positions == (names.index(MEANT[source][2]),)
    assert find_text(names, RawFormat(), "export.csv").positions == layout.positions
    line = layout.line()
    assert line is not None
    assert f"symbols = {MEANT[source][3]}" in line


def test_google_patents_has_no_symbols() -> None:
    names = ["id", "title", "assignee", "inventor/author", "priority date", "filing/creation date", "result link"]
    with pytest.raises(DataError, match=r"no column 专利分类, 摘要; .*'data.text=\[title\]'"):
        find_columns(names, RawFormat(), "gp.csv")
    layout = find_text(names, RawFormat(text=("专利名称",)), "gp.csv")
    assert "symbols" not in layout.positions
    assert [layout.positions[name] for name in ("publication_number", "title", "applicant")] == [0, 1, 2]


@pytest.mark.parametrize("name", ["摘要(中文)", "摘要（中文）", "摘要 (中文)", "摘要[中文]", " 摘要（ 中文 ）"])
def test_names_in_any_brackets(name: str) -> None:
    assert fold_loosely(name) == "摘要中文"
    assert find_text(["专利分类", name], RawFormat(), "x").text_positions == (1,)
    assert "text" not in find_text(["专利分类", name], RawFormat(text=("摘要(中文)",)), "x").found


def test_the_configured_name_wins_and_main_symbols_are_preferred() -> None:
    names = ["IPC", "IPC主分类号", "摘要", "标题", "摘要(英文)"]
    found = find_columns(names, RawFormat(), "x")
    assert (found.positions["symbols"], found.text_positions) == (1, (2,))
    assert found.line() == (
        "columns found by their headers: title = 标题, symbols = IPC主分类号 (not IPC); "
        "use data.columns and data.text to choose others"
    )
    own = find_columns(names, RawFormat(columns={"symbols": "IPC"}, text=("标题", "摘要(英文)")), "x")
    assert (own.positions["symbols"], own.text_positions) == (0, (3, 4))
    with pytest.raises(DataError, match="no column 分类"):
        find_columns(names, RawFormat(columns={"symbols": "分类"}), "x")
    assert find_text(names, RawFormat(columns={"symbols": "分类"}), "x").positions["symbols"] == 1
    with pytest.raises(DataError, match="no column 分类"):
        find_text(names, RawFormat(columns={"symbols": "分类"}), "x", needed=("symbols",))


def test_a_text_is_never_guessed_of_another_field() -> None:
    with pytest.raises(DataError, match=r"no column 摘要; .*'data.text=\[标题\]'"):
        find_columns(["IPC", "标题", "权利要求"], RawFormat(), "x")
    with pytest.raises(DataError, match="no column 名称"):
        find_columns(["IPC", "标题"], RawFormat(text=("标题",), columns={"title": "名称"}), "x")
    assert find_columns(["IPC", "标题", "权利要求书"], RawFormat(text=("名称", "权利要求")), "x").text_positions == (
        1,
        2,
    )


@pytest.mark.parametrize(
    "fmt", [RawFormat(text=("发明名称", "摘要")), RawFormat(columns={"title": "标题"}, text=("名称",))]
)
def test_accepted_headers_are_in_the_order_of_the_choice(fmt: RawFormat) -> None:
    for name in fmt.text:
        accepted = accepted_headers(fmt, name)
        assert len(accepted) == len(set(accepted))
        others = [own for own in fmt.text if own != name]
        for place, preferred in enumerate(accepted):
            names = [*others, *reversed(accepted[place:])]
            if name not in names:
                assert names[find_text(names, fmt, "x").text_positions[fmt.text.index(name)]] == preferred
    assert accepted_headers(fmt, "publication_number") == list(known_headers()["publication_number"])
    assert accepted_headers(fmt, "简介 (内部)") == ["简介内部"]


def test_two_columns_of_one_name() -> None:
    with pytest.raises(DataError, match="more than one column 摘要"):
        find_columns(["专利分类", "摘要", "摘 要"], RawFormat(), "x")


def test_no_header_is_known_for_two_fields() -> None:
    names = [name for own in known_headers().values() for name in own]
    assert len(names) == len(set(names))
    assert set(PAPER_COLUMNS) < set(known_headers())
    assert all(fold_loosely(header) == known_headers()[ours][0] for ours, header in PAPER_COLUMNS.items())
    assert (field_of("标题(中文)"), field_of("abstract"), field_of("IPC大类")) == ("title", "abstract", None)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"标题": "title"}, r"has the names in the wrong order; write 'data.columns={title: 标题}'"),
        ({"title": ["标题", "名称"]}, r"write 'data.columns={title: 标题}'"),
        ({"title": None}, r"write 'data.columns={title: 专利名称}'"),
    ],
)
def test_pairs_that_cannot_be_meant(columns: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        RawFormat(columns=columns)
