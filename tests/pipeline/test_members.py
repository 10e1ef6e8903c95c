import json
import shutil
from hashlib import sha256

import pytest

from patent_hier.artifacts import write_manifest
from patent_hier.errors import ArtifactError, ConfigError, IncompleteError
from patent_hier.pipeline.members import corpus_of, read_members
from patent_hier.pipeline.node import run_node
from patent_hier.pipeline.suite import aggregate_nodes
from patent_hier.report.results import save_suite
from patent_hier.settings import LevelSettings
from tests.pipeline.conftest import change, make_settings

NODES = ("root", "A", "B", "C")


def finish(settings, level):
    """Run all nodes of a level and save their result."""
    nodes = (level,) if level in ("flat", "shared") else NODES
    done = [run_node(change(settings, level=LevelSettings(level), node=node), [f"level={level}"]) for node in nodes]
    suite = aggregate_nodes({node: one.folder for node, one in zip(nodes, done, strict=True)}, done[0].corpus.folder)
    save_suite(suite)
    return suite.folder


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Three results of one split and one of another."""
    folder = tmp_path_factory.mktemp("members")
    bayes, neighbours = make_settings(folder, "naive_bayes"), make_settings(folder, "knn")
    return {
        "bayes": finish(bayes, "hier"),
        "neighbours": finish(neighbours, "hier"),
        "flat": finish(bayes, "flat"),
        "other split": finish(change(bayes, "split", seed=5), "flat"),
        "deeper": finish(change(bayes, "data", depth="subclass"), "shared"),
    }


@pytest.fixture
def copied(place, tmp_path):
    """The same results elsewhere, for a test that changes them."""
    shutil.copytree(place["bayes"].parents[1], tmp_path / "runs")
    return {name: tmp_path / "runs" / folder.parent.name / folder.name for name, folder in place.items()}


def edit(file, **changes):
    write_manifest(file.parent, {**json.loads(file.read_text("utf-8")), **changes})


def test_members_come_in_one_order(place):
    wanted = [place["bayes"], place["flat"], place["neighbours"]]
    members = read_members(wanted)
    assert [member.name for member in members] == sorted(member.name for member in members)
    assert [member.name for member in read_members(wanted[::-1])] == [member.name for member in members]
    assert {member.short_name for member in members} == {
        "naive_bayes hier seed 1",
        "naive_bayes flat seed 1",
        "knn hier seed 1",
    }


def test_where_a_members_scores_of_a_node_are(place):
    by_level = {member.level: member for member in read_members([place["bayes"], place["flat"]])}
    hier, flat = by_level["hier"], by_level["flat"]
    assert hier.tree == flat.tree
    assert hier.tree.codes.tolist() == ["A", "B", "C", "A01", "A23", "B60", "B65", "C07"]
    assert list(hier.sources("A")) == ["A"]
    assert set(hier.sources("flat")) == set(NODES)
    assert list(flat.sources("A")) == list(flat.sources("root")) == ["flat"]
    assert hier.sources("A")["A"].parent == place["bayes"].parent


def test_other_predictions_are_another_member(copied):
    wanted = [copied["bayes"], copied["flat"]]
    before = [member.facts for member in read_members(wanted)]
    assert [member.facts for member in read_members(wanted)] == before
    (root,) = copied["bayes"].parent.glob("root-*")
    manifest = json.loads((root / "manifest.json").read_text("utf-8"))
    other = (root / "predictions.parquet").read_bytes()[::-1]  # as of a node that was trained once more
    (root / "predictions.parquet").write_bytes(other)
    manifest["files"]["predictions.parquet"]["sha256"] = sha256(other).hexdigest()
    edit(root / "manifest.json", files=manifest["files"])
    after = [member.facts for member in read_members(wanted)]
    assert [one == other for one, other in zip(before, after, strict=True)].count(False) == 1
    assert [facts["suite"] for facts in after] == [facts["suite"] for facts in before]


def test_results_may_be_moved(copied, place):
    shutil.rmtree(copied["bayes"].parents[1] / "knn")
    members = read_members([copied["bayes"], copied["flat"]])
    assert {folder.parents[1] for member in members for folder in member.nodes.values()} == {copied["bayes"].parents[1]}


def test_what_is_refused(place, tmp_path):
    bayes, flat = place["bayes"], place["flat"]
    (node,) = bayes.parent.glob("A-*")
    for results, error, words in (
        ([bayes], ConfigError, "an ensemble needs two or more results, not 1"),
        ([bayes, flat, bayes], ConfigError, "are the same result"),
        ([bayes, node], ConfigError, f"{node} is not a result folder"),
        ([bayes, tmp_path / "nothing"], ConfigError, "nothing is not a result folder"),
        ([bayes, place["other split"]], ConfigError, "only results of one corpus and split"),
    ):
        with pytest.raises(error) as caught:
            read_members(results)
        assert words in str(caught.value)
        assert "\n" not in str(caught.value)
    splits = {
        json.loads((place[n] / "manifest.json").read_text("utf-8"))["data"]["split"] for n in ("bayes", "other split")
    }
    assert len(splits) == 2
    for word in (*splits, str(bayes), str(place["other split"])):
        assert word in str(caught.value)


def test_a_missing_or_damaged_node_is_named(copied):
    bayes, flat = copied["bayes"], copied["flat"]
    (node,) = bayes.parent.glob("B-*")
    (node / "history.json").write_text("[1]\n", "utf-8")
    with pytest.raises(ArtifactError, match="is damaged"):
        read_members([bayes, flat])
    shutil.rmtree(node)
    with pytest.raises(IncompleteError, match=r"lacks node B in .*: python run.py level=hier"):
        read_members([bayes, flat])
    (bayes / "result.md").write_text("", "utf-8")
    with pytest.raises(ArtifactError, match="is damaged"):
        read_members([bayes, flat])


def test_a_result_of_before_groups_is_refused(copied):
    file = copied["bayes"] / "manifest.json"
    content = json.loads(file.read_text("utf-8"))
    del content["suite"]
    write_manifest(file.parent, content)
    with pytest.raises(ArtifactError, match="older version"):
        read_members([copied["bayes"], copied["flat"]])


def test_the_corpus_is_found_or_asked_for(place, tmp_path):
    member = read_members([place["bayes"], place["flat"]])[0]
    cache = place["bayes"].parents[2] / "cache"
    corpus, own = corpus_of(member, None)
    assert (own, corpus.size) == (cache, 160)
    shutil.copytree(cache, tmp_path / "elsewhere")
    assert corpus_of(member, tmp_path / "elsewhere")[0].folder.parents[1] == tmp_path / "elsewhere"
    with pytest.raises(ConfigError, match="--cache-dir FOLDER"):
        corpus_of(member, tmp_path / "nothing")
