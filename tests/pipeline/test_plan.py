import os
from pathlib import Path

import pytest

from patent_hier.errors import ConfigError, DataError
from patent_hier.pipeline.plan import plan_node


@pytest.mark.parametrize(
    ("group", "changes"),
    [
        (None, {"seed": 2}),
        ("data", {"text": ["专利名称"]}),
        ("data", {"text": ["专利名称", "摘要"]}),
        ("data", {"min_symbol": "group"}),
        ("split", {"seed": 1}),
        ("split", {"policy": "applicant"}),
        ("split", {"test": 0.2}),
        ("encoder", {"hidden_size": 32}),
        ("encoder", {"num_hidden_layers": 3}),
        ("encoder", {"max_length": 16}),
        ("encoder", {"freeze": True}),
        ("encoder", {"dropout": 0.2}),
        ("model", {"num_last_layers": 1}),
        ("model", {"pool_size": None}),
        ("model", {"head": "token"}),
        ("optimizer", {"lr": 0.01}),
        ("trainer", {"batch_size": 8}),
        ("trainer", {"max_epochs": 2}),
        ("trainer", {"class_weights": True}),
    ],
)
def test_what_decides_the_result_changes_its_name(group, changes, settings, changed):
    before, after = plan_node(settings), plan_node(changed(group, **changes))
    assert before.folder.name != after.folder.name
    assert before.suite != after.suite


@pytest.mark.parametrize(
    ("group", "changes"),
    [
        ("trainer", {"num_threads": 2}),
        ("trainer", {"progress": True}),
        ("trainer", {"score_batch_size": 3}),
        ("trainer", {"accelerator": "cpu"}),
        ("data", {"max_reject_share": 0.5}),
    ],
)
def test_what_does_not_decide_it_keeps_its_name(group, changes, settings, changed):
    before, after = plan_node(settings), plan_node(changed(group, **changes))
    assert (before.folder, before.suite) == (after.folder, after.suite)


def test_a_head_is_named_by_what_it_reads(changed):
    linear = plan_node(changed("model", name="bertcnn", head="cls"))
    for changes in ({"name": "bert"}, {"num_last_layers": 9}, {"num_filters": 7}, {"pool_size": None}):
        assert plan_node(changed("model", **{"head": "cls", **changes})).suite == linear.suite
    assert plan_node(changed("model", head="cls", pooling="mean")).suite != linear.suite
    token = plan_node(changed("model", head="token"))
    assert plan_node(changed("model", head="token", pooling="mean")).suite == token.suite
    assert plan_node(changed("model", head="token", num_filters=7)).suite != token.suite


def test_a_wrong_split_is_refused_before_the_corpus_is_read(changed, tmp_path):
    with pytest.raises(ConfigError, match="policy"):
        plan_node(changed("split", policy="aplicant"))
    assert not (tmp_path / "cache" / "corpora").exists()


def test_paths_do_not_matter(settings, changed, tmp_path):
    before = plan_node(settings)
    moved = plan_node(changed(runs_dir=str(tmp_path / "r2"), cache_dir=str(tmp_path / "c2")))
    assert (before.folder.name, before.suite) == (moved.folder.name, moved.suite)
    assert moved.folder.parent == tmp_path / "r2" / "bertcnn"


def test_name_and_date_of_the_raw_file_do_not_matter(settings, changed, tmp_path):
    before = plan_node(settings)
    renamed = Path(settings.data.path).rename(tmp_path / "other.csv")
    os.utime(renamed, (1, 1))
    assert plan_node(changed("data", path=str(renamed))).folder == before.folder


def test_content_of_the_raw_file_matters(settings):
    before = plan_node(settings)
    path = Path(settings.data.path)
    path.write_bytes(path.read_bytes()[: path.read_bytes().rindex(b"\n", 0, -1) + 1])  # one row less
    assert plan_node(settings).suite != before.suite


def test_nodes_share_the_suite_only(settings, changed):
    root, a = plan_node(changed(node="root")), plan_node(settings)
    assert root.suite == a.suite
    assert root.folder != a.folder
    assert a.folder.name.startswith("A-")


def test_too_many_layers_are_refused_before_the_corpus_is_made(changed, tmp_path):
    with pytest.raises(ConfigError, match=r"model\.num_last_layers=3 .* layers 1 to 2"):
        plan_node(changed("model", num_last_layers=3))
    assert not (tmp_path / "cache" / "corpora").exists()


def test_missing_file(changed):
    with pytest.raises(DataError, match=r"nowhere\.csv"):
        plan_node(changed("data", path="nowhere.csv"))
