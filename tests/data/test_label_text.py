import gzip
import lzma
from pathlib import Path

import pytest

from patent_hier.data.label_text import LabelTexts, count_levels, read_label_texts, strip_notes
from patent_hier.errors import DataError
from patent_hier.settings.data import LABEL_LEVELS

TABLE = """code,level,title_zh
A,section,人类生活必需
a01,class,农业；林业
A01B,subclass,整地（割草机入A01D42/04；（工程目的的整地入E01））；农具
A01B1/00,maingroup,手动工具(优先)
A01B 1/02,subgroup,锹〔2〕
G16,class,信息通信技术
H10B,subclass,存储器
A01C,subclass,（播种）
01A,class,没有的类
A01C 1/00,subclass,层次不符
B60K,subclass,车辆动力装置
B60K,subclass,车辆动力装置（驱动桥入B60B）
"""


def read(path: Path, text: str = TABLE, levels: tuple[str, ...] = LABEL_LEVELS, edition: str = "2017") -> LabelTexts:
    path.write_text(text, "utf-8")
    return read_label_texts(path, levels, edition)


def test_each_row_is_a_text_or_counted(tmp_path: Path) -> None:
    found = read(tmp_path / "t.csv")
    assert found.texts == ("人类生活必需", "农业；林业", "整地；农具", "手动工具", "锹", "车辆动力装置")
    assert found.levels.tolist() == ["section", "class", "subclass", "main_group", "subgroup", "subclass"]
    assert found.paths.tolist() == [
        ["A", None, None, None, None],
        ["A", "A01", None, None, None],
        ["A", "A01", "A01B", None, None],
        ["A", "A01", "A01B", "A01B1/00", None],
        ["A", "A01", "A01B", "A01B1/00", "A01B1/02"],
        ["B", "B60", "B60K", None, None],
    ]
    assert found.passed_over == {
        "codes whose class the edition lacks": 2,
        "titles without a word outside notes": 1,
        "codes that are not IPC symbols of their level": 2,
        "repeated rows": 1,
    }
    assert len(found) + sum(found.passed_over.values()) == TABLE.count("\n") - 1
    assert found.line() == (
        "6 titles (section 1, class 1, subclass 2, main_group 1, subgroup 1); skipped: "
        "2 codes whose class the edition lacks, 1 titles without a word outside notes, "
        "2 codes that are not IPC symbols of their level, 1 repeated rows"
    )


def test_only_the_levels_that_are_asked_for(tmp_path: Path) -> None:
    found = read(tmp_path / "t.csv", levels=("maingroup", "class"), edition="latest")
    assert found.texts == ("农业；林业", "手动工具", "信息通信技术")
    assert found.passed_over == {"codes that are not IPC symbols of their level": 1}
    assert count_levels(found.levels) == {"class": 2, "main_group": 1}
    assert read(tmp_path / "t.csv", levels=("main_group", "class"), edition="latest").texts == found.texts
    assert read(tmp_path / "t.csv", levels=("maingroup",)).line() == "1 titles (main_group 1); skipped: none"


@pytest.mark.parametrize(("suffix", "opener"), [(".csv.xz", lzma.open), (".csv.gz", gzip.open)])
def test_compressed_files_read_the_same(tmp_path: Path, suffix: str, opener) -> None:  # type: ignore[no-untyped-def]  # two modules' open
    plain = read(tmp_path / "t.csv")
    path = tmp_path / f"t{suffix}"
    with opener(path, "wt", encoding="utf-8-sig") as file:
        file.write(TABLE.replace("title_zh", "Title"))
    assert read_label_texts(path, LABEL_LEVELS, "2017").texts == plain.texts
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match="is damaged") as caught:
        read_label_texts(path, LABEL_LEVELS, "2017")
    assert "\n" not in str(caught.value)
    path.write_text("no archive")
    with pytest.raises(DataError, match="is damaged"):
        read_label_texts(path, LABEL_LEVELS, "2017")


@pytest.mark.parametrize(
    ("title", "kept"),
    [
        ("犁（见A01B3/00）和耙(也见(1/00))", "犁和耙"),
        ("混合（甲(乙）丙)丁", "混合丁"),  # either form closes either
        ("饲料（使用微生物入A23K 30/15", "饲料"),  # cut off in the table
        ("层料 (以功能为特征)）；纸", "层料 ；纸"),
        ("底盘〔2〕[5,2006.01]", "底盘"),
        ("全球定位系统[GPS]传感器", "全球定位系统[GPS]传感器"),
        ("  两\u3000个\n空白 ", "两 个 空白"),
        ("（只有附注）", ""),
    ],
)
def test_notes_are_stripped(title: str, kept: str) -> None:
    assert strip_notes(title) == kept


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("code,title\nA,x\n", "it needs 'code', 'level', and one column that starts with 'title'"),
        ("code,level,title_zh,title_en\nA,section,x,y\n", "'code', 'level', and one column that starts with 'title'"),
        ("", r"has the columns \[\]"),
        ("code,level,title\nA01,klass,x\n", "level='klass' in row 2; use one of section, class"),
        ("code,level,title\n\nA,section,x\nA01,class\n", "too few columns in row 4"),
        ("code,level,title\nA01,class,（x）\n", "has no title at the levels section, class"),
        ('code,level,title\nA,section,x\nA01,class,"x\n', "is damaged"),
    ],
)
def test_what_is_no_such_table_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        read(tmp_path / "t.csv", text)
    assert str(tmp_path / "t.csv") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_another_encoding_and_no_file(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(TABLE.encode("gb18030"))
    with pytest.raises(DataError, match="not UTF-8"):
        read_label_texts(tmp_path / "t.csv", LABEL_LEVELS, "2017")
    with pytest.raises(DataError, match="cannot read"):
        read_label_texts(tmp_path / "nowhere.csv.xz", LABEL_LEVELS, "2017")


def test_whole_paths_are_those_of_places_at_the_depth(tmp_path: Path) -> None:
    found = read(tmp_path / "t.csv")
    assert found.whole_paths(2) == [("A", "A01")]
    assert found.whole_paths(3) == [("A", "A01", "A01B"), ("B", "B60", "B60K")]
    assert found.whole_paths(4) == [("A", "A01", "A01B", "A01B1/00")]
    assert found.whole_paths(5) == [
        ("A", "A01", "A01B", "A01B1/00", "A01B1/00"),
        ("A", "A01", "A01B", "A01B1/00", "A01B1/02"),
    ]
