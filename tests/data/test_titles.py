import json

import pytest

from patent_hier.data.titles import LABELS_FILE, label_table, labels_json, load_titles, read_titles
from patent_hier.errors import ArtifactError, DataError
from tests.trees import FIVE, tree_of

TABLE = """code,level,title_zh
A,section,人类生活必需
A01,class,农业（林业入A02）
A01B,subclass,（只有注释）
A01B 1/00,maingroup,手动工具
A01B1/02,subgroup,锹
A01C,subclass,播种
"""
TITLES = {"A": "人类生活必需", "A01": "农业", "A01B1/00": "手动工具", "A01B1/02": "锹"}


@pytest.fixture
def tree():
    return tree_of(FIVE)


def test_titles_of_the_trees_labels_without_notes(tree, tmp_path):
    (tmp_path / "t.csv").write_text(TABLE, "utf-8")
    assert read_titles(tmp_path / "t.csv", tree) == TITLES


def test_a_table_of_another_scheme_is_refused(tree, tmp_path):
    (tmp_path / "t.csv").write_text("code,parent,title\nX,,cars\nX1,X,red cars\n", "utf-8")
    with pytest.raises(DataError, match=r"t\.csv has no title for any label of the system, such as A, B, H; use"):
        read_titles(tmp_path / "t.csv", tree)


def test_they_are_kept_with_the_labels(tree, tmp_path):
    named = tree_of(FIVE, titles=TITLES)
    (tmp_path / LABELS_FILE).write_text(labels_json(named), "utf-8")
    assert json.loads(labels_json(named)) == label_table(named)
    assert load_titles(tmp_path) == TITLES
    assert load_titles(tmp_path / "nowhere") == {}
    labels = label_table(named)["labels"]
    assert [one["code"] for one in labels] == tree.codes.tolist()
    assert labels[0] == {"code": "A", "level": "section", "parent": None, "title": "人类生活必需"} | {
        "zh": "生活用品与健康",
        "en": "Daily life and health",
    }
    assert labels[-1] == {"code": "H01L21/02", "level": "subgroup", "parent": "H01L21/00"}


@pytest.mark.parametrize("content", ["[]", '{"labels": 3}', '{"labels": ["x"]}', '{"labels": [{"title": "x"}]}', "{}"])
def test_what_is_no_table_is_refused(tmp_path, content):
    (tmp_path / LABELS_FILE).write_text(content)
    with pytest.raises(ArtifactError, match=r"labels\.json is not a table of labels"):
        load_titles(tmp_path)


def test_foreign_titles_are_only_shown(tmp_path):
    labels = [{"code": "A", "title": "\x1b[31m\u202eB" + "x" * 10_000}, {"code": "B", "title": ""}]
    (tmp_path / LABELS_FILE).write_text(json.dumps({"labels": labels}))
    (title,) = load_titles(tmp_path).values()
    assert title.startswith("\\x1b[31m\\u202eB")
    assert len(title) < 600
