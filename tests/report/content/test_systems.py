from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binomtest

from patent_hier.pipeline.evidence import Missing
from patent_hier.report.content.systems import systems, ways, winner
from patent_hier.report.content.systems import tests_table as table_of_tests
from patent_hier.report.scores import FLAT_MODEL, leakage
from tests.report.worlds import plain_figures


def drawn(context):
    with plain_figures():
        return systems(context)


def only(context, *names):
    return replace(context, systems=[item for item in context.hierarchical if item.configuration.name in names])


def test_the_best_and_those_not_distinguishable_from_it(context):
    found = winner(context)
    scores = {context.name(item): item.best_guess for item in context.systems}
    best = max(scores, key=lambda own: scores[own].mean)
    assert (found["name"], found["score"]) == (best, f"{100 * scores[best].mean:.1f}")
    assert (found["documents"], found["classes"], found["others"]) == (100, 9, 6)
    close = set(found["close"])
    assert not [own for own in close if own.startswith(("textcnn", "bertcnn"))]  # which are far behind
    assert {own for own in scores if own.startswith(("linear", "naive"))} == {best, *close}
    assert winner(only(context, "linear", "textcnn"))["close"] == []


def test_without_a_system_there_is_nothing_to_compare(context):
    assert drawn(replace(context, systems=())) == {}


def test_one_system_has_no_tests_but_all_the_rest(context):
    found = drawn(only(context, "linear"))
    assert "tests" not in found
    assert (found["winner"]["close"], found["winner"]["others"]) == ([], 0)
    assert {"ways_table", "levels_table", "frequency_table", "calibration_table", "leakage_table"} <= set(found)


def test_every_gap_has_a_row_without_numbers(context):
    gaps = (Missing("rnn", 3, ("B", "D"), "x"), Missing("linear", 2, ("flat",), "y"))
    grid = ways(replace(context, evidence=replace(context.evidence, missing=gaps)))
    assert grid.rows[-2:] == (
        ("rnn (seed 3): no result for B, D", *(8 * ("–",))),
        ("linear (seed 2): no result for flat", *(8 * ("–",))),
    )
    assert len(grid.rows) == len(context.systems) + 2


def test_classes_named_are_those_of_the_predictions(context):
    grid = ways(context)
    assert grid.header[-1] == context.word("ways_classes_named")
    expected = [
        np.mean([len(set(own.predicted["class"])) for own in item.answers.values()]) for item in context.systems
    ]
    assert [row[-1] for row in grid.rows] == [f"{number:.0f}" for number in expected]
    assert len(set(expected)) > 3  # systems of the fixture differ


def test_pairs_and_their_exact_tests(context):
    grid = table_of_tests(context)
    assert len(grid.rows) == 7 * 6 // 2
    p_values = []
    for first, second, difference, _, only_first, only_second, p, _ in grid.rows:
        one, two = context.seed_hits[first][0], context.seed_hits[second][0]
        assert (int(only_first), int(only_second)) == (int((one & ~two).sum()), int((two & ~one).sum()))
        means = context.seed_hits[first].mean() - context.seed_hits[second].mean()
        assert difference == f"{100 * means:+.1f}"
        discordant = int(only_first) + int(only_second)
        value = binomtest(int(only_first), discordant).pvalue if discordant else 1.0
        assert p == ("< 0.0001" if value < 1e-4 else f"{value:.4f}")
        p_values.append(value)
    order = np.argsort(p_values)
    steps = np.array(p_values)[order] * np.arange(21, 0, -1)
    expected = np.minimum(np.maximum.accumulate(steps), 1)[np.argsort(order)]
    assert [row[-1] for row in grid.rows] == ["< 0.0001" if v < 1e-4 else f"{v:.4f}" for v in expected]


def test_groups_of_frequency_hold_every_document(context):
    grid = drawn(context)["frequency_table"]
    *systems, documents, classes = grid.rows
    assert (sum(map(int, documents[1:])), sum(map(int, classes[1:]))) == (100, 9)
    for name, *cells in systems:
        weighted = sum(float(cell.split()[0]) * int(count) for cell, count in zip(cells, documents[1:], strict=True))
        assert weighted / 100 == pytest.approx(100 * context.seed_hits[name][0].mean(), abs=0.06)


def test_calibration_errors_are_those_of_the_scores(context):
    rows = {row[0]: row[1:] for row in drawn(context)["calibration_table"].rows}
    assert len(rows) == 7
    for item in context.systems:
        own, after = item.first.reliability, item.first.recalibrated
        cells = (own.ece, after.ece, own.max)
        assert rows[context.name(item)] == (*(f"{100 * value:.1f}" for value in cells), "100")


def test_every_system_is_scored_without_leaked_documents(context):
    found = drawn(context)
    assert [row[0] for row in found["leakage_table"].rows] == [context.name(item) for item in context.systems]
    counts = found["leak_counts"]
    assert counts["clean"] + counts["leaked"] == counts["documents"] == 100
    assert counts["leaked"] == len(context.leaked_ids)


def test_scores_without_some_documents_are_those_of_the_others(context):
    item = next(item for item in context.systems if item.kind == FLAT_MODEL)
    ids, hits = item.first.document_ids, item.first.hits["class"]
    found = leakage(item, np.sort(ids[::3].astype(str)))
    others = np.ones(len(ids), bool)
    others[::3] = False
    assert found["clean_class"].mean == pytest.approx(hits[others].mean())
    assert found["leaked_class"].mean == pytest.approx(hits[::3].mean())
    assert found["class"].mean == pytest.approx(item.best_guess.mean)
    assert leakage(item, np.array([], dtype=str))["leaked_class"] is None
    assert leakage(item, ids.astype(str))["clean_class"] is None
