import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml

import patent_hier
from patent_hier.artifacts import is_complete, verify
from patent_hier.data.splits import load
from patent_hier.ipc import IpcSymbol
from patent_hier.settings import HIER_NODES
from tests.commands import TINY, command, write_csv

CHECKOUT = Path(patent_hier.__file__).parents[1]
NODE_FILES = {"config.yaml", "manifest.json", "metrics.json", "history.json", "predictions.parquet", "model"}


def contents(folder):
    """Every result file with its bytes and time of change; the notes of single commands are left aside."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {
        path.relative_to(folder): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in files
        if not {".jobs", ".locks"} & set(path.parts) and not path.parent.name.startswith("result-")
    }


def scores(result_folder):
    return json.loads((result_folder / "result.json").read_text("utf-8"))


def test_nine_finished_folders(suite):
    nodes = suite.nodes()
    assert sorted(nodes) == sorted(HIER_NODES)
    for node, folder in nodes.items():
        assert {path.name for path in folder.iterdir()} == NODE_FILES
        assert is_complete(folder)
        verify(folder)
        assert yaml.safe_load((folder / "config.yaml").read_text("utf-8"))["node"] == node
        assert json.loads((folder / "metrics.json").read_text("utf-8"))["node"] == node
        assert len(json.loads((folder / "history.json").read_text("utf-8"))) == 1
        assert {"classifier.json", "model.safetensors", "vocab.txt"} <= {path.name for path in folder.glob("model/*")}
    assert len({json.loads((path / "manifest.json").read_text("utf-8"))["suite"] for path in nodes.values()}) == 1
    assert not list(suite.runs.rglob(".partial-*"))


def test_manifest_tells_machine_and_code(suite):
    manifest = json.loads((suite.nodes()["D"] / "manifest.json").read_text("utf-8"))
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
    assert {path.name for path in folder.iterdir()} == {"result.json", "result.csv", "result.md", "manifest.json"}
    verify(folder)
    assert "not comparable" in (folder / "result.md").read_text("utf-8")
    assert "not comparable" in suite.first.out
    assert "BERT-CNN" in suite.first.out or "(paper)" in suite.first.out
    rows = pd.read_csv(folder / "result.csv").set_index("score")["value"]
    content = scores(folder)
    assert rows["cascade_accuracy"] == content["cascade_accuracy"]["value"]
    assert rows["local_accuracy[D]"] == content["local_accuracy"]["D"]["value"]


@pytest.fixture(scope="module")
def recomputed(suite):
    """The test documents with what each node says of them, from the nine files and the corpus alone."""
    frames, labels = {}, {}
    for node, folder in suite.nodes().items():
        table = pq.read_table(folder / "predictions.parquet")
        labels[node] = json.loads(table.schema.metadata[b"labels"])
        frame = table.to_pandas().set_index("document_id")
        frames[node] = frame[frame["part"] == "test"].sort_index()
    corpus = pd.read_parquet(next((suite.cache / "corpora").glob("demo-*")) / "corpus.parquet").set_index("document_id")
    truth = corpus.loc[frames["root"].index, ["section", "ipc_class", "further_symbols"]]
    return truth, frames, labels


def test_every_number_can_be_recomputed(suite, recomputed):
    truth, frames, labels = recomputed
    content = scores(suite.result())
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

    def value(name):
        return content[name]["value"]

    assert content["n_documents"] == len(truth) == content["section_accuracy"]["n_documents"]
    assert value("section_accuracy") == pytest.approx(section_hit.mean())
    assert value("oracle_accuracy") == pytest.approx(local_hit.mean())
    assert value("product_accuracy") == pytest.approx(section_hit.mean() * local_hit.mean())
    assert value("cascade_accuracy") == pytest.approx((cascade == truth["ipc_class"]).mean())
    assert value("routing_errors") == pytest.approx((~section_hit).mean())
    assert value("local_errors") == pytest.approx((section_hit & (cascade != truth["ipc_class"])).mean())
    for section, hits in local_hit.groupby(truth["section"]):
        assert content["local_accuracy"][section]["value"] == pytest.approx(hits.mean())
        assert content["local_accuracy"][section]["n_documents"] == len(hits)
        assert content["local_accuracy"][section]["n_labels"] == len(labels[section])
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
    assert content["macro_f1"]["n_classes_with_support"] == len(f1)


def test_metrics_of_a_node_can_be_recomputed(suite, recomputed):
    _, frames, labels = recomputed
    frame = frames["D"][frames["D"]["target"].notna()]
    hits = [labels["D"][row.argmax()] == target for row, target in zip(frame["log_prob"], frame["target"], strict=True)]
    metrics = json.loads((suite.nodes()["D"] / "metrics.json").read_text("utf-8"))
    assert metrics["test"]["accuracy"]["value"] == pytest.approx(np.mean(hits))
    assert metrics["test"]["accuracy"]["n_documents"] == len(frame)


def test_second_run_trains_nothing_and_needs_no_torch(suite):
    before, result = contents(suite.runs), scores(suite.result())
    code = (
        "import sys; from patent_hier.cli.main import main; status = main(sys.argv[1:]);"
        "print('heavy:', sorted({'torch', 'transformers', 'pytorch_lightning'} & set(sys.modules))); sys.exit(status)"
    )
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", code, "run", "level=hier", *suite.words], capture_output=True, text=True, cwd=CHECKOUT
    )
    assert time.perf_counter() - start < 15
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("heavy: []\n")
    assert done.stdout.count("finished before") == 9
    assert contents(suite.runs) == before
    assert scores(suite.result()) == result


def test_missing_node_is_named_and_only_it_is_trained(copied):
    result = scores(copied.result())
    nodes = copied.nodes()
    predictions = (nodes["C"] / "predictions.parquet").read_bytes()
    shutil.rmtree(nodes["C"])
    shutil.rmtree(copied.result())
    refused = command("aggregate", *copied.words)
    assert refused.status == 1
    assert refused.err.count("\n") == 1
    assert "1 of 9 nodes are missing" in refused.err
    assert ": C;" in refused.err
    assert not list((copied.runs / "bertcnn").glob("result-*"))

    kept = contents(copied.runs)
    again = command("run", "level=hier", *copied.words)
    assert again.status == 0, again
    assert again.out.count("finished before") == 8
    after = contents(copied.runs)
    assert {path: after[path] for path in kept} == kept
    assert (nodes["C"] / "predictions.parquet").read_bytes() == predictions
    assert scores(copied.result()) == result


def test_aggregate_alone_gives_the_same_result(copied):
    result = scores(copied.result())
    shutil.rmtree(copied.result())
    outcome = command("aggregate", *copied.words)
    assert (outcome.status, outcome.err) == (0, "")
    assert "(paper)" in outcome.out
    assert scores(copied.result()) == result


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


def truncate(path):
    path.write_bytes(path.read_bytes()[:-100])


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("predictions.parquet", flip),
        ("predictions.parquet", truncate),
        ("model/model.safetensors", truncate),
        ("metrics.json", truncate),
        ("manifest.json", truncate),
        ("model/classifier.json", Path.unlink),
    ],
)
def test_damaged_result_is_refused_and_not_replaced(name, damage, copied):
    folder = copied.nodes()["B"]
    damage(folder / name)
    before = contents(copied.runs)
    for words in (["run", "level=hier"], ["aggregate"]):
        outcome = command(*words, *copied.words)
        assert outcome.status == 1
        assert outcome.err.startswith("error: ")
        assert outcome.err.count("\n") == 1
        assert folder.name in outcome.err
        assert "delete" in outcome.err
    assert contents(copied.runs) == before


@pytest.mark.parametrize("cache", ["corpora/demo-*/corpus.parquet", "splits/random-*/split.parquet"])
def test_damaged_cache_is_made_again(cache, copied):
    (file,) = copied.cache.glob(cache)
    content = file.read_bytes()
    truncate(file)
    outcome = command("run", "level=hier", *copied.words)
    assert outcome.status == 0, outcome
    assert f"{file.parent} is damaged; it is made again" in outcome.out
    assert outcome.out.count("finished before") == 9
    assert file.read_bytes() == content


def test_damaged_token_cache_is_made_again(copied):
    (file,) = copied.cache.glob("tokens/*/ids.bin")
    content = file.read_bytes()
    truncate(file)
    predictions = (copied.nodes()["C"] / "predictions.parquet").read_bytes()
    shutil.rmtree(copied.nodes()["C"])
    outcome = command("run", "level=hier", *copied.words)
    assert outcome.status == 0, outcome
    assert f"{file.parent} is damaged; it is made again" in outcome.out
    assert file.read_bytes() == content
    assert (copied.nodes()["C"] / "predictions.parquet").read_bytes() == predictions


def test_failure_of_one_node_names_it_and_keeps_the_rest(suite, tmp_path, monkeypatch):
    from patent_hier.errors import DataError
    from patent_hier.training import neural

    original = neural.fit_node

    def fit_node(view, files, settings):
        if settings.node == "B":
            raise DataError("the disk of B is full; empty it")
        return original(view, files, settings)

    monkeypatch.setattr(neural, "fit_node", fit_node)
    shutil.copytree(suite.runs, tmp_path / "runs")
    for folder in (tmp_path / "runs" / "bertcnn").glob("[ABr]*-*"):
        shutil.rmtree(folder)
    words = [*TINY, f"runs_dir={tmp_path / 'runs'}", f"cache_dir={suite.cache}"]
    outcome = command("run", "level=hier", *words)
    assert outcome.status == 1
    assert outcome.err == (
        "error: node=B failed: the disk of B is full; empty it; the other 8 of 9 are kept, "
        "the same command trains only what is missing\n"
    )
    finished = {path.name.split("-")[0] for path in (tmp_path / "runs" / "bertcnn").glob("*-*")}
    assert finished == set(HIER_NODES) - {"B"}


@pytest.mark.slow
def test_killed_run_goes_on_where_it_was(suite, tmp_path):
    words = [*TINY, f"runs_dir={tmp_path / 'runs'}", f"cache_dir={suite.cache}"]
    process = subprocess.Popen(
        [sys.executable, "run.py", "level=hier", *words], cwd=CHECKOUT, stdout=subprocess.DEVNULL
    )
    runs = tmp_path / "runs" / "bertcnn"
    deadline = time.monotonic() + 60
    while len(list(runs.glob("[!.]*"))) < 2 or not list(runs.glob(".partial-*")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    before = contents(tmp_path / "runs")
    finished = list(runs.glob("[!.]*"))
    assert 2 <= len(finished) < 9
    assert all(is_complete(path) for path in finished)
    partial = {path: value for path, value in before.items() if ".partial-" in str(path)}

    outcome = command("run", "level=hier", *words)
    assert outcome.status == 0, outcome
    assert outcome.out.count("finished before") == len(finished)
    after = contents(tmp_path / "runs")
    assert {path: after[path] for path in before.keys() - partial.keys()} == {
        path: value for path, value in before.items() if path not in partial
    }
    assert not list(runs.glob(".partial-*"))
    (result,) = runs.glob("result-hier-*")
    assert scores(result) == scores(suite.result())


def test_other_levels(suite):
    section = command("run", "level=section", *suite.words)
    assert section.status == 0, section
    assert section.out.count("finished before") == 1
    classes = command("run", "level=class", *suite.words)
    assert classes.status == 0, classes
    assert classes.out.count("finished before") == 8
    assert "Accuracy by setting" in classes.out


def test_flat(suite):
    outcome = command("run", "level=flat", *suite.words)
    assert outcome.status == 0, outcome
    (folder,) = (suite.runs / "bertcnn").glob("result-flat-*")
    content = scores(folder)
    (node,) = (suite.runs / "bertcnn").glob("flat-*")
    frame = pq.read_table(node / "predictions.parquet")
    labels = json.loads(frame.schema.metadata[b"labels"])
    test = frame.to_pandas().query("part == 'test'")
    hits = [labels[row.argmax()] == target for row, target in zip(test["log_prob"], test["target"], strict=True)]
    assert content["flat_accuracy"]["value"] == pytest.approx(np.mean(hits))
    shutil.rmtree(node)
    shutil.rmtree(folder)


def test_sweep_over_a_setting_prints_a_table(suite, tmp_path):
    words = [*TINY, f"runs_dir={tmp_path / 'runs'}", f"cache_dir={suite.cache}"]
    words.remove("model.num_last_layers=2")
    outcome = command("run", "-m", "level=node", "node=D", "model.num_last_layers=1,2", *words)
    assert outcome.status == 0, outcome
    assert len(list((tmp_path / "runs" / "bertcnn").glob("D-*"))) == 2
    table = outcome.out[outcome.out.index("Accuracy by setting") :].splitlines()
    assert [line.split()[0] for line in table if " D " in line] == ["1", "2"]

    mixed = command("run", "-m", "level=node", "node=D", "model.num_last_layers=2,9", *words)
    assert mixed.status == 2
    assert mixed.err.count("\n") == 1
    assert mixed.err.startswith("error: model.num_last_layers=9 failed: ")


def test_several_seeds_give_several_results(suite):
    outcome = command("run", "-m", "level=hier", "seed=1,2", *suite.words)
    assert outcome.status == 0, outcome
    results = sorted((suite.runs / "bertcnn").glob("result-hier-*"), key=lambda path: scores(path)["seed"])
    assert [scores(path)["seed"] for path in results] == [1, 2]
    assert outcome.out.count("in the layout of the paper's Table 2") == 2
    assert outcome.out.count("Results by setting") == 1
    for path in (suite.runs / "bertcnn").glob("*-*"):
        if json.loads((path / "manifest.json").read_text("utf-8"))["seed"] == 2:
            shutil.rmtree(path)


def test_corpus_with_some_sections_only(tmp_path):
    symbols = {"A01B1/00": 30, "A23L1/00": 30, "B60K1/00": 30, "B65D1/00": 30, "C07D1/00": 30}
    raw = write_csv(tmp_path / "small.csv", symbols)
    words = ["data=gazette", f"data.path={raw}", *TINY[1:], f"runs_dir={tmp_path / 'r'}", f"cache_dir={tmp_path / 'c'}"]
    outcome = command("run", "level=hier", *words)
    assert outcome.status == 0, outcome
    for section in "DEFGH":
        assert f"the corpus has no training document of section {section}" in outcome.out
    assert "C: one class only (C07); its classifier is constant" in outcome.out
    (folder,) = (tmp_path / "r" / "bertcnn").glob("result-hier-*")
    content = scores(folder)
    assert content["absent_sections"] == list("DEFGH")
    assert content["constant_sections"] == ["C"]
    assert content["local_accuracy"]["C"]["value"] == 1
    assert command("aggregate", *words).status == 0

    alone = command("run", "level=node", "node=H", *words)
    assert alone.status == 1
    assert alone.err.count("\n") == 1
    assert "node=H" in alone.err

    renamed = raw.rename(tmp_path / "renamed.csv")
    os.utime(renamed, (0, 0))
    again = command("run", "level=hier", *words, f"data.path={renamed}")
    assert again.status == 0, again
    assert again.out.count("finished before") == 4
