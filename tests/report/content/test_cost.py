from dataclasses import replace

import pytest

from patent_hier.report.content.cost import cost


def rows(context):
    _, table = cost(context)
    return {row[0]: row[1:] for row in table.grid.rows}


def test_sums_over_models_and_means_over_seeds(context):
    own = rows(context)
    (item,) = [item for item in context.evidence.hierarchical if item.name == "textcnn"]
    facts = [run.metrics["training"] for nodes in item.runs.values() for run in nodes.values()]
    parameters, seconds, shown, scored, memory, threads, device = own["textcnn, hierarchical"]
    assert int(parameters.replace(",", "")) == round(sum(fact.get("parameters", 0) for fact in facts) / 2)
    fitted = [fact for fact in facts if fact.get("seconds")]
    assert len(fitted) == 8  # of two seeds: root, A, B, D; F and H have one class, nothing was trained
    assert float(seconds) == pytest.approx(sum(fact["seconds"] for fact in fitted) / 2, abs=0.051)
    passes = sum(fact["train_documents"] * fact["epochs"] for fact in fitted)
    assert float(shown.replace(",", "")) == pytest.approx(passes / sum(fact["seconds"] for fact in fitted), abs=0.5)
    assert (threads, device) == ("1", "CPU")
    assert int(memory.replace(",", "")) == round(max(fact["peak_memory_bytes"] for fact in facts) / 2**20)
    assert int(scored.replace(",", "")) > 0


def test_every_configuration_has_a_row(contexts):
    for context in contexts.values():
        nine, flat = context.say("hierarchical"), context.say("flat_model")
        names = [f"{item.name}, {nine}" for item in context.evidence.hierarchical] + [f"linear, {flat}"]
        assert list(rows(context)) == names


def test_without_a_result_there_is_nothing(context):
    assert cost(replace(context, evidence=replace(context.evidence, hierarchical=(), flat=()))) == []
