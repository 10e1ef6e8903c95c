import csv
import json
import math
import re

import pytest

from patent_hier.artifacts import find_damage
from patent_hier.atomic import read_json
from patent_hier.cli.drift import DRIFT_STATUS
from patent_hier.report import figures
from tests.commands import command
from tests.inference.worlds import raw_row, world, write_raw

ENGLISH = "Method and device for measuring a distance by laser, number {}"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return world(tmp_path_factory)


@pytest.fixture(scope="module")
def model(made):
    return made.result("linear", "hier")


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder; figures are not drawn, which takes seconds."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(figures, "drift", lambda *_: figures.Rendered("drift", b"<svg/>", b"", "drawn."))
    return tmp_path


def held_out(made, n=100):
    """Documents like those of calibration; the symbols that they have."""
    test = made.predictions("linear", "root")
    texts = made.texts()
    return [texts[name] for name in test.document_ids][:n]


def test_no_drift(made, model, tmp_path, monkeypatch):
    here = tmp_path
    monkeypatch.chdir(here)
    texts = held_out(made)
    rows = [raw_row(abstract=text, application_date="2019.07.09", symbols="G01S17/08") for text in texts]
    write_raw(here / "week.csv", *rows, raw_row(abstract=texts[0]), "broken")
    outcome = command("drift", model, "week.csv")
    assert (outcome.status, outcome.err) == (0, "")
    assert "characters rare in training" in outcome.out
    assert "Accuracy of the first path for documents in week.csv with known symbols" in " ".join(outcome.out.split())
    assert "1 row without a readable text: 1 too_few_fields" in outcome.out
    assert f"1 of {len(texts) + 1} documents have no date and are in no month" in outcome.out
    assert outcome.out.splitlines()[-1] == "no drift found: week.drift"
    folder = here / "week.drift"
    assert {file.name for file in folder.iterdir()} == {
        *("drift.json", "drift.csv", "manifest.json"),
        *("drift.svg", "drift.png", "drift.zh.svg", "drift.zh.png"),
    }
    assert find_damage(folder) is None
    facts = read_json(folder / "drift.json")
    assert facts["is_drift"] is False
    assert facts["all"]["documents"] == len(texts) + 1
    assert facts["months"]["2019-07"]["documents"] == len(texts)
    assert facts["all"]["accuracy"]["class"]["n_documents"] == len(texts)
    assert facts["rows_without_text"] == {"too_few_fields": 1}
    assert str(made.folder) not in (folder / "drift.json").read_text("utf-8")
    with (folder / "drift.csv").open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    assert {line["period"] for line in lines} == {"all", "2019-07"}
    told = {line["measure"]: float(line["value"] or "nan") for line in lines if line["period"] == "all"}
    for one in facts["all"]["measures"]:
        assert told[one["measure"]] == one["now"] or (one["now"] is None and math.isnan(told[one["measure"]]))
    assert told["accuracy.class"] == facts["all"]["accuracy"]["class"]["value"]


def test_drift_has_a_status_of_its_own(made, model, here):
    rows = [raw_row(abstract=text, publication_date="2019-06-30") for text in held_out(made)]
    rows += [raw_row(abstract=ENGLISH.format(number), publication_date="2019-07-01") for number in range(120)]
    content = write_raw(here / "all.csv", *rows).read_text("utf-8").replace("申请日,", "备注,")
    (here / "all.csv").write_text(content, "utf-8")
    outcome = command("drift", model, "all.csv", "--output", "out")
    assert (outcome.status, outcome.err) == (DRIFT_STATUS, "")
    assert "Latin letters" in outcome.out.splitlines()[-1]
    assert outcome.out.splitlines()[-1].startswith("drift found in ")
    assert outcome.out.splitlines()[-1].endswith("; months that differ: 2019-07: out")
    assert "Accuracy" not in outcome.out
    assert "right" not in outcome.out
    facts = read_json(here / "out" / "drift.json")
    alarmed = {one["measure"] for one in facts["all"]["measures"] if one["is_alarm"]}
    assert {"latin", "bigrams"} <= alarmed
    assert not any(one["is_alarm"] for one in facts["months"]["2019-06"]["measures"])
    assert facts["all"]["strange"]["latin"] == 120


@pytest.mark.slow
def test_equal_files_give_equal_numbers(made, model, here):
    (here / "a.txt").write_text("\n".join(held_out(made)), "utf-8")
    outs = []
    for name in ("first", "second"):
        assert command("drift", model, "a.txt", "--output", name).status == 0
        outs.append({file: (here / name / file).read_bytes() for file in ("drift.json", "drift.csv", "drift.svg")})
    assert outs[0] == outs[1]
    assert json.loads(outs[0]["drift.json"])["months"] == {}


@pytest.mark.slow
def test_options(made, model, here):
    rows = ["文本,日子,类", *(f"{text.replace(',', '，')},2018-01-02,G01S17/08" for text in held_out(made))]
    (here / "t.csv").write_text("\n".join(rows), "utf-8")
    words = ("--text", "文本", "--date", "日子", "--symbols", "类", "--batch-size", "7", "--output", "out")
    outcome = command("drift", model, "t.csv", *words)
    assert outcome.status == 0
    assert "note: linear was trained on 摘要 but now reads 文本" in outcome.out + outcome.err
    facts = read_json(here / "out" / "drift.json")
    assert list(facts["months"]) == ["2018-01"]
    assert facts["text"] == ["文本"]
    assert facts["all"]["accuracy"]["section"]["n_documents"] == len(rows) - 1


def test_labels_that_come_and_go_are_named(made, model, here):
    (common,) = held_out(made, 1)
    (here / "one.txt").write_text("\n".join(f"{common}{number}" for number in range(150)), "utf-8")
    outcome = command("drift", model, "one.txt")
    assert outcome.status == DRIFT_STATUS
    assert re.search(r"^predicted section: [A-H] [\d.]+ to 100\.0 %, ", outcome.out, re.MULTILINE)


def test_few_documents_are_told_and_not_judged(model, here):
    (here / "few.txt").write_text("一種鎖\n一種門", "utf-8")
    outcome = command("drift", model, "few.txt")
    assert outcome.status == 0
    assert "2 documents are too few for a verdict; collect at least 100" in outcome.out


def test_an_existing_folder_is_kept(model, here):
    (here / "few.txt").write_text("一种锁", "utf-8")
    assert command("drift", model, "few.txt").status == 0
    refused = command("drift", model, "few.txt")
    assert (refused.status, refused.out) == (2, "")
    assert "few.drift exists; choose another --output, or replace it with --overwrite" in refused.err
    assert command("drift", model, "few.txt", "--overwrite").status == 0
    (here / "mine").mkdir()
    (here / "mine" / "thesis.txt").touch()
    refused = command("drift", model, "few.txt", "--output", "mine", "--overwrite")
    assert (refused.status, refused.out) == (2, "")
    assert "is not of kind drift" in refused.err
    assert [file.name for file in (here / "mine").iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("-",), "standard input needs --output"),
        (("few.txt", "--batch-size", "0"), "--batch-size 0 is out of range"),
        (("few.txt", "--applicant", "申请人"), "reads only the text"),
        (("few.csv", "--date", "日子"), "has no column 日子"),
        (("nothing.csv",), "nothing.csv"),
        (("few.txt", "--text", "a,,b"), "contains an empty name"),
    ],
)
def test_what_cannot_be_done(model, here, words, said):
    (here / "few.txt").write_text("一种锁", "utf-8")
    write_raw(here / "few.csv", raw_row(abstract="一种锁"))
    outcome = command("drift", model, *words)
    assert outcome.status in (1, 2)
    assert outcome.out == ""
    assert said in outcome.err
    assert outcome.err.count("\n") == 1
    assert {file.name for file in here.iterdir()} == {"few.txt", "few.csv"}


def test_no_row_with_a_text(model, here):
    write_raw(here / "bad.csv", "broken", "broken")
    outcome = command("drift", model, "bad.csv")
    assert (outcome.status, outcome.out) == (1, "")
    assert "2 too_few_fields" in outcome.err
    assert not (here / "bad.drift").exists()


def test_help_names_the_status():
    outcome = command("drift", "--help")
    assert outcome.status == 0
    assert f"{DRIFT_STATUS} drift in FILE" in outcome.out
