"""Other levels, sweeps, and a corpus that lacks sections."""

import json
import os
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.commands import TINY, command, write_csv
from tests.integration.conftest import scores


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
    tree = json.loads(frame.schema.metadata[b"tree"])
    labels = tree["codes"][8:]  # of the demo corpus all eight sections are there
    test = frame.to_pandas().query("part == 'test'")
    hits = [
        labels[row.argmax()] == target for row, target in zip(test["class.log_prob"], test["class.target"], strict=True)
    ]
    assert content["levels"]["class"]["accuracy"]["value"] == pytest.approx(np.mean(hits))
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
    assert outcome.out.count("Accuracy by setting;") == 1
    for path in (suite.runs / "bertcnn").glob("*-*"):
        if json.loads((path / "manifest.json").read_text("utf-8"))["seed"] == 2:
            shutil.rmtree(path)


def test_corpus_with_some_sections_only(tmp_path):
    symbols = {"A01B1/00": 30, "A23L1/00": 30, "B60K1/00": 30, "B65D1/00": 30, "C07D1/00": 30}
    raw = write_csv(tmp_path / "small.csv", symbols)
    words = [
        "data=gazette",
        "encoder=demo",
        f"data.path={raw}",
        *TINY[1:],
        f"runs_dir={tmp_path / 'r'}",
        f"cache_dir={tmp_path / 'c'}",
    ]
    outcome = command("run", "level=hier", *words)
    assert outcome.status == 0, outcome
    for section in "DEFGH":
        assert f"the corpus has no training document below {section}" in outcome.out
    assert "C: one label only at each level (C07); its classifier is constant" in outcome.out
    (folder,) = (tmp_path / "r" / "bertcnn").glob("result-hier-*")
    content = scores(folder)
    assert content["absent_labels"] == list("DEFGH")
    assert content["constant_labels"] == ["C"]
    assert content["levels"]["class"]["local"]["C"]["value"] == 1
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
