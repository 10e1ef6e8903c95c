"""Every model beside BERT-CNN, from raw file to result: the nine nodes once, and again without training."""

import json
import shutil
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
import yaml
from safetensors.numpy import load_file

from patent_hier.artifacts import find_damage
from patent_hier.data.corpus import Corpus
from patent_hier.evaluation.predictions import Predictions
from patent_hier.models.saved import load_classifier
from patent_hier.settings import HIER_NODES
from tests.commands import TINY_OF, Outcome, command
from tests.integration.conftest import scores

WORDS, TERMS = ("textcnn", "rnn"), ("linear", "naive_bayes", "knn")


class Trained(NamedTuple):
    model: str
    words: list[str]
    runs: Path
    cache: Path
    first: Outcome

    def nodes(self) -> dict[str, Path]:
        """Finished nodes of a hierarchical result."""
        found = {node: list((self.runs / self.model).glob(f"{node}-*")) for node in HIER_NODES}
        return {node: path for node, (path,) in found.items()}

    def result(self, level: str = "hier") -> Path:
        (folder,) = (self.runs / self.model).glob(f"result-{level}-*")
        return folder


@pytest.fixture(scope="module", params=[*WORDS, *TERMS])
def trained(request, tmp_path_factory) -> Trained:
    """The nine nodes of a model on 400 demo documents; corpus, words and counts are shared by all models."""
    model = request.param
    cache = tmp_path_factory.getbasetemp() / "models-cache"
    runs = tmp_path_factory.mktemp(model)
    words = [f"model={model}", *TINY_OF[model], f"runs_dir={runs}", f"cache_dir={cache}"]
    first = command("run", "level=hier", *words)
    assert (first.status, first.err) == (0, ""), first
    return Trained(model, words, runs, cache, first)


def read(folder, name):
    return json.loads((folder / name).read_text("utf-8"))


def stamps(folder):
    files = (path for path in folder.rglob("*") if path.is_file() and not {".jobs", ".locks"} & set(path.parts))
    return {path: path.stat().st_mtime_ns for path in files if not path.parent.name.startswith("result-")}


def test_nine_nodes_and_their_result(trained):
    nodes = trained.nodes()
    assert set(nodes) == set(HIER_NODES)
    assert all(find_damage(folder) is None for folder in nodes.values())
    manifests = [read(folder, "manifest.json") for folder in nodes.values()]
    assert len({manifest["group"] for manifest in manifests}) == len({manifest["suite"] for manifest in manifests}) == 1
    content = scores(trained.result())
    assert (content["model"], content["seed"], content["demo"]) == (trained.model, 1, True)
    assert content["n_documents"] == 130  # of 400 documents of 130 classes, one of each
    assert content["group"] == manifests[0]["group"]
    assert ({"words", "vectors"} if trained.model in WORDS else {"terms"}) <= {
        path.name for path in trained.cache.iterdir()
    }
    assert not (trained.cache / "tokens").exists()  # nor is an encoder laid out
    assert not (trained.cache / "encoders").exists()


def test_every_held_out_document_is_scored(trained):
    own = {node: Predictions.read(folder / "predictions.parquet") for node, folder in trained.nodes().items()}
    assert len({tuple(scored.document_ids) for scored in own.values()}) == 1
    for scored in own.values():
        assert np.abs(np.exp(scored.log_prob.astype(float)).sum(1) - 1).max() < 1e-5
    root = own["root"].select("test")
    metrics = read(trained.nodes()["root"], "metrics.json")
    hits = np.array(root.labels, object)[root.log_prob.argmax(1)] == root.targets
    assert metrics["test"]["accuracy"]["value"] == pytest.approx(hits.mean())
    assert metrics["training"]["scored_documents"] == len(own["root"].document_ids)


def test_cascade_follows_from_the_predictions(trained):
    own = {
        node: Predictions.read(path / "predictions.parquet").select("test") for node, path in trained.nodes().items()
    }
    (folder,) = trained.cache.glob("corpora/demo-*")
    table = Corpus.open(folder).table(["document_id", "ipc_class"]).to_pandas().set_index("document_id")["ipc_class"]
    best = {node: np.array(one.labels, object)[one.log_prob.argmax(1)] for node, one in own.items()}
    cascade = [best[section][row] for row, section in enumerate(best["root"])]
    expected = np.mean(np.array(cascade) == table.loc[list(own["root"].document_ids)].to_numpy())
    assert scores(trained.result())["cascade_accuracy"]["value"] == pytest.approx(expected)


def test_facts_of_training(trained):
    for node, folder in trained.nodes().items():
        facts, config = read(folder, "metrics.json")["training"], yaml.safe_load((folder / "config.yaml").read_text())
        assert (config["model"]["name"], config["node"]) == (trained.model, node)
        assert facts["score_seconds"] >= 0
        assert facts["peak_memory_bytes"] > 10**7
        if facts.get("constant"):
            continue
        assert facts["train_documents"] > 0
        assert facts["parameters"] > 0
        if trained.model in WORDS:
            assert facts["vectors"]["source"] == "trained"
            assert len(read(folder, "history.json")) == 1
        else:
            assert (facts["device"], facts["threads"], read(folder, "history.json")) == ("cpu", 1, [])


def test_a_saved_node_scores_new_texts(trained):
    """What stands in the folder gives of the corpus's texts what training wrote of them."""
    folder = trained.nodes()["root"]
    classifier = load_classifier(folder / "model")
    scored = Predictions.read(folder / "predictions.parquet")
    assert classifier.labels == scored.labels
    (corpus,) = trained.cache.glob("corpora/demo-*")
    table = Corpus.open(corpus)
    texts = [text for batch in table.iter_texts() for text in batch]
    by_id = dict(zip(table.document_ids.to_pylist(), texts, strict=True))
    chosen = [by_id[name] for name in scored.document_ids[:30]]
    log_prob = classifier.log_prob(classifier.encode(chosen), np.arange(30))
    np.testing.assert_allclose(log_prob, scored.log_prob[:30], atol=1e-5)
    assert all(np.isfinite(value).all() for value in load_file(folder / "model" / "model.safetensors").values())


def test_the_same_command_trains_nothing(trained):
    before, result = stamps(trained.runs), scores(trained.result())
    again = command("run", "level=hier", *trained.words)
    assert (again.status, again.err) == (0, "")
    assert again.out.count("finished before") == 9
    assert stamps(trained.runs) == before
    assert scores(trained.result()) == result


@pytest.mark.parametrize("trained", ["linear", "rnn"], indirect=True)
def test_aggregate_alone_gives_the_same_result(trained):
    result = scores(trained.result())
    shutil.rmtree(trained.result())
    outcome = command("aggregate", *trained.words)
    assert (outcome.status, outcome.err) == (0, "")
    assert scores(trained.result()) == result


@pytest.mark.parametrize("trained", ["textcnn", "naive_bayes"], indirect=True)
def test_flat(trained):
    outcome = command("run", "level=flat", *trained.words)
    assert (outcome.status, outcome.err) == (0, "")
    (node,) = (trained.runs / trained.model).glob("flat-*")
    own = Predictions.read(node / "predictions.parquet").select("test")
    hits = np.array(own.labels, object)[own.log_prob.argmax(1)] == own.targets
    assert scores(trained.result("flat"))["flat_accuracy"]["value"] == pytest.approx(hits.mean())
    assert read(node, "manifest.json")["group"] == read(trained.nodes()["root"], "manifest.json")["group"]
    rows = pd.read_csv(trained.result("flat") / "result.csv").set_index("score")["value"]
    assert rows["flat_accuracy"] == pytest.approx(hits.mean())


@pytest.mark.parametrize("trained", ["rnn", "knn"], indirect=True)
def test_a_missing_node_comes_back_as_it_was(trained, tmp_path):
    runs = shutil.copytree(trained.runs, tmp_path / "runs")
    (gone,) = (runs / trained.model).glob("A-*")
    predictions = (gone / "predictions.parquet").read_bytes()
    shutil.rmtree(gone)
    words = [*trained.words, f"runs_dir={runs}"]
    refused = command("aggregate", *words)
    assert refused.status == 1
    assert ": A;" in refused.err
    again = command("run", "level=hier", *words)
    assert again.out.count("finished before") == 8
    assert (gone / "predictions.parquet").read_bytes() == predictions
