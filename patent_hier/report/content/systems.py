"""Comparison of all systems: best system, ways to a class, tests, frequency, calibration and leakage."""

from collections import Counter
from typing import Any

from patent_hier.data.splits import PARTS, TEST, TRAIN
from patent_hier.evaluation.frequency import accuracy_by_group, frequency_groups
from patent_hier.report.content.context import MOST_PANELS, Context, seeds_of
from patent_hier.report.content.levels import levels
from patent_hier.report.figures import frequency_bars, reliability
from patent_hier.report.scores import COMPARED, leakage
from patent_hier.report.tables import ABSENT, Grid, interval, mean_and_sd, percent, with_interval

_SMALLEST_P = 1e-4


def systems(context: Context) -> dict[str, Any]:
    """Return all variables that compare systems; empty if no system was scored."""
    if not context.systems:
        return {}
    found = {"winner": winner(context), "ways_table": ways(context), **_frequency(context), **_calibration(context)}
    if context.pairs:
        found["tests"] = {
            "pairs": len(context.pairs),
            "documents": context.pairs[0].n_documents,
            "seeds": seeds_of({next(iter(item.answers)) for item in context.systems}),
            "table": tests_table(context),
        }
    return {**found, **levels(context), **_leaks(context)}


def winner(context: Context) -> dict[str, Any]:
    """Return the most accurate system, and the systems that do not differ significantly from it."""
    best = context.ranked[0].best_guess
    name = context.name(context.ranked[0])
    close = [
        pair.second if pair.first == name else pair.first
        for pair in context.pairs
        if name in (pair.first, pair.second)
        and (pair.p_adjusted >= 0.05 or (pair.difference > 0) != (pair.first == name))
    ]
    facts = {"score": mean_and_sd(best), "interval": interval(best)}
    counts = {"documents": best.n_documents, "classes": best.n_classes, "others": len(context.systems) - 1}
    return {"name": name, **facts, **counts, "close": close}


def ways(context: Context) -> Grid:
    """Return the table of ways to a class; incomplete systems get a row without numbers."""
    rows = [
        {
            "system": context.name(item),
            "ways_section": with_interval(item.levels["section"]),
            "ways_oracle": with_interval(item.table_2.get("L2")),
            "ways_product": with_interval(item.table_2.get("overall")),
            "ways_class": with_interval(item.levels["class"]),
            "ways_routing_loss": percent(item.routing_loss),
            **{f"ways_{score}": percent(item.mean(score)) for score in ("top_3", "macro_f1")},
            "ways_classes_named": f"{item.classes_named:.0f}",
        }
        for item in context.systems
    ]
    rows += [{**dict.fromkeys(rows[0], ABSENT), "system": context.gap(item)} for item in context.evidence.missing]
    return context.grid(rows)


def tests_table(context: Context) -> Grid:
    """Return the table of all pairs of systems."""
    rows = [
        {
            "tests_first": pair.first,
            "tests_second": pair.second,
            "tests_difference": f"{100 * pair.difference:+.1f}",
            "tests_interval": " … ".join(f"{100 * end:+.1f}" for end in pair.interval),
            "tests_only_first": f"{pair.test.only_first:,}",
            "tests_only_second": f"{pair.test.only_second:,}",
            "tests_p": _p(pair.test.p_value),
            "tests_p_holm": _p(pair.p_adjusted),
        }
        for pair in context.pairs
    ]
    return context.grid(rows, n_names=2)


def _p(value: float) -> str:
    return f"< {_SMALLEST_P}" if value < _SMALLEST_P else f"{value:.4f}"


def _frequency(context: Context) -> dict[str, Any]:
    groups = frequency_groups(Counter(context.documents.loc[context.documents["part"] == TRAIN, "class"]))
    scores = {
        context.name(item): accuracy_by_group(item.first.true[COMPARED], item.first.hits[COMPARED], groups)
        for item in context.ranked
    }
    first = next(iter(scores.values()))  # all were scored on the same documents
    cells = {name: {group: with_interval(score) for group, score in own.items()} for name, own in scores.items()}
    cells[context.word("row_documents")] = {group: f"{score.n_documents:,}" for group, score in first.items()}
    cells[context.word("row_classes")] = {group: str(score.n_classes_with_support) for group, score in first.items()}
    rows = [{"system": name, **{f"group_{group}": text for group, text in own.items()}} for name, own in cells.items()]
    return {
        "frequency_table": context.grid(rows),
        "frequency_figure": frequency_bars(context.pen, dict(list(scores.items())[:MOST_PANELS])),
    }


def _calibration(context: Context) -> dict[str, Any]:
    rows = [
        {
            "system": context.name(item),
            "ece": percent(own.ece),
            "ece_recalibrated": percent(None if after is None else after.ece),
            "ece_max": percent(own.max),
            "documents": f"{own.n_documents:,}",
        }
        for item in context.systems
        for own, after in ((item.first.reliability, item.first.recalibrated),)
    ]
    shown = {context.name(item): item.first.reliability for item in context.ranked[:MOST_PANELS]}
    return {"calibration_table": context.grid(rows), "calibration_figure": reliability(context.pen, shown)}


def _leaks(context: Context) -> dict[str, Any]:
    """Return the numbers of test documents related to training, and the scores without leaked documents."""
    test, ids = PARTS[TEST], context.leaked_ids
    counts = {relation.name: relation.leaked[test] for relation in context.audit.relations}
    n = context.audit.documents[test]
    rows = [
        {"system": context.name(item)}
        | {f"leakage_{column}": with_interval(spread) for column, spread in leakage(item, ids).items()}
        for item in context.systems
    ]
    counts |= {"documents": n, "leaked": len(ids), "clean": n - len(ids)}
    return {"leak_counts": counts, "leakage_table": context.grid(rows)}
