import shlex
from dataclasses import replace

import pytest

from patent_hier.pipeline.evidence import Missing
from patent_hier.report.content.table_2 import table_2, table_2_grid
from tests.report.worlds import plain_figures


def lacking(context, *missing, hierarchical=None):
    evidence = replace(context.evidence, missing=missing)
    return replace(context, evidence=evidence, systems=context.systems if hierarchical is None else hierarchical)


def names(context):
    return [row[0] for row in table_2_grid(context).rows]


def not_run(context):
    with plain_figures():
        return table_2(context)["not_run"]


def test_each_model_stands_with_its_counterpart_of_the_paper(context):
    assert names(context)[:8] == [
        "bertcnn (seed 1)", "BERT-CNN (paper)", "bertcnn minus paper",
        "textcnn (seed 1, 2)", "CNN (paper)", "textcnn minus paper",
        "rnn (not run)", "RNN (paper)",
    ]  # fmt: skip
    assert names(context)[-2:] == ["test documents", "labels with support"]
    assert names(context)[8:-2] == ["linear (seed 1)"]


def test_all_rows_are_as_long_as_the_header(contexts):
    for context in contexts.values():
        grid = table_2_grid(context)
        assert {len(row) for row in grid.rows} == {len(grid.header)} == {12}
        assert all(row[column] for row in grid.rows for column in range(12))
        assert all(0 < column < 12 for _, column in grid.bold)


def test_what_has_not_been_run_is_said_with_its_command(context):
    ((model, command),) = not_run(context)
    words = shlex.split(command)
    assert (
        words[:4]
        == ["python", "run.py", f"model={model}", "level=hier"]
        == ["python", "run.py", "model=rnn", "level=hier"]
    )
    assert tuple(words[4:]) == context.shared == ("data=gazette", "data.path=a b.csv")


@pytest.mark.parametrize(("model", "place"), [("textcnn", 3), ("linear", 8)])
def test_an_incomplete_result_has_a_row_that_says_so(context, model, place):
    others = [item for item in context.hierarchical if item.configuration.model != model]
    gap = Missing(model, 1, ("B", "D"), "python run.py")
    found = names(lacking(context, gap, hierarchical=others))
    row = f"{model} (seed 1): no result for B, D"
    assert found.count(row) == 1
    assert found.index(row) >= place
    assert not [name for name in found if name.startswith((f"{model} (seed 1)", f"{model} (not run)")) and name != row]
    grid = table_2_grid(lacking(context, gap, hierarchical=others))
    (cells,) = [cells for name, *cells in grid.rows if name == row]
    assert set(cells) == {"–"}
    assert not [cell for cell in grid.bold if cell[0] == found.index(row)]


def test_a_missing_flat_classifier_does_not_count_as_the_nine(context):
    """Its model has not been run with nine nodes: that is said with the command, as for the others."""
    gap = Missing("rnn", 1, ("flat",), "python run.py model=rnn level=flat")
    own = lacking(context, gap)
    assert "rnn (not run)" in names(own)
    assert [model for model, _ in not_run(own)] == ["rnn"]


def test_one_system_alone_has_nothing_in_bold(context):
    assert table_2_grid(replace(context, systems=context.hierarchical[:1])).bold == frozenset()
