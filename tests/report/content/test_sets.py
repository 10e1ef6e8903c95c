from dataclasses import replace

import numpy as np

from patent_hier.evaluation.aggregate import aggregate
from patent_hier.report.content.sets import sets
from tests.evaluation.systems import system


def with_result(context, result):
    """The first system alone, with another result."""
    (item, *_) = context.systems
    answers = {seed: replace(own, result=result) for seed, own in item.answers.items()}
    return replace(context, systems=(replace(item, answers=answers),))


def test_a_system_has_a_row_for_each_level(contexts):
    made = system(120)
    whole = replace(made.merged, parts=np.where(np.arange(120) % 4 == 0, "calibration", made.merged.parts))
    result = aggregate(whole, made.labels, calibrated=whole)
    for context in contexts.values():
        grid = sets(with_result(context, result))["sets_table"]
        assert [row[0] for row in grid.rows] == 2 * [context.name(context.systems[0])]
        for row, level in zip(grid.rows, result.levels.values(), strict=True):
            cells = dict(zip(grid.header, row, strict=True))
            shown = {
                "p_3": "precision_at_3",
                "r_5": "recall_at_5",
                "ndcg_5": "ndcg_at_5",
                "exact": "exact",
                "macro_f1": "macro_f1",
            }
            for column, name in shown.items():
                assert cells[context.word(f"sets_{column}")] == f"{100 * level.sets.scores[name].value:.1f}"
            micro = level.sets.scores["micro_f1"]
            assert cells[context.word("sets_micro_f1")].startswith(f"{100 * micro.value:.1f}\n(")
            assert cells[context.word("sets_threshold")] == f"{level.sets.threshold:.3f}"
            assert cells[context.word("sets_named_labels")] == f"{level.sets.named_labels:.2f}"
            assert cells[context.word("sets_true_labels")] == f"{level.sets.true_labels:.2f}"
            assert row[-2:] == (f"{micro.n_documents:,}", f"{micro.n_classes_with_support:,}")


def test_without_calibration_documents_only_the_ranking_is_scored(context):
    made = system(40)
    grid = sets(with_result(context, aggregate(made.merged, made.labels)))["sets_table"]
    for row in grid.rows:
        cells = dict(zip(grid.header, row, strict=True))
        assert {cells[context.word(f"sets_{name}")] for name in ("micro_f1", "exact", "threshold")} == {"–"}
        assert cells["P@1"] != "–"


def test_a_corpus_of_single_symbols_has_no_such_table(context):
    assert sets(context)["sets_table"].rows == ()
