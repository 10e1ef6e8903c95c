"""Other levels, sweeps, and a corpus that lacks sections."""

import os
import shutil

import pytest

from tests.commands import command, write_csv
from tests.integration.conftest import place, read, scores


def test_other_levels(suite):
    section = command("run", "level=section", *suite.words)
    assert section.status == 0, section
    assert section.out.count("already finished") == 1
    classes = command("run", "level=class", *suite.words)
    assert classes.status == 0, classes
    assert classes.out.count("already finished") == 8
    assert "Accuracy by setting" in classes.out


def test_sweep_over_a_setting_prints_a_table(suite, tmp_path):
    words = place("bertcnn", tmp_path / "runs", suite.cache).words
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


@pytest.mark.slow
def test_several_seeds_give_several_results(suite):
    outcome = command("run", "-m", "level=hier", "seed=1,2", *suite.words)
    assert outcome.status == 0, outcome
    results = sorted(suite.folders("result-hier-*"), key=lambda path: scores(path)["seed"])
    assert [scores(path)["seed"] for path in results] == [1, 2]
    assert outcome.out.count("in the layout of the paper's Table 2") == 2
    assert outcome.out.count("Accuracy by setting;") == 1
    for path in suite.folders("*-*"):
        if read(path, "manifest.json")["seed"] == 2:
            shutil.rmtree(path)


def test_corpus_with_some_sections_only(tmp_path):
    symbols = {"A01B1/00": 30, "A23L1/00": 30, "B60K1/00": 30, "B65D1/00": 30, "C07D1/00": 30}
    raw = write_csv(tmp_path / "small.csv", symbols)
    own = place("bertcnn", tmp_path / "r", tmp_path / "c")
    words = ["data=gazette", "encoder=demo", f"data.path={raw}", *(word for word in own.words if "rows" not in word)]
    outcome = command("run", "level=hier", *words)
    assert outcome.status == 0, outcome
    for section in "DEFGH":
        assert f"the corpus has no training document below {section}" in outcome.out
    assert "C: only one label at each level (C07), so its classifier is constant" in outcome.out
    content = scores(own.result())
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
    assert again.out.count("already finished") == 4
