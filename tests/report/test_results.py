import csv
import io
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from patent_hier.evaluation.aggregate import aggregate
from patent_hier.evaluation.frequency import training_counts
from patent_hier.evaluation.result import Score
from patent_hier.report.rendering import table_markdown
from patent_hier.report.results import print_result, result_csv, result_markdown, suite_table, sweep_table
from patent_hier.report.tables import DEMO_NOTE, PAPER_NOTE, WIDTH, print_grid
from patent_hier.taxonomy.symbols import IPC_LEVELS, SECTIONS
from tests.evaluation.systems import FOUR, system


@pytest.fixture(scope="module")
def result():
    """Two levels; three documents of a class that no network knows."""
    made = system(unseen=[("A", "A99")] * 3)
    return aggregate(made.merged, made.labels, every_label=SECTIONS)


@pytest.fixture(scope="module")
def deep():
    """Four levels."""
    made = system(paths=FOUR)
    counts = training_counts(made.labels, made.merged.parts == "val")
    return aggregate(made.merged, made.labels, every_label=SECTIONS, train_counts=counts)


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
    section, ipc_class = result.levels["section"], result.levels["class"]
    assert ours[1] == f"{100 * section.accuracy.value:.1f}"
    assert ours[2] == f"{100 * ipc_class.local['A'].value:.1f}"
    assert ours[4] == "-"  # section C has no documents
    assert ours[-2:] == [f"{100 * ipc_class.oracle.value:.1f}", f"{100 * ipc_class.product.value:.1f}"]


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


@pytest.mark.parametrize("levels", [2, 4])
def test_every_score_stands_with_documents_classes_and_interval(levels, result, deep):
    own = result if levels == 2 else deep
    text = result_markdown(own)
    for name, score in own.scores().items():
        if "top_1[" in name or "top_5[" in name:
            continue  # in a table of their own
        row = cells(text, name)
        low, high = score.interval
        assert row[1:5] == [
            f"{100 * score.value:.1f}",
            f"{100 * low:.1f}-{100 * high:.1f}",
            str(score.n_documents),
            str(score.n_classes_with_support),
        ]
        assert row[5] == str(getattr(score, "n_labels", ""))


@pytest.mark.parametrize("levels", [2, 4])
def test_each_level_has_a_line(levels, result, deep):
    own = result if levels == 2 else deep
    for text in (result_markdown(own), printed(own, 80)):
        lines = text[text.index("Scores (%) by level over") :].splitlines()
        rows = [line.strip("| ").split() for line in lines if line.strip("| ").startswith(IPC_LEVELS)][:levels]
        for row, level in zip(rows, own.levels.values(), strict=True):
            assert row[0] == level.level
            shown = {f"{100 * score.value:.1f}" for score in (level.accuracy, level.top_5, level.oracle, level.product)}
            assert shown <= set(row)
            assert str(level.accuracy.n_documents) in row


def test_notes(result, deep):
    text = result_markdown(result)
    lost = [f"{100 * level.first_errors.value:.1f} % at {name}" for name, level in result.levels.items()]
    right = f"{100 * result.all_right.value:.1f} % are right throughout."
    assert f"Level of the first error: {', '.join(lost)}; {right}" in text
    assert "No test documents in section C, D, E, F, G: weight 0." in text
    unseen = result.levels["class"].unseen_documents
    assert f"Counted as errors: {unseen} documents of a class that training lacks: A99." in text
    score = result.levels["class"].macro_f1
    assert f"class {score.n_documents / score.n_classes_with_support:.0f}." in text[text.index("Its interval (BCa)") :]
    assert "One label" not in text
    assert "so a constant classifier: section H." in result_markdown(deep)


def test_the_terminal_shows_tables_by_level_and_the_file_every_score(result, deep):
    for own in (result, deep):
        text = printed(own, 80)
        assert "Scores (%) by level over" in text
        assert not any(name in text for name in ("All scores", "class.accuracy", "class.oracle[A]"))
        assert "All scores over" in result_markdown(own)


def test_each_band_of_training_documents_has_a_line(result, deep):
    expected = [
        [level.level, band, f"{100 * own.top_1.value:.1f}", f"{100 * own.top_5.value:.1f}", str(own.top_1.n_documents)]
        for level in deep.levels.values()
        for band, own in level.by_training_documents.items()
    ]
    assert len(expected) > 4  # more than one band at some level
    text = result_markdown(deep)
    below = text[text.index("by training documents") :].splitlines()[4 : 4 + len(expected)]
    rows = [[cell.strip().replace("\\", "") for cell in line.strip("|").split("|")] for line in below]
    assert [[*row[:3], row[4], row[6]] for row in rows] == expected
    assert "by training documents" in printed(deep, 80)
    assert "top_1[" not in text.replace("\\", "")  # said once
    assert "by training documents" not in result_markdown(result)  # which are not known


def test_all_symbols_have_a_table_and_the_main_one_is_named(deep):
    made = system(paths=FOUR)
    whole = replace(made.merged, parts=np.where(np.arange(300) % 4 == 0, "calibration", made.merged.parts))
    own = aggregate(whole, made.labels, calibrated=whole)
    for text in (result_markdown(own), printed(own, 80)):
        lines = text.replace("\\", "")[text.index("of all symbols over") :].splitlines()
        for level in own.levels.values():
            row = next(line for line in lines if line.strip("| ").startswith(level.level)).replace("|", " ").split()
            names = [f"{score}_at_{k}" for score in ("precision", "recall") for k in (1, 3, 5)]
            names += ["ndcg_at_5", "exact", "macro_f1", "micro_f1"]
            assert row[1:11] == [f"{100 * level.sets.scores[name].value:.1f}" for name in names]
            assert f"{level.level} {level.sets.threshold:.3f}" in text
            assert f"{level.level} {level.sets.named_labels:.2f} / {level.sets.true_labels:.2f}" in text
        assert f"micro-F1 on the {own.set_rule.documents} calibration documents; section 0." in text
        assert 'Other scores except "any" use the main (first) symbol' in text
    without = printed(deep, 80)
    assert "set split.calibration above 0" in without
    plain = result_markdown(aggregate(made.merged))
    assert "ll symbols" not in plain


def test_demo_is_said_to_be_demo(result):
    assert DEMO_NOTE in result_markdown(result, demo=True)
    assert DEMO_NOTE in printed(result, 80, demo=True)
    assert DEMO_NOTE not in result_markdown(result)


def test_rows_of_the_paper_are_for_its_own_corpus(result, deep):
    for text in (result_markdown(result), printed(result, 80)):
        assert text.count(PAPER_NOTE) == 1
        assert DEMO_NOTE not in text
    assert PAPER_NOTE not in result_markdown(result, demo=True)


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
    assert float(by_name["class.accuracy"]["value"]) == result.levels["class"].accuracy.value
    assert float(by_name["class.oracle[A]"]["low"]) == result.levels["class"].local["A"].interval[0]
    assert by_name["class.oracle[C]"]["value"] == ""
    assert by_name["class.oracle[C]"]["n_documents"] == "0"
    assert set(result.scores()) <= set(by_name)


def test_flat_result():
    made = system(flat=True)
    result = aggregate(made.merged, made.labels)
    text = result_markdown(result)
    assert cells(text, "class.accuracy")[3] == str(result.n_documents)
    assert cells(text, "class")[7:9] == ["-", "-"]  # there is no head below the true section
    assert "Table 2" not in text
    assert "Level of the first error" not in text
    assert "section.accuracy" in result_csv(result)


def test_results_of_several_depths_side_by_side(result, deep):
    grid = suite_table([({"data.depth": "class"}, result), ({"data.depth": "main_group"}, deep)])
    assert grid.header[:5] == ("data.depth", *(f"{level} %" for level in IPC_LEVELS[:4]))
    for row, own in zip(grid.rows, (result, deep), strict=True):
        shown = [f"{100 * level.accuracy.value:.1f}" for level in own.levels.values()]
        assert list(row[1:5]) == shown + (4 - len(shown)) * ["-"]
        assert row[5] == f"{100 * own.deepest.product.value:.1f}"
        assert row[-2] == str(own.deepest.accuracy.n_documents)


def test_sweep_table():
    score = Score(0.5, 1234, 9, (0.47, 0.53))
    rows = [
        ({"model.num_last_layers": "1"}, "D", Score(0.4, 900, 9, (0.37, 0.43)), score),
        ({"model.num_last_layers": "2", "model.pooling": "a|b"}, "D", score, score),
        ({"model.num_last_layers": "2", "model.pooling": "a|b"}, "A", None, None),
    ]
    grid = sweep_table(rows)
    assert grid.header[:3] == ("model.num_last_layers", "model.pooling", "node")
    assert grid.rows[0] == ("1", "-", "D", "40.0", "50.0", "47.0-53.0", "1,234", "9")
    assert grid.rows[2][2:] == ("A", "-", "-", "-", "-", "-")  # no documents
    assert "a\\|b" in table_markdown(grid)
    console = Console(file=io.StringIO(), width=60, force_terminal=False)
    print_grid(console, grid)
    lines = console.file.getvalue().splitlines()
    assert any("1,234" in line and "47.0-53.0" in line for line in lines)
    assert max(map(len, lines)) <= WIDTH


def test_scores_are_plain_python_numbers(result):
    assert not any(
        isinstance(value, np.generic) for score in result.scores().values() for value in vars(score).values()
    )
