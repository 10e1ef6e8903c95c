from dataclasses import replace

import numpy as np
import pytest

from patent_hier.artifacts import find_damage
from patent_hier.data.corpus import Corpus
from patent_hier.errors import ArtifactError, DataError, IncompleteError
from patent_hier.evaluation.contract import NetworkPredictions
from patent_hier.inference.classifier import HierarchicalClassifier
from patent_hier.pipeline.node import run_node
from patent_hier.pipeline.suite import aggregate_nodes, find_nodes, read_system
from patent_hier.report.results import save_suite
from patent_hier.settings import LevelSettings
from tests.commands import write_csv
from tests.pipeline.conftest import make_settings


@pytest.fixture
def hier(settings):
    return replace(settings, level=LevelSettings("hier"))


def test_missing_nodes_are_named(hier):
    run_node(replace(hier, node="C"))
    with pytest.raises(IncompleteError, match=r"3 of 4 nodes are missing in .*: root, A, B;") as caught:
        find_nodes(hier)
    assert "level=hier" in str(caught.value)


def test_missing_flat_node(hier):
    with pytest.raises(IncompleteError, match=r"1 of 1 nodes are missing .*: flat;"):
        find_nodes(replace(hier, level=LevelSettings("flat")))


def test_nodes_are_found_and_aggregated(hier):
    done = {node: run_node(replace(hier, node=node)) for node in ("root", "A", "B", "C")}
    folders, corpus = find_nodes(hier)
    assert folders == {node: one.folder for node, one in done.items()}
    suite = aggregate_nodes(folders, corpus)
    assert suite.folder == done["root"].folder.parent / f"result-hier-{done['root'].suite}"
    assert not suite.demo
    assert suite.result.absent_labels == tuple("DEFGH")
    assert suite.result.constant_labels == ("C",)
    assert suite.facts["seed"] == 1

    foreign = run_node(replace(hier, node="A", split=replace(hier.split, seed=5)))
    with pytest.raises(ArtifactError, match="2 different configurations"):
        aggregate_nodes({**folders, "A": foreign.folder}, corpus)


# --- below the class

DEEP = {"A01B1/00": 30, "A01B1/02": 30, "A01C3/00": 20, "A23": 20, "B60K1/00": 30, "B65D": 20}


@pytest.fixture(scope="module", params=["hier", "flat", "shared"])
def deep(request, tmp_path_factory):
    """A whole system down to the subgroup; symbols end at class, subclass and main group."""
    folder = tmp_path_factory.mktemp("deep")
    plain = make_settings(folder, "naive_bayes")
    raw = write_csv(folder / "deep.csv", DEEP)
    data = replace(plain.data, path=str(raw), depth="subgroup", min_symbol="class")
    settings = replace(plain, data=data, level=LevelSettings(request.param))
    nodes = ("root", "A", "B") if request.param == "hier" else (request.param,)
    for node in nodes:
        run_node(replace(settings, node=node))
    return request.param, find_nodes(settings)


def test_a_system_down_to_the_subgroup(deep):
    level, (folders, corpus) = deep
    result = aggregate_nodes(folders, corpus).result
    assert result.kind == level
    n_test = result.n_documents
    system, labels = read_system(folders, Corpus.open(corpus))
    held = labels.main[np.flatnonzero(system.parts == "test")]
    assert {name: own.accuracy.n_documents for name, own in result.levels.items()} == {
        name: int((held[:, place] >= 0).sum()) for place, name in enumerate(labels.tree.levels)
    }
    assert result.levels["section"].accuracy.n_documents == n_test
    for own in result.levels.values():
        sizes = {band: scores.top_1.n_documents for band, scores in own.by_training_documents.items()}
        assert sum(sizes.values()) == own.accuracy.n_documents
        assert sizes.get("0", 0) == 0  # DEEP has training documents of every label
    assert result.levels["section"].by_training_documents.keys() == {"20+"}
    expected = {"A01B1/00", "A01B1/02", "A01C3/00", "B60K1/00"}  # three of them stop at their main group
    assert set(system.tree.labels("subgroup")) == expected
    if level != "flat":  # which has learnt from documents with a subgroup alone
        assert result.levels["subclass"].accuracy.value > 0.6
        assert set(system.tree.labels("class")) == {"A01", "A23", "B60", "B65"}
    deepest = system.level("subgroup")
    known = deepest.target_codes >= 0
    names = np.array(system.tree.labels("subgroup"), object)
    assert (names[deepest.target_codes[known]] == deepest.targets[known]).all()
    system.validate()


@pytest.mark.parametrize("node", ["A01", "A01B", "A01B1/00"])
def test_a_node_below_the_section(node, tmp_path, capsys):
    plain = make_settings(tmp_path, "naive_bayes")
    raw = write_csv(tmp_path / "deep.csv", DEEP)
    settings = replace(plain, data=replace(plain.data, path=str(raw), depth="subgroup", min_symbol="class"), node=node)
    done = run_node(settings)
    found = NetworkPredictions.read(done.folder / "predictions.parquet")
    assert (found.node, found.tree.root) == (node, node)
    inside = {code for code in DEEP if code.startswith(node.removesuffix("1/00")) and "/" in code}
    assert set(found.tree.labels("subgroup")) == inside
    below = found.levels[0]
    assert {target for target in below.targets if target} <= set(found.tree.labels(below.level))
    with pytest.raises(DataError, match=rf"node={node}: .* down to data.depth=class; choose another node, or a deeper"):
        run_node(replace(settings, data=replace(settings.data, depth="class")))


def test_further_symbols_are_learnt_and_asked_for(tmp_path):
    """No document has C as main symbol: with data.labels=all the root knows it and its node is trained."""
    plain = make_settings(tmp_path, "naive_bayes")
    raw = write_csv(tmp_path / "more.csv", {"A01B1/00;C07D1/00": 40, "A23L1/00": 30, "B60K1/00": 30})
    settings = replace(plain, data=replace(plain.data, path=str(raw)), level=LevelSettings("hier"))
    assert not run_node(replace(settings, node="C")).is_trained
    every = replace(settings, data=replace(settings.data, labels="all"))
    done = {node: run_node(replace(every, node=node)) for node in ("root", "A", "B", "C")}
    assert all(one.is_trained for one in done.values())
    result = aggregate_nodes({node: one.folder for node, one in done.items()}, done["root"].corpus.folder).result
    assert result.absent_labels == tuple("CDEFGH")
    assert result.deepest.wipo_any_symbol.value >= result.deepest.wipo_top_prediction.value


def test_thresholds_for_sets_go_from_calibration_into_the_result_and_an_export(tmp_path):
    settings = make_settings(tmp_path, "naive_bayes")
    raw = write_csv(tmp_path / "more.csv", {"A01B1/00;C07D1/00": 60, "A23L1/00": 40, "C07D1/00": 40})
    data = replace(settings.data, path=str(raw), labels="all")
    every = replace(settings, data=data, level=LevelSettings("shared"), node="shared")
    done = run_node(every)
    suite = aggregate_nodes({"shared": done.folder}, done.corpus.folder)
    save_suite(suite)
    parts = NetworkPredictions.read(done.folder / "predictions.parquet").parts
    assert suite.result.set_rule.documents == (parts == "calibration").sum()
    classifier = HierarchicalClassifier.from_pretrained(suite.folder)
    assert classifier.calibration.sets == suite.result.set_rule
    classifier.save_pretrained(tmp_path / "export")
    assert HierarchicalClassifier.from_pretrained(tmp_path / "export").calibration.sets == suite.result.set_rule
    scores = classifier.score(["装置A01的装置C07", "装置A23"])  # the probabilities that the thresholds were chosen on
    named = suite.result.set_rule.choose("class", scores.at("class"))
    assert named.any(axis=1).all()


@pytest.mark.parametrize("is_link", [False, True])
def test_a_result_made_again_keeps_the_blocked_places_that_somebody_wrote(hier, tmp_path, is_link):
    done = {node: run_node(replace(hier, node=node)) for node in ("root", "A", "B", "C")}
    suite = aggregate_nodes({node: one.folder for node, one in done.items()}, done["root"].corpus.folder)
    save_suite(suite)
    written = (tmp_path if is_link else suite.folder) / "blocked.csv"
    written.write_text("code,reason\nA01,另一部门\n", "utf-8")
    written.chmod(0o400)
    if is_link:
        (suite.folder / "blocked.csv").symlink_to(written)
    before = (suite.folder / "manifest.json").read_bytes()
    save_suite(replace(suite, facts={**suite.facts, "seed": 2}))
    assert (suite.folder / "manifest.json").read_bytes() != before
    assert (suite.folder / "blocked.csv").read_text("utf-8") == "code,reason\nA01,另一部门\n"
    assert (suite.folder / "blocked.csv").is_symlink() == is_link
    assert find_damage(suite.folder) is None
