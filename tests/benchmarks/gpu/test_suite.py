import json
import math
from dataclasses import replace

import pytest
import torch

from benchmarks.architecture import Architecture
from benchmarks.gpu import suite
from benchmarks.gpu.check import AMOUNTS, Check, made_up
from benchmarks.gpu.commands import Ended
from benchmarks.gpu.steps import DONE, FAILED, SKIPPED, Clock, Found, Outcome, run_steps
from benchmarks.plan.machines import H200
from benchmarks.plan.records import Record, find_records
from benchmarks.speed.rows import Row
from patent_hier.cli.compose import compose_settings
from tests.benchmarks.test_main import benchmark

QUICK = ("machine", "training", "resume", "hours", "tests", "hier")  # the others are rehearsed by the slow test
PAPER = ("encoder=demo", "experiment=paper", "trainer.precision=bf16-mixed")
FACTS = {"size": "tiny", "device": "cpu", "note": "A note."}


@pytest.fixture(scope="module")
def texts():
    return made_up(300)


@pytest.fixture
def check(texts, tmp_path, monkeypatch):
    sizes = {"demo": Architecture(16, 4, 2, 32, 8192)}
    monkeypatch.setattr("benchmarks.speed.subjects.SIZES", sizes)
    paper = {
        level: compose_settings([*PAPER, f"level={level}", f"cache_dir={tmp_path}"]) for level in ("hier", "shared")
    }
    clock = Clock(500)
    return Check(
        AMOUNTS["tiny"], clock, paper=paper, words=(), data="the demo corpus", runs=tmp_path,
        run=lambda *_: Ended(0, "3 skipped in 1s"), **texts,
    )  # fmt: skip


def steps(*names):
    return [step for step in suite.STEPS if step.name in names]


@pytest.mark.slow
def test_rehearsal_of_the_steps_that_come_first(check, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    folder = tmp_path / "gpu-check"
    outcomes = run_steps(
        steps(*QUICK), check, check.clock, lambda so_far: suite.write(check, folder, FACTS, so_far), lambda _: None
    )
    assert [(one.name, one.status, one.reason) for one in outcomes] == [(name, DONE, "") for name in QUICK]
    found = {one.name: one.found for one in outcomes}
    assert found["machine"].facts["attention"]["math"] == {"runs": True, "with padding": True}
    assert found["resume"].facts["bit_for_bit"]
    assert [row["utilisation"] for row in found["training"].facts["rows"]] == [None, None]
    assert "not known for this processor" in found["training"].text
    hours = found["hours"].facts
    assert hours["hier"]["training_on"].startswith("cpu")
    assert hours["hier"]["level_1"] + hours["hier"]["level_2"] > 1.5 * hours["shared"]["level_1"]
    told = json.loads((folder / "record.json").read_text("utf-8"))
    assert [step["status"] for step in told["steps"]] == [DONE] * len(QUICK)
    assert {file.name for file in folder.iterdir()} == {
        "bench.json", "bench.md", "hier.log", "manifest.json", "record.json", "record.md", "tests.log"
    }  # fmt: skip
    (record,) = (one for one in find_records([], tmp_path) if one.folder == folder)  # the plan reads it
    assert [row["work"] for row in record.rows] == [f"training step, demo size, batches of {size}" for size in (4, 8)]


def test_a_record_of_a_card_projects_its_hours(check):
    row = Row(
        "training step, base size, batches of 24", "documents/s", 4000.0, target=1.5, repeats=1, ratio=1.6,
        facts={"documents": 10, "tokens": 2000, "device_name": "NVIDIA H200", "precision": "bf16-mixed"},
    )  # fmt: skip
    check.rows.append(row)
    paper = ("encoder=bert_base_chinese", *PAPER[1:])
    check = replace(check, paper={"hier": compose_settings([*paper, "level=hier"])})
    (outcome,) = run_steps(steps("hours"), check, check.clock, lambda _: None, lambda _: None)
    hier = outcome.found.facts["hier"]
    assert hier["training_on"] == "NVIDIA H200, bf16-mixed"
    assert hier["level_1"] == pytest.approx(20 * 2_317_701 * 0.85 / 4000 / 3600, rel=0.1)
    assert H200.name in hier["training_on"]


def test_without_a_training_step_no_hours(check):
    (outcome,) = run_steps(steps("hours"), check, check.clock, lambda _: None, lambda _: None)
    assert (outcome.status, outcome.reason[:30]) == (FAILED, "no training step was measured,")


def test_a_run_without_time_records_what_it_skipped(check, tmp_path):
    outcomes = run_steps(
        suite.STEPS, check, Clock(1), lambda so_far: suite.write(check, tmp_path / "r", FACTS, so_far), lambda _: None
    )
    assert {one.status for one in outcomes} == {SKIPPED}
    text = (tmp_path / "r" / "record.md").read_text("utf-8")
    assert text.count("| skipped: too little time") == len(suite.STEPS)
    assert Record.read(tmp_path / "r").rows == []
    assert suite.summary(outcomes).startswith(f"0 done, 0 failed, {len(suite.STEPS)} skipped (machine, training")


def test_numbers_that_are_none_do_not_take_the_record_along(check, tmp_path):
    facts = {"work": "x", "documents": 1, "largest_difference": math.nan}
    check.rows.append(Row("x", "documents/s", 1.0, target=1.0, repeats=1, facts=facts))
    found = Found({"loss": [1.0, math.inf], "tuple": (math.nan,)})
    suite.write(check, tmp_path / "r", FACTS, [Outcome("a", "…", FAILED, 1.0, "a | b", found)])
    told = json.loads((tmp_path / "r" / "record.json").read_text("utf-8"))
    assert told["steps"][0]["facts"] == {"loss": [1.0, None], "tuple": [None]}
    assert "| failed: a / b |" in (tmp_path / "r" / "record.md").read_text("utf-8")


def test_all_fit_into_nine_minutes():
    assert sum(step.seconds for step in suite.STEPS) <= 9 * 60 - 20  # what importing and generating takes


@pytest.mark.slow
@pytest.mark.timeout(900)  # two of its steps are processes of their own, and a busy machine makes them slow
def test_the_whole_rehearsal(tmp_path):
    words = (f"runs_dir={tmp_path}/runs", f"cache_dir={tmp_path}/cache")
    done = benchmark("gpu", "--size", "tiny", "--output", tmp_path / "out", *words)
    assert (done.status, done.err) == (0, "")
    told = json.loads((tmp_path / "out" / "record.json").read_text("utf-8"))
    assert [step["status"] for step in told["steps"]] == [DONE] * len(suite.STEPS)
    facts = {step["name"]: step["facts"] for step in told["steps"]}
    assert facts["tests"]["skipped" if not torch.cuda.is_available() else "passed"] >= 3
    assert len(facts["hier"]["networks"]) == 9
    assert "in the layout of the paper's Table 2" in (tmp_path / "out" / "record.md").read_text("utf-8")
