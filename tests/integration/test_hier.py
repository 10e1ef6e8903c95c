"""The files of a hierarchical run, and its scores, which follow from these files alone."""

import json

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml

from patent_hier.artifacts import find_damage, verify
from patent_hier.data.splits import load
from patent_hier.settings import HIER_NODES
from patent_hier.taxonomy.symbols import IpcSymbol
from tests.integration.conftest import read, scores

NODE_FILES = {"config.yaml", "manifest.json", "metrics.json", "history.json", "predictions.parquet", "model"}


def test_nine_finished_folders(suite):
    nodes = suite.nodes()
    assert sorted(nodes) == sorted(HIER_NODES)
    for node, folder in nodes.items():
        assert {path.name for path in folder.iterdir()} == NODE_FILES
        assert find_damage(folder) is None
        verify(folder)
        assert yaml.safe_load((folder / "config.yaml").read_text("utf-8"))["node"] == node
        assert read(folder, "metrics.json")["node"] == node
        assert len(read(folder, "history.json")) == 1
        assert {"classifier.json", "model.safetensors", "vocab.txt"} <= {path.name for path in folder.glob("model/*")}
    assert len({read(path, "manifest.json")["suite"] for path in nodes.values()}) == 1
    assert not list(suite.runs.rglob(".partial-*"))


def test_manifest_tells_machine_and_code(suite):
    manifest = read(suite.nodes()["D"], "manifest.json")
    assert manifest["environment"]["packages"]["torch"]
    assert manifest["environment"]["threads"] == 1
    assert manifest["data"]["documents"] == 400


def test_every_node_scored_every_held_out_document(suite):
    document_ids, parts = load(next((suite.cache / "splits").glob("random-*")))
    held_out = set(np.asarray(document_ids)[np.asarray(parts) != 0])
    for folder in suite.nodes().values():
        table = pd.read_parquet(folder / "predictions.parquet")
        assert set(table["document_id"]) == held_out
        assert set(table["part"]) == {"val", "calibration", "test"}


def test_result_folder(suite):
    folder = suite.result()
    assert {path.name for path in folder.iterdir()} == {
        "DATA.md",
        "characters.json",
        "profile.json",
        "result.json",
        "result.csv",
        "result.md",
        "manifest.json",
    }
    verify(folder)
    assert "not comparable" in (folder / "result.md").read_text("utf-8")
    assert "not comparable" in suite.first.out
    assert "BERT-CNN" in suite.first.out or "(paper)" in suite.first.out
    rows = pd.read_csv(folder / "result.csv").set_index("score")["value"]
    levels = scores(folder)["levels"]
    assert rows["class.accuracy"] == levels["class"]["accuracy"]["value"]
    assert rows["class.oracle[D]"] == levels["class"]["local"]["D"]["value"]


@pytest.fixture(scope="module")
def recomputed(suite):
    """The test documents with each node's predictions, from the nine files and the corpus alone."""
    frames, labels = {}, {}
    for node, folder in suite.nodes().items():
        table = pq.read_table(folder / "predictions.parquet")
        tree = json.loads(table.schema.metadata[b"tree"])
        level = "section" if node == "root" else "class"
        assert tree["levels"] == [level]
        labels[node] = tree["codes"]
        frame = table.to_pandas().set_index("document_id")
        frame.columns = frame.columns.str.removeprefix(f"{level}.")
        frames[node] = frame[frame["part"] == "test"].sort_index()
    corpus = pd.read_parquet(next((suite.cache / "corpora").glob("demo-*")) / "corpus.parquet").set_index("document_id")
    truth = corpus.loc[frames["root"].index, ["section", "ipc_class", "further_symbols"]]
    return truth, frames, labels


def test_every_number_can_be_recomputed(suite, recomputed):
    truth, frames, labels = recomputed
    content = scores(suite.result())
    levels = content["levels"]
    best = {
        node: pd.Series([labels[node][row.argmax()] for row in frame["log_prob"]], frame.index)
        for node, frame in frames.items()
    }
    section_hit = best["root"] == truth["section"]
    local_hit = pd.Series(
        [best[section][name] == truth.loc[name, "ipc_class"] for name, section in truth["section"].items()],
        truth.index,
    )
    cascade = pd.Series([best[section][name] for name, section in best["root"].items()], truth.index)

    def value(name, level="class"):
        return levels[level][name]["value"]

    assert content["n_documents"] == len(truth) == levels["section"]["accuracy"]["n_documents"]
    assert value("accuracy", "section") == value("oracle", "section") == pytest.approx(section_hit.mean())
    assert value("oracle") == pytest.approx(local_hit.mean())
    assert value("product") == pytest.approx(section_hit.mean() * local_hit.mean())
    assert value("accuracy") == pytest.approx((cascade == truth["ipc_class"]).mean())
    assert value("first_errors", "section") == pytest.approx((~section_hit).mean())
    assert value("first_errors") == pytest.approx((section_hit & (cascade != truth["ipc_class"])).mean())
    for section, hits in local_hit.groupby(truth["section"]):
        own = levels["class"]["local"][section]
        assert own["value"] == pytest.approx(hits.mean())
        assert (own["n_documents"], own["n_labels"]) == (len(hits), len(labels[section]))
    shared = (section_hit.astype(int) + (cascade == truth["ipc_class"])).sum() / (2 * len(truth))
    assert value("hierarchical_f1") == pytest.approx(shared)

    joint = np.hstack(
        [
            np.stack(frames[section]["log_prob"]) + np.stack(frames["root"]["log_prob"])[:, [column]]
            for column, section in enumerate(labels["root"])
        ]
    )
    names = np.array([label for section in labels["root"] for label in labels[section]])
    order = names[np.argsort(-joint, axis=1, kind="stable")]
    for k in (1, 3, 5):
        found = (order[:, :k] == truth["ipc_class"].to_numpy()[:, None]).any(axis=1)
        assert value(f"top_{k}") == pytest.approx(found.mean())
    assert (value("wipo_top_prediction"), value("wipo_three_guesses")) == (value("top_1"), value("top_3"))
    any_symbol = [
        guess == main or guess in {IpcSymbol.parse(symbol).ipc_class for symbol in further}
        for guess, main, further in zip(order[:, 0], truth["ipc_class"], truth["further_symbols"], strict=True)
    ]
    assert value("wipo_any_symbol") == pytest.approx(np.mean(any_symbol))

    f1 = []
    for name in truth["ipc_class"].unique():
        both = ((cascade == name) & (truth["ipc_class"] == name)).sum()
        f1.append(2 * both / ((cascade == name).sum() + (truth["ipc_class"] == name).sum()))
    assert value("macro_f1") == pytest.approx(np.mean(f1))
    assert levels["class"]["macro_f1"]["n_classes_with_support"] == len(f1)
