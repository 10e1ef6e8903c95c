"""A closer look: errors of the best system, learning curves, and Figure 6's number of last layers."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from patent_hier.evaluation.result import Score
from patent_hier.report.content.context import MOST_PANELS, Context, interval, percent_or_dash
from patent_hier.report.figures import class_bars, layer_bars, learning_curves, section_confusion
from patent_hier.report.published import published
from patent_hier.report.scores import COMPARED, HIERARCHICAL, LEVELS, Answers, score_node
from patent_hier.report.tables import percent
from patent_hier.settings import ROOT

_ABLATION = ("-m", "level=node", "node=D", "model.num_last_layers=1,2,3,4,5,6")


def details(context: Context) -> dict[str, Any]:
    """Which section is taken for which, and every class by itself, of the best system's first seed; curves."""
    variables: dict[str, Any] = {}
    if context.ranked:
        best = context.ranked[0]
        variables["best"] = context.name(best)
        variables["confusion_figure"] = section_confusion(context.pen, *confusion(best.first))
        variables["classes_figure"] = class_bars(context.pen, class_rows(best.first))
    if curves := _curves(context):
        variables["curves_figure"] = learning_curves(context.pen, curves)
    return variables


def confusion(answers: Answers) -> tuple[list[str], Any]:
    """Sections, and documents ``(m, m)`` by true and predicted section."""
    true, predicted = answers.true[LEVELS[0]], answers.predicted[LEVELS[0]]
    sections = sorted({*true, *predicted})
    counts = np.zeros((len(sections), len(sections)), np.int64)
    np.add.at(counts, (np.searchsorted(sections, list(true)), np.searchsorted(sections, list(predicted))), 1)
    return sections, counts


def class_rows(answers: Answers) -> list[tuple[str, float, int]]:
    """Every class with test documents: its name, the fraction that is right, how many they are."""
    right, targets = answers.hits[COMPARED], answers.true[COMPARED]
    groups = ((name, right[targets == name]) for name in sorted(set(targets.tolist())))
    return [(name, float(own.mean()), len(own)) for name, own in groups]


def _curves(context: Context) -> dict[str, list[dict[str, float]]]:
    """Histories of section models and networks over everything that were trained in epochs; first seeds."""
    curves = {}
    for item in context.systems:
        nodes = next(iter(item.configuration.runs.values()))
        run, label = (
            (nodes[ROOT], "section_model") if item.kind == HIERARCHICAL else (item.configuration.first, item.kind)
        )
        if run.history:
            curves[context.name(item, label)] = run.history
    return dict(list(curves.items())[:MOST_PANELS])


def layers(context: Context) -> dict[str, Any]:
    """Accuracy against the number of last layers that the head reads."""
    series = context.evidence.layers
    scores = {
        node: {number: score for number, run in runs.items() if (score := score_node(run))}
        for node, runs in series.items()
    }
    scores = {node: own for node, own in scores.items() if own}
    variables: dict[str, Any] = {"best_n": published("figure_6")["best_n"], "ablation": context.command(*_ABLATION)}
    if not scores:
        return variables
    rows = []
    for node, own in scores.items():
        for number, score in own.items():
            val = series[node][number].metrics["val"]["accuracy"]
            shown = (percent_or_dash(val and val["value"]), percent(score.value), interval(score))
            rows.append((node, str(number), *shown, f"{score.n_documents:,}", str(score.n_classes_with_support)))
    columns = ("node", "n", "val", "test", "interval", "documents", "classes")
    run = next(iter(next(iter(series.values())).values()))
    return variables | {
        "layers_figure": layer_bars(context.pen, scores),
        "layers_name": f"{run.manifest['model']}, seed {run.seed}",
        "layers_table": context.grid((f"layers_{column}" for column in columns), rows),
        "layers_reading": [_reading(node, own) for node, own in scores.items()],
    }


def _reading(node: str, own: Mapping[int, Score]) -> dict[str, Any]:
    """Which number is best for a node, and those whose value its interval leaves out."""
    best = max(own, key=lambda number: own[number].value)
    low, _ = own[best].interval
    apart = [str(number) for number, score in own.items() if score.value < low]
    return {"node": node, "best": best, "others": ", ".join(apart)}
