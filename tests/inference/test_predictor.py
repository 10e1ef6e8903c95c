import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from patent_hier.artifacts import seal
from patent_hier.atomic import read_json, write_json
from patent_hier.errors import ArtifactError, ConfigError, IncompleteError
from patent_hier.evaluation.decoding import decode
from patent_hier.evaluation.scores import as_node, derive, whole
from patent_hier.features.ngram_store import NgramReader
from patent_hier.features.words import WordReader
from patent_hier.inference import predictor, scoring
from patent_hier.inference.predictor import load_system, paths_of
from patent_hier.inference.results import LabelPath, Step
from patent_hier.settings import FLAT, ROOT, SHARED
from tests.inference.worlds import DEEP, SYSTEMS, paths_by
from tests.trees import FIVE, classes_of, probabilities, random_tree, scores_of, tree_of

TEXT = "一种激光测距装置"
ALL = [("class", *system) for system in SYSTEMS] + [("subgroup", *system) for system in DEEP]


@pytest.fixture
def copied(made, tmp_path):
    """The finished systems moved elsewhere, for a test that damages them."""
    shutil.copytree(made.runs, tmp_path / "elsewhere")
    return tmp_path / "elsewhere"


def beside(runs, model, pattern):
    (folder,) = (runs / model).glob(pattern)
    return folder


@pytest.mark.parametrize("batch_size", [1, 64])
@pytest.mark.parametrize(("depth", "model", "level"), ALL)
def test_equals_the_predictions_of_the_training(made, depth, model, level, batch_size):
    made = made._replace(depth=depth)
    system = load_system(made.result(model, level))
    expected = {node: made.predictions(model, node) for node in system.nodes}
    chosen = np.arange(20 if batch_size == 1 else len(next(iter(expected.values()))))
    by_id = made.texts()
    texts = [by_id[name] for name in next(iter(expected.values())).document_ids[chosen]]
    counted: list[int] = []
    scores = system.log_prob(texts, counted.append, batch_size)
    assert set(scores) == ({level} if level in (FLAT, SHARED) else {ROOT, *"ABCDEFGH"})
    for node, own in expected.items():
        assert scores[node].tree == own.tree
        assert scores[node].flat == own.flat
        for one in own.take(chosen).levels:
            found = scores[node].at(one.level)
            found = found if one.labels is None else np.take_along_axis(found, one.labels, axis=1)
            np.testing.assert_allclose(found, one.log_prob, atol=2e-5, rtol=0)
    assert sum(counted) == system.passes * len(texts)


def test_each_classifier_scores_once_and_each_reader_reads_once(made, monkeypatch):
    calls = []
    for reader in (NgramReader, WordReader):
        original = reader.encode
        monkeypatch.setattr(
            reader, "encode", lambda self, texts, original=original: calls.append(len(texts)) or original(self, texts)
        )
    system = load_system(made.result("combination", "hier"))
    constant = [node for node in system.nodes if len(made.predictions("linear", node).tree) == 1]
    assert system.passes == 9 - len(constant) + 1  # nodes of the linear system, and the flat network
    counted: list[int] = []
    system.log_prob(["一种装置", "一种方法"], counted.append)
    assert calls == [2, 2]  # n-grams for all linear nodes, words
    assert sum(counted) == 2 * system.passes


@pytest.mark.parametrize(("depth", "model", "level"), ALL)
def test_paths_are_the_best_products_of_what_the_nodes_say(made, depth, model, level):
    made = made._replace(depth=depth)
    system = load_system(made.result(model, level))
    texts = list(made.texts().values())[:9]
    scores = system.whole(system.log_prob(texts))
    tree = system.tree
    for row, paths in enumerate(paths_by(system, texts, 5)):
        best = np.sort(np.exp(scores.log_prob[row, tree.ends].astype(float)))[::-1][:5]
        assert [path.probability for path in paths] == pytest.approx(best, rel=1e-5)
        for path in paths:
            product = 1.0
            for above, step in zip((None, *path.labels), path.steps, strict=False):
                (position,) = tree.find(step.level, [step.label]).tolist()
                assert above is None or tree.codes[tree.parents[position]] == above
                product *= step.conditional
                assert step.probability == pytest.approx(np.exp(scores.log_prob[row, position]), rel=1e-5)
                assert step.probability == pytest.approx(product, rel=1e-4)
            assert (path.label, path.level, path.probability) == (step.label, step.level, step.probability)


def test_texts_are_scored_some_at_a_time_when_labels_are_many(made, monkeypatch):
    """The same paths, whatever fits into memory at once."""
    system, texts = load_system(made.deep.result("linear", "hier")), list(made.texts().values())[:7]
    together = paths_by(system, texts)
    monkeypatch.setattr(predictor, "_CELLS", 2 * sum(len(one.tree) for one in system.loaded.values()))
    assert [len(part) for part in system.portions(texts)] == [2, 2, 2, 1]
    apart = paths_by(system, texts)
    assert [[path.labels for path in own] for own in apart] == [[path.labels for path in own] for own in together]


@pytest.mark.parametrize("level", ["flat", "hier"])
def test_members_of_a_combination_are_made_once_for_a_pool(made, monkeypatch, level):
    """For a plain prediction as for one with its members, which are the same arrays then."""
    made_of = []
    monkeypatch.setattr(scoring, "as_node", lambda *given: (made_of.append(given), as_node(*given))[1])
    system = load_system(made.result("combination", level))
    plain = system.log_prob([TEXT])
    assert len(made_of) == 2 * len(system.nodes)
    made_of.clear()
    scores, members = system.log_prob_with_members([TEXT])
    assert len(made_of) == 2 * len(system.nodes)
    assert len(members) == 2
    for node, own in plain.items():
        assert np.array_equal(scores[node].log_prob, own.log_prob)


def test_paths_by_hand():
    flat = probabilities(classes_of(A="01 02", B="01"), [[0.5, 0.5, 0.25, 0.25, 0.5], [0.8, 0.2, 0.5, 0.3, 0.2]], True)
    first, second = paths_of(flat, decode(flat, 3))
    assert [path.label for path in first] == ["B01", "A01", "A02"]  # of equals the first label
    assert [path.label for path in second] == ["A01", "A02", "B01"]
    steps = (Step("section", "A", pytest.approx(0.8), pytest.approx(0.8)),)
    steps += (Step("class", "A01", pytest.approx(0.5), pytest.approx(0.625)),)
    assert second[0] == LabelPath("A01", pytest.approx(0.5), steps)
    root = probabilities(tree_of([("A",), ("B",)]), [[0.4, 0.6]])
    local = probabilities(tree_of([("A01",), ("A02",)], ("class",), root="A"), [[0.9, 0.1]])
    certain = probabilities(tree_of([("B01",)], ("class",), root="B"), [[1.0]])
    system = whole({ROOT: root, "A": local, "B": certain})
    (paths,) = paths_of(system, decode(system, 2))
    assert [(path.labels, path.probability) for path in paths] == [
        (("B", "B01"), pytest.approx(0.6)),
        (("A", "A01"), pytest.approx(0.36)),
    ]


def test_a_symbol_that_ends_above_is_a_path_too():
    scores = scores_of(tree_of(FIVE), n=1)
    (paths,) = paths_of(scores, decode(scores, len(scores.tree.ends)))
    assert {path.labels for path in paths} >= {("A", "A61"), ("B", "B60", "B60K")}
    assert {len(path.steps) for path in paths} == {2, 3, 5}
    assert sum(path.probability for path in paths) == pytest.approx(1, abs=1e-5)


@given(st.integers(0, 10**6), st.integers(1, 4))
def test_paths_are_sorted_consistent_and_whole(seed, n_levels):
    scores = scores_of(random_tree(seed, n_levels), n=2, seed=seed, spread=20.0)
    for paths in paths_of(scores, decode(scores, len(scores.tree.ends))):
        values = [path.probability for path in paths]
        assert values == sorted(values, reverse=True)
        assert sum(values) == pytest.approx(1, abs=1e-4)
        assert [np.prod([step.conditional for step in path.steps]) for path in paths] == pytest.approx(values, abs=1e-4)


def test_number_of_paths(made):
    system = load_system(made.result("textcnn", "flat"))
    assert len(paths_by(system, ["一种装置"], 130)[0]) == len(system.tree.labels("class")) == 130
    for top_k in (0, -1, 131):
        with pytest.raises(ConfigError, match=f"top_k={top_k} is out of range; use a number from 1 to 130,"):
            paths_by(system, ["一种装置"], top_k)


def test_one_node_scores_but_makes_no_paths(made):
    for own in (made, made.deep):
        system = load_system(own.node("linear", "G"))
        assert np.isfinite(system.log_prob([TEXT])["G"].log_prob).all()
        with pytest.raises(IncompleteError, match="without node root"):
            paths_by(system, ["一种装置"])
    with pytest.raises(IncompleteError, match="without node A, B, C, D, E, F, G, H"):
        paths_by(load_system(made.node("linear", ROOT)), ["一种装置"])
    assert len(paths_by(load_system(made.node("textcnn", FLAT)), ["一种装置"])[0]) == 3


@pytest.mark.parametrize(("model", "level"), [("linear", "hier"), ("combination", "flat")])
def test_moved_runs_folder(made, copied, model, level):
    system = load_system(beside(copied, model, f"result-{level}-*"))
    assert all(folder.is_relative_to(copied.resolve()) for folder in system.nodes.values())
    assert paths_by(system, [TEXT]) == paths_by(load_system(made.result(model, level)), [TEXT])


def test_members_are_found_where_the_combination_is(copied):
    shutil.rmtree(copied / "textcnn")  # still there where the combination was made
    with pytest.raises(ArtifactError, match=f"node folder {copied.resolve()}/textcnn/flat-[0-9a-f]+ is missing"):
        load_system(beside(copied, "combination", "result-hier-*"))


@pytest.mark.parametrize(
    "name", ["model/model.safetensors", "model/terms.json", "model/classifier.json", "config.yaml"]
)
def test_damage_is_named(copied, name):
    file = beside(copied, "linear", "D-*") / name
    content = file.read_bytes()
    file.write_bytes(content[:-2] + bytes([content[-2] ^ 1]) + content[-1:])
    for model, level in (("linear", "hier"), ("combination", "hier")):
        with pytest.raises(ArtifactError, match=rf"D-[0-9a-f]+/{name} is damaged"):
            load_system(beside(copied, model, f"result-{level}-*"))
    file.unlink()
    with pytest.raises(ArtifactError, match=rf"{name} is missing"):
        load_system(beside(copied, "linear", "result-hier-*"))


def test_damaged_result_and_missing_nodes(copied, tmp_path):
    result = beside(copied, "linear", "result-hier-*")
    shutil.rmtree(beside(copied, "linear", "C-*"))
    with pytest.raises(IncompleteError, match=r"missing: C \(C-[0-9a-f]+\); copy"):
        load_system(result)
    with (result / "result.csv").open("a") as file:
        file.write("x")
    with pytest.raises(ArtifactError, match=r"result\.csv is damaged"):
        load_system(result)
    for folder in (tmp_path, tmp_path / "nowhere", copied):
        with pytest.raises(ConfigError, match="holds no finished result"):
            load_system(folder)


def test_predictions_are_not_needed(copied):
    for file in (copied / "linear").rglob("predictions.parquet"):
        file.unlink()
    assert paths_by(load_system(beside(copied, "linear", "result-hier-*")), ["一种装置"])


def reseal(folder, **changes):
    facts = read_json(folder / "model" / "classifier.json")
    write_json(folder / "model" / "classifier.json", {**facts, **changes})
    manifest = read_json(folder / "manifest.json")
    seal(folder, {key: value for key, value in manifest.items() if key != "files"})


def test_wrong_combinations(copied):
    folder, other = beside(copied, "combination", "root-*"), beside(copied, "combination", "A-*")
    members = read_json(folder / "model" / "classifier.json")["members"]
    for changes, message in (
        ({"members": [{"model": "x", "nodes": {ROOT: f"../{folder.name}"}, "weight": 1.0}]}, "is a member of itself"),
        (
            {"members": [{"model": "x", "nodes": {ROOT: f"../{other.name}"}, "weight": 1.0}]},
            "belongs to node 'A', not root",
        ),
        ({"members": [{"model": "x", "nodes": {ROOT: "../gone"}, "weight": 1.0}]}, "gone is missing"),
        ({"members": [{"model": "x", "nodes": {ROOT: "../gone"}}]}, "does not describe an ensemble"),
        ({"members": []}, "has no members"),
        ({"members": members, "node": "B"}, "belongs to node 'B', not root"),
    ):
        reseal(folder, **changes)
        with pytest.raises(ArtifactError, match=message):
            load_system(folder)
    reseal(folder, node=ROOT, members=members, tree=tree_of([("A",), ("B",)]).as_dict())
    with pytest.raises(ArtifactError, match="other labels"):
        load_system(folder).log_prob(["一种装置"])


def test_a_combination_of_combinations(copied):
    other = beside(copied, "combination", "A-*")
    nodes = {FLAT: f"../{beside(copied, 'combination', 'flat-*').name}"}
    reseal(other, members=[{"model": "combination", "nodes": nodes, "weight": 1.0}])
    scores = load_system(other).log_prob([TEXT])["A"]
    flat = load_system(beside(copied, "combination", "flat-*")).log_prob([TEXT])
    np.testing.assert_allclose(scores.log_prob, derive(flat, "A").log_prob, atol=1e-4)


def test_no_text(made):
    for own, system in ((made, ("combination", "hier")), (made.deep, ("textcnn", "shared"))):
        loaded = load_system(own.result(*system))
        assert {one.log_prob.shape[0] for one in loaded.log_prob([]).values()} == {0}
        assert paths_by(loaded, []) == []
