import csv
import json
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import openpyxl
import pytest

from patent_hier.cli.answers import show_prediction
from patent_hier.inference.classifier import HierarchicalClassifier
from patent_hier.inference.results import Decision, LabelPath, LabelScore, Prediction, Step
from patent_hier.settings import FLAT
from patent_hier.taxonomy.names import name_of
from tests.commands import command
from tests.inference.worlds import raw_row, world, write_raw

ABSTRACT = "一种激光测距装置"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return world(tmp_path_factory)


@pytest.fixture
def new(tmp_path, monkeypatch):
    """A small file to classify, in the current folder."""
    monkeypatch.chdir(tmp_path)
    rows = [
        raw_row(publication_number="CN106888000A", title="一种锁", abstract=ABSTRACT, symbols="G01S17/08"),
        raw_row(publication_number="CN106888001A", title="一种门", abstract=ABSTRACT),
        "broken",
    ]
    return write_raw(tmp_path / "new.csv", *rows, encoding="gb18030")


def read(path):
    return list(csv.DictReader(path.read_text("utf-8-sig").splitlines()))


def test_default_output(made, new, tmp_path):
    outcome = command("predict", made.result("linear", "hier"), "new.csv")
    assert (outcome.status, outcome.err) == (0, "")
    lines = read(tmp_path / "new.predicted.csv")
    assert [line["error"] for line in lines] == ["", "", "too_few_fields"]
    accuracy, last = outcome.out.splitlines()
    hit = 100.0 * (lines[0]["class_1"] == "G01")
    assert f"class {hit:.1f} % (" in accuracy
    assert accuracy.endswith(
        "1 document with a true symbol, 1 without a readable one; documents seen in training make this too high"
    )
    assert re.fullmatch(
        r"2 documents, 1 row with errors \(1 too_few_fields\), [\d.]+ s, [\d,]+ documents/s: new\.predicted\.csv", last
    )
    assert (tmp_path / "new.predicted.csv").read_bytes().startswith(b"\xef\xbb\xbfrow,")
    assert {path.name for path in tmp_path.iterdir()} == {"new.csv", "new.predicted.csv"}


def test_options(made, new, tmp_path):
    words = ("--output", "out/x.csv", "--top-k", "1", "--text", "专利名称,摘要", "--batch-size", "1")
    outcome = command("predict", made.result("combination", "flat"), new, *words)
    assert (outcome.status, outcome.err) == (0, "")
    assert "note: combination was trained on 摘要 but now reads 专利名称,摘要" in outcome.out
    lines = read(tmp_path / "out" / "x.csv")
    columns = ["row", "document_id", "专利名称", "摘要", "decision", "label", "name", "confidence"]
    columns += ["section_1", "section_probability_1", "class_1", "probability_1", "strange", "error"]
    assert list(lines[0]) == columns
    assert lines[0]["专利名称"] == "一种锁"


def test_an_existing_output_is_kept(made, new, tmp_path):
    output = tmp_path / "new.predicted.csv"
    output.write_text("mine")
    model = made.result("textcnn", "flat")
    refused = command("predict", model, new)
    assert (refused.status, refused.out) == (2, "")
    assert "new.predicted.csv exists; choose another --output, or replace it with --overwrite" in refused.err
    assert output.read_text() == "mine"
    assert command("predict", model, new, "--overwrite").status == 0
    assert len(read(output)) == 3
    before = new.read_bytes()
    for name in (new, f"../{tmp_path.name}/new.csv"):
        refused = command("predict", model, new, "--overwrite", "--output", name)
        assert refused.status == 2
        assert "is the input file" in refused.err
    assert new.read_bytes() == before


def test_standard_output_has_the_table_only(made, new, tmp_path):
    """In a process of its own: encoding and streams are the shell's, and Lightning is never imported."""
    script = "import sys; from patent_hier.cli.main import main; s = main(sys.argv[1:]); "
    check = "assert not {m for m in sys.modules if m.startswith('pytorch_lightning')}; sys.exit(s)"
    words = ["predict", made.result("linear", "hier"), new, "--output", "-"]
    done = subprocess.run(
        [sys.executable, "-c", script + check, *map(str, words)],
        capture_output=True,
        check=False,
        env={"PYTHONIOENCODING": "ascii", "PYTHONPATH": ":".join(sys.path), "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(b"\xef\xbb\xbfrow,document_id,")
    lines = list(csv.DictReader(done.stdout.decode("utf-8-sig").splitlines()))
    assert [line["摘要"] for line in lines] == [ABSTRACT, ABSTRACT, "broken"]
    assert b"2 documents, 1 row with errors" in done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"new.csv"}


def test_a_deep_system_tells_the_accuracy_of_every_level(made, new, tmp_path):
    outcome = command("predict", made.deep.result("linear", "hier"), "new.csv", "--target-accuracy", "0.6")
    assert (outcome.status, outcome.err) == (0, "")
    for level in ("section", "class", "subclass", "main_group", "subgroup"):
        assert re.search(rf"{level} \d+\.0 % \(", outcome.out)
    assert re.search(
        r"\d with subgroup.*; \d with main_group only.*; \d with section only.*; \d undecided", outcome.out
    )


def test_no_row_predicted(made, new, tmp_path):
    write_raw(new, "broken", "broken")
    outcome = command("predict", made.result("linear", "hier"), new)
    assert (outcome.status, outcome.out) == (1, "")
    assert "no row of" in outcome.err
    assert "2 too_few_fields" in outcome.err
    assert {path.name for path in tmp_path.iterdir()} == {"new.csv"}


def test_traditional_texts_are_told_and_converted(made, new, tmp_path):
    traditional = "本發明公開了一種激光測距裝置，包括殼體與光電探測器"
    write_raw(new, raw_row(abstract=ABSTRACT), raw_row(abstract=traditional))
    outcome = command("predict", made.result("linear", "hier"), new)
    assert "1 of 2 texts has many characters that are rare in training (row 2); probabilities may be" in outcome.out
    assert "use --convert t2s, or train with data.convert=t2s" in outcome.out
    with (tmp_path / "new.predicted.csv").open(encoding="utf-8-sig", newline="") as file:
        assert [line["strange"] for line in csv.DictReader(file)] == ["", "traditional"]
    converted = command("predict", made.result("linear", "hier"), new, "--overwrite", "--convert", "t2s")
    assert "rare in training" not in converted.out
    shown = command("predict", made.result("linear", "hier"), "--abstract", traditional)
    assert "many characters of this text are rare in training" in shown.out


def test_a_sheet_and_a_delimiter_that_are_named(made, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    workbook = openpyxl.Workbook()
    workbook.create_sheet("正文").append(["摘要"])
    workbook["正文"].append([ABSTRACT])
    workbook.save("two.xlsx")
    second = command("predict", made.node("textcnn", FLAT), "two.xlsx", "--sheet", "正文")
    assert "1 document, 0 rows with errors" in second.out
    absent = command("predict", made.node("textcnn", FLAT), "two.xlsx", "--sheet", "x", "--overwrite")
    assert (absent.status, absent.err) == (2, "error: two.xlsx has no sheet x; choose one of Sheet, 正文\n")
    Path("bars.csv").write_text(f"摘要|a,b\n{ABSTRACT}|1,2\n", "utf-8")
    assert command("predict", made.node("textcnn", FLAT), "bars.csv", "--delimiter", "comma").status == 1
    assert command("predict", made.node("textcnn", FLAT), "bars.csv", "--delimiter", "|").status == 0


def test_without_symbols_no_accuracy(made, new, tmp_path):
    write_raw(new, raw_row(abstract=ABSTRACT))
    outcome = command("predict", made.node("textcnn", FLAT), new)
    assert outcome.status == 0
    assert outcome.out.startswith(
        f"no accuracy: {new} has no readable true symbol; name another column with --symbols NAME"
    )
    new.write_text(f"标题,摘要,类\n一种锁,{ABSTRACT},A01B1/00\n", "utf-8")
    unknown = command("predict", made.node("textcnn", FLAT), new, "--overwrite")
    assert f"no accuracy: {new} has no known column of true symbols; name the column with --symbols NAME" in unknown.out
    named = command("predict", made.node("textcnn", FLAT), new, "--overwrite", "--symbols", "类")
    assert "1 document with a true symbol" in named.out
    absent = command("predict", made.node("textcnn", FLAT), new, "--overwrite", "--symbols", "分类")
    assert absent.status != 0
    assert f"{new} has no column 分类; its columns are 标题, 摘要, 类" in absent.err
    new.write_text(f"摘要(中文),IPC主分类号\n{ABSTRACT},A01B1/00\n", "utf-8")
    found = command("predict", made.node("textcnn", FLAT), new, "--overwrite")
    assert (
        "symbols = IPC主分类号, abstract = 摘要(中文), text = 摘要(中文); use --text and --symbols to choose others"
        in found.out
    )
    assert "1 document with a true symbol" in found.out


@pytest.mark.parametrize(
    ("words", "status", "part"),
    [
        (("{model}",), 2, "needs either FILE or --abstract TEXT"),
        ((), 2, "MODEL"),
        (("{model}", "new.csv", "--top-k", "0"), 2, "top_k=0 is out of range"),
        (("{model}", "new.csv", "--top-k", "131"), 2, "use a number from 1 to 130"),
        (("{model}", "new.csv", "--top-k", "x"), 2, "--top-k"),
        (("{model}", "new.csv", "--batch-size", "0"), 2, "--batch-size 0"),
        (("{model}", "new.csv", "--text", "摘要,"), 2, "--text 摘要, contains an empty name"),
        (("{model}", "new.csv", "--text", "正文"), 1, "has no column 正文"),
        (("{model}", "new.csv", "--output", "."), 2, "is a folder"),
        (("{model}", "nowhere.csv"), 1, "nowhere.csv does not exist"),
        (("{model}", "new.csv", "--forced"), 2, "--forced"),
        (("{model}", "new.csv", "--force", "Z"), 2, "label 'Z' does not exist in this system; similar labels are A, B"),
        (
            ("{model}", "new.csv", "--exclude", "A0,B"),
            2,
            "label 'A0' does not exist in this system; similar labels are A, A01, A21",
        ),
        (("{model}", "new.csv", "--force", "A", "--exclude", "A"), 2, "no label is left"),
        (("{model}", "new.csv", "--depth", "subclass"), 2, "level subclass is unknown; this tree has section, class"),
        (("{model}", "new.csv", "--target-accuracy", "2"), 2, "target accuracy 2 is out of range"),
        (("{model}", "new.csv", "--abstract", "一种锁"), 2, "either FILE or --abstract"),
        (("{model}", "new.csv", "--output", "x.xls"), 2, "ends in neither .csv nor .jsonl"),
        (("{model}", "new.pdf"), 1, "new.pdf does not exist"),
        (("{model}", "-"), 2, "standard input needs --output"),
        (("{model}", "--abstract", " "), 1, "text 0 has no words"),
        (("nowhere", "new.csv"), 2, "nowhere holds no finished result"),
        (("{node}", "new.csv"), 1, "without node root"),
    ],
)
def test_misuse_is_one_line(made, new, tmp_path, words, status, part):
    folders = {"model": made.result("textcnn", "flat"), "node": made.node("linear", "A")}
    outcome = command("predict", *(word.format(**folders) for word in words))
    assert outcome.status == status
    assert outcome.err.startswith("error: ")
    assert outcome.err.count("\n") == 1
    assert part in outcome.err
    assert {path.name for path in tmp_path.iterdir()} == {"new.csv"}


def test_help():
    outcome = command("predict", "--help")
    assert outcome.status == 0
    assert all(
        word in outcome.out for word in ("MODEL", "FILE", "--output", "--force", "--top-k", "--text", "--batch-size")
    )
    assert "predict" in command("--help").out


def test_half_precision_is_compared_first_and_told(made, new, tmp_path, monkeypatch):
    model = made.result("textcnn", "flat")
    outcome = command("predict", model, new, "--precision", "bf16-mixed")
    assert (outcome.status, outcome.err) == (0, "")
    lines = outcome.out.splitlines()
    assert lines[0].startswith("bf16-mixed: 2 of 2 documents (100.0 %) have the same first class as in fp32; prob")
    assert re.search(r"documents/s, bf16-mixed: new\.predicted\.csv$", lines[-1])

    (tmp_path / "new.predicted.csv").unlink()
    monkeypatch.setattr("patent_hier.inference.precision.MIN_AGREEMENT", 1.1)
    refused = command("predict", model, new, "--precision", "bf16-mixed")
    assert (refused.status, refused.out) == (2, "")
    assert refused.err.count("\n") == 1
    assert "omit --precision to score in fp32" in refused.err
    assert not (tmp_path / "new.predicted.csv").exists()


def test_half_precision_needs_texts_to_compare(made, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_raw(tmp_path / "new.csv", "broken", encoding="gb18030")
    refused = command("predict", made.result("textcnn", "flat"), "new.csv", "--precision", "bf16-mixed")
    assert refused.status == 1
    assert "none of the first 1024 rows of new.csv has a text" in refused.err


def test_an_engine_is_compared_first_and_told(made, new, tmp_path):
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    model = made.result("textcnn", "flat")
    assert command("predict", model, new, "--output", "plain.csv").status == 0
    outcome = command("predict", model, new, "--engine", "onnx", "--output", "onnx.csv")
    assert (outcome.status, outcome.err) == (0, "")
    lines = outcome.out.splitlines()
    assert lines[0].startswith("onnx: 2 of 2 documents (100.0 %) have the same first class as in torch in fp32; prob")
    assert lines[-1].endswith("documents/s, onnx: onnx.csv")
    assert len(list(Path("cache", "engines").glob("*/network.onnx"))) == 1
    for plain, onnx in zip(*(read(tmp_path / name) for name in ("plain.csv", "onnx.csv")), strict=True):
        for column, value in plain.items():
            assert onnx[column] == value or float(onnx[column]) == pytest.approx(float(value), abs=1e-4)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("new.csv", "--precision", "int8"), "--engine torch does not support --precision int8"),
        (("-", "--output", "-", "--engine", "onnx"), "--engine onnx is first compared with fp32 on FILE; use a file"),
        (("--abstract", ABSTRACT, "--precision", "bf16"), "--precision bf16-mixed is first compared with fp32 on FILE"),
    ],
)
def test_engines_that_cannot_be_used(made, words, message):
    refused = command("predict", made.result("textcnn", "flat"), *words)
    assert (refused.status, refused.out, refused.err.count("\n")) == (2, "", 1)
    assert message in refused.err


def test_a_text_of_the_command_line(made):
    outcome = command("predict", made.result("linear", "hier"), "--abstract", f"{ABSTRACT}\x1b[31m", "--top-k", "2")
    assert (outcome.status, outcome.err) == (0, "")
    assert "\x1b" not in outcome.out
    (expected,) = HierarchicalClassifier.from_pretrained(made.result("linear", "hier")).predict(
        [f"{ABSTRACT}\x1b[31m"], 2
    )
    for path in expected.paths:
        assert f"{path.label}  {100 * path.probability:.1f} %".replace("  ", "") in outcome.out.replace("  ", "")
    assert f"class: {expected.decision.label} {name_of(expected.decision.label)}" in outcome.out


def test_a_text_of_the_command_line_down_to_the_subgroup(made, tmp_path):
    model = made.deep.result("textcnn", "shared")
    (expected,) = HierarchicalClassifier.from_pretrained(model).predict([ABSTRACT], 2, force="G01")
    outcome = command("predict", model, "--abstract", ABSTRACT, "--top-k", "2", "--force", "G01", "--explain")
    assert (outcome.status, outcome.err) == (0, "")
    line = " ".join(outcome.out.split())
    for path in expected.paths:
        *above, last = path.steps
        cells = [*(f"{step.label} {100 * step.probability:.1f} %" for step in above), last.label]
        assert " ".join(cells) in line
    assert f"green supports {expected.paths[0].label}" in line
    assert "within the specified class G01" in line


def test_all_symbols_of_a_text(made):
    model = made.deep.result("linear", "hier")
    (expected,) = HierarchicalClassifier.from_pretrained(model).predict([ABSTRACT], all_symbols=True)
    outcome = command("predict", model, "--abstract", ABSTRACT, "--all-symbols")
    assert (outcome.status, outcome.err) == (0, "")
    line = " ".join(outcome.out.split())
    for level, labels in expected.symbols.items():
        assert (
            f"all symbols at level {level}: "
            + ", ".join(f"{one.label} {100 * one.probability:.1f} %" for one in labels)
            in line
        )


def test_reasons(made, new, tmp_path):
    model = made.result("linear", "hier")
    outcome = command("predict", model, "--abstract", ABSTRACT, "--explain")
    assert (outcome.status, outcome.err) == (0, "")
    assert "green supports" in outcome.out
    refused = command("predict", model, new, "--explain")
    assert refused.status == 2
    assert "--explain cannot write to CSV; use --output OUT.jsonl" in refused.err
    assert command("predict", model, new, "--explain", "--output", tmp_path / "out.jsonl").status == 0
    first = json.loads((tmp_path / "out.jsonl").read_text("utf-8").splitlines()[0])
    (expected,) = HierarchicalClassifier.from_pretrained(model).predict([ABSTRACT], explain=True)
    explanation, own = first["explanation"], expected.explanation
    assert (explanation["text"], explanation["label"]) == (ABSTRACT, own.label)
    assert [(span["start"], span["end"]) for span in explanation["spans"]] == [
        (one.start, one.end) for one in own.spans
    ]
    assert [span["score"] for span in explanation["spans"]] == pytest.approx([one.score for one in own.spans])


@pytest.mark.parametrize("kind", ["csv", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("txt", "jsonl"))])
def test_standard_input(made, tmp_path, kind):
    texts = [ABSTRACT, "", "一种锁"]
    content = {
        "txt": "\n".join(texts),
        "jsonl": "\n".join(json.dumps({"text": text, "id": text}) for text in texts),
        "csv": "\n".join(["摘要", *(f'"{text}"' for text in texts)]),
    }[kind]
    words = ["predict", made.result("linear", "hier"), "-", "--input-format", kind, "--output", "-"]
    done = subprocess.run(
        [sys.executable, "-m", "patent_hier", *map(str, words), "--output-format", "jsonl"],
        input=content.encode(),
        capture_output=True,
        check=False,
        env={"PYTHONPATH": ":".join(sys.path), "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.decode().splitlines()]
    expected = HierarchicalClassifier.from_pretrained(made.result("linear", "hier")).predict([ABSTRACT, "一种锁"])
    assert [line.get("error") for line in lines] == [None, "empty_text", None]
    for line, own in zip((lines[0], lines[2]), expected, strict=True):
        assert line["decision"]["label"] == own.decision.label
        assert line["decision"]["confidence"] == pytest.approx(own.decision.confidence, abs=1e-6)


def test_the_doors_agree(made, new, tmp_path):
    """Command line and Python, of a result and of its export."""
    own = HierarchicalClassifier.from_pretrained(made.result("combination", "hier"))
    own.save_pretrained(tmp_path / "model")
    (expected,) = own.predict([ABSTRACT], target_accuracy=0.6)
    for model in (made.result("combination", "hier"), tmp_path / "model"):
        output = tmp_path / "out.jsonl"
        words = ("--output", output, "--target-accuracy", "0.6", "--overwrite")
        outcome = command("predict", model, new, *words)
        assert (outcome.status, outcome.err) == (0, ""), outcome
        assert "at a target accuracy of 0.6: " in outcome.out
        first = json.loads(output.read_text("utf-8").splitlines()[0])
        assert first["model_version"] == expected.model_version
        assert first["decision"] == pytest.approx(expected.as_dict()["decision"])


def test_an_undecided_answer_is_printed_with_the_likeliest_section(capsys):
    names = SimpleNamespace(of=lambda code: "", nearest=lambda codes: "物理")

    def shown(level, label, reason):
        decision = Decision(level, label, 0.544, 0.9, reason)
        path = LabelPath("G01", 0.4, (Step("section", "G", 0.544, 0.544), Step("class", "G01", 0.4, 0.74)))
        levels = {"section": (LabelScore("G", 0.544),), "class": (LabelScore("G01", 0.4),)}
        show_prediction("一种锁", Prediction(decision, (path,), levels, "v"), names)
        return capsys.readouterr().out.splitlines()[1]

    why = "no level can guarantee 90 %"
    assert shown("undecided", None, why) == f"undecided   likeliest section: G 54.4 %   ({why})"
    assert shown("section", "G", "x") == "section: G 物理   54.4 %   (x)"


def test_blocked_places_are_told_and_never_answered(made, new, tmp_path):
    model = made.result("linear", "hier")
    write_raw(new, *(raw_row(abstract=ABSTRACT, symbols=symbol) for symbol in ("G01S17/08", "A01B1/02", "")))
    (tmp_path / "list.csv").write_text("code,reason\nG01,elsewhere\nH,closed\n", "utf-8")
    outcome = command("predict", model, new, "--blocked", "list.csv")
    assert (outcome.status, outcome.err) == (0, "")
    note, accuracy, blocked, _ = outcome.out.splitlines()
    assert note == "note: 2 places are blocked and never given as an answer: G01, H"
    assert re.match(r"right answers by level with 95 % interval: section \d+\.\d % \([\d.]+-[\d.]+; \d ", accuracy)
    assert accuracy.endswith(
        "2 documents with a true symbol, 1 without a readable one; documents seen in training make this too high"
    )
    assert blocked == "1 of the documents with a true symbol has one that is blocked and cannot be answered: G01 1"
    for line in read(tmp_path / "new.predicted.csv"):
        assert not {line[f"class_{k}"] for k in (1, 2, 3)} & {"G01", "", "H01"}
    refused = command("predict", model, "--abstract", ABSTRACT, "--blocked", "list.csv", "--force", "H01")
    assert (refused.status, refused.err.count("\n")) == (2, 1)
    assert "label H01 is blocked (H: closed)" in refused.err
    outcome = command("predict", model, "--abstract", ABSTRACT, "--blocked", "list.csv")
    assert "2 places are blocked)" in outcome.out
    assert note in outcome.out
    (tmp_path / "list.csv").write_text("code,reason\n" + "".join(f"{section},x\n" for section in "ABCDEFGH"), "utf-8")
    refused = command("predict", model, new, "--blocked", "list.csv", "--overwrite")
    assert (refused.status, refused.err.count("\n")) == (1, 1)
    assert "blocks all labels" in refused.err


def test_another_list_begins_the_output_anew(made, new, tmp_path):
    """What is kept of a killed command was answered without it."""
    from patent_hier.inference import files

    (tmp_path / "list.csv").write_text("code,reason\nG01,elsewhere\n", "utf-8")
    works, original = [], files.ResumableOutput

    def watched(path, work):
        works.append(work)
        return original(path, work)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "ResumableOutput", watched)
        for further in ((), ("--blocked", "list.csv")):
            assert command("predict", made.result("linear", "hier"), new, "--overwrite", *further).status == 0
    assert works[0] != works[1]
