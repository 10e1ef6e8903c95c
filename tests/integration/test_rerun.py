"""The same command again: after success, removal, damage, a failure, a kill."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import patent_hier
from patent_hier.artifacts import find_damage
from patent_hier.settings import HIER_NODES
from tests.commands import command, processor_seconds_of_children
from tests.damage import cut, flip
from tests.integration.conftest import contents, place, scores

CHECKOUT = Path(patent_hier.__file__).parents[1]


def test_second_run_trains_nothing_and_needs_no_torch(suite):
    before, result = contents(suite.runs), scores(suite.result())
    code = (
        "import sys; from patent_hier.cli.main import main; status = main(sys.argv[1:]);"
        "print('heavy:', sorted({'torch', 'transformers', 'pytorch_lightning'} & set(sys.modules))); sys.exit(status)"
    )
    start = processor_seconds_of_children()
    done = subprocess.run(
        [sys.executable, "-c", code, "run", "level=hier", *suite.words], capture_output=True, text=True, cwd=CHECKOUT
    )
    assert processor_seconds_of_children() - start < 15
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("heavy: []\n")
    assert done.stdout.count("already finished") == 9
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
    assert not copied.folders("result-*")

    kept = contents(copied.runs)
    again = command("run", "level=hier", *copied.words)
    assert again.status == 0, again
    assert again.out.count("already finished") == 8
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


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("predictions.parquet", flip),
        pytest.param("predictions.parquet", cut, marks=pytest.mark.slow),
        ("model/model.safetensors", cut),
        pytest.param("metrics.json", cut, marks=pytest.mark.slow),
        ("manifest.json", cut),
        pytest.param("model/classifier.json", Path.unlink, marks=pytest.mark.slow),
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


@pytest.mark.slow
@pytest.mark.parametrize(
    "cache", ["corpora/demo-*/corpus.parquet", "splits/random-*/split.parquet", "tokens/*/ids.bin"]
)
def test_damaged_cache_is_made_again(cache, copied):
    (file,) = copied.cache.glob(cache)
    content, predictions = file.read_bytes(), (copied.nodes()["C"] / "predictions.parquet").read_bytes()
    cut(file)
    shutil.rmtree(copied.nodes()["C"])
    outcome = command("run", "level=hier", *copied.words)
    assert outcome.status == 0, outcome
    assert f"{file.parent} is damaged; it is rebuilt" in outcome.out
    assert outcome.out.count("already finished") == 8
    assert file.read_bytes() == content
    assert (copied.nodes()["C"] / "predictions.parquet").read_bytes() == predictions


@pytest.mark.slow
def test_failure_of_one_node_names_it_and_keeps_the_rest(suite, tmp_path, monkeypatch):
    from patent_hier.errors import DataError
    from patent_hier.training import fit

    original = fit.fit_node

    def fit_node(corpus, settings, *more, **options):
        if settings.node == "B":
            raise DataError("the disk of B is full; empty it")
        return original(corpus, settings, *more, **options)

    monkeypatch.setattr(fit, "fit_node", fit_node)
    own = place("bertcnn", shutil.copytree(suite.runs, tmp_path / "runs"), suite.cache)
    for folder in own.folders("[ABr]*-*"):
        shutil.rmtree(folder)
    outcome = command("run", "level=hier", *own.words)
    assert outcome.status == 1
    assert outcome.err == ("error: node=B failed: the disk of B is full; empty it; the other 8 of 9 are kept\n")
    assert set(own.nodes()) == set(HIER_NODES) - {"B"}
    assert not own.folders("result-*")


@pytest.mark.slow
def test_killed_run_goes_on_where_it_was(suite, tmp_path):
    words = place("bertcnn", tmp_path / "runs", suite.cache).words
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
    assert all(find_damage(path) is None for path in finished)
    partial = {path: value for path, value in before.items() if ".partial-" in str(path)}

    outcome = command("run", "level=hier", *words)
    assert outcome.status == 0, outcome
    assert outcome.out.count("already finished") == len(finished)
    after = contents(tmp_path / "runs")
    assert {path: after[path] for path in before.keys() - partial.keys()} == {
        path: value for path, value in before.items() if path not in partial
    }
    assert not list(runs.glob(".partial-*"))
    (result,) = runs.glob("result-hier-*")
    resumed, whole = scores(result), scores(suite.result())
    assert resumed == whole
