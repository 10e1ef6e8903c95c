from dataclasses import replace

import numpy as np

from patent_hier.report.content import details as module
from patent_hier.report.content.details import classes_alone, confusion, details, layers
from tests.report.worlds import plain_figures


def drawn(context, part=details):
    with plain_figures():
        return part(context)


def test_the_best_system_is_looked_at(context):
    best = context.ranked[0]
    assert drawn(context)["best"] == context.name(best)
    assert best.best_guess.mean == max(item.best_guess.mean for item in context.systems)
    counts = confusion(best.first)
    assert counts.to_numpy().sum() == 100
    assert np.trace(counts) == round(100 * best.levels["section"].mean)
    assert counts.loc["A"].sum() == (best.first.true["section"] == "A").sum()
    a_as_d = (best.first.true["section"] == "A") & (best.first.predicted["section"] == "D")
    assert counts.loc["A", "D"] == a_as_d.sum()
    classes = classes_alone(best.first)
    assert classes["documents"].sum() == 100
    assert round(classes.product(axis=1).sum()) == round(100 * best.best_guess.mean)
    assert list(classes.index) == sorted({*best.first.true["class"]})


def test_curves_of_what_was_trained_in_epochs(context, monkeypatch):
    monkeypatch.setattr(module, "section_confusion", lambda *_: None)
    monkeypatch.setattr(module, "class_bars", lambda *_: None)
    monkeypatch.setattr(module, "learning_curves", lambda _, curves: curves)
    (textcnn,) = [item for item in context.systems if item.configuration.name == "textcnn"]
    assert {name: len(history) for name, history in details(context)["curves_figure"].items()} == {
        "bertcnn, section model": 1,
        "textcnn, section model": len(textcnn.configuration.runs[1]["root"].history),
    }


def test_what_is_not_there_is_left_out(context):
    assert drawn(replace(context, systems=())) == {}
    flat = [item for item in context.systems if item.kind == "flat_model"]  # a linear model
    assert set(drawn(replace(context, systems=flat))) == {"best", "confusion_figure", "classes_figure"}
    without = drawn(replace(context, evidence=replace(context.evidence, layers={})), layers)
    command = context.command("-m", "level=node", "node=D", "model.num_last_layers=1,2,3,4,5,6")
    assert without == {"best_n": 4, "ablation": command}


def test_each_number_of_layers_has_its_row(context):
    found = drawn(context, layers)
    rows = found["layers_table"].rows
    assert [row[:2] for row in rows] == [("D", "1"), ("D", "2")]
    for node, number, val, test, _, documents, classes in rows:
        run = context.evidence.layers[node][int(number)]
        scored = run.read_predictions().select("test")
        own = scored.level("class")
        under = own.targets != None  # noqa: E711  # an array is compared, element by element
        hits = np.array(scored.tree.labels("class"), object)[own.log_prob.argmax(1)][under] == own.targets[under]
        assert test == f"{100 * hits.mean():.1f}" == f"{100 * run.metrics['test']['accuracy']['value']:.1f}"
        assert val == f"{100 * run.metrics['val']['accuracy']['value']:.1f}"
        assert (documents, classes) == (str(len(hits)), str(len(set(own.targets[under]))))
    (reading,) = found["layers_reading"]
    assert (reading["node"], str(reading["best"])) == ("D", max(rows, key=lambda row: float(row[3]))[1])
