"""Models that read applicants, from raw file to result and to new texts; made once."""

import csv
from dataclasses import replace

import numpy as np
import pytest

from patent_hier.artifacts import MANIFEST
from patent_hier.atomic import read_json
from patent_hier.errors import ConfigError, DataError
from patent_hier.inference.classifier import HierarchicalClassifier
from patent_hier.pipeline.plan import plan_node
from patent_hier.pipeline.suite import train_suite
from patent_hier.report.results import result_csv, result_markdown, save_suite
from patent_hier.settings import LevelSettings
from patent_hier.web.app import create_app
from patent_hier.web.guard import ServiceSettings
from tests.commands import command
from tests.inference.worlds import raw_row, write_raw
from tests.pipeline.conftest import change, make_settings
from tests.web.serving import serving

NAMES = {
    "A01B1/00": "农机厂",
    "A23L1/00": "粮油集团",
    "B60K1/00": "汽车公司",
    "B65D1/00": "包装大学",
    "C07D1/00": "个人",
}
TEXT = "一种某装置"


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    """Texts with little information and applicants that determine the label, except in one document of seven."""
    folder = tmp_path_factory.mktemp("known")
    rows = [
        raw_row(
            publication_number=f"CN{number:09d}A",
            symbols=symbol,
            abstract=f"一种{'某' if number % 3 else symbol[:3]}装置",
            applicant=f"新公司{number}" if number % 7 == 0 else name,
        )
        for number, (symbol, name) in enumerate(list(NAMES.items()) * 40)
    ]
    write_raw(folder / "raw.csv", *rows)
    own = change(make_settings(folder, "linear"), "model", context_weight=1.0)
    return change(replace(own, node="flat", level=LevelSettings("flat")), "data", context=["applicant"])


@pytest.fixture(scope="module")
def suites(settings):
    """Results with context only, without context, and with context when the other one exists."""
    alone = train_suite(settings, [])
    plain = train_suite(change(settings, "data", context=[]), [])
    beside = train_suite(settings, [])
    for suite in (plain, beside):
        save_suite(suite)
    return alone, plain, beside


def test_known_and_new_applicants_are_told_apart_beside_the_model_without(suites):
    alone, plain, beside = suites
    assert plain.result.by_applicant == {}
    scores = beside.result.by_applicant["class"]
    assert set(scores) == {"known", "new", "none"}
    assert sum(own.accuracy.n_documents for own in scores.values()) == beside.result.n_documents
    assert all(own.without is None for own in alone.result.by_applicant["class"].values())
    shares = [(own.without.value, own.accuracy.n_documents) for own in scores.values()]
    whole = plain.result.levels["class"].accuracy.value
    assert np.isclose(sum(value * n for value, n in shares), whole * plain.result.n_documents)
    assert scores["known"].gain > 0.2
    assert "class.accuracy[known applicant]" in result_csv(beside.result)
    assert "Accuracy (%) by applicant" in result_markdown(beside.result)
    assert "train the same model with data.context=[]" in result_markdown(alone.result)
    assert "by applicant" not in result_markdown(plain.result)


def test_without_context_nothing_has_another_name(settings):
    plain, own = plan_node(change(settings, "data", context=[])), plan_node(settings)
    assert "context" not in plain.content
    assert "context_weight" not in plain.content["model"]
    weighted = change(change(settings, "data", context=[]), "model", context_weight=0.5)
    assert plan_node(weighted).folder == plain.folder
    assert own.content["context"] == {"columns": ["applicant"], "weight": 1.0}
    assert plan_node(change(settings, "model", context_weight=None)).content["context"]["weight"] == [0.1, 0.3, 0.5]


def test_new_texts_have_their_applicants(suites, tmp_path):
    *_, beside = suites
    classifier = HierarchicalClassifier.from_pretrained(beside.folder)
    found = classifier.predict([TEXT] * 3, context={"applicant": ["粮油集团", "包装大学", None]})
    assert [one.paths[0].label for one in found[:2]] == ["A23", "B65"]
    for nothing in ({}, {"applicant": "个人"}, {"applicant": [""]}):
        assert classifier.predict(TEXT, context=nothing)[0].paths == found[2].paths
    explained = classifier.predict(TEXT, context={"applicant": "粮油集团"}, explain=True)[0].explanation
    assert explained.text == TEXT
    assert sum(span.score for span in explained.spans) == pytest.approx(explained.value - explained.base, abs=1e-6)
    with pytest.raises(
        ConfigError, match="context 'kind' is not read by the model; besides the text it reads applicant"
    ):
        classifier.predict(TEXT, context={"kind": ["x"]})
    with pytest.raises(DataError, match="context applicant has 1 values for 2 texts"):
        classifier.predict([TEXT, TEXT], context={"applicant": ["x"]})
    with pytest.raises(DataError, match="value 1 is 3"):
        classifier.predict([TEXT, TEXT], context={"applicant": ["x", 3]})
    classifier.save_pretrained(tmp_path / "model")
    again = HierarchicalClassifier.from_pretrained(tmp_path / "model")
    assert again.predict(TEXT, context={"applicant": "粮油集团"})[0].paths == found[0].paths


def test_a_file_is_classified_with_its_applicants(suites, tmp_path, monkeypatch):
    *_, plain, beside = suites
    monkeypatch.chdir(tmp_path)
    (tmp_path / "new.csv").write_text("摘要,权利人\n一种某装置,粮油集团\n一种某装置,\n一种某装置,包装大学\n", "utf-8")
    outcome = command("predict", beside.folder, "new.csv", "--applicant", "权利人")
    assert (outcome.status, outcome.err) == (0, "")
    lines = list(csv.DictReader((tmp_path / "new.predicted.csv").read_text("utf-8-sig").splitlines()))
    assert (lines[0]["class_1"], lines[2]["class_1"]) == ("A23", "B65")
    assert "1 of 3 documents have no applicant; only their text is used" in outcome.out
    outcome = command("predict", beside.folder, "new.csv", "--output", "all.csv")
    assert "3 of 3 documents have no applicant" in outcome.out
    assert "name the column with --applicant NAME" in outcome.out
    assert (
        "has no column 申请人"
        in command("predict", beside.folder, "new.csv", "--applicant", "申请人", "--overwrite").err
    )
    assert "A23" in command("predict", beside.folder, "--abstract", TEXT, "--applicant", "粮油集团").out
    refused = command("predict", plain.folder, "new.csv", "--applicant", "权利人", "--overwrite")
    assert "reads only the text; train a model with data.context=[applicant]" in refused.err


def test_a_column_without_any_value_is_refused(settings):
    with pytest.raises(
        DataError, match=r"no document has a value in column kind; set its header name in data\.columns\.kind"
    ):
        plan_node(change(settings, "data", context=["kind"])).open()


def test_the_number_of_documents_without_an_applicant_is_kept(suites):
    *_, beside = suites
    (node,) = beside.nodes.values()
    facts = read_json(node / "metrics.json")["training"]["context"]
    assert facts["columns"] == ["applicant"]
    assert facts["missing"] == {"applicant": 34}  # 个人, of 40 documents, six of which have another name
    assert facts["weight"] == 1.0
    assert "context" in read_json(node / MANIFEST)["content"]


def test_the_service_takes_applicants(suites):
    *_, beside = suites
    classifier = HierarchicalClassifier.from_pretrained(beside.folder)
    with serving(create_app(classifier, ServiceSettings(rate=0))) as client:
        assert client.get("/about").content["context_fields"] == ["applicant"]
        one = client.post("/predict", {"text": TEXT, "context": {"applicant": "粮油集团"}, "explain": True}).content
        assert (one["paths"][0]["label"], one["explanation"]["text"]) == ("A23", TEXT)
        texts = {"texts": [TEXT, "。", TEXT], "context": {"applicant": [None, "农机厂", "包装大学"]}}
        results = client.post("/batch", texts).content["results"]
        assert results[0]["prediction"]["paths"] == client.post("/predict", {"text": TEXT}).content["paths"]
        assert "error" in results[1]
        assert results[2]["prediction"]["paths"][0]["label"] == "B65"
        for wrong in ({"kind": "x"}, {"applicant": 3}, {"applicant": "x" * 1001}):
            assert client.post("/predict", {"text": TEXT, "context": wrong}).status == 422
        assert client.post("/batch", {**texts, "context": {"applicant": ["x"]}}).status == 422
