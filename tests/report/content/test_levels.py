from dataclasses import replace

import numpy as np
import pytest

from patent_hier.data.splits import TEST, TRAIN
from patent_hier.evaluation.frequency import BANDS
from patent_hier.report.content.levels import levels

ALL = "test documents (labels)"


def test_every_level_of_every_system_stands_with_its_scores(context):
    grid = levels(context)["levels_table"]
    results = {context.name(item): item.first.result for item in context.ranked}
    assert [row[:2] for row in grid.rows] == [(name, level) for name in results for level in ("section", "class")]
    assert grid.header[2:7] == ("right", "top 1", "top 3", "top 5", "any symbol")
    for name, level, right, top_1, top_3, top_5, any_symbol, *_, documents, _, _ in grid.rows:
        own = results[name].levels[level]
        low, high = own.accuracy.interval
        assert right.replace("\n", " ") == f"{100 * own.accuracy.value:.1f} ({100 * low:.1f}–{100 * high:.1f})"
        assert top_1.split()[0] == f"{100 * own.top_1.value:.1f}"
        assert [top_3, top_5] == [f"{100 * score.value:.1f}" for score in (own.top_3, own.top_5)]
        assert float(any_symbol) >= float(top_1.split()[0])
        assert documents == "100"


def test_first_errors_of_a_system_and_what_is_right_make_a_hundred(context):
    grid = levels(context)["first_errors_table"]
    assert grid.header == ("System", "section", "class", "right throughout")
    for _, section, ipc_class, right in grid.rows:
        assert float(section) + float(ipc_class) + float(right.split()[0]) == pytest.approx(100, abs=0.2)


def test_bands_hold_every_document_and_the_labels_of_the_split(context):
    grid = levels(context)["bands_table"]
    assert grid.header[2:] == ("0", "1-4", "5-19", "20 or more")
    counts = {row[1]: row[2:] for row in grid.rows if row[0] == ALL}
    train, test = (context.documents[context.documents["part"] == part] for part in (TRAIN, TEST))
    for level in ("section", "class"):
        frequency = train[level].value_counts()
        of_test = np.array([frequency.get(label, 0) for label in test[level]])
        expected = np.histogram(of_test, [0, 1, 5, 20, np.inf])[0]
        assert [0 if cell == "–" else int(cell.split()[0]) for cell in counts[level]] == expected.tolist()
        assert (
            sum(int(cell.split("(")[1].rstrip(")")) for cell in counts[level] if cell != "–") == test[level].nunique()
        )
    item = context.ranked[0]
    (row,) = [row for row in grid.rows if row[:2] == (context.name(item), "class")]
    weights = [0 if cell == "–" else int(cell.split()[0]) for cell in counts["class"]]
    top_1 = sum(float(cell.split(" / ")[0]) * n for cell, n in zip(row[2:], weights, strict=True) if n) / 100
    assert top_1 == pytest.approx(100 * item.first.result.levels["class"].top_1.value, abs=0.1)


def test_a_system_that_ends_above_the_deepest_level_has_dashes_there(context):
    deep = context.ranked[0]
    shallow = context.ranked[1]
    result = shallow.first.result
    only_section = replace(result, levels={"section": result.levels["section"]})
    (seed,) = list(shallow.answers)[:1]
    cut = replace(shallow, answers={seed: replace(shallow.first, result=only_section)})
    grid = levels(replace(context, systems=[deep, cut]))["first_errors_table"]
    (row,) = [row for row in grid.rows if row[0] == context.name(cut)]
    assert row[2] == "–"


def test_words_of_every_band_are_there(contexts):
    for context in contexts.values():
        assert len(set(levels(context)["bands_table"].header)) == 2 + len(BANDS)
