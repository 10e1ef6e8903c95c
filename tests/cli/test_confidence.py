import csv
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest

from patent_hier.artifacts import find_damage
from patent_hier.atomic import read_json
from patent_hier.evaluation.selective import Answers, Thresholds, measure
from patent_hier.evaluation.system import scaled
from patent_hier.inference.classifier import HierarchicalClassifier
from patent_hier.report.figures import risk_coverage
from tests.commands import command
from tests.inference.worlds import world


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return world(tmp_path_factory)


@pytest.mark.parametrize("depth", ["class", "subgroup"])
def test_what_is_printed_and_written(made, depth, tmp_path):
    model = made._replace(depth=depth).result("linear", "hier")
    outcome = command("confidence", model, "--output", tmp_path / "out")
    assert (outcome.status, outcome.err) == (0, "")
    assert "demo data: not comparable with the paper" in outcome.out
    assert {file.name for file in (tmp_path / "out").iterdir()} == {
        *("confidence.json", "confidence.md", "manifest.json"),
        *("risk_coverage.svg", "risk_coverage.png"),
    }
    assert find_damage(tmp_path / "out") is None
    own = HierarchicalClassifier.from_pretrained(model).calibration
    assert read_json(tmp_path / "out" / "confidence.json") == own.as_dict()
    text = (tmp_path / "out" / "confidence.md").read_text("utf-8")
    rows = re.findall(r"^\| (\d+) \| (\w[\w ]*) \| ([\d.]+) \| [^|]* \| ([\d.]*) \|$", text, re.MULTILINE)
    expected = []
    for target in ("0.60", "0.70", "0.80", "0.90", "0.95", "0.99"):
        one, asked, deeper = own.measured["targets"][target], f"{100 * float(target):.0f}", 0.0
        for level, reached in reversed(one["levels"].items()):
            deeper += reached["coverage"]
            expected.append((asked, level, f"{100 * reached['coverage']:.1f}", f"{100 * deeper:.1f}"))
        expected.append((asked, "all answers", f"{100 * one['answered']['coverage']:.1f}", ""))
        expected.append((asked, "no answer", f"{100 * one['undecided']:.1f}", ""))
    assert rows == expected
    for level, share in own.measured["three_guesses"].items():
        assert re.search(rf"^\| {level} \| [\d.]+ \| {100 * share:.1f} \|", text, re.MULTILINE)
    assert f"thresholds chosen on {own.documents} calibration documents" in text
    assert "With 95 % confidence, at least the target share is right" in text
    assert (
        "99 % cannot be guaranteed with 95 % confidence, so nothing is answered: this takes 299 calibration documents"
        in text
    )
    assert f"has only {own.documents}; raise split.calibration" in " ".join(outcome.out.split())
    for level, choice in own.choices.items():
        assert re.search(rf"^\| {level} \| {choice.method} \| 0\.\d+ \| 0\.\d+ \| \d\.\d+ \| \d", text, re.MULTILINE)
    for node, scalings in own.scalings.items():
        for level, scaling in scalings.items():
            name = f"node {node}" if len(scalings) == 1 else f"node {node}, {level}"
            assert re.search(rf"^\| {name} \| {scaling.temperature:.2f}", text, re.MULTILINE)
    assert str(made.folder) not in text


@pytest.mark.parametrize(("depth", "level"), [("class", "flat"), ("subgroup", "shared")])
def test_what_is_measured_is_what_predict_does(made, depth, level, tmp_path):
    """At every level, with thresholds that each level's share of the test documents passes."""
    made = made._replace(depth=depth)
    own, texts = made.predictions("textcnn", level), made.texts()
    loaded = HierarchicalClassifier.from_pretrained(made.result("textcnn", level))
    answers = Answers.of(scaled(own, loaded.calibration.scalings[level]))
    limits = [float(np.quantile(answers.confidence[:, place], 0.7)) for place in range(len(answers.levels))]
    thresholds = Thresholds(0.9, dict(zip(answers.levels, limits, strict=True)))
    calibration = replace(loaded.calibration, thresholds=[thresholds])
    HierarchicalClassifier(loaded.system, calibration, loaded.facts).save_pretrained(tmp_path / "model")
    (tmp_path / "test.txt").write_text("\n".join(texts[name] for name in own.document_ids), "utf-8")
    words = ("--target-accuracy", "0.85", "--output", tmp_path / "out.csv")
    outcome = command("predict", tmp_path / "model", tmp_path / "test.txt", *words)
    assert outcome.status == 0
    assert "cannot be guaranteed" not in outcome.out
    lines = list(csv.DictReader((tmp_path / "out.csv").read_text("utf-8-sig").splitlines()))
    reached = measure(answers, thresholds)
    assert sum(one.coverage > 0 for one in reached.levels.values()) >= min(len(limits), 3)
    for scores in own.levels:
        one = reached.levels[scores.level]
        answered = [
            (line["label"], true)
            for line, true in zip(lines, scores.targets, strict=True)
            if line["decision"] == scores.level
        ]
        assert len(answered) == round(one.coverage * len(lines))
        known = [(label, true) for label, true in answered if true is not None]
        if known:
            right = sum(label == true for label, true in known)
            assert right / len(known) == pytest.approx(one.accuracy.value)


def test_predict_says_why_nothing_is_answered(made, tmp_path):
    (tmp_path / "new.txt").write_text("一种锁\n一种激光测距装置", "utf-8")
    model = made.result("linear", "hier")
    words = ("--target-accuracy", "0.95", "--output", tmp_path / "out.csv")
    outcome = command("predict", model, tmp_path / "new.txt", *words)
    line = "95 % cannot be guaranteed with 95 % confidence, so nothing is answered: this takes 59 calibration documents"
    assert outcome.status == 0
    assert line in outcome.out
    assert "2 undecided" in outcome.out
    assert line in command("predict", model, "--abstract", "一种锁", "--target-accuracy", "0.95").out
    assert "guaranteed" not in command("predict", model, "--abstract", "一种锁").out


def test_an_export_says_the_same(made, tmp_path):
    assert command("export", made.result("linear", "hier"), tmp_path / "model", "--license", "mit").status == 0
    assert command("confidence", tmp_path / "model").out == command("confidence", made.result("linear", "hier")).out


def test_without_calibration(made, tmp_path):
    shutil.copytree(made.runs, tmp_path / "runs")
    for file in tmp_path.rglob("predictions.parquet"):
        file.unlink()
    model = next((tmp_path / "runs" / "linear").glob("result-hier-*"))
    outcome = command("confidence", model)
    assert outcome.status == 2
    assert "has no calibration" in outcome.err
    assert outcome.err.count("\n") == 1
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").touch()
    refused = command("confidence", made.result("linear", "hier"), "--output", tmp_path / "mine")
    assert refused.status == 2
    assert "is not of kind confidence" in refused.err


def test_the_figure():
    curve = [(0.25, 0.0), (0.5, 0.1), (1.0, 0.4)]
    first, second = (risk_coverage({"class": curve, "section": curve}, (0.9,)) for _ in range(2))
    assert first == second
    assert first.alt == (
        "Wrong answers by the share of documents answered. class: 10.0 % of the more confident half, 40.0 % of all; "
        "section: 10.0 % of the more confident half, 40.0 % of all."
    )
