import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pytorch_lightning.loggers import CSVLogger

from patent_hier.artifacts import file_digest, seal
from patent_hier.errors import ArtifactError, ConfigError, DataError
from patent_hier.evaluation.contract import NetworkPredictions
from patent_hier.pipeline.node import finished, run_node, score_part, summary
from patent_hier.settings import LevelSettings
from patent_hier.training.observers import Observers
from tests.pipeline.conftest import change, make_settings
from tests.trees import classes_of, network, probabilities, tree_of


def predictions(targets, best):
    tree = tree_of([("A01",), ("A23",), ("A61",), ("A99",)], ("class",), root="A")
    joint = np.log(np.array([[0.7 if label == guess else 0.1 for label in tree.codes] for guess in best], np.float32))
    return network("A", tree, joint, [(target,) for target in targets])


def test_scores_count_documents_under_the_node_only():
    scores = score_part(predictions(["A01", "A23", None, "A77"], ["A01", "A01", "A01", "A01"]), "test")
    assert scores["accuracy"]["value"] == pytest.approx(1 / 3)  # the unseen class stays in the denominator
    assert scores["accuracy"]["n_documents"] == 3
    assert scores["accuracy"]["n_classes_with_support"] == 3
    assert scores["levels"]["class"]["top_3_accuracy"]["value"] == pytest.approx(2 / 3)
    assert scores["levels"]["class"]["accuracy"] == scores["accuracy"]


def test_no_document_under_the_node_has_no_score():
    scores = score_part(predictions([None, None], ["A01", "A01"]), "test")
    assert scores == {"accuracy": None, "levels": {"class": {"accuracy": None, "top_3_accuracy": None}}}
    assert summary(scores) == "no test document below this node"


def test_each_level_is_scored_over_the_documents_that_reach_it():
    """The cascade goes to B, so B's class is right and its true section's is not asked; one symbol ends early."""
    tree = classes_of(A="01 02", B="01")
    joint = probabilities(tree, [[0.4, 0.6, 0.35, 0.05, 0.6]] * 3).log_prob
    made = network("shared", tree, joint, [("A", "A01"), ("B", "B01"), ("B", None)])
    scores = score_part(made, "test")
    values = {
        level: (own["accuracy"]["value"], own["accuracy"]["n_documents"]) for level, own in scores["levels"].items()
    }
    assert values == {"section": (pytest.approx(2 / 3), 3), "class": (0.5, 2)}
    assert scores["accuracy"] == scores["levels"]["class"]["accuracy"]
    assert summary(scores) == "test accuracy section 0.667, class 0.500 on 2 documents with 2 labels"


def test_finished_damaged_and_absent(tmp_path):
    folder = tmp_path / "D-1"
    assert not finished(folder)
    folder.mkdir()
    with pytest.raises(ArtifactError, match="delete it to train again"):
        finished(folder)
    (folder / "x").write_text("x")
    seal(folder, {})
    assert finished(folder)


def test_asked_for_alone_a_node_needs_documents(changed):
    with pytest.raises(DataError, match=r"^node=A01: .* no training document below that label"):
        run_node(changed(node="A01"))


@pytest.mark.parametrize(("depth", "known"), [("class", "A, B, C$"), ("subclass", "A, B, C, or a label below them")])
def test_what_is_no_label_is_told_with_what_is(changed, depth, known):
    for node in ("L1", "H"):
        with pytest.raises(
            DataError, match=rf"^node={node} is not a label of .*; choose one of root, flat, shared, {known}"
        ):
            run_node(replace(changed("data", depth=depth), node=node))


def test_no_calibration_part_is_no_loss(changed):
    done = run_node(changed("split", calibration=0.0))
    metrics = json.loads((done.folder / "metrics.json").read_text("utf-8"))
    assert metrics["calibration"]["accuracy"] is None
    assert metrics["test"]["accuracy"]["n_documents"] > 0


def test_divergence_is_said(settings, monkeypatch, tmp_path):
    def no_numbers(self, store, indices, *others):
        return np.full((len(indices), len(self.tree)), np.nan, np.float32)

    monkeypatch.setattr("patent_hier.models.saved.NodeClassifier.log_prob", no_numbers)
    with pytest.raises(ConfigError, match=r"diverged.*lower optimizer\.lr, now"):
        run_node(settings)
    assert not [path for path in (tmp_path / "runs" / "bertcnn").iterdir() if path.name != ".locks"]


def test_nothing_but_the_contract_is_left(settings):
    folder = run_node(settings).folder
    assert {path.name for path in folder.iterdir()} == {
        "config.yaml", "manifest.json", "metrics.json", "history.json", "predictions.parquet", "model"
    }  # fmt: skip


def test_in_a_sweep_an_empty_node_is_said_and_skipped(changed, capsys, tmp_path):
    done = run_node(replace(changed(node="H"), level=LevelSettings("hier")))
    assert (done.is_trained, done.folder.exists()) == (False, False)
    assert "no training document below H" in capsys.readouterr().out
    assert not [path for path in (tmp_path / "runs" / "bertcnn").iterdir() if path.name != ".locks"]


def test_one_class_gives_a_constant_classifier(changed, capsys):
    done = run_node(changed(node="C"))
    assert "C: only one label at each level (C07), so its classifier is constant" in capsys.readouterr().out
    scored = NetworkPredictions.read(done.folder / "predictions.parquet")
    assert scored.tree.codes.tolist() == ["C07"]
    assert (scored.levels[0].log_prob == 0).all()
    assert {path.name for path in (done.folder / "model").iterdir()} == {"classifier.json"}


def test_failure_leaves_nothing_half_written(settings, monkeypatch, tmp_path):
    def fail(*_):
        raise ArtifactError("no room")

    monkeypatch.setattr("patent_hier.pipeline.node.manifest_of", fail)  # after everything else has been written
    with pytest.raises(ArtifactError, match="no room"):
        run_node(settings)
    assert not [path for path in (tmp_path / "runs" / "bertcnn").iterdir() if path.name != ".locks"]


def test_a_log_lies_beside_the_results_under_the_name_of_its_own(settings, tmp_path):
    asked = []

    def observers(folder, name):
        asked.append(folder / name)
        return Observers([CSVLogger(folder, name, "csv")], [], folder / name)

    done = run_node(settings, observers=observers)
    log = tmp_path / "runs" / "logs" / "bertcnn" / done.folder.name
    assert asked == [log]
    assert {file.name for file in (log / "csv").iterdir()} == {"hparams.yaml", "metrics.csv"}
    assert not list(done.folder.rglob("hparams.yaml"))
    assert run_node(settings, observers=observers).folder == run_node(settings).folder == done.folder
    assert asked == [log]  # what is finished is not trained again


def test_trained_once_then_recognised(settings, capsys):
    first = run_node(settings)
    assert "test accuracy" in capsys.readouterr().out
    stamp = (first.folder / "manifest.json").stat().st_mtime_ns
    assert run_node(settings).folder == first.folder
    assert "already finished" in capsys.readouterr().out
    assert (first.folder / "manifest.json").stat().st_mtime_ns == stamp


def test_finished_node_without_test_documents_is_recognised(tmp_path, settings, capsys):
    """A rare section may have training documents and no test document; its second run must not stumble over that."""
    from tests.commands import write_csv

    raw = write_csv(tmp_path / "rare.csv", {"A01B1/00": 60, "B60K1/00": 1, "B65D1/00": 1})
    rare = replace(settings, data=replace(settings.data, path=str(raw)), node="B", level=LevelSettings("hier"))
    done = run_node(rare)
    assert done.is_trained
    assert "no test document below this node" in capsys.readouterr().out
    assert run_node(rare).folder == done.folder
    assert "already finished, no test document" in capsys.readouterr().out


# --- label texts

METRICS_AND_MANIFEST = ("metrics.json", "manifest.json")
TITLES = """code,level,title
A01,class,农业
A01B,subclass,整地（农具）
A23,class,食品
A23L 1/00,maingroup,（只有附注）
A61,class,医学
B60,class,车辆
X,class,?
"""


@pytest.fixture
def table(tmp_path):
    (tmp_path / "titles.csv").write_text(TITLES, "utf-8")
    return str(tmp_path / "titles.csv")


def held_out(folder):
    found = NetworkPredictions.read(folder / "predictions.parquet")
    targets = [own.targets.tolist() for own in found.levels]
    return found.document_ids.tolist(), found.parts.tolist(), targets, found.tree.codes.tolist()


@pytest.mark.parametrize(("model", "weight"), [("linear", 0.1), ("textcnn", 0.3), ("bertcnn", 0.3)])
def test_label_texts_are_training_documents_and_nothing_else(model, weight, tmp_path, table, capsys):
    plain = make_settings(tmp_path, model)
    titled = change(plain, "data", label_text=table, label_levels=["class", "subclass", "maingroup"])
    capsys.readouterr()
    before, after = run_node(plain), run_node(titled)
    said = [line for line in capsys.readouterr().out.splitlines() if "label texts" in line]
    assert said == [
        f"label texts of {table}: 5 titles (class 4, subclass 1); skipped: "
        "1 titles without a word outside notes, 1 codes that are not IPC symbols of their level"
    ]
    assert before.folder != after.folder
    assert held_out(before.folder) == held_out(after.folder)  # A61 has a title, but no training document
    metrics, manifest = (json.loads((after.folder / name).read_text("utf-8")) for name in METRICS_AND_MANIFEST)
    used = metrics["training"]["label_text"]
    assert (used["texts"], used["levels"]) == (3, {"class": 2, "subclass": 1})
    assert (used["of_unseen_labels"], used["weight"]) == (1, weight)  # on so easy a corpus all are equal: the least
    assert manifest["label_text"] == {"path": table, **used}
    assert manifest["content"]["label_text"]["digest"] == file_digest(Path(table))
    old = [json.loads((before.folder / name).read_text("utf-8")) for name in METRICS_AND_MANIFEST]
    assert metrics["training"]["train_documents"] == old[0]["training"]["train_documents"]
    assert manifest["data"] == old[1]["data"]
    assert "label_text" not in old[0]["training"]
    assert "label_text" not in old[1]
    assert run_node(titled).folder == after.folder  # and is found again


def test_a_table_that_is_none_leaves_nothing(tmp_path, changed):
    (tmp_path / "titles.csv").write_text("code;level;title\n", "utf-8")
    with pytest.raises(DataError, match="it needs 'code', 'level', and one column that starts with 'title'"):
        run_node(changed("data", label_text=str(tmp_path / "titles.csv")))
    assert not [path for path in (tmp_path / "runs" / "bertcnn").iterdir() if path.name != ".locks"]
