import pytest

from patent_hier.report.published import COUNTERPARTS, published


@pytest.mark.parametrize(("name", "where"), [("table_1", "Table 1"), ("table_2", "Table 2"), ("figure_6", "Figure 6")])
def test_published_numbers_have_their_source(name, where):
    content = published(name)
    assert "arXiv:1911.06241" in content["source"]
    assert content["where"] == where
    assert content["caption"]


def test_their_models_are_known():
    assert set(published("table_2")["models"]) == set(COUNTERPARTS)


def test_documents_for_each_class_follow_from_the_other_two():
    content = published("table_1")
    for facts in (*content["sections"].values(), content["total"]):
        # printed without decimals, now rounded and now cut
        assert abs(facts["documents"] / facts["classes"] - facts["documents_per_class"]) <= 1


def test_numbers_inside_an_installed_package(tmp_path, monkeypatch):
    (tmp_path / "patent_hier" / "published").mkdir(parents=True)
    (tmp_path / "patent_hier" / "published" / "table_9.json").write_text('{"caption": "x"}', "utf-8")
    monkeypatch.setattr("patent_hier.__file__", str(tmp_path / "patent_hier" / "__init__.py"))
    assert published("table_9") == {"caption": "x"}
    with pytest.raises(FileNotFoundError):
        published("table_8")
