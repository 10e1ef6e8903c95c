"""Details: errors of the best system, learning curves, and the number of last layers (Figure 6)."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from patent_hier.evaluation.result import Score
from patent_hier.report.content.context import MOST_PANELS, Context
from patent_hier.report.figures import class_bars, layer_bars, learning_curves, section_confusion
from patent_hier.report.published import published
from patent_hier.report.scores import COMPARED, LEVELS, Answers, score_node
from patent_hier.report.tables import interval, percent
from patent_hier.settings import ROOT

_ABLATION = ("-m", "level=node", "node=D", "model.num_last_layers=1,2,3,4,5,6")


def details(context: Context) -> dict[str, Any]:
    """Return confusion of sections and accuracy by class for the best system's first seed, and learning curves."""
    variables: dict[str, Any] = {}
    if context.ranked:
        best = context.ranked[0]
        variables["best"] = context.name(best)
        variables["confusion_figure"] = section_confusion(context.pen, confusion(best.first))
        variables["classes_figure"] = class_bars(context.pen, classes_alone(best.first))
    if curves := _curves(context):
        variables["curves_figure"] = learning_curves(context.pen, curves)
    return variables


def confusion(answers: Answers) -> pd.DataFrame:
    """Return numbers of documents ``(m, m)`` by true section (rows) and predicted section (columns)."""
    true, predicted = answers.true[LEVELS[0]], answers.predicted[LEVELS[0]]
    sections = sorted({*true, *predicted})
    return pd.crosstab(true, predicted).reindex(index=sections, columns=sections, fill_value=0)


def classes_alone(answers: Answers) -> pd.DataFrame:
    """Return for each class with test documents the fraction ``right`` and the number of ``documents``."""
    right = pd.DataFrame({"right": answers.hits[COMPARED]}).groupby(answers.true[COMPARED])["right"]
    return pd.DataFrame({"right": right.mean(), "documents": right.size()})


def _curves(context: Context) -> dict[str, list[dict[str, float]]]:
    """Return training histories of section models and whole-tree networks trained in epochs; first seeds."""
    curves = {}
    for item in context.systems:
        run = next(iter(item.configuration.runs.values())).get(ROOT, item.configuration.first)
        if run.history:
            curves[context.name(item, "section_model" if run.node == ROOT else "")] = run.history
    return dict(list(curves.items())[:MOST_PANELS])


def layers(context: Context) -> dict[str, Any]:
    """Return figure and table of the accuracy by number of last layers that the head reads."""
    series = context.evidence.layers
    scores = {
        node: own
        for node, runs in series.items()
        if (own := {number: score for number, run in runs.items() if (score := score_node(run))})
    }
    variables: dict[str, Any] = {"best_n": published("figure_6")["best_n"], "ablation": context.command(*_ABLATION)}
    if not scores:
        return variables
    rows = [
        {
            "layers_node": node,
            "layers_n": str(number),
            "layers_val": percent((series[node][number].metrics["val"]["accuracy"] or {}).get("value")),
            "layers_test": percent(score.value),
            "layers_interval": interval(score),
            "layers_documents": f"{score.n_documents:,}",
            "layers_classes": str(score.n_classes_with_support),
        }
        for node, own in scores.items()
        for number, score in own.items()
    ]
    run = next(iter(next(iter(series.values())).values()))
    return variables | {
        "layers_figure": layer_bars(context.pen, scores),
        "layers_name": f"{run.manifest['model']}, seed {run.seed}",
        "layers_table": context.grid(rows),
        "layers_reading": [_reading(node, own) for node, own in scores.items()],
    }


def _reading(node: str, own: Mapping[int, Score]) -> dict[str, Any]:
    """Return a node's best number of layers, and the numbers whose accuracy is below its interval."""
    best = max(own, key=lambda number: own[number].value)
    low, _ = own[best].interval
    apart = [str(number) for number, score in own.items() if score.value < low]
    return {"node": node, "best": best, "others": ", ".join(apart)}
