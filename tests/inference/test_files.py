import csv
import io

import numpy as np
import pytest

from patent_hier.data.incoming import IncomingFile
from patent_hier.errors import ConfigError, DataError
from patent_hier.evaluation.metrics import wilson_interval
from patent_hier.inference import files
from patent_hier.inference.files import predict_file
from patent_hier.inference.predictor import load_system
from patent_hier.settings import FLAT
from tests.inference.worlds import raw_row, write_raw

ABSTRACT = "一种激光测距装置"


@pytest.fixture(scope="module")
def linear(made):
    return load_system(made.result("linear", "hier"))


def predict(system, path, **options):
    out = io.StringIO()
    summary = predict_file(system, IncomingFile(path, system.raw), out, **options)
    assert out.getvalue().startswith("\ufeffrow,document_id,")
    return summary, list(csv.DictReader(io.StringIO(out.getvalue().removeprefix("\ufeff"), newline="")))


@pytest.mark.parametrize("batch", [3, 100, 4096])
def test_the_corpus_own_file(made, batch, monkeypatch):
    """Every document of the test part has in the file what the training wrote of it, however the rows are cut."""
    monkeypatch.setattr(files, "BATCH", batch)
    calls: list[tuple[int, int, int]] = []
    system = load_system(made.result("textcnn", "flat"))
    summary, lines = predict(system, made.raw, top_k=2, progress=lambda *numbers: calls.append(numbers))
    facts = made.corpus.manifest["accounting"]
    assert summary.rows == len(lines) == facts["rows"]
    assert [int(line["row"]) for line in lines] == list(range(1, facts["rows"] + 1))
    assert summary.predicted == sum(line["error"] == "" for line in lines)
    broken = {name: facts["rejected"][name] for name in summary.faults if name != "empty_text"}
    assert len(broken) == 5
    assert {**summary.faults, "empty_text": 0} == {**broken, "empty_text": 0}
    by_id = {line["document_id"]: line for line in lines if not line["error"]}
    own = made.predictions("textcnn", FLAT)
    for row, name in enumerate(own.document_ids):
        order = np.argsort(-own.log_prob[row], kind="stable")[:2]
        line = by_id[name]
        values = [float(line["probability_1"]), float(line["probability_2"])]
        assert values == pytest.approx(np.exp(own.log_prob[row, order].astype(float)), abs=1e-5)
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
    assert summary.labelled == len(labelled) > 50
    right = [truth[line["document_id"]].split(",")[column].strip().startswith(line["class_1"]) for line in labelled]
    score = summary.class_accuracy
    assert (score.value, score.n_documents) == (pytest.approx(np.mean(right)), len(right))
    assert score.interval == wilson_interval(sum(right), len(right))
    assert summary.section_hits >= summary.class_hits


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
    assert list(lines[0]) == [
        *("row", "document_id", "摘要", "section_1", "class_1", "probability_1"),
        *("section_2", "class_2", "probability_2", "error"),
    ]
    ids = ["CN106888000A", "2", "3", "201710000001.2", "CN106888004A", "CN106888000A"]
    assert [line["document_id"] for line in lines] == ids
    assert [line["error"] for line in lines] == ["", "too_few_fields", "", "", "empty_text", ""]
    assert [line["摘要"] for line in lines] == [ABSTRACT, "nothing,here", ABSTRACT, ABSTRACT, "，", ABSTRACT]
    predicted = [tuple(list(line.values())[3:9]) for line in lines]
    ((first, second),) = linear.paths([ABSTRACT], 2)
    expected = tuple(
        cell for path in (first, second) for cell in (path.section, path.ipc_class, f"{path.probability:.6f}")
    )
    assert predicted == [expected, ("",) * 6, expected, expected, ("",) * 6, expected]
    assert (summary.predicted, summary.errors, summary.labelled) == (4, 2, 1)
    assert summary.faults_in_words() == "1 too_few_fields, 1 empty_text"
    assert summary.section_hits == (first.section == "G")


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
    system = load_system(made.result("linear", "hier"))
    system.raw = type(system.raw)(text=("=摘要",))
    assert "'=摘要" in predict(system, tmp_path / "header.csv")[1][0]


def test_nothing_to_classify(linear, tmp_path):
    for rows, message in (
        ((), "it has a header only"),
        (("x", "y", raw_row(abstract="。")), "2 too_few_fields, 1 empty_text"),
    ):
        with pytest.raises(DataError, match=rf"no row of .*new\.csv could be classified: {message}"):
            predict_file(linear, IncomingFile(write_raw(tmp_path / "new.csv", *rows), linear.raw), io.StringIO())


def test_top_k_is_checked_before_the_file(linear, tmp_path):
    for top_k in (0, 131):
        with pytest.raises(ConfigError, match=f"top_k={top_k}"):
            predict_file(linear, IncomingFile(tmp_path / "nowhere.csv", linear.raw), io.StringIO(), top_k=top_k)
