from dataclasses import replace

import pytest
import yaml

from patent_hier.artifacts import file_digest
from patent_hier.pipeline.evidence import Missing
from patent_hier.report.content.data import data
from patent_hier.report.content.runs import runs


def rows(context, table):
    return {row[0]: row[1:] for row in runs(context)[table].rows}


def test_sums_over_models_and_means_over_seeds(context):
    parameters, seconds, shown, scored, memory, threads, device = rows(context, "cost_table")["textcnn, hierarchical"]
    (item,) = [item for item in context.evidence.hierarchical if item.name == "textcnn"]
    facts = [run.metrics["training"] for run in item.all_runs]
    assert int(parameters.replace(",", "")) == round(sum(fact.get("parameters", 0) for fact in facts) / 2)
    fitted = [fact for fact in facts if fact.get("seconds")]
    assert len(fitted) == 8  # of two seeds: root, A, B, D; F and H have one class, nothing was trained
    assert float(seconds) == pytest.approx(sum(fact["seconds"] for fact in fitted) / 2, abs=0.051)
    passes = sum(fact["train_documents"] * fact["epochs"] for fact in fitted)
    assert float(shown.replace(",", "")) == pytest.approx(passes / sum(fact["seconds"] for fact in fitted), abs=0.5)
    assert (threads, device) == ("1", "CPU")
    assert int(memory.replace(",", "")) == round(max(fact["peak_memory_bytes"] for fact in facts) / 2**20)
    assert int(scored.replace(",", "")) > 0


def test_the_data_are_named_by_their_digests(context, trained):
    facts = data(context)["corpus"]
    (raw,) = trained.cache.parent.glob("titles.csv")
    assert facts["source"] == file_digest(raw)
    assert (facts["name"], facts["fingerprint"]) == ("gazette", context.evidence.corpus.fingerprint)
    assert facts["split"] == context.evidence.split.name
    assert "numpy " in runs(context)["environment"]["packages"]


def test_the_folders_of_every_configuration(contexts):
    for context in contexts.values():
        found = rows(context, "folders_table")
        assert list(found) == list(rows(context, "cost_table")) == [context.name(item) for item in context.systems]
        assert len(found) == 7
        for item in context.systems:
            n, seeds, group, date, *_ = found[context.name(item)]
            assert int(n) == sum(len(nodes) for nodes in item.configuration.runs.values())
            assert group == item.configuration.first.manifest["group"]
            assert seeds == ("1, 2" if item.configuration.name == "textcnn" else "1")
            assert date == item.configuration.first.manifest["environment"]["date"][:10]


def test_all_settings_stand_there_as_they_were(context):
    listed = {own["folder"]: yaml.safe_load(own["text"]) for own in runs(context)["settings"]}
    for item in context.systems:
        folder = item.configuration.first.folder
        assert listed[folder.name] == yaml.safe_load((folder / "config.yaml").read_text("utf-8"))
    assert len(listed) == 7


def test_without_a_result_the_data_are_still_named(context):
    gap = Missing("rnn", 3, ("B", "D"), "python run.py a")
    own = replace(context, systems=(), evidence=replace(context.evidence, missing=(gap,)))
    found = runs(own)
    assert "environment" not in found
    assert found["cost_table"].rows == found["folders_table"].rows == ()
    assert found["missing"] == (gap,)
    assert found["first_command"] == own.command("model=bertcnn", "level=hier")
