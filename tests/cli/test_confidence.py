import csv
import re
import shutil

import pytest

from patent_hier.artifacts import find_damage
from patent_hier.atomic import read_json
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
    rows = dict(re.findall(r"^\| (60|70|80|90|95|99) \| ([\d.]+) \|", text, re.MULTILINE))
    assert rows == {
        f"{100 * float(target):.0f}": f"{100 * one['levels'][depth]['coverage']:.1f}"
        for target, one in own.measured["targets"].items()
        if float(target) in (0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
    }
    assert f"thresholds of {own.documents} others" in text
    for node, temperatures in own.temperatures.items():
        for level, temperature in temperatures.items():
            name = f"node {node}" if len(temperatures) == 1 else f"node {node}, {level}"
            assert re.search(rf"^\| {name} \| {temperature:.2f} \|", text, re.MULTILINE)
    assert str(made.folder) not in text


@pytest.mark.parametrize(("depth", "level"), [("class", "flat"), ("subgroup", "shared")])
def test_the_numbers_are_those_of_predict(made, depth, level, tmp_path):
    """Coverage and accuracy of the command on the test documents themselves."""
    made = made._replace(depth=depth)
    model = made.result("textcnn", level)
    own = made.predictions("textcnn", level)
    targets = HierarchicalClassifier.from_pretrained(model).calibration.measured["targets"]
    texts = made.texts()
    file = tmp_path / "test.txt"
    file.write_text("\n".join(texts[name] for name in own.document_ids), "utf-8")
    for target in ("0.5", "0.6", "0.8"):
        words = ("--target-accuracy", target, "--output", tmp_path / "out.csv", "--overwrite")
        assert command("predict", model, file, *words).status == 0
        lines = list(csv.DictReader((tmp_path / "out.csv").read_text("utf-8-sig").splitlines()))
        for scores in own.levels:
            reached = targets[f"{float(target):.2f}"]["levels"][scores.level]
            answered = [
                (line["label"], true)
                for line, true in zip(lines, scores.targets, strict=True)
                if line["decision"] == scores.level
            ]
            assert len(answered) == round(reached["coverage"] * len(lines))
            known = [(label, true) for label, true in answered if true is not None]
            if known:
                right = sum(label == true for label, true in known)
                assert right / len(known) == pytest.approx(reached["accuracy"]["value"])


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
    assert "holds no confidence" in refused.err


def test_the_figure():
    curve = [(0.25, 0.0), (0.5, 0.1), (1.0, 0.4)]
    first, second = (risk_coverage({"class": curve, "section": curve}, (0.9,)) for _ in range(2))
    assert first == second
    assert first.alt == (
        "Wrong answers by the share of documents that are answered. class: 10.0 % of the surer half, 40.0 % of all; "
        "section: 10.0 % of the surer half, 40.0 % of all."
    )
