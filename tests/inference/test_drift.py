import shutil

import numpy as np
import pytest

from patent_hier.artifacts import find_damage
from patent_hier.data.incoming import IncomingFiles
from patent_hier.errors import ArtifactError, ConfigError, DataError
from patent_hier.evaluation.contract import NetworkPredictions
from patent_hier.evaluation.reference import Reference
from patent_hier.inference.classifier import HierarchicalClassifier
from patent_hier.inference.drift import Drift, Known, Stream, drift, read_stream
from patent_hier.inference.files import Options, predict_to_stream
from tests.inference.worlds import raw_row, write_raw

SYSTEMS = [
    ("class", "linear", "hier"),
    ("class", "textcnn", "flat"),
    ("class", "combination", "hier"),
    ("subgroup", "linear", "hier"),
]


@pytest.fixture(scope="module")
def linear(made):
    return HierarchicalClassifier.from_pretrained(made.result("linear", "hier"))


def calibration_rows(made, folder):
    """The calibration documents as a raw file, with their symbols; a row for each."""
    predictions = NetworkPredictions.read(folder / "predictions.parquet").select("calibration")
    table, texts = made.corpus.table(["document_id", "main_group", "subgroup"]).to_pylist(), made.texts()
    symbols = {row["document_id"]: row["subgroup"] or row["main_group"] for row in table}
    return [
        raw_row(publication_number=name, abstract=texts[name], symbols=symbols[name], application_date=date)
        for name, date in zip(predictions.document_ids, ["2017.01.24", "2017.02.01"] * len(predictions), strict=False)
    ]


@pytest.mark.parametrize(("depth", "model", "level"), SYSTEMS)
def test_the_reference_is_what_the_calibration_documents_look_like(made, depth, model, level, tmp_path):
    """From the stored predictions as from the texts: histograms, sums, and how often the first path is right."""
    made = made._replace(depth=depth)
    classifier = HierarchicalClassifier.from_pretrained(made.result(model, level))
    rows = calibration_rows(made, next(iter(classifier.system.nodes.values())))
    files = IncomingFiles(write_raw(tmp_path / "c.csv", *rows), classifier.system.raw)
    stream = read_stream(classifier, files)
    own, known = stream.whole.profile, classifier.system.reference
    assert own.documents == known.profile.documents == len(rows)
    for name, bins in known.profile.bins.items():
        assert np.abs(np.cumsum(bins - own.bins[name])).max() <= 1, name  # a rounding may cross an edge
    assert own.labels == known.profile.labels
    assert dict(own.sums) == pytest.approx(known.profile.sums, rel=1e-4)
    assert stream.whole.summary.accuracies == known.accuracies
    assert stream.months.keys() == {"2017-01", "2017-02"}
    assert sum(one.profile.documents for one in stream.months.values()) == len(rows)
    found = Drift.of(known, stream)
    assert not found.is_found
    assert all(shift.distance < 0.05 for shift in found.shifts)


def test_counts_are_those_of_predict(made, linear, tmp_path):
    rows = [raw_row(abstract="一种激光测距装置", symbols="G01S17/08"), "broken", raw_row(abstract="一種鎖")]
    source = write_raw(tmp_path / "new.csv", *rows)
    stream = read_stream(linear, IncomingFiles(source, linear.system.raw))
    with (tmp_path / "out.csv").open("w", encoding="utf-8") as file:
        summary = predict_to_stream(linear, IncomingFiles(source, linear.system.raw), Options(1), "csv", file)
    assert stream.whole.summary == summary
    assert stream.undated == 2
    assert not stream.months


def test_texts_of_a_program(made, linear):
    texts = list(made.texts().values())[:120]
    assert {shift.measure for shift in drift(linear, texts)} >= {"characters", "confidence.class", "labels.section"}
    english = {shift.measure for shift in drift(linear, ["Method and device for measuring"] * 120) if shift.is_alarm}
    assert {"latin", "bigrams", "labels.section"} <= english
    with pytest.raises(DataError, match="no texts to compare"):
        drift(linear, [])
    with pytest.raises(DataError, match="text 1 has no words"):
        drift(linear, ["一种锁", " "])


def test_an_export_carries_it(linear, tmp_path):
    linear.save_pretrained(tmp_path / "model")
    assert find_damage(tmp_path / "model") is None
    exported = HierarchicalClassifier.from_pretrained(tmp_path / "model")
    assert exported.system.reference.as_dict() == linear.system.reference.as_dict()
    assert drift(exported, ["一种锁"] * 3) == drift(linear, ["一种锁"] * 3)
    converting = HierarchicalClassifier.from_pretrained(tmp_path / "model", convert="t2s")
    assert Known.find(converting.system) is not None
    (tmp_path / "model" / "profile.json").write_text("{}", "utf-8")
    with pytest.raises(ArtifactError, match=r"profile\.json is damaged"):
        HierarchicalClassifier.from_pretrained(tmp_path / "model")


def test_a_system_without_a_profile(made, linear, tmp_path):
    """An export of an older version answers as ever, and says what to do about drift."""
    from patent_hier.artifacts import seal
    from patent_hier.atomic import read_json

    linear.save_pretrained(tmp_path / "model")
    (tmp_path / "model" / "profile.json").unlink()
    manifest = read_json(tmp_path / "model" / "manifest.json")
    seal(tmp_path / "model", {name: value for name, value in manifest.items() if name not in ("files", "sha256")})
    old = HierarchicalClassifier.from_pretrained(tmp_path / "model")
    assert old.predict("一种锁") == linear.predict("一种锁")
    with pytest.raises(ConfigError, match="run aggregate and export again"):
        drift(old, ["一种锁"])
    old.save_pretrained(tmp_path / "again")
    assert not (tmp_path / "again" / "profile.json").exists()


def test_a_result_made_again_has_the_same_bytes(made, tmp_path):
    from patent_hier.pipeline.stages import _shown_of
    from patent_hier.pipeline.suite import aggregate_nodes
    from patent_hier.report.results import save_suite

    runs = shutil.copytree(made.runs, tmp_path / "runs")
    (result,) = (runs / "linear").glob("result-hier-*")
    before = (result / "profile.json").read_bytes()
    shutil.rmtree(result)
    _shown_of.cache_clear()
    nodes = {node: runs / "linear" / path.name for node, path in load_nodes(made).items()}
    save_suite(aggregate_nodes(nodes, made.corpus.folder))
    assert (result / "profile.json").read_bytes() == before


def load_nodes(made):
    return HierarchicalClassifier.from_pretrained(made.result("linear", "hier")).system.nodes


def test_an_empty_stream_has_no_documents():
    assert Stream(("section", "class")).whole.profile.documents == 0


def test_a_month_that_differs_is_named_and_no_alarm(made, linear, tmp_path):
    texts = [*made.texts().values()]
    rows = [raw_row(abstract=texts[n % len(texts)], application_date="2019.01.02") for n in range(3000)]
    rows += [raw_row(abstract="Laser for measuring", application_date="2019.02.03") for _ in range(100)]
    stream = read_stream(linear, IncomingFiles(write_raw(tmp_path / "c.csv", *rows), linear.system.raw))
    reference = Reference(frozenset(), stream.months["2019-01"].profile, {})
    found = Drift.of(reference, stream)
    assert found.months == ["2019-02"]
    assert not found.is_found


def test_blocked_places_are_no_drift(made, linear, tmp_path):
    """Labels and accuracy are those of the reference, which knows no blocked places."""
    rows = calibration_rows(made, next(iter(linear.system.nodes.values())))
    source = write_raw(tmp_path / "c.csv", *rows)
    (tmp_path / "list.csv").write_text("code,reason\nA,x\nG,x\nH,x\n", "utf-8")
    own = HierarchicalClassifier.from_pretrained(made.result("linear", "hier"), blocked=tmp_path / "list.csv")
    stream = read_stream(own, IncomingFiles(source, own.system.raw))
    assert stream.whole.summary.accuracies == own.system.reference.accuracies
    assert stream.whole.profile.labels == own.system.reference.profile.labels
