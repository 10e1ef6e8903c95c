from dataclasses import replace

import numpy as np

from patent_hier.report.blocks import FigureBlock, Paragraph
from patent_hier.report.content import details as module
from patent_hier.report.content.details import details
from tests.report.worlds import plain_figures


def asked(context, monkeypatch):
    """What the figures are asked to draw, and the blocks."""
    calls = {}
    with plain_figures():
        for name in ("section_confusion", "class_bars", "learning_curves"):
            draw = getattr(module, name)

            def record(*given, _draw=draw, _name=name, **options):
                calls[_name] = given
                return _draw(*given, **options)

            monkeypatch.setattr(module, name, record)
        return calls, details(context)


def test_the_best_system_is_looked_at(context, monkeypatch):
    calls, blocks = asked(context, monkeypatch)
    accuracies = {f"{item.configuration.name}, hierarchical": item.cascade.mean for item in context.hierarchical}
    accuracies["linear, flat"] = context.flat[0].flat.mean
    best = max(accuracies, key=lambda name: accuracies[name])  # the first of equals
    assert any(f"the best system, {best}, first seed" in b.text for b in blocks if isinstance(b, Paragraph))
    sections, counts = calls["section_confusion"]
    assert counts.sum() == 100
    item = next(item for item in context.hierarchical if f"{item.configuration.name}, hierarchical" == best)
    assert np.trace(counts) == round(100 * item.section.mean)
    assert counts.sum(axis=1)[sections.index("A")] == item.local["A"].n_documents
    (rows,) = calls["class_bars"]
    assert sum(documents for _, _, documents in rows) == 100
    assert round(sum(share * documents for _, share, documents in rows)) == round(100 * item.cascade.mean)
    assert [name for name, *_ in rows] == sorted({*context.targets})


def test_curves_of_what_was_trained_in_epochs(context, monkeypatch):
    calls, _ = asked(context, monkeypatch)
    (curves,) = calls["learning_curves"]
    assert {name: len(history) for name, history in curves.items()} == {
        "bertcnn, section model": 1,
        "textcnn, section model": len(context.evidence.hierarchical[-1].runs[1]["root"].history),
    }


def test_without_a_system_there_is_nothing(context):
    with plain_figures():
        own = replace(context.evidence, hierarchical=(), flat=())
        assert details(replace(context, evidence=own, hierarchical=(), flat=())) == []


def test_models_without_epochs_have_no_curves(context):
    evidence = replace(context.evidence, hierarchical=())  # leaves the flat linear model
    with plain_figures():
        blocks = details(replace(context, evidence=evidence, hierarchical=()))
    assert [block.figure.name for block in blocks if isinstance(block, FigureBlock)] == [
        "section_confusion",
        "class_bars",
    ]
