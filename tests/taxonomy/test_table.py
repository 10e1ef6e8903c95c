import lzma
from pathlib import Path

import numpy as np
import pytest

from patent_hier.errors import DataError
from patent_hier.taxonomy.tree import NONE, LabelTree

IPC = """code,level,title_zh
A,section,人类生活必需
a01,class,农业；林业
A01B,subclass,整地
A01B1/00,maingroup,手动工具
A01B 1/02,subgroup,锹；铲
A01B1/10,subgroup,带双铲刀
A01B1/02,subgroup,锹
B60K,subclass,车辆动力装置
B60K,subclass,车辆动力装置
01A,class,没有的类
A01C 1/00,subclass,层次不符
G16,class,信息通信技术
"""
CPC = """code,parent,title
Y,,GENERAL TAGGING
Y02,Y,CLIMATE CHANGE
Y02E,Y02,ENERGY
Y02E 10/00,Y02E,Renewable energy
Y02E 10/40,Y02E 10/00,Solar thermal
Y02E 10/44,Y02E 10/40,Heat exchange
A,,NECESSITIES
A99,A,
"""


def read(folder: Path, text: str, edition: str | None = None) -> LabelTree:
    path = folder / "labels.csv"
    path.write_text(text, "utf-8")
    return LabelTree.from_table(path, edition)


def path_of(tree: LabelTree, code: str) -> list[str | None]:
    """Return the codes on the path to a label, from the top."""
    found: list[str | None] = tree.names(tree.paths(tree.locate([code])))[0].tolist()
    return found


def test_an_ipc_table_finds_parents_by_spelling(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tree = read(tmp_path, IPC, "2017")
    assert tree.levels == ("section", "class", "subclass", "main_group", "subgroup")
    assert path_of(tree, "A01B1/02") == ["A", "A01", "A01B", "A01B1/00", "A01B1/02"]
    assert path_of(tree, "A01B1/00") == ["A", "A01", "A01B", "A01B1/00", "A01B1/00"]  # documents may end there
    assert path_of(tree, "B60K") == ["B", "B60", "B60K", "B60K", "B60K"]  # nothing is known below
    assert path_of(tree, "A01") == ["A", "A01", None, None, None]
    assert tree.titles["A01B1/02"] == "锹；铲"
    assert (tree.edition, "B" in tree.titles, tree.titles["A01"]) == ("2017", False, "农业；林业")
    assert capsys.readouterr().out == (
        f"labels of {tmp_path / 'labels.csv'}: section 2, class 2, subclass 2, main_group 2, subgroup 4; 7 titles; "
        "skipped: 1 repeated codes with a different title (the first title is kept) (first: row 8), "
        "1 repeated rows (first: row 10), 2 codes that are not IPC symbols of their level (first: row 11), "
        "1 codes whose class the edition lacks (first: row 13); "
        "2 labels occur only as parents and have no row, such as B\n"
    )


def test_any_scheme_names_its_parents(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tree = read(tmp_path, CPC + "Y02E 10/40,Y02E 10/00,Solar thermal\n,Y,no code\nZ9,Z,lost\n", "2024.01")
    assert tree.levels == tuple(f"level_{depth}" for depth in range(1, 7))
    assert path_of(tree, "Y02E 10/44") == ["Y", "Y02", "Y02E", "Y02E 10/00", "Y02E 10/40", "Y02E 10/44"]
    assert path_of(tree, "Y02E 10/40")[4:] == ["Y02E 10/40", None]
    assert path_of(tree, "A99") == ["A", *["A99"] * 5]
    assert tree.locate(["Z9", None]).tolist() == [NONE, NONE]
    assert (tree.edition, tree.titles["Y02E 10/44"], "A99" in tree.titles) == ("2024.01", "Heat exchange", False)
    assert capsys.readouterr().out.endswith(
        "level_6 2; 7 titles; skipped: 1 repeated rows (first: row 10), 1 rows without a code (first: row 11), "
        "1 codes whose parent has no row (first: row 12)\n"
    )


def test_a_column_names_the_levels(tmp_path: Path) -> None:
    names = ["section", "class", "subclass", "maingroup", "subgroup", "subgroup", "section", "class"]
    header, *rows = CPC.splitlines()
    table = [f"{header},level", *(f"{row},{name}" for row, name in zip(rows, names, strict=True))]
    tree = read(tmp_path, "\n".join(table))
    assert tree.levels == ("section", "class", "subclass", "main_group", "subgroup", "subgroup_2")


def test_the_path_of_a_table_may_be_a_string(tmp_path: Path) -> None:
    tree = read(tmp_path, CPC)
    assert LabelTree.from_table(str(tmp_path / "labels.csv")) == tree


def test_compressed_tables_read_the_same(tmp_path: Path) -> None:
    packed = tmp_path / "packed.csv.xz"
    packed.write_bytes(lzma.compress(CPC.encode("utf-8-sig")))
    assert LabelTree.from_table(packed) == read(tmp_path, CPC)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("code,title\nA,x\n", "needs 'code', 'parent' or 'level', and one column that starts with 'title'"),
        ("code,parent,title,title_en\nA,,x,y\n", "one column that starts with 'title'"),
        ("code,parent,title\nA,\n", "too few columns in row 2"),
        ("code,parent,title\nB,A,x\nA,B,x\n", "has B below itself"),
        ("code,parent,title\nA,,x\nB,,x\nC,A,x\nC,B,x\n", "has C below 'A' in row 4 and below 'B' in row 5"),
        ("code,parent,title\nA01,A,x\n", r"no usable label: 1 codes whose parent has no row \(first"),
        ("code,parent,title\n", "no usable label: no rows"),
        ("code,parent,level,title\nA,,s,x\nB,,t,x\n", "level='s' in row 2 but level='t' in row 3"),
        ("code,level,title\nA01,klass,x\n", "level='klass' in row 2; use one of section, class"),
        ('code,level,title\nA01,class,"x\n', "is damaged"),
    ],
)
def test_what_makes_no_tree_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        read(tmp_path, text)
    assert str(tmp_path / "labels.csv") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_corpus_tree_takes_titles_and_joins_the_scheme(tmp_path: Path) -> None:
    scheme = read(tmp_path, IPC)
    corpus = LabelTree.from_paths(
        [("A", "A01", "A01B", "A01B3/00", "A01B3/02"), ("C", "C07", "C07D", None, None)], scheme.levels
    )
    titled = corpus.with_titles(scheme)
    assert titled == corpus
    assert (titled.titles, titled.edition) == ({code: scheme.titles[code] for code in ("A", "A01", "A01B")}, "latest")
    joined = LabelTree.union([corpus, scheme])
    for tree in (corpus, scheme):
        assert all((joined.find(level, tree.labels(level)) != NONE).all() for level in tree.levels)
    assert len(joined.labels("subgroup")) == len(corpus.labels("subgroup")) + len(scheme.labels("subgroup"))
    assert (joined.titles, joined.edition) == (scheme.titles, "latest")
    assert (np.diff(joined.find("main_group", ["A01B1/00", "A01B3/00"])) == 1).all()  # in the order of the scheme
    with pytest.raises(DataError, match="different schemes"):
        LabelTree.union([scheme, read(tmp_path, CPC)])
