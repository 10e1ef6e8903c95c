import csv
import io

import numpy as np
import pytest
from rich.console import Console

from patent_hier.evaluation.aggregate import aggregate, aggregate_flat
from patent_hier.evaluation.result import Score
from patent_hier.report.tables import (
    DEMO_NOTE,
    WIDTH,
    SweepRow,
    print_grid,
    print_result,
    result_csv,
    result_markdown,
    sweep_table,
)
from tests.evaluation.test_aggregate import flat, system


@pytest.fixture(scope="module")
def result():
    nodes, truth = system(unseen="A99")
    return aggregate(nodes, truth)


def printed(result, width, **options):
    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    print_result(console, result, **options)
    return console.file.getvalue()


def cells(text, name):
    line = next(line for line in text.replace("\\", "").splitlines() if line.strip("| ").startswith(name))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_markdown_has_our_row_above_the_papers_three(result):
    text = result_markdown(result, name="bertcnn")
    models = [line.split("|")[1].strip() for line in text.splitlines() if line.startswith("| ")][:6]
    assert models == ["model", ":--", "bertcnn", "BERT-CNN (paper)", "CNN (paper)", "RNN (paper)"]
    ours = cells(text, "bertcnn")
    assert len(ours) == 12
    assert ours[1] == f"{100 * result.section_accuracy.value:.1f}"
    assert ours[4] == "-"  # section C has no documents
    assert ours[-1] == f"{100 * result.product_accuracy.value:.1f}"


@pytest.mark.parametrize(
    ("model", "last"),
    [
        ("BERT-CNN", ["93.1 / 93.08", "84.3 / 84.24"]),
        ("CNN", ["85.8 / 85.78", "70.1 / 70.08"]),
        ("RNN", ["86.3 / 87.15", "69.8 / 70.50"]),
    ],
)
def test_paper_is_printed_and_recomputed(result, model, last):
    assert cells(result_markdown(result), f"{model} (paper)")[-2:] == last


def test_every_score_stands_with_documents_classes_and_interval(result):
    text = result_markdown(result)
    for name, score in result.scores().items():
        row = cells(text, name)
        assert row[1] == f"{100 * score.value:.1f}"
        assert row[3] == str(score.n_documents)
        assert row[4] == str(score.n_classes_with_support)
        assert row[5] == str(getattr(score, "n_labels", ""))
    assert "to routing (wrong section)" in text
    assert "No test documents in section C, D, E, F, G: weight 0." in text
    assert "3 documents of classes never seen in training count as errors: A99." in text


def test_demo_is_said_to_be_demo(result):
    assert DEMO_NOTE in result_markdown(result, demo=True)
    assert DEMO_NOTE in printed(result, 80, demo=True)
    assert DEMO_NOTE not in result_markdown(result)


@pytest.mark.parametrize("name", ["bertcnn", "a-model-with-a-name-of-more-than-forty-characters-in-it"])
def test_plain_text_is_narrow_ascii_and_the_same_for_any_console(result, name):
    text = printed(result, 40, name=name)
    assert text == printed(result, 200, name=name)
    assert max(map(len, text.splitlines())) <= WIDTH
    assert text.isascii()
    assert "84.3 / 84.24" in text


def test_terminal_gets_colours_and_its_own_width(result):
    console = Console(file=io.StringIO(), width=130, force_terminal=True, color_system="truecolor")
    print_result(console, result)
    assert "\x1b[" in console.file.getvalue()


def test_csv_is_complete(result):
    rows = list(csv.DictReader(io.StringIO(result_csv(result))))
    by_name = {row["score"]: row for row in rows}
    assert list(rows[0]) == ["score", "value", "n_documents", "n_classes", "low", "high"]
    assert float(by_name["cascade_accuracy"]["value"]) == result.cascade_accuracy.value
    assert float(by_name["local_accuracy[A]"]["low"]) == result.local_accuracy["A"].interval[0]
    assert by_name["local_accuracy[C]"]["value"] == ""
    assert by_name["local_accuracy[C]"]["n_documents"] == "0"
    assert set(result.scores()) <= set(by_name)


def test_flat_result():
    own, truth = flat()
    result = aggregate_flat(own, truth)
    text = result_markdown(result)
    assert cells(text, "flat_accuracy")[3] == "300"
    assert "Table 2" not in text
    assert "section_accuracy" in result_csv(result)


def test_sweep_table():
    score = Score(0.5, 1234, 9, (0.47, 0.53))
    rows = [
        SweepRow({"model.num_last_layers": "1"}, "D", Score(0.4, 900, 9, (0.37, 0.43)), score),
        SweepRow({"model.num_last_layers": "2", "model.pooling": "a|b"}, "D", score, score),
    ]
    grid = sweep_table(rows)
    assert grid.header[:3] == ("model.num_last_layers", "model.pooling", "node")
    assert grid.rows[0] == ("1", "-", "D", "40.0", "50.0", "47.0-53.0", "1,234", "9")
    assert "a\\|b" in grid.markdown()
    console = Console(file=io.StringIO(), width=60, force_terminal=False)
    print_grid(console, grid)
    lines = console.file.getvalue().splitlines()
    assert any("1,234" in line and "47.0-53.0" in line for line in lines)
    assert max(map(len, lines)) <= WIDTH


def test_scores_are_plain_python_numbers(result):
    assert not any(
        isinstance(value, np.generic) for score in result.scores().values() for value in vars(score).values()
    )
