from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binomtest

from patent_hier.pipeline.evidence import Missing
from patent_hier.report.blocks import Details, Heading, TableBlock, walk
from patent_hier.report.content.comparison import comparison
from tests.report.worlds import plain_figures


def blocks(context):
    with plain_figures():
        return comparison(context)


def table(context, key):
    (found,) = [
        block.grid
        for block in walk(blocks(context))
        if isinstance(block, TableBlock) and block.caption == context.say(key)
    ]
    return found


def test_without_a_system_there_is_nothing_to_compare(context):
    assert blocks(replace(context, hierarchical=(), flat=())) == []


def test_one_system_has_no_tests_but_all_the_rest(context):
    headings = [block.anchor for block in blocks(replace(context, hierarchical=())) if isinstance(block, Heading)]
    assert headings == ["ways", "frequency", "calibration"]


def test_every_gap_has_a_row_without_numbers(context):
    gaps = (Missing("rnn", 3, ("B", "D"), "x"), Missing("linear", 2, ("flat",), "y"))
    grid = table(replace(context, evidence=replace(context.evidence, missing=gaps)), "ways_table")
    assert grid.rows[-2:] == (
        ("rnn (seed 3): no result for B, D", *(8 * ("–",))),
        ("linear (seed 2): no result for flat", *(8 * ("–",))),
    )
    assert len(grid.rows) == len(context.hierarchical) + len(context.flat) + 2


def test_classes_named_are_those_of_the_predictions(context):
    grid = table(context, "ways_table")
    assert grid.header[-1] == context.say("ways_classes_named")
    expected = [
        np.mean([len(set(hits.cascade_classes)) for hits in item.hits.values()]) for item in context.hierarchical
    ]
    expected += [np.mean([len(set(hits.predicted_classes)) for hits in other.hits.values()]) for other in context.flat]
    assert [row[-1] for row in grid.rows] == [f"{number:.0f}" for number in expected]
    assert len(set(expected)) > 3  # systems of the fixture differ


def test_pairs_and_their_exact_tests(context):
    grid = table(context, "tests_table")
    assert len(grid.rows) == 6 * 5 // 2
    p_values = []
    for first, second, difference, _, only_first, only_second, p, _ in grid.rows:
        one, two = context.hits[first], context.hits[second]
        assert (int(only_first), int(only_second)) == (int((one & ~two).sum()), int((two & ~one).sum()))
        means = context.seed_hits[first].mean() - context.seed_hits[second].mean()
        assert difference == f"{100 * means:+.1f}"
        discordant = int(only_first) + int(only_second)
        value = binomtest(int(only_first), discordant).pvalue if discordant else 1.0
        assert p == ("< 0.0001" if value < 1e-4 else f"{value:.4f}")
        p_values.append(value)
    order = np.argsort(p_values)
    steps = np.array(p_values)[order] * np.arange(15, 0, -1)
    expected = np.minimum(np.maximum.accumulate(steps), 1)[np.argsort(order)]
    assert [row[-1] for row in grid.rows] == ["< 0.0001" if v < 1e-4 else f"{v:.4f}" for v in expected]


def test_many_pairs_are_folded_and_few_are_not(context):
    few = replace(context, hierarchical=context.hierarchical[:2])
    assert [block for block in blocks(context) if isinstance(block, Details)]
    assert not [block for block in blocks(few) if isinstance(block, Details)]
    assert len(table(few, "tests_table").rows) == 3


def test_groups_of_frequency_hold_every_document(context):
    grid = table(context, "frequency_table")
    *systems, documents, classes = grid.rows
    assert (sum(map(int, documents[1:])), sum(map(int, classes[1:]))) == (100, 9)
    for name, *cells in systems:
        weighted = sum(float(cell.split()[0]) * int(count) for cell, count in zip(cells, documents[1:], strict=True))
        assert weighted / 100 == pytest.approx(100 * context.hits[name].mean(), abs=0.06)


def test_calibration_errors_are_those_of_the_scores(context):
    rows = {row[0]: row[1:] for row in table(context, "calibration_table").rows}
    assert len(rows) == 6
    for item, kind in [(i, "hierarchical") for i in context.hierarchical] + [(i, "flat") for i in context.flat]:
        own = item.reliability
        assert rows[f"{item.configuration.name}, {kind}"] == (f"{100 * own.ece:.1f}", f"{100 * own.max:.1f}", "100")
