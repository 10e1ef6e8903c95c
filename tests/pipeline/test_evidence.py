"""Evidence from nodes of naive Bayes, which trains fast, and of BERT-CNN where the number of last layers matters."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from patent_hier.atomic import read_json
from patent_hier.errors import ArtifactError
from patent_hier.pipeline.collecting import collect
from patent_hier.pipeline.evidence import NodeRun
from patent_hier.pipeline.naming import name_configurations
from patent_hier.pipeline.node import run_node
from patent_hier.pipeline.stages import wanted_nodes
from patent_hier.pipeline.suite import aggregate_nodes
from patent_hier.report.results import save_suite
from patent_hier.settings import LevelSettings
from tests.pipeline.conftest import change, make_settings

NODES = ("root", "A", "B", "C")


def run(settings, level, node, *words):
    chosen = replace(settings, level=LevelSettings(level), node=node)
    given = [f"model={settings.model.name}", f"seed={settings.seed}", *words, f"level={level}", f"node={node}"]
    return run_node(chosen, given)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Runs of many configurations on one corpus and split, with their settings."""
    folder = tmp_path_factory.mktemp("evidence")
    svm = make_settings(folder, "linear")
    for seed in (1, 2):
        for node in NODES:
            done = run(change(svm, seed=seed), "hier", node)
    mild = change(svm, "model", c=0.5)
    for node in NODES[:-1]:
        run(mild, "hier", node, "model.c=0.5")
    run(mild, "node", "C", "model.c=0.5")  # one trained alone completes the nine
    flat = run(svm, "flat", "flat")
    save_suite(aggregate_nodes({"flat": flat.folder}, flat.corpus.folder))
    run(make_settings(folder, "naive_bayes"), "node", "A")  # alone, it is no system
    bert = make_settings(folder)
    for n in (1, 2):
        run(change(bert, "model", num_last_layers=n), "node", "A", f"model.num_last_layers={n}")
    run(change(bert, "model", num_last_layers=1, dropout=0.5), "node", "A")
    run(change(bert, "model", num_last_layers=2, head="cls"), "node", "A")
    run(change(svm, "split", seed=5), "hier", "root")
    return folder, done.corpus


@pytest.fixture
def copied(place, tmp_path):
    """The results once more, for a test that removes or damages some; their corpus and split stay where they are."""
    shutil.copytree(place[0] / "runs", tmp_path / "runs")
    return tmp_path / "runs"


def look(place, runs=None):
    """The evidence for the split of all runs except one."""
    folder, corpus = place
    runs = runs or folder / "runs"
    (alone,) = nodes_of(runs, "naive_bayes", "A")
    return collect(runs, corpus, folder / "cache" / "splits" / alone.manifest["data"]["split"])


def nodes_of(runs, model, node, **manifest):
    """The finished nodes of a model whose manifests contain given facts."""
    found = [NodeRun(file.parent, read_json(file)) for file in sorted(runs.glob(f"{model}/{node}-*/manifest.json"))]
    return [run for run in found if all(run.manifest[key] == value for key, value in manifest.items())]


def by_name(configurations):
    return {item.name: item for item in configurations}


# --- what is found


def test_whole_configurations_with_their_seeds(place):
    evidence = look(place)
    assert wanted_nodes(evidence.corpus, evidence.split) == NODES
    found = by_name(evidence.hierarchical)
    assert set(found) == {"linear c=1.0", "linear c=0.5"}
    assert list(found["linear c=1.0"].runs) == [1, 2]
    assert list(found["linear c=0.5"].runs) == [1]
    for item in found.values():
        assert item.model == "linear"
        for seed, runs in item.runs.items():
            assert tuple(runs) == NODES
            for node, own in runs.items():
                assert (own.node, own.seed) == (node, seed)
                assert own.read_predictions().node == node
    assert found["linear c=0.5"].first.node == "root"
    assert found["linear c=0.5"].runs[1]["C"].manifest["level"] == "node"
    assert evidence.missing == ()


def test_flat_is_apart(place):
    evidence = look(place)
    (item,) = evidence.flat
    assert (item.name, list(item.runs), list(item.runs[1])) == ("linear c=1.0", [1], ["flat"])
    assert item.first.metrics["node"] == "flat"
    assert item.first.history == []
    assert item.first.config["model"]["c"] == 1.0


def test_the_series_of_layers_with_most_numbers(place):
    layers = look(place).layers
    assert set(layers) == {"A"}
    assert list(layers["A"]) == [1, 2]
    for number, own in layers["A"].items():
        assert own.manifest["content"]["model"]["num_last_layers"] == number
        assert own.manifest["content"]["model"]["dropout"] == 0.1
        assert len(own.history) == 1


def test_another_split_is_another_evidence(place):
    folder, corpus = place
    used = look(place).split
    (other,) = [path for path in (folder / "cache" / "splits").glob("random-*") if path != used]
    evidence = collect(folder / "runs", corpus, other)
    assert (evidence.hierarchical, evidence.flat, evidence.layers) == ((), (), {})
    (missing,) = evidence.missing  # its root alone
    assert (missing.name, missing.nodes) == ("linear", ("A", "B", "C"))


def test_nothing_has_been_run(place, tmp_path):
    evidence = collect(tmp_path / "nowhere", place[1], look(place).split)
    assert (evidence.hierarchical, evidence.flat, evidence.layers, evidence.missing) == ((), (), {}, ())


def test_equal_evidence_has_an_equal_fingerprint(place, copied):
    before = look(place, copied).fingerprint
    assert look(place, copied).fingerprint == before
    (gone,) = nodes_of(copied, "linear", "flat")
    shutil.rmtree(gone.folder)
    assert look(place, copied).fingerprint != before


# --- what is missing


def test_a_missing_node_is_told_with_its_command(place, copied):
    gone = nodes_of(copied, "linear", "B", seed=2)
    shutil.rmtree(gone[0].folder)
    evidence = look(place, copied)
    (missing,) = evidence.missing
    assert (missing.name, missing.seed, missing.nodes) == ("linear c=1.0", 2, ("B",))
    assert missing.command == "python run.py model=linear seed=2 level=hier"
    assert list(by_name(evidence.hierarchical)["linear c=1.0"].runs) == [1]  # the other seed stays


def test_nodes_that_are_missing_for_every_seed(place, copied):
    for run_ in nodes_of(copied, "linear", "root"):
        if run_.manifest["content"]["model"]["c"] == 0.5 or run_.seed == 2:
            shutil.rmtree(run_.folder)
    evidence = look(place, copied)
    told = {(item.name, item.seed): item for item in evidence.missing}
    assert set(told) == {("linear c=1.0", 2), ("linear c=0.5", 1)}
    assert told["linear c=0.5", 1].nodes == ("root",)
    assert "model.c=0.5" in told["linear c=0.5", 1].command.split()
    assert set(by_name(evidence.hierarchical)) == {"linear c=1.0"}


def test_a_missing_flat_classifier_is_told_by_its_result(place, copied):
    (gone,) = nodes_of(copied, "linear", "flat")
    shutil.rmtree(gone.folder)
    evidence = look(place, copied)
    assert evidence.flat == ()
    (missing,) = evidence.missing
    assert (missing.name, missing.seed, missing.nodes) == ("linear c=1.0", 1, ("flat",))
    assert missing.command == "python run.py model=linear seed=1 level=flat"


def test_a_result_whose_nodes_are_all_gone_is_told(place, copied):
    folders = {run_.node: run_.folder for node in NODES for run_ in nodes_of(copied, "linear", node, seed=2)}
    save_suite(replace(aggregate_nodes(folders, place[1].folder), folder=copied / "linear" / "result-hier-x"))
    for folder in folders.values():
        shutil.rmtree(folder)
    (missing,) = look(place, copied).missing
    assert (missing.name, missing.seed, missing.nodes) == ("linear c=1.0", 2, NODES)
    assert missing.command == "python run.py model=linear seed=2 level=hier"


# --- damage


@pytest.mark.parametrize("name", ["metrics.json", "predictions.parquet", "config.yaml"])
def test_a_damaged_result_is_refused(place, copied, name):
    damaged = nodes_of(copied, "linear", "B", seed=2)[0].folder
    (damaged / name).write_bytes((damaged / name).read_bytes()[:-9])
    with pytest.raises(ArtifactError, match=r"delete it and run again: python run\.py model=linear") as caught:
        look(place, copied)
    assert str(damaged) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_damaged_manifest_is_refused(place, copied):
    damaged = nodes_of(copied, "linear", "B", seed=2)[0].folder / "manifest.json"
    damaged.write_text(damaged.read_text("utf-8")[:-9], "utf-8")
    with pytest.raises(ArtifactError, match=r"cannot read .*B-.*manifest\.json as JSON"):
        look(place, copied)


def test_predictions_of_equal_size_are_held_against_the_manifest(place, copied):
    damaged = nodes_of(copied, "linear", "B", seed=2)[0].folder / "predictions.parquet"
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 0xFF
    damaged.write_bytes(content)
    with pytest.raises(ArtifactError, match=r"predictions\.parquet does not match its manifest"):
        look(place, copied)


def test_half_written_folders_are_left_aside(place, copied):
    source = nodes_of(copied, "linear", "B", seed=2)[0].folder
    partial = shutil.copytree(source, source.with_name(f".partial-{source.name}-x"))
    (partial / "metrics.json").unlink()
    assert look(place, copied).missing == ()


# --- names


def configuration(model, content, encoder=None):
    inputs = {"encoder": {"name": encoder}} if encoder else {}
    return [NodeRun(Path("x"), {"model": model, "content": {"run_version": 2, **content}, "inputs": inputs})]


def test_one_configuration_is_named_by_its_model_alone():
    group = ("rnn", "1")
    assert name_configurations({group: configuration("rnn", {"model": {"cell": "gru"}})}) == ({group: "rnn"},)


def test_configurations_of_a_model_are_named_by_what_sets_them_apart():
    groups = {
        ("rnn", "1"): configuration("rnn", {"model": {"cell": "gru", "c": 1}, "trainer": {"max_epochs": 5}}),
        ("rnn", "2"): configuration("rnn", {"model": {"cell": "lstm", "c": 1}, "trainer": {"max_epochs": 5}}),
        ("rnn", "3"): configuration("rnn", {"model": {"cell": "lstm", "c": 1}, "trainer": {"max_epochs": 9}}),
        ("knn", "4"): configuration("knn", {"model": {"num_neighbours": 9}}),
    }
    assert list(name_configurations(groups)[0].values()) == [
        "rnn cell=gru",
        "rnn cell=lstm trainer.max_epochs=5",
        "rnn cell=lstm trainer.max_epochs=9",
        "knn",
    ]


def test_encoders_are_named_not_their_digests():
    one, two = ({"encoder": {"digest": letter * 12, "freeze": False}} for letter in "ab")
    groups = {
        ("bertcnn", "1"): configuration("bertcnn", one, "macbert"),
        ("bertcnn", "2"): configuration("bertcnn", two, "demo"),
    }
    assert list(name_configurations(groups)[0].values()) == [
        "bertcnn encoder=macbert-aaaaaa",
        "bertcnn encoder=demo-bbbbbb",
    ]


def test_a_setting_that_only_one_of_them_has():
    trained = {"features": {"name": "words", "window": 5}, "model": {}}
    given = {"features": {"name": "words", "vectors": "abc"}, "model": {}}
    groups = {("rnn", "1"): configuration("rnn", trained), ("rnn", "2"): configuration("rnn", given)}
    assert list(name_configurations(groups)[0].values()) == ["rnn features.vectors=trained", "rnn features.vectors=abc"]


def test_epochs_set_by_the_level_are_no_difference_between_kinds():
    nine = {("rnn", "1"): configuration("rnn", {"model": {"cell": "gru"}, "trainer": {"max_epochs": 5}})}
    flat = {("rnn", "2"): configuration("rnn", {"model": {"cell": "gru"}, "trainer": {"max_epochs": 10}})}
    assert name_configurations(nine, flat) == ({("rnn", "1"): "rnn"}, {("rnn", "2"): "rnn"})


def test_the_same_name_means_the_same_settings_in_both_kinds():
    nine = {("rnn", "1"): configuration("rnn", {"model": {"cell": "gru"}})}
    flat = {("rnn", "2"): configuration("rnn", {"model": {"cell": "lstm"}})}
    assert name_configurations(nine, flat) == ({("rnn", "1"): "rnn cell=gru"}, {("rnn", "2"): "rnn cell=lstm"})
