"""A closer look at the best system: which section is taken for which, every class, how training went."""

import numpy as np

from patent_hier.evaluation.hits import FlatHits, SystemHits
from patent_hier.report.blocks import Block, FigureBlock, Heading, Paragraph
from patent_hier.report.content.context import MOST_PANELS, Context
from patent_hier.report.figures import class_bars, learning_curves, section_confusion
from patent_hier.settings import FLAT, ROOT


def details(context: Context) -> list[Block]:
    """The part with confusion, classes and learning curves."""
    say = context.say
    best = _best(context)
    blocks: list[Block] = []
    if best is not None:
        name, hits = best
        sections = sorted(set(hits.sections) | set(hits.predicted_sections))
        position = {section: place for place, section in enumerate(sections)}
        counts = np.zeros((len(sections), len(sections)), np.int64)
        np.add.at(counts, ([position[s] for s in hits.sections], [position[s] for s in hits.predicted_sections]), 1)
        confusion = section_confusion(sections, counts, language=context.language, names=context.names)
        classes = class_bars(_class_rows(hits), language=context.language, names=context.names)
        blocks += [
            Heading(2, say("details_title"), "details"),
            Paragraph(say("details_intro", name=name)),
            FigureBlock(confusion, say("confusion_figure", name=name)),
            FigureBlock(classes, say("classes_figure", name=name)),
        ]
    if curves := _curves(context):
        blocks += [
            Heading(2, say("curves_title"), "curves"),
            FigureBlock(learning_curves(curves, language=context.language), say("curves_figure", most=MOST_PANELS)),
        ]
    return blocks


def _best(context: Context) -> tuple[str, SystemHits | FlatHits] | None:
    """The system with the highest accuracy over classes, first seed; nine models before a flat one of equal rank."""
    candidates: list[tuple[float, str, SystemHits | FlatHits]] = [
        (item.cascade.mean, context.name(item.configuration, "hierarchical"), next(iter(item.hits.values())))
        for item in context.hierarchical
    ]
    candidates += [
        (item.flat.mean, context.name(item.configuration, "flat_model"), next(iter(item.hits.values())))
        for item in context.flat
    ]
    if not candidates:
        return None
    _, name, hits = max(candidates, key=lambda candidate: candidate[0])
    return name, hits


def _class_rows(hits: SystemHits | FlatHits) -> list[tuple[str, float, int]]:
    right = hits.cascade_hits if isinstance(hits, SystemHits) else hits.class_hits
    rows = []
    for name in sorted(set(hits.targets.tolist())):
        own = hits.targets == name
        rows.append((name, float(right[own].mean()), int(own.sum())))
    return rows


def _curves(context: Context) -> dict[str, list[dict[str, float]]]:
    """Histories of section models and flat classifiers that were trained in epochs, the best first; first seeds."""
    curves = {}
    systems = [(item.configuration, ROOT, "section_model") for item in context.hierarchical]
    systems += [(other.configuration, FLAT, "flat_model") for other in context.flat]
    for configuration, node, label in systems:
        run = next(iter(configuration.runs.values()))[node]
        if run.history:
            curves[context.name(configuration, label)] = run.history
    return dict(list(curves.items())[:MOST_PANELS])
