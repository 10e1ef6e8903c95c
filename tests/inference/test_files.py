import csv
import io
import json
from collections import Counter

import numpy as np
import pytest

from patent_hier.artifacts import file_digest
from patent_hier.atomic import read_json
from patent_hier.data.incoming import Incoming, IncomingFiles
from patent_hier.data.raw import RawFormat
from patent_hier.errors import ConfigError, DataError
from patent_hier.evaluation.metrics import wilson_interval
from patent_hier.inference import files
from patent_hier.inference.classifier import HierarchicalClassifier
from patent_hier.inference.files import Options, Summary, predict_to_file, predict_to_stream
from patent_hier.inference.predictor import load_system
from patent_hier.inference.results import UNDECIDED, Decision, LabelPath, Prediction, Step
from patent_hier.inference.resuming import ResumableOutput
from patent_hier.settings import FLAT
from patent_hier.taxonomy.names import name_of
from tests.inference.worlds import paths_by, raw_row, write_raw

ABSTRACT = "一种激光测距装置"


@pytest.fixture(scope="module")
def linear(made):
    return plain(made, "linear", "hier")


def plain(made, model, level):
    """Without temperatures, so that its probabilities are those that the training wrote."""
    return HierarchicalClassifier(load_system(made.result(model, level)), None, {})


def predict(classifier, path, *, progress=None, **options):
    out = io.StringIO()
    documents = IncomingFiles(path, classifier.system.raw)
    summary = predict_to_stream(classifier, documents, Options(**options), "csv", out, progress)
    assert out.getvalue().startswith("\ufeffrow,document_id,")
    return summary, list(csv.DictReader(io.StringIO(out.getvalue().removeprefix("\ufeff"), newline="")))


@pytest.mark.parametrize("batch", [3, 100, 4096])
def test_the_corpus_own_file(made, batch, monkeypatch):
    """Every document of the test part has in the file what the training wrote of it, however the rows are cut."""
    monkeypatch.setattr(files, "BATCH", batch)
    calls: list[tuple[int, int, int]] = []
    summary, lines = predict(
        plain(made, "textcnn", "flat"), made.raw, top_k=2, progress=lambda *numbers: calls.append(numbers)
    )
    facts = made.corpus.manifest["accounting"]
    assert summary.rows == len(lines) == facts["rows"]
    assert [int(line["row"]) for line in lines] == list(range(1, facts["rows"] + 1))
    assert summary.predicted == sum(line["error"] == "" for line in lines)
    broken = {name: facts["rejected"][name] for name in summary.faults if name != "empty_text"}
    assert len(broken) == 6
    assert {**summary.faults, "empty_text": 0} == {**broken, "empty_text": 0}
    by_id = {line["document_id"]: line for line in lines if not line["error"]}
    own = made.predictions("textcnn", FLAT)
    best = np.exp(own.level("class").best(2)[1].astype(float))
    for row, name in enumerate(own.document_ids):
        line = by_id[name]
        assert [float(line["probability_1"]), float(line["probability_2"])] == pytest.approx(best[row], abs=1e-5)
        assert line["section_1"] == line["class_1"][0]
    done, totals, rows = zip(*calls, strict=True)
    assert (list(done), list(rows)) == (sorted(done), sorted(rows))
    assert set(totals) == {made.raw.stat().st_size}
    assert 0.9 * totals[0] < done[-1] <= totals[0]
    assert rows[-1] <= facts["rows"]


def test_accuracy_is_that_of_the_first_class(made, linear):
    test = made.predictions("linear", "root")
    wanted = set(test.document_ids)
    header, *rows = made.raw.read_bytes().decode("gb18030", "replace").splitlines()
    kept = list(dict.fromkeys(row for row in rows if any(name in row for name in wanted) and '"' not in row))
    path = made.folder / "test_part.csv"
    path.write_bytes("\n".join([header, *kept]).encode("gb18030"))
    summary, lines = predict(linear, path)
    truth = {row.split(",")[header.split(",").index("公开号")]: row for row in kept}
    column = header.split(",").index("专利分类")
    labelled = [
        line for line in lines if not line["error"] and "07-" not in truth[line["document_id"]].split(",")[column]
    ]
    assert summary.labelled == dict.fromkeys(("section", "class"), len(labelled))
    assert len(labelled) > 50
    right = [truth[line["document_id"]].split(",")[column].strip().startswith(line["class_1"]) for line in labelled]
    score = summary.accuracies["class"]
    assert (score.value, score.n_documents) == (pytest.approx(np.mean(right)), len(right))
    assert score.interval == wilson_interval(sum(right), len(right))
    assert summary.hits["section"] >= summary.hits["class"]


def test_rows_without_class_and_broken_rows(linear, tmp_path):
    path = write_raw(
        tmp_path / "new.csv",
        raw_row(publication_number="CN106888000A", abstract=ABSTRACT, symbols="G01S17/08"),
        "nothing,here",
        raw_row(abstract=ABSTRACT),
        raw_row(application_number="201710000001.2", abstract=ABSTRACT, symbols="待定"),
        raw_row(publication_number="CN106888004A", abstract="，"),
        raw_row(publication_number="CN106888000A", abstract=ABSTRACT, symbols="10-04"),
    )
    summary, lines = predict(linear, path, top_k=2)
    own = ["row", "document_id", "摘要", "decision", "label", "name", "confidence"]
    ranked = [f"{name}_{k}" for k in (1, 2) for name in ("section", "section_probability", "class", "probability")]
    assert list(lines[0]) == [*own, *ranked, "strange", "error"]
    ids = ["CN106888000A", "2", "3", "201710000001.2", "CN106888004A", "CN106888000A"]
    assert [line["document_id"] for line in lines] == ids
    assert [line["error"] for line in lines] == ["", "too_few_fields", "", "", "empty_text", ""]
    assert [line["摘要"] for line in lines] == [ABSTRACT, "nothing,here", ABSTRACT, ABSTRACT, "，", ABSTRACT]
    predicted = [list(line.values())[3:-1] for line in lines]
    ((first, second),) = paths_by(linear.system, [ABSTRACT], 2)
    ranked = [
        cell for path in (first, second) for step in path.steps for cell in (step.label, f"{step.probability:.6f}")
    ]
    expected = ["class", first.label, name_of(first.label), f"{first.probability:.6f}", *ranked]
    expected.append("")  # nothing is strange
    assert predicted == [expected, [""] * 13, expected, expected, [""] * 13, expected]
    assert (summary.predicted, summary.errors) == (4, 2)
    assert summary.labelled == {"section": 1, "class": 1}
    assert summary.faults_in_words() == "1 too_few_fields, 1 empty_text"
    assert summary.hits["section"] == (first.labels[0] == "G")


def test_a_deep_system_has_columns_and_accuracies_of_every_level(made, tmp_path):
    """Rows count at the levels that their symbol reaches."""
    deep = plain(made.deep, "linear", "hier")
    symbols = ("G01S17/08", "G01S17/00", "G01S", "G01", "")
    rows = [raw_row(publication_number=f"CN{n}A", abstract=ABSTRACT, symbols=own) for n, own in enumerate(symbols)]
    summary, lines = predict(deep, write_raw(tmp_path / "new.csv", *rows), top_k=1)
    ((path,),) = paths_by(deep.system, [ABSTRACT], 1)
    levels = ("section", "class", "subclass", "main_group", "subgroup")
    assert summary.labelled == dict(zip(levels, (4, 4, 3, 2, 2), strict=True))
    assert summary.labels["subgroup"] == {"G01S17/08", "G01S17/00"}
    for step in path.steps:
        assert lines[0][f"{step.level}_1"] == step.label
        shown = lines[0]["probability_1" if step.level == "subgroup" else f"{step.level}_probability_1"]
        assert float(shown) == pytest.approx(step.probability, abs=1e-6)
        assert summary.hits[step.level] == 4 * (step.label in ("G", "G01")) + 3 * (step.label == "G01S")
    assert lines[0]["name"] == name_of(path.labels[1])  # a subgroup has none


def test_all_symbols_have_columns_at_every_level(made, tmp_path):
    own = HierarchicalClassifier.from_pretrained(made.result("linear", "hier"))
    _, (line, broken) = predict(
        own, write_raw(tmp_path / "new.csv", raw_row(abstract=ABSTRACT), "broken"), top_k=1, all_symbols=True
    )
    (expected,) = own.predict([ABSTRACT], 1, all_symbols=True)
    for level, labels in expected.symbols.items():
        assert line[f"all_{level}"].split(";") == [one.label for one in labels]
        shown = [float(value) for value in line[f"all_{level}_probabilities"].split(";")]
        assert shown == pytest.approx([one.probability for one in labels], abs=1e-6)
        assert broken[f"all_{level}"] == ""
    assert list(line)[-6:] == [
        "all_section",
        "all_section_probabilities",
        "all_class",
        "all_class_probabilities",
        "strange",
        "error",
    ]
    assert broken["error"] == "too_few_fields"


def test_answers_to_a_depth_have_columns_to_it_and_titles_for_names(made, tmp_path):
    deep = plain(made.deep, "linear", "hier")
    file = write_raw(tmp_path / "new.csv", raw_row(abstract=ABSTRACT, symbols="G01S17/08"))
    (expected,) = deep.predict([ABSTRACT], 1, depth="subclass", exclude="G01")
    label = expected.decision.label
    named = HierarchicalClassifier(deep.system.with_titles({label: "=雷达"}), None, {})
    summary, (line,) = predict(named, file, top_k=1, depth="subclass", exclude=["g01"])
    ranked = ["section_1", "section_probability_1", "class_1", "class_probability_1", "subclass_1", "probability_1"]
    assert list(line)[3:] == ["decision", "label", "name", "confidence", *ranked, "strange", "error"]
    assert (line["decision"], line["label"], line["name"]) == ("subclass", label, "'=雷达")
    assert line["subclass_1"] == label
    assert summary.labelled == {"section": 1, "class": 1, "subclass": 1}


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "＝"])
def test_formulas_are_neutralised(linear, start, tmp_path):
    value = f'{start}HYPERLINK(""x"")一种装置'
    path = write_raw(tmp_path / "new.csv", raw_row(abstract=f'"{value}"'))
    if start == "\r":  # a line end inside quotes is read as LF, which is no safer at the start
        value = value.replace("\r", "\n")
    _, (line,) = predict(linear, path)
    assert line["摘要"] == "'" + value.replace('""', '"')


def test_formulas_in_broken_rows_and_headers(made, linear, tmp_path):
    path = write_raw(tmp_path / "new.csv", "=1+1", raw_row(abstract=ABSTRACT))
    assert predict(linear, path)[1][0]["摘要"] == "'=1+1"
    (tmp_path / "header.csv").write_text(f"=摘要\n{ABSTRACT}\n", "utf-8")
    own = plain(made, "linear", "hier")
    own.system.raw = type(own.system.raw)(text=("=摘要",))
    assert "'=摘要" in predict(own, tmp_path / "header.csv")[1][0]


def test_nothing_to_classify(linear, tmp_path):
    for rows, message in (
        ((), "it contains only a header"),
        (("x", "y", raw_row(abstract="。")), "2 too_few_fields, 1 empty_text"),
    ):
        path = write_raw(tmp_path / "new.csv", *rows)
        with pytest.raises(DataError, match=rf"no row of .*new\.csv could be classified: {message}"):
            predict(linear, path)
        with pytest.raises(DataError, match="could be classified"):
            to_file(linear, path, tmp_path / "out.csv")
        assert {file.name for file in tmp_path.iterdir()} == {"new.csv"}


def test_options_are_checked_before_the_file(linear, tmp_path):
    (tmp_path / "empty.csv").touch()
    for options, message in (({"top_k": 0}, "top_k=0"), ({"top_k": 131}, "top_k=131"), ({"force": "Z"}, "'Z'")):
        with pytest.raises(ConfigError, match=message):
            predict(linear, tmp_path / "empty.csv", **options)


def to_file(classifier, path, output, given=None, **options):
    documents = IncomingFiles(path, classifier.system.raw)
    given = given or {"source": file_digest(path)}
    return predict_to_file(classifier, documents, Options(**options), output.suffix[1:], output, given)


def rows_of(n):
    return [raw_row(publication_number=f"CN{number:09}A", abstract=f"{ABSTRACT}{number}") for number in range(n)]


class Stopped(BaseException):
    """As a signal between two batches."""


@pytest.fixture
def stop(monkeypatch):
    """Makes the next command stop when it begins a batch."""

    def after(batches):
        begun = iter(range(batches))
        original = HierarchicalClassifier.predict

        def predict(self, *arguments, **options):
            if next(begun, None) is None:
                monkeypatch.setattr(HierarchicalClassifier, "predict", original)
                raise Stopped
            return original(self, *arguments, **options)

        monkeypatch.setattr(HierarchicalClassifier, "predict", predict)

    return after


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_an_interrupted_command_goes_on_where_it_was(linear, tmp_path, suffix, monkeypatch, stop):
    monkeypatch.setattr(files, "BATCH", 5)
    path = write_raw(tmp_path / "new.csv", *rows_of(12), "broken", *rows_of(9))
    whole, before = to_file(linear, path, tmp_path / f"whole.{suffix}")
    assert before == 0
    output = tmp_path / f"out.{suffix}"
    for batches, expected in ((1, 5), (2, 15)):
        stop(batches)
        with pytest.raises(Stopped):
            to_file(linear, path, output)
        assert not output.exists()
        notes = read_json(tmp_path / f".partial-out.{suffix}.json")
        assert notes["rows"] == expected
    with (tmp_path / f".partial-out.{suffix}").open("a") as file:
        file.write("half a line of a killed comm")
    summary, before = to_file(linear, path, output)
    assert (before, summary) == (15, whole)
    assert output.read_bytes() == (tmp_path / f"whole.{suffix}").read_bytes()
    assert {file.name for file in tmp_path.iterdir()} == {"new.csv", f"whole.{suffix}", f"out.{suffix}"}


@pytest.mark.parametrize("what", ["options", "source", "notes", "beginning"])
def test_other_work_is_not_gone_on_with(linear, tmp_path, what, monkeypatch, stop):
    monkeypatch.setattr(files, "BATCH", 5)
    path, output = write_raw(tmp_path / "new.csv", *rows_of(12)), tmp_path / "out.csv"
    stop(2)
    with pytest.raises(Stopped):
        to_file(linear, path, output)
    options = {}
    if what == "options":
        options = {"top_k": 2}
    elif what == "source":
        write_raw(path, *reversed(rows_of(12)))
    elif what == "notes":
        (tmp_path / ".partial-out.csv.json").write_text("{")
    else:
        (tmp_path / ".partial-out.csv").write_text("")
    _, before = to_file(linear, path, output, **options)
    assert before == 0
    to_file(linear, path, tmp_path / "whole.csv", **options)
    assert output.read_bytes() == (tmp_path / "whole.csv").read_bytes()


def test_two_commands_never_write_one_file(linear, tmp_path):
    path, output = write_raw(tmp_path / "new.csv", *rows_of(3)), tmp_path / "out.csv"
    with ResumableOutput(output, "work"), pytest.raises(ConfigError, match=r"another command is writing .*out\.csv"):
        to_file(linear, path, output)
    to_file(linear, path, output)
    assert len(output.read_text("utf-8").splitlines()) == 4


def test_a_source_that_cannot_be_read_again_is_not_gone_on_with(linear, tmp_path, monkeypatch, stop):
    monkeypatch.setattr(files, "BATCH", 5)
    path, output = write_raw(tmp_path / "new.csv", *rows_of(12)), tmp_path / "out.csv"
    stop(2)
    with pytest.raises(Stopped):
        to_file(linear, path, output, {"source": None})
    assert {file.name for file in tmp_path.iterdir()} == {"new.csv"}


def test_decisions_are_counted(made, tmp_path):
    own = HierarchicalClassifier.from_pretrained(made.result("linear", "hier"))
    summary, lines = predict(own, made.raw, target_accuracy=0.6)
    assert summary.decided == Counter(line["decision"] for line in lines if not line["error"])
    assert "undecided" in summary.decisions_in_words()
    assert Summary.from_dict(json.loads(json.dumps(summary.as_dict()))) == summary
    for line in lines:
        assert (line["label"] == "") == (line["decision"] in ("undecided", ""))


@pytest.mark.parametrize(
    ("level", "label", "labelled", "right"),
    [
        ("class", "A01", 1, 1),
        ("class", "A23", 1, 0),
        ("section", "A", 1, 1),
        ("section", "B", 1, 0),
        ("subgroup", "A01B1/02", 0, 0),
        (UNDECIDED, None, 1, 0),
    ],
)
def test_a_decision_is_right_at_its_own_level(level, label, labelled, right):
    summary, raw = Summary(("section", "class", "subclass", "main_group", "subgroup")), RawFormat(min_symbol="class")
    path = LabelPath("A01", 0.6, (Step("section", "A", 0.9, 0.9), Step("class", "A01", 0.6, 0.67)))
    prediction = Prediction(Decision(level, label, 0.9, 0.8, "so"), (path,), {}, "x")
    summary.count(Incoming(1, "CN1", (ABSTRACT,), ABSTRACT, "A01B", None, 40), prediction, raw)
    assert summary.decided_labelled[level] == labelled
    assert summary.decided_right[level] == right


def test_json_lines(linear, tmp_path):
    path, output = write_raw(tmp_path / "new.csv", *rows_of(1), "broken"), tmp_path / "out.jsonl"
    to_file(linear, path, output)
    first, second = map(json.loads, output.read_text("utf-8").splitlines())
    (expected,) = linear.predict([f"{ABSTRACT}0"])
    assert first == {"row": 1, "document_id": "CN000000000A", **json.loads(json.dumps(expected.as_dict()))}
    assert second == {"row": 2, "document_id": "2", "error": "too_few_fields"}
