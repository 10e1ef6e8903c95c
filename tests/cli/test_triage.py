import csv
import json
import re

import pytest

from patent_hier.evaluation import error_model
from tests.commands import command
from tests.inference.worlds import raw_row, world, write_raw

COLUMNS = ["rank", "row", "document_id", "摘要", "label", "name", "confidence", "error_probability", "reason"]
COLUMNS += ["symbols", "error"]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return world(tmp_path_factory)


@pytest.fixture
def new(made, tmp_path, monkeypatch):
    """Sixty documents of the corpus, one without a symbol, and a broken row, in the current folder."""
    monkeypatch.chdir(tmp_path)
    table = made.corpus.table(["document_id", "text", "subgroup", "main_group"]).slice(0, 60).to_pydict()
    rows = [
        raw_row(publication_number=name, abstract=text.replace(",", "，"), symbols=subgroup or group)
        for name, text, subgroup, group in zip(*table.values(), strict=True)
    ]
    rows[4:4] = ["broken", raw_row(publication_number="CN1A", abstract="=HYPERLINK(1)一种锁")]
    return write_raw(tmp_path / "new.csv", *rows)


def read(path):
    return list(csv.DictReader(path.read_text("utf-8-sig").splitlines()))


def test_the_order_of_review(made, new, tmp_path):
    model, cache = made.result("linear", "hier"), made.folder / "cache"
    outcome = command("triage", model, "new.csv", "--cache-dir", cache, "--top", "2")
    assert (outcome.status, outcome.err) == (0, "")
    lines = read(tmp_path / "new.triage.csv")
    assert list(lines[0]) == COLUMNS
    assert [line["rank"] for line in lines] == [*map(str, range(1, 62)), ""]
    assert sorted(int(line["row"]) for line in lines) == list(range(1, 63))
    errors = [float(line["error_probability"]) for line in lines[:-1]]
    assert errors == sorted(errors, reverse=True)
    assert (lines[-1]["error"], lines[-1]["row"], lines[-1]["label"]) == ("too_few_fields", "5", "")
    (hostile,) = [line for line in lines if line["row"] == "6"]
    assert hostile["摘要"].startswith("'=")
    said = [line for line in outcome.out.splitlines() if not line.startswith("calibration documents")]
    assert any("plain confidence orders the documents: 25 calibration documents" in line for line in said)
    assert re.search(rf"^   1  {lines[0]['document_id']}  {lines[0]['label']}, \d+ % likely wrong", outcome.out, re.M)
    assert said[-1] == "61 documents, 1 row with errors (1 too_few_fields): new.triage.csv"
    wrong = sum(line["symbols"][:3] != line["label"] for line in lines[:-1] if line["symbols"])
    assert f"{wrong} of 60 documents with a true symbol have a wrong answer:" in said
    found = [line for line in said if line.startswith("  by ")]
    assert re.fullmatch(
        r"  by triage: [\d.]+ % \([\d.]+-[\d.]+\) of these in the first 10 %, .* in the first 20 %", found[0]
    )
    assert found[1].startswith("  by plain confidence: ")
    assert found[2] == "  by chance: 10 and 20 %"


def test_an_error_model_from_either_source(made, new, tmp_path, monkeypatch):
    monkeypatch.setattr(error_model, "LEAST_DOCUMENTS", 10)
    monkeypatch.setattr(error_model, "LEAST_OF_EACH", 2)
    monkeypatch.setattr(error_model, "_standard_error", lambda *given: -1.0)
    model = made.result("combination", "flat")
    for cache in (made.folder / "cache", tmp_path / "none"):
        outcome = command("triage", model, new, "--cache-dir", cache, "--output", f"{cache.name}.jsonl")
        assert (outcome.status, outcome.err) == (0, "")
        assert "an error model orders the documents; cross-validated on 25 calibration documents" in outcome.out
        rows = [json.loads(line) for line in (tmp_path / f"{cache.name}.jsonl").read_text("utf-8").splitlines()]
        assert rows[-1] == {"row": 5, "document_id": "5", "text": {"摘要": "broken"}, "error": "too_few_fields"}
        assert [row["rank"] for row in rows[:-1]] == list(range(1, 62))
        assert {*rows[0]} == {*COLUMNS, "text"} - {"摘要", "error"}


def test_an_export_without_its_corpus_goes_by_plain_confidence(made, new, tmp_path):
    assert command("export", made.result("linear", "hier"), tmp_path / "model").status == 0
    outcome = command("triage", tmp_path / "model", new, "--output", "-")
    assert outcome.status == 0
    assert outcome.out.startswith("\ufeffrank,row,document_id,")
    assert "plain confidence orders the documents: the model has no calibration documents here" in outcome.err
    lines = list(csv.DictReader(outcome.out.removeprefix("\ufeff").splitlines()))
    for line in lines[:-1]:
        total = float(line["confidence"]) + float(line["error_probability"])
        assert total == pytest.approx(1, abs=1e-5)


def test_without_true_symbols_nothing_is_said_of_errors(made, new, tmp_path):
    (tmp_path / "new.txt").write_text("一种锁\n一种门\n", "utf-8")
    outcome = command("triage", made.result("linear", "hier"), "new.txt", "--cache-dir", tmp_path / "none")
    assert outcome.status == 0
    assert "wrong answer:" not in outcome.out
    assert outcome.out.splitlines()[-1] == "2 documents, 0 rows with errors: new.triage.csv"


def test_blocked_places(made, new, tmp_path):
    (tmp_path / "list.csv").write_text("code,reason\nG,x\nH,x\n", "utf-8")
    words = ("--blocked", "list.csv", "--cache-dir", tmp_path / "none")
    outcome = command("triage", made.result("linear", "hier"), new, *words)
    assert outcome.status == 0
    assert "note: 2 places are blocked and never given as an answer: G, H" in outcome.out
    assert not {line["label"][:1] for line in read(tmp_path / "new.triage.csv")} & {"G", "H"}


def test_what_cannot_be_done(made, new, tmp_path):
    model = made.result("linear", "hier")
    (tmp_path / "new.triage.csv").write_text("mine")
    for words, status, said in (
        ((), 2, "new.triage.csv exists; choose another --output, or replace it with --overwrite"),
        (("--output", "new.csv", "--overwrite"), 2, "is the input file"),
        (("--output", "x.csv", "--top", "-1"), 2, "--top -1 is out of range"),
        (("--output", "x.csv", "--text", "摘要,"), 2, "contains an empty name"),
        (("--output", "x.md"), 2, "ends in neither .csv nor .jsonl"),
    ):
        refused = command("triage", model, new, *words)
        assert (refused.status, refused.err.count("\n")) == (status, 1)
        assert said in refused.err
    write_raw(new, "broken")
    refused = command("triage", model, new, "--output", "x.csv")
    assert (refused.status, refused.err.count("\n")) == (1, 1)
    assert "no row of" in refused.err
    assert not (tmp_path / "x.csv").exists()
    assert (tmp_path / "new.triage.csv").read_text() == "mine"
