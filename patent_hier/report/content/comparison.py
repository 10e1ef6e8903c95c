"""Ways to a class side by side: product, oracle, cascade, flat; tests between systems; frequency; calibration."""

from collections.abc import Mapping
from typing import TypeVar

from patent_hier.evaluation.calibration_error import Reliability
from patent_hier.evaluation.frequency import GROUPS, accuracy_by_group, frequency_groups
from patent_hier.evaluation.significance import Comparison
from patent_hier.report.blocks import Block, Details, FigureBlock, Heading, Paragraph, TableBlock
from patent_hier.report.content.context import ABSENT, MOST_PANELS, Context, interval, seeds_of, with_interval
from patent_hier.report.figures import frequency_bars, reliability
from patent_hier.report.tables import Grid, percent

T = TypeVar("T")
_FOLD = 10  # pairs of systems; a longer table is folded
_SMALLEST_P = 1e-4


def comparison(context: Context) -> list[Block]:
    """The part that compares the systems with each other."""
    say = context.say
    if not (context.hierarchical or context.flat):
        return []
    return [
        Heading(2, say("ways_title"), "ways"),
        Paragraph(say("ways_intro")),
        TableBlock(_ways(context), say("ways_table"), say("ways_note")),
        *_tests(context),
        *_frequency(context),
        *_calibration(context),
    ]


def _ways(context: Context) -> Grid:
    say = context.say
    rows = []
    for item in context.hierarchical:
        scores = (item.section, item.oracle, item.product, item.cascade)
        rest = (percent(item.routing_loss), percent(item.top_3), percent(item.macro_f1), f"{item.classes_named:.0f}")
        rows.append((context.name(item.configuration, "hierarchical"), *map(with_interval, scores), *rest))
    for other in context.flat:
        rest = (ABSENT, percent(other.top_3), percent(other.macro_f1), f"{other.classes_named:.0f}")
        name = context.name(other.configuration, "flat_model")
        rows.append((name, with_interval(other.section), ABSENT, ABSENT, with_interval(other.flat), *rest))
    for gap in context.evidence.missing:
        name = say("row_incomplete", name=gap.name, seed=gap.seed, nodes=", ".join(gap.nodes))
        rows.append((name, *(8 * (ABSENT,))))
    columns = ("section", "oracle", "product", "class", "routing_loss", "top_3", "macro_f1", "classes_named")
    return Grid("", (say("system"), *(say(f"ways_{column}") for column in columns)), tuple(rows))


def _tests(context: Context) -> list[Block]:
    say = context.say
    if len(context.hits) < 2:
        return []
    pairs = context.pairs
    seeds = {next(iter(item.hits)) for item in context.hierarchical}
    seeds |= {next(iter(other.hits)) for other in context.flat}
    table = TableBlock(_test_table(context, pairs), say("tests_table"), say("tests_note", seeds=seeds_of(seeds)))
    intro = Paragraph(say("tests_intro", pairs=len(pairs), documents=f"{pairs[0].n_documents:,}"))
    folded: Block = Details(say("tests_fold", pairs=len(pairs)), (table,)) if len(pairs) > _FOLD else table
    return [Heading(3, say("tests_title"), "tests"), intro, folded]


def _test_table(context: Context, pairs: list[Comparison]) -> Grid:
    say = context.say
    rows = []
    for pair in pairs:
        low, high = pair.interval
        rows.append(
            (
                pair.first,
                pair.second,
                f"{100 * pair.difference:+.1f}",
                f"{100 * low:+.1f} … {100 * high:+.1f}",
                f"{pair.test.only_first:,}",
                f"{pair.test.only_second:,}",
                _p(pair.test.p_value),
                _p(pair.p_adjusted),
            )
        )
    columns = ("first", "second", "difference", "interval", "only_first", "only_second", "p", "p_holm")
    return Grid("", tuple(say(f"tests_{column}") for column in columns), tuple(rows), n_names=2)


def _frequency(context: Context) -> list[Block]:
    say = context.say
    groups = frequency_groups(context.train_counts)
    scores = {name: accuracy_by_group(context.targets, hits, groups) for name, hits in context.hits.items()}
    present = [group for group in GROUPS if any(group in own for own in scores.values())]
    first = next(iter(scores.values()))
    rows_ = [
        (name, *(f"{percent(own[g].value)}\n({interval(own[g])})" if g in own else ABSENT for g in present))
        for name, own in scores.items()
    ]
    rows_.append((say("row_documents"), *(f"{first[g].n_documents:,}" for g in present)))
    rows_.append((say("row_classes"), *(str(first[g].n_classes_with_support) for g in present)))
    grid = Grid("", (say("system"), *(say(f"group_{g}") for g in present)), tuple(rows_))
    return [
        Heading(3, say("frequency_title"), "frequency"),
        TableBlock(grid, say("frequency_table"), say("frequency_note")),
        FigureBlock(
            frequency_bars(_first(scores), language=context.language), say("frequency_figure", most=MOST_PANELS)
        ),
    ]


def _calibration(context: Context) -> list[Block]:
    say = context.say
    own: dict[str, Reliability] = {
        context.name(item.configuration, "hierarchical"): item.reliability for item in context.hierarchical
    }
    own |= {context.name(item.configuration, "flat_model"): item.reliability for item in context.flat}
    rows = tuple((name, percent(item.ece), percent(item.max), f"{item.n_documents:,}") for name, item in own.items())
    header = (say("system"), say("ece"), say("ece_max"), say("documents"))
    own = {name: own[name] for name in context.hits}
    bins = _first({name: _bins(item) for name, item in own.items()})
    return [
        Heading(3, say("calibration_title"), "calibration"),
        TableBlock(Grid("", header, rows), say("calibration_table"), say("calibration_note")),
        FigureBlock(reliability(bins, language=context.language), say("calibration_figure", most=MOST_PANELS)),
    ]


def _first(by_system: Mapping[str, T]) -> dict[str, T]:
    return dict(list(by_system.items())[:MOST_PANELS])


def _bins(item: Reliability) -> list[tuple[float, float, int]]:
    return [
        (confidence, accuracy, count)
        for confidence, accuracy, count in zip(item.confidence, item.accuracy, item.count, strict=True)
        if confidence is not None and accuracy is not None
    ]


def _p(value: float) -> str:
    return f"< {_SMALLEST_P}" if value < _SMALLEST_P else f"{value:.4f}"
