"""Every model except BERT-CNN, from raw file to result, on two and more levels; the second run trains nothing."""

import shutil

import numpy as np
import pandas as pd
import pytest
import yaml
from safetensors.numpy import load_file

from patent_hier.artifacts import find_damage
from patent_hier.data.corpus import Corpus
from patent_hier.models.saved import load_classifier
from patent_hier.settings import HIER_NODES
from tests.commands import command
from tests.integration.conftest import Trained, contents, place, predictions, read, scores, train

WORDS, TERMS = ("textcnn", "rnn"), ("linear", "naive_bayes", "knn")
CLASS, DEEPER = "class", "subclass"
LEVELS = {CLASS: ["section", "class"], DEEPER: ["section", "class", "subclass"]}
# Deeper down a network and a classical model; tests/models and test_depths.py have the others' heads.
TRAINED = [*((model, CLASS) for model in (*WORDS, *TERMS)), *((model, DEEPER) for model in ("textcnn", "linear"))]


@pytest.fixture(scope="module", params=TRAINED, ids="-".join)
def trained(request, tmp_path_factory) -> Trained:
    """The nine nodes of a model on 400 demo documents; corpus, words and counts are shared by all models."""
    model, depth = request.param
    return train(model, tmp_path_factory.mktemp(model), tmp_path_factory.getbasetemp() / "models-cache", depth)


def of(*models):
    return pytest.mark.parametrize("trained", [(model, CLASS) for model in models], indirect=True, ids="-".join)


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
    assert list(content["levels"]) == LEVELS[trained.depth]
    assert ({"words", "vectors"} if trained.model in WORDS else {"terms"}) <= {
        path.name for path in trained.cache.iterdir()
    }
    assert not (trained.cache / "tokens").exists()  # nor is an encoder laid out
    assert not (trained.cache / "encoders").exists()


def test_every_held_out_document_is_scored(trained):
    own = {node: predictions(path) for node, path in trained.nodes().items()}
    assert len({tuple(scored.document_ids) for scored in own.values()}) == 1
    for node, scored in own.items():
        assert list(scored.tree.levels) == (["section"] if node == "root" else LEVELS[trained.depth][1:])
        first = scored.levels[0]
        assert np.abs(np.exp(first.log_prob.astype(float)).sum(1) - 1).max() < 1e-5
        metrics = read(trained.nodes()[node], "metrics.json")
        assert metrics["training"]["scored_documents"] == len(scored)
        test = scored.select("test").levels[0]
        under = test.targets != None  # noqa: E711  # an array is compared, element by element
        hits = (np.array(scored.tree.labels(test.level), object)[test.log_prob.argmax(1)] == test.targets)[under]
        assert metrics["test"]["levels"][test.level]["accuracy"]["value"] == pytest.approx(hits.mean())


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
    """The saved model gives the same predictions for the corpus's texts as training has written."""
    folder = trained.nodes()["root"]
    classifier = load_classifier(folder / "model")
    scored = predictions(folder)
    assert list(classifier.tree.codes) == list(scored.tree.codes)
    (corpus,) = trained.cache.glob("corpora/demo-*")
    table = Corpus.open(corpus)
    texts = [text for batch in table.iter_texts() for text in batch]
    by_id = dict(zip(table.document_ids.to_pylist(), texts, strict=True))
    chosen = [by_id[name] for name in scored.document_ids[:30]]
    log_prob = classifier.log_prob(classifier.encode(chosen), np.arange(30))
    np.testing.assert_allclose(log_prob, scored.scores().log_prob[:30], atol=1e-5)
    assert all(np.isfinite(value).all() for value in load_file(folder / "model" / "model.safetensors").values())


@pytest.mark.slow
def test_the_same_command_trains_nothing(trained):
    before, result = contents(trained.runs), scores(trained.result())
    again = command("run", "level=hier", *trained.words)
    assert (again.status, again.err) == (0, "")
    assert again.out.count("already finished") == 9
    assert contents(trained.runs) == before
    assert scores(trained.result()) == result


@of("textcnn", "naive_bayes")
def test_flat(trained):
    outcome = command("run", "level=flat", *trained.words)
    assert (outcome.status, outcome.err) == (0, "")
    (node,) = trained.folders("flat-*")
    own = predictions(node).select("test")
    classes = own.level("class")
    hits = np.array(own.tree.labels("class"), object)[classes.log_prob.argmax(1)] == classes.targets
    assert scores(trained.result("flat"))["levels"]["class"]["accuracy"]["value"] == pytest.approx(hits.mean())
    assert read(node, "manifest.json")["group"] == read(trained.nodes()["root"], "manifest.json")["group"]
    rows = pd.read_csv(trained.result("flat") / "result.csv").set_index("score")["value"]
    assert rows["class.accuracy"] == pytest.approx(hits.mean())


@pytest.mark.slow
@of("rnn", "knn")
def test_a_missing_node_comes_back_as_it_was(trained, tmp_path):
    copied = place(trained.model, shutil.copytree(trained.runs, tmp_path / "runs"), trained.cache)
    (gone,) = copied.folders("A-*")
    content = (gone / "predictions.parquet").read_bytes()
    shutil.rmtree(gone)
    again = command("run", "level=hier", *copied.words)
    assert again.out.count("already finished") == 8
    assert (gone / "predictions.parquet").read_bytes() == content
