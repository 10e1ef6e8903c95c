import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from patent_hier.artifacts import seal
from patent_hier.atomic import read_json, write_json
from patent_hier.errors import ArtifactError, ConfigError, IncompleteError
from patent_hier.evaluation.deriving import NodeScores
from patent_hier.features.terms import TermReader
from patent_hier.features.words import WordReader
from patent_hier.inference.predictor import best_paths, load_system
from patent_hier.inference.results import IpcPath
from patent_hier.settings import FLAT, HIER_NODES, ROOT

SYSTEMS = [("linear", "hier"), ("textcnn", "flat"), ("combination", "hier"), ("combination", "flat")]


@pytest.fixture
def copied(made, tmp_path):
    """The finished systems moved elsewhere, for a test that damages them."""
    shutil.copytree(made.runs, tmp_path / "elsewhere")
    return made._replace(folder=tmp_path), tmp_path / "elsewhere"


def beside(runs, model, pattern):
    (folder,) = (runs / model).glob(pattern)
    return folder


@pytest.mark.parametrize("batch_size", [1, 7, 64])
@pytest.mark.parametrize(("model", "level"), SYSTEMS)
def test_equals_the_predictions_of_the_training(made, model, level, batch_size):
    system = load_system(made.result(model, level))
    nodes = (FLAT,) if level == "flat" else HIER_NODES
    expected = {node: made.predictions(model, node) for node in nodes}
    by_id = made.texts()
    chosen = np.arange(40 if batch_size == 1 else len(expected[nodes[0]]))
    texts = [by_id[name] for name in expected[nodes[0]].document_ids[chosen]]
    counted: list[int] = []
    scores = system.log_prob(texts, counted.append, batch_size)
    assert set(scores) == set(nodes)
    for node, own in expected.items():
        assert scores[node].labels == own.labels
        assert scores[node].log_prob.dtype == np.float32
        np.testing.assert_allclose(scores[node].log_prob, own.log_prob[chosen], atol=1e-5, rtol=0)
    assert sum(counted) == system.passes * len(texts)


def test_each_classifier_scores_once_and_each_reader_reads_once(made, monkeypatch):
    calls = []
    for reader in (TermReader, WordReader):
        original = reader.encode
        monkeypatch.setattr(
            reader, "encode", lambda self, texts, original=original: calls.append(len(texts)) or original(self, texts)
        )
    system = load_system(made.result("combination", "hier"))
    constant = [node for node in HIER_NODES if len(made.predictions("linear", node).labels) == 1]
    assert system.passes == 9 - len(constant) + 1  # nodes of the linear system, and the flat network
    counted: list[int] = []
    system.log_prob(["一种装置", "一种方法"], counted.append)
    assert calls == [2, 2]  # n-grams for all linear nodes, words
    assert sum(counted) == 2 * system.passes


def test_paths_are_root_times_section(made):
    own = {node: made.predictions("linear", node) for node in HIER_NODES}
    by_id = made.texts()
    ids = own[ROOT].document_ids
    paths = load_system(made.result("linear", "hier")).paths([by_id[name] for name in ids], top_k=5)
    for row in range(len(ids)):
        joint = {
            label: (np.exp(float(own[ROOT].log_prob[row, column])), np.exp(float(own[section].log_prob[row, place])))
            for column, section in enumerate(own[ROOT].labels)
            for place, label in enumerate(own[section].labels)
        }
        assert [path.section for path in paths[row]] == [path.ipc_class[0] for path in paths[row]]
        for path in paths[row]:
            assert (path.section_probability, path.class_given_section) == pytest.approx(
                joint[path.ipc_class], rel=1e-4
            )
            assert path.probability == pytest.approx(np.prod(joint[path.ipc_class]), rel=1e-4)
        best = sorted((a * b for a, b in joint.values()), reverse=True)[:5]
        assert [path.probability for path in paths[row]] == pytest.approx(best, rel=1e-4)


@pytest.mark.parametrize(("model", "level"), [("textcnn", "flat"), ("combination", "flat")])
def test_paths_of_a_flat_system_are_its_own(made, model, level):
    own = made.predictions(model, FLAT)
    by_id = made.texts()
    paths = load_system(made.result(model, level)).paths([by_id[name] for name in own.document_ids], top_k=1)
    probabilities = np.exp(own.log_prob.astype(float))
    assert [path.probability for (path,) in paths] == pytest.approx(probabilities.max(1), rel=1e-4)
    for row, (path,) in enumerate(paths):
        assert probabilities[row, own.labels.index(path.ipc_class)] == pytest.approx(path.probability, rel=1e-4)
        section = sum(p for p, label in zip(probabilities[row], own.labels, strict=True) if label[0] == path.section)
        assert path.section_probability == pytest.approx(section, rel=1e-4)
        assert path.class_given_section == pytest.approx(path.probability / section, rel=1e-4)


def test_paths_by_hand():
    flat = NodeScores(("B01", "A02", "A01"), np.log(np.array([[0.5, 0.25, 0.25], [0.2, 0.3, 0.5]], np.float32)))
    first, second = best_paths({FLAT: flat}, 3)
    assert [path.ipc_class for path in first] == ["B01", "A01", "A02"]  # of equals the first class
    assert [path.ipc_class for path in second] == ["A01", "A02", "B01"]
    assert second[0] == IpcPath("A", "A01", *(pytest.approx(value) for value in (0.5, 0.8, 0.625)))
    root = NodeScores(("A", "B"), np.log(np.array([[0.4, 0.6]], np.float32)))
    local = NodeScores(("A01", "A02"), np.log(np.array([[0.9, 0.1]], np.float32)))
    certain = NodeScores(("B01",), np.zeros((1, 1), np.float32))
    (paths,) = best_paths({ROOT: root, "A": local, "B": certain}, 2)
    assert paths == [
        IpcPath("B", "B01", *(pytest.approx(value) for value in (0.6, 0.6, 1.0))),
        IpcPath("A", "A01", *(pytest.approx(value) for value in (0.36, 0.4, 0.9))),
    ]


@given(st.lists(st.lists(st.floats(-60, 0), min_size=4, max_size=4), min_size=1, max_size=5))
def test_paths_are_sorted_consistent_and_whole(rows):
    log_prob = np.array(rows)
    log_prob -= np.log(np.exp(log_prob).sum(1, keepdims=True))
    scores = {FLAT: NodeScores(("A01", "A02", "B01", "C01"), log_prob.astype(np.float32))}
    for paths in best_paths(scores, 4):
        values = [path.probability for path in paths]
        assert values == sorted(values, reverse=True)
        assert sum(values) == pytest.approx(1, abs=1e-5)
        assert [path.section_probability * path.class_given_section for path in paths] == pytest.approx(
            values, abs=1e-5
        )


def test_number_of_paths(made):
    system = load_system(made.result("textcnn", "flat"))
    assert len(system.paths(["一种装置"], 130)[0]) == len(system.classes) == 130
    for top_k in (0, -1, 131):
        with pytest.raises(ConfigError, match=f"top_k={top_k} is out of range.*130 classes"):
            system.paths(["一种装置"], top_k)


def test_one_node_scores_but_makes_no_paths(made):
    own = made.predictions("linear", "G")
    system = load_system(made.node("linear", "G"))
    scores = system.log_prob([made.texts()[name] for name in own.document_ids])
    np.testing.assert_allclose(scores["G"].log_prob, own.log_prob, atol=1e-5)
    with pytest.raises(IncompleteError, match="without node root"):
        system.paths(["一种装置"])
    with pytest.raises(IncompleteError, match="without node A, B, C, D, E, F, G, H"):
        load_system(made.node("linear", ROOT)).paths(["一种装置"])
    assert len(load_system(made.node("textcnn", FLAT)).paths(["一种装置"])[0]) == 3


@pytest.mark.parametrize(("model", "level"), [("linear", "hier"), ("combination", "flat")])
def test_moved_runs_folder(made, copied, model, level):
    _, runs = copied
    system = load_system(beside(runs, model, f"result-{level}-*"))
    assert all(folder.is_relative_to(runs.resolve()) for folder in system.nodes.values())
    before = load_system(made.result(model, level))
    assert system.paths(["一种激光测距装置"]) == before.paths(["一种激光测距装置"])


def test_members_are_found_where_the_combination_is(copied):
    _, runs = copied
    shutil.rmtree(runs / "textcnn")  # still there where the combination was made
    with pytest.raises(ArtifactError, match=f"node folder {runs.resolve()}/textcnn/flat-[0-9a-f]+ is missing"):
        load_system(beside(runs, "combination", "result-hier-*"))


@pytest.mark.parametrize(
    "name", ["model/model.safetensors", "model/terms.json", "model/classifier.json", "config.yaml"]
)
def test_damage_is_named(copied, name):
    _, runs = copied
    file = beside(runs, "linear", "D-*") / name
    content = file.read_bytes()
    file.write_bytes(content[:-2] + bytes([content[-2] ^ 1]) + content[-1:])
    for model, level in (("linear", "hier"), ("combination", "hier")):
        with pytest.raises(ArtifactError, match=rf"D-[0-9a-f]+/{name} is damaged"):
            load_system(beside(runs, model, f"result-{level}-*"))
    file.unlink()
    with pytest.raises(ArtifactError, match=rf"{name} is missing"):
        load_system(beside(runs, "linear", "result-hier-*"))


def test_damaged_result_and_missing_nodes(copied, tmp_path):
    _, runs = copied
    result = beside(runs, "linear", "result-hier-*")
    shutil.rmtree(beside(runs, "linear", "C-*"))
    with pytest.raises(IncompleteError, match=r"missing: C \(C-[0-9a-f]+\); copy"):
        load_system(result)
    with (result / "result.csv").open("a") as file:
        file.write("x")
    with pytest.raises(ArtifactError, match=r"result\.csv is damaged"):
        load_system(result)
    for folder in (tmp_path, tmp_path / "nowhere", runs):
        with pytest.raises(ConfigError, match="holds no finished result"):
            load_system(folder)


def test_predictions_are_not_needed(copied):
    _, runs = copied
    for file in (runs / "linear").rglob("predictions.parquet"):
        file.unlink()
    assert load_system(beside(runs, "linear", "result-hier-*")).paths(["一种装置"])


def reseal(folder, **changes):
    facts = read_json(folder / "model" / "classifier.json")
    write_json(folder / "model" / "classifier.json", {**facts, **changes})
    manifest = read_json(folder / "manifest.json")
    seal(folder, {key: value for key, value in manifest.items() if key != "files"})


def test_wrong_combinations(copied):
    _, runs = copied
    folder, other = beside(runs, "combination", "root-*"), beside(runs, "combination", "A-*")
    members = read_json(folder / "model" / "classifier.json")["members"]
    for changes, message in (
        ({"members": [{"model": "x", "nodes": {ROOT: f"../{folder.name}"}, "weight": 1.0}]}, "is a member of itself"),
        ({"members": [{"model": "x", "nodes": {ROOT: f"../{other.name}"}, "weight": 1.0}]}, "is of node A, not root"),
        ({"members": [{"model": "x", "nodes": {ROOT: "../gone"}, "weight": 1.0}]}, "gone is missing"),
        ({"members": [{"model": "x", "nodes": {ROOT: "../gone"}}]}, "no combination's"),
        ({"members": []}, "has no members"),
        ({"members": members, "node": "B"}, "is of node B, not root"),
    ):
        reseal(folder, **changes)
        with pytest.raises(ArtifactError, match=message):
            load_system(folder)
    reseal(folder, node=ROOT, members=members, labels=["A", "B"])
    with pytest.raises(ArtifactError, match="other labels"):
        load_system(folder).log_prob(["一种装置"])


def test_a_combination_of_combinations(copied):
    _, runs = copied
    other = beside(runs, "combination", "A-*")
    nodes = {FLAT: f"../{beside(runs, 'combination', 'flat-*').name}"}
    reseal(other, members=[{"model": "combination", "nodes": nodes, "weight": 1.0}])
    system = load_system(other)
    scores = system.log_prob(["一种激光测距装置"])["A"]
    flat = load_system(beside(runs, "combination", "flat-*")).log_prob(["一种激光测距装置"])[FLAT]
    own = np.array(
        [value for value, label in zip(flat.log_prob[0], flat.labels, strict=True) if label[0] == "A"], float
    )
    np.testing.assert_allclose(scores.log_prob[0], own - np.log(np.exp(own).sum()), atol=1e-4)


def test_no_text(made):
    system = load_system(made.result("combination", "hier"))
    assert system.log_prob([])[ROOT].log_prob.shape == (0, 8)
    assert system.paths([]) == []
