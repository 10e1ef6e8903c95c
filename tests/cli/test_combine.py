"""``patent-hier combine`` as a user meets it: two models of nodes and a flat one as one system."""

import json
import re
import shutil

import numpy as np
import pytest

from patent_hier.artifacts import MANIFEST, find_damage, verify
from patent_hier.evaluation.contract import NetworkPredictions
from tests.commands import command
from tests.report.reading import listings, markdown_table
from tests.report.worlds import World, csv_world

NODES = ("root", "A", "B", "D", "flat")
FLOOR = 1e-6


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> World:
    """Section A has enough documents for weights of its own, B and D have not; D has one class."""
    symbols = {"A01B1/00": 150, "A23L1/00": 110, "A47C1/00": 80, "B05B1/00": 50, "B60K1/00": 40, "D01B1/00": 20}
    own = csv_world(tmp_path_factory.mktemp("cli-combine"), symbols)
    own = own._replace(words=(*own.words, "split.val=0.25"))
    own.run("naive_bayes", "level=hier")
    own.run("knn", "level=hier", "model.num_neighbours=3")
    own.run("logistic", "level=flat")
    own.run("naive_bayes", "level=flat", "split.seed=5")  # of another split
    return own


@pytest.fixture(scope="module")
def made(place):
    """The output of the first combination."""
    done = combine(place, members(place))
    assert (done.status, done.err) == (0, ""), done
    return done.out


@pytest.fixture
def copied(place, made, tmp_path) -> World:
    """The results once more, for a test that changes them."""
    shutil.copytree(place.runs, tmp_path / "runs", ignore=shutil.ignore_patterns("report-*"))
    words = [word for word in place.words if not word.startswith("runs_dir=")]
    return World((*words, f"runs_dir={tmp_path / 'runs'}"), tmp_path / "runs", place.cache)


def members(own: World):
    """By model, in the order in which a combination has them."""
    names = {"knn": "hier", "logistic": "flat", "naive_bayes": "hier"}
    return {model: own.node(model, f"result-{level}") for model, level in names.items()}


def combine(own: World, results, *words):
    return command("combine", *results.values(), "--runs-dir", own.runs, *words)


def content(folder, name):
    return json.loads((folder / name).read_text("utf-8"))


def predictions(own: World, model, node):
    return NetworkPredictions.read(own.node(model, node) / "predictions.parquet")


def deepest(own: World, model, node):
    """Labels and scores at the node's last level."""
    found = predictions(own, model, node)
    return found.tree.labels(found.tree.depth), found.levels[-1]


def probabilities(own: World, model, node):
    """Labels, and probabilities by the plain rules, ``(n, n_labels)``."""
    if model == "logistic":
        classes, flat = deepest(own, model, "flat")
        p, labels = np.exp(flat.log_prob.astype(float)), np.array(classes)
        if node == "root":
            return ("A", "B", "D"), np.stack([p[:, [c[0] == s for c in labels]].sum(1) for s in "ABD"], 1)
        if node != "flat":
            inside = np.array([c[0] == node for c in labels])
            return tuple(labels[inside]), p[:, inside] / p[:, inside].sum(1, keepdims=True)
        return classes, p
    if node != "flat":
        labels, found = deepest(own, model, node)
        return labels, np.exp(found.log_prob.astype(float))
    sections, root = probabilities(own, model, "root")
    local = [probabilities(own, model, section) for section in sections]
    labels = tuple(label for names, _ in local for label in names)
    return labels, np.hstack([root[:, [i]] * p for i, (_, p) in enumerate(local)])


# --- what comes out


@pytest.mark.parametrize("node", NODES)
def test_probabilities_are_the_weighted_product(node, place, made):
    folder = place.node("combination", node)
    weights = content(folder, "metrics.json")["training"]["weights"]
    assert [name.split("/")[0] for name in weights] == list(members(place))
    product = 1.0
    for model, weight in zip(members(place), weights.values(), strict=True):
        labels, p = probabilities(place, model, node)
        order = np.argsort(labels)
        product = product * np.maximum(p[:, order], FLOOR) ** weight
    combined = predictions(place, "combination", node)
    known, scored = deepest(place, "combination", node)
    assert known == tuple(np.array(labels)[order])
    assert np.exp(scored.log_prob) == pytest.approx(product / product.sum(1, keepdims=True), abs=1e-5)
    own = predictions(place, "knn", node if node != "flat" else "root")
    assert np.array_equal(combined.document_ids, own.document_ids)
    assert np.array_equal(combined.parts, own.parts)
    _, reference = deepest(place, "logistic" if node == "flat" else "knn", node)
    assert scored.targets.tolist() == reference.targets.tolist()


def test_weights_are_fitted_to_val_where_there_are_enough(place, made):
    training = {node: content(place.node("combination", node), "metrics.json")["training"] for node in NODES}
    val = {node: predictions(place, "combination", node) for node in NODES}
    under = {node: int(((p.parts == "val") & (p.levels[-1].target_codes >= 0)).sum()) for node, p in val.items()}
    assert under["A"] >= 50 > under["B"] > under["D"]
    assert {node: facts["weights_of"] for node, facts in training.items()} == {
        "root": "root",
        "A": "A",
        "B": "root",
        "D": "root",
        "flat": "flat",
    }
    for node, facts in training.items():
        assert facts["weights_documents"] == under[facts["weights_of"]]
        assert (facts["weights"] == training["root"]["weights"]) == (node in ("root", "B", "D"))
        assert "val are biased" in facts["note"]
    assert f"combination B: {under['B']} val documents below it, fewer than 50; it uses the weights of root" in made
    for node in NODES:
        level = "section" if node in ("root", "flat") else "class"
        assert f"combination {node}: test accuracy {level} " in made


@pytest.mark.parametrize("node", ["root", "A", "flat"])
def test_the_weights_are_the_best_for_val(node, place, made):
    weights = np.array(list(content(place.node("combination", node), "metrics.json")["training"]["weights"].values()))
    targets = predictions(place, "combination", node)
    codes = targets.levels[-1].target_codes
    rows = np.flatnonzero((targets.parts == "val") & (codes >= 0))
    parts = []
    for model in members(place):
        labels, p = probabilities(place, model, node)
        parts.append(np.log(np.maximum(p[rows][:, np.argsort(labels)], FLOOR)))

    def loss(w):
        pooled = np.exp(np.tensordot(w, parts, 1))
        own = pooled[np.arange(len(rows)), codes[rows]] / pooled.sum(1)
        return -np.log(own).mean() + ((w - 1 / 3) ** 2).sum() / (2 * len(rows) * 0.5**2)

    for step in (0.01, -0.01, 0.3):
        for m in range(3):
            if (moved := weights + step * np.eye(3)[m]).min() >= 0:
                assert loss(moved) > loss(weights)


def test_a_node_folder_has_all_that_a_trained_one_has(place, made):
    for node in NODES:
        own, trained = place.node("combination", node), place.node("logistic", "flat")
        files = {path.name for path in trained.iterdir()}
        assert {path.name for path in own.iterdir()} == files
        verify(own)
        manifest, theirs = content(own, MANIFEST), content(trained, MANIFEST)
        assert manifest.keys() == theirs.keys()
        assert manifest["environment"].keys() == theirs["environment"].keys()
        assert (manifest["kind"], manifest["model"], manifest["node"]) == ("node", "combination", node)
        assert (manifest["level"], manifest["seed"]) == ("flat" if node == "flat" else "hier", None)
        assert manifest["data"] == theirs["data"]
        assert [item["model"] for item in manifest["inputs"]["members"]] == list(members(place))
        assert own.name == f"{node}-{own.name.split('-')[1]}"
        metrics = content(own, "metrics.json")
        assert {"val", "calibration", "test", "training", "node"} == metrics.keys()
        assert content(own, "history.json") == []
    manifests = [content(place.node("combination", node), MANIFEST) for node in NODES]
    assert len({m["suite"] for m in manifests}) == len({m["group"] for m in manifests}) == 1


def test_the_classifier_says_what_it_is_made_of(place, made):
    for node in NODES:
        folder = place.node("combination", node)
        classifier = content(folder / "model", "classifier.json")
        assert (classifier["kind"], classifier["node"]) == ("combination", node)
        assert classifier["tree"]["codes"] == predictions(place, "combination", node).tree.codes.tolist()
        weights = list(content(folder, "metrics.json")["training"]["weights"].values())
        assert [member["weight"] for member in classifier["members"]] == weights
        needed = {"knn": list(NODES[:-1]) if node == "flat" else [node], "logistic": ["flat"]}
        for member in classifier["members"]:
            assert list(member["nodes"]) == needed["logistic" if member["model"] == "logistic" else "knn"]
            for source, path in member["nodes"].items():
                assert path.startswith("../../")
                assert (folder / path).resolve() == place.node(member["model"], source)


def test_both_results_are_saved_and_printed(place, made):
    hier, flat_result = place.node("combination", "result-hier"), place.node("combination", "result-flat")
    assert f"saved in {hier}" in made
    assert f"saved in {flat_result}" in made
    test = predictions(place, "combination", "root").parts == "test"
    (sections, root), (classes, flat) = (deepest(place, "combination", node) for node in ("root", "flat"))
    local = {section: deepest(place, "combination", section) for section in "ABD"}
    best = [sections[place] for place in root.log_prob.argmax(1)]
    cascade = [local[s][0][local[s][1].log_prob[row].argmax()] for row, s in enumerate(best)]
    for folder, answers in ((hier, cascade), (flat_result, np.array(classes)[flat.log_prob.argmax(1)])):
        right = (np.array(answers, object) == flat.targets)[test].mean()
        assert content(folder, "result.json")["levels"]["class"]["accuracy"]["value"] == pytest.approx(right)
    assert content(hier, "result.json")["seed"] is None


# --- once, again, and of one another


def stamps(own: World, *models):
    files = [file for model in models for node in NODES for file in own.node(model, node).rglob("*")]
    return {str(file): file.stat().st_mtime_ns for file in files}


def test_a_second_command_makes_nothing(place, made):
    before = stamps(place, "combination")
    result = place.node("combination", "result-hier") / "result.json"
    saved = result.read_text("utf-8")
    reversed_ = dict(reversed(members(place).items()))
    done = combine(place, reversed_)
    assert (done.status, done.err) == (0, "")
    assert [f"combination {node}: already finished" in done.out for node in NODES] == [True] * len(NODES)
    assert "reading" not in done.out
    assert stamps(place, "combination") == before
    assert result.read_text("utf-8") == saved


def test_what_was_interrupted_is_finished(copied):
    folders = {node: copied.node("combination", node) for node in NODES}
    before = {node: (folder / "predictions.parquet").read_bytes() for node, folder in folders.items()}
    shutil.rmtree(folders["B"])
    shutil.rmtree(folders["flat"])
    done = combine(copied, members(copied))
    assert (done.status, done.err) == (0, "")
    assert done.out.count("already finished") == 3
    assert {node: (folder / "predictions.parquet").read_bytes() for node, folder in folders.items()} == before
    assert not list(copied.runs.rglob(".partial-*"))


def test_a_combination_may_be_a_member(copied):
    given = {"logistic": members(copied)["logistic"], "combination": copied.node("combination", "result-hier")}
    done = combine(copied, given, "--name", "second")
    assert (done.status, done.err) == (0, "")
    (flat,) = (copied.runs / "second").glob("flat-*")
    classifier = content(flat / "model", "classifier.json")
    assert [member["model"] for member in classifier["members"]] == ["combination", "logistic"]
    for member in classifier["members"]:
        assert all(find_damage(flat / path) is None for path in member["nodes"].values())


# --- the report


def test_the_report_has_it_by_its_members(copied):
    done = copied.report()
    assert (done.status, done.err) == (0, ""), done
    name = "combination (knn + logistic flat + naive_bayes)"
    file = copied.folder() / "report.md"
    assert name in [row[0] for row in markdown_table(file, "Table 2")]
    names = [row[0] for row in markdown_table(file, "Accuracy (%) with")]
    assert {f"{name}, hierarchical", f"{name}, flat"} <= set(names)
    scores = content(copied.folder(), "scores.json")
    (own,) = [item for item in scores["hierarchical"] if item["name"] == name]
    result = content(copied.node("combination", "result-hier"), "result.json")
    assert own["cascade"]["mean"] == pytest.approx(result["levels"]["class"]["accuracy"]["value"])
    for text in (file, copied.folder() / "report.zh.md"):
        assert "seed -1" not in text.read_text("utf-8")
    (cost,) = [row for row in markdown_table(file, "Parameters, time and memory") if row[0] == f"{name}, flat"]
    assert cost[1:3] == ("–", "–")


def test_the_report_names_what_a_combination_lacks(copied):
    shutil.rmtree(copied.node("combination", "A"))
    done = copied.report()
    assert done.status == 1
    (printed,) = [line for line in listings(copied.folder() / "report.md") if line.startswith("patent-hier combine ")]
    assert "combination (knn + logistic flat + naive_bayes)" in done.err
    assert "-1" not in re.sub(r"\S*/\S*", "", done.err)
    assert "python run.py" not in done.err
    assert str(members(copied)["knn"].name) in printed


# --- what is refused


def test_members_of_two_splits(place, made):
    other = list((place.runs / "naive_bayes").glob("result-flat-*"))
    done = combine(place, {**members(place), "other": other[0]})
    assert (done.status, done.err.count("\n")) == (2, 1)
    splits = {content(folder, MANIFEST)["data"]["split"] for folder in (other[0], members(place)["knn"])}
    assert all(split in done.err for split in splits)
    assert str(other[0]) in done.err


def test_a_member_without_one_of_its_nodes(copied):
    shutil.rmtree(copied.node("knn", "B"))
    shutil.rmtree(copied.runs / "combination")
    done = combine(copied, members(copied))
    assert (done.status, done.err.count("\n")) == (1, 1)
    assert f"{members(copied)['knn']} lacks node B" in done.err
    assert "run.py model=knn" in done.err
    assert not (copied.runs / "combination").exists()


def test_a_damaged_member_leaves_nothing_half_written(copied):
    shutil.rmtree(copied.runs / "combination")
    file = copied.node("naive_bayes", "A") / "predictions.parquet"
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 0xFF
    file.write_bytes(data)
    done = combine(copied, members(copied))
    assert (done.status, done.err.count("\n")) == (1, 1)
    assert str(file) in done.err
    assert not [path for path in (copied.runs / "combination").glob("*") if path.name != ".locks"]


def test_words(place, made, tmp_path):
    done = command("combine", "--help")
    assert (done.status, done.err) == (0, "")
    assert "usage: patent-hier combine" in done.out
    results = members(place)
    for words, told in (
        ((), "RESULTS"),
        ((results["knn"],), "two or more"),
        ((results["knn"], results["logistic"], "--name", "a/b"), "--name a/b"),
        ((results["knn"], results["logistic"], "--name", ".."), "--name .."),
        (
            (results["knn"], results["logistic"], "--depth", "section"),
            "--depth=section is unknown; choose one of class",
        ),
        ((results["knn"], results["logistic"], "--nmae", "x"), "--nmae"),
        ((results["knn"], tmp_path), "is not a result folder"),
        ((results["knn"], results["logistic"], "--cache-dir", tmp_path), "--cache-dir FOLDER"),
    ):
        done = command("combine", *words, "--runs-dir", tmp_path / "runs")
        assert (done.status, done.err.count("\n")) == (2, 1), words
        assert told in done.err
    assert not (tmp_path / "runs").exists()
