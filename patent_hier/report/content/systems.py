"""All systems side by side: the winner, ways to a class, tests, frequency, calibration, leakage."""

from typing import Any

from patent_hier.data.splits import PARTS, TEST
from patent_hier.evaluation.calibration_error import Reliability
from patent_hier.evaluation.frequency import GROUPS, accuracy_by_group, frequency_groups
from patent_hier.report.content.context import (
    ABSENT,
    MOST_PANELS,
    Context,
    interval,
    mean_and_sd,
    percent_or_dash,
    seeds_of,
    with_interval,
)
from patent_hier.report.figures import frequency_bars, reliability
from patent_hier.report.leakage import COLUMNS, leakage
from patent_hier.report.scores import LEVELS
from patent_hier.report.tables import Grid, percent

_SMALLEST_P = 1e-4
_WAYS = (LEVELS[0], "oracle", "product", *LEVELS[1:], "routing_loss", "top_3", "macro_f1", "classes_named")


def systems(context: Context) -> dict[str, Any]:
    """Everything that is said of all systems; nothing where none was scored."""
    if not context.systems:
        return {}
    found = {"winner": winner(context), "ways_table": ways(context), **_frequency(context), **_calibration(context)}
    if len(context.systems) > 1:
        found["tests"] = {
            "pairs": len(context.pairs),
            "documents": f"{context.pairs[0].n_documents:,}",
            "seeds": seeds_of({next(iter(item.answers)) for item in context.systems}),
            "table": tests_table(context),
        }
    return {**found, **_deeper(context), **_leaks(context)}


def _deeper(context: Context) -> dict[str, Any]:
    """Every level of the systems that go below the class; of the first seed."""
    rows = []
    for item in context.ranked:
        result = next(iter(item.results.values()))
        for level in list(result.levels.values()) if len(result.levels) > len(LEVELS) else ():
            own = level.accuracy
            scores = (level.top_3, level.top_5, level.macro_f1, level.hierarchical_f1)
            counts = (f"{own.n_documents:,}", f"{own.n_classes_with_support:,}", f"{level.unseen_documents:,}")
            right = f"{percent(own.value)}\n({interval(own)})"
            name = context.word(f"level_{level.level}")
            rows.append((context.name(item), name, right, *(percent(score.value) for score in scores), *counts))
    columns = ("right", "top_3", "top_5", "macro_f1", "hierarchical_f1", "documents", "labels", "unseen")
    header = ("system", "deeper_level", *(f"deeper_{column}" for column in columns))
    return {"deeper_table": context.grid(header, rows, n_names=2)} if rows else {}


def winner(context: Context) -> dict[str, Any]:
    """Which system is right most often, and those that are not distinguishable from it."""
    best = context.ranked[0].best_guess
    name = context.name(context.ranked[0])
    close = [
        pair.second if pair.first == name else pair.first
        for pair in (context.pairs if len(context.systems) > 1 else ())
        if name in (pair.first, pair.second)
        and (pair.p_adjusted >= 0.05 or (pair.difference > 0) != (pair.first == name))
    ]
    facts = {"score": mean_and_sd(best), "interval": interval(best)}
    counts = {"documents": f"{best.n_documents:,}", "classes": best.n_classes, "others": len(context.systems) - 1}
    return {"name": name, **facts, **counts, "close": close}


def ways(context: Context) -> Grid:
    """The ways to a class; gaps have a row without numbers."""
    rows = []
    for item in context.systems:
        cells = {level: with_interval(item.levels[level]) for level in LEVELS}
        cells |= {
            name: with_interval(item.table_2.get(key)) for name, key in (("oracle", "L2"), ("product", "overall"))
        }
        cells |= {
            "routing_loss": percent_or_dash(item.routing_loss),
            "top_3": percent(item.top_3),
            "macro_f1": percent(item.macro_f1),
            "classes_named": f"{item.classes_named:.0f}",
        }
        rows.append((context.name(item), *(cells[column] for column in _WAYS)))
    for gap in context.evidence.missing:
        name = context.word("row_incomplete", name=gap.name, seed=gap.seed, nodes=", ".join(gap.nodes))
        rows.append((name, *(ABSENT for _ in _WAYS)))
    return context.grid(("system", *(f"ways_{column}" for column in _WAYS)), rows)


def tests_table(context: Context) -> Grid:
    """All pairs of systems."""
    rows = []
    for pair in context.pairs:
        low, high = pair.interval
        difference = (f"{100 * pair.difference:+.1f}", f"{100 * low:+.1f} … {100 * high:+.1f}")
        counts = (f"{pair.test.only_first:,}", f"{pair.test.only_second:,}")
        rows.append((pair.first, pair.second, *difference, *counts, _p(pair.test.p_value), _p(pair.p_adjusted)))
    columns = ("first", "second", "difference", "interval", "only_first", "only_second", "p", "p_holm")
    return context.grid((f"tests_{column}" for column in columns), rows, n_names=2)


def _p(value: float) -> str:
    return f"< {_SMALLEST_P}" if value < _SMALLEST_P else f"{value:.4f}"


def _frequency(context: Context) -> dict[str, Any]:
    groups = frequency_groups(context.train_counts)
    scores = {name: accuracy_by_group(context.targets, hits, groups) for name, hits in context.hits.items()}
    first = next(iter(scores.values()))  # all were scored on the same documents
    rows = [
        (name, *(f"{percent(score.value)}\n({interval(score)})" for score in own.values()))
        for name, own in scores.items()
    ]
    rows.append((context.word("row_documents"), *(f"{score.n_documents:,}" for score in first.values())))
    rows.append((context.word("row_classes"), *(str(score.n_classes_with_support) for score in first.values())))
    present = [f"group_{group}" for group in GROUPS if group in first]
    return {
        "frequency_table": context.grid(("system", *present), rows),
        "frequency_figure": frequency_bars(context.pen, dict(list(scores.items())[:MOST_PANELS])),
    }


def _calibration(context: Context) -> dict[str, Any]:
    rows = [
        (context.name(item), percent(own.ece), percent(own.max), f"{own.n_documents:,}")
        for item in context.systems
        for own in (item.reliability,)
    ]
    bins = {context.name(item): _bins(item.reliability) for item in context.ranked[:MOST_PANELS]}
    return {
        "calibration_table": context.grid(("system", "ece", "ece_max", "documents"), rows),
        "calibration_figure": reliability(context.pen, bins),
    }


def _bins(item: Reliability) -> list[tuple[float, float, int]]:
    return [
        (confidence, accuracy, count)
        for confidence, accuracy, count in zip(item.confidence, item.accuracy, item.count, strict=True)
        if confidence is not None and accuracy is not None
    ]


def _leaks(context: Context) -> dict[str, Any]:
    """How many test documents have a relative in training, and what the systems score without them."""
    test, ids = PARTS[TEST], context.leaked_ids
    counts = {relation.name: f"{relation.leaked[test]:,}" for relation in context.audit.relations}
    n = context.audit.documents[test]
    counts |= {"documents": f"{n:,}", "leaked": f"{len(ids):,}", "clean": f"{n - len(ids):,}"}
    rows = [(context.name(item), *map(with_interval, leakage(item, ids).values())) for item in context.systems]
    table = context.grid(("system", *(f"leakage_{column}" for column in COLUMNS)), rows)
    return {"leak_counts": counts, "leakage_table": table}
