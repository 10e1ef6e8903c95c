import numpy as np
import pytest

from patent_hier.evaluation.aggregate import aggregate
from patent_hier.evaluation.metrics import wilson_interval
from patent_hier.evaluation.result import LocalScore, Score
from tests.evaluation.systems import FOUR, system


def test_a_fraction_has_its_wilson_interval():
    score = Score.of_hits(3, 4, 2)
    assert (score.value, score.n_documents, score.n_classes_with_support) == (0.75, 4, 2)
    assert score.interval == wilson_interval(3, 4)


def test_scores_are_named_by_level_in_the_order_of_the_report():
    made = system(60, FOUR)
    result = aggregate(made.merged, made.labels)
    names = list(result.scores())
    per_level = [
        *("accuracy", "top_1", "top_3", "top_5", "oracle", "product", "macro_f1"),
        *("hierarchical_precision", "hierarchical_recall", "hierarchical_f1"),
        *("wipo_top_prediction", "wipo_three_guesses", "wipo_any_symbol", "first_errors"),
    ]
    ranking = [f"{score}_at_{k}" for score in ("precision", "recall", "ndcg") for k in (1, 3, 5)]
    per_level += [f"sets.{name}" for name in ranking if name != "ndcg_at_1"]  # which is precision_at_1
    assert names[:22] == [f"section.{name}" for name in per_level]
    assert names[22:47] == [f"class.{name}" for name in (*per_level, "oracle[A]", "oracle[B]", "oracle[H]")]
    assert names[-2:] == ["main_group.oracle[H]", "path.all_right"]
    assert result.scores()["class.oracle[A]"] is result.levels["class"].local["A"]
    assert isinstance(result.levels["class"].local["A"], LocalScore)
    assert (result.top.level, result.deepest.level) == ("section", "main_group")


def test_scores_by_training_documents_are_named_by_their_band():
    made = system(60, FOUR)
    counts = np.arange(len(made.labels.tree), dtype=np.int64)  # by position: section A has none
    result = aggregate(made.merged, made.labels, train_counts=counts)
    names = [name.partition(".")[2] for name in result.scores() if name.startswith("section.") and "[" in name]
    assert names == ["top_1[0]", "top_1[1-4]", "top_5[0]", "top_5[1-4]"]
    own = result.top.by_training_documents["0"]
    assert result.scores()["section.top_5[0]"] is own.top_5


def test_what_a_system_does_not_have_has_no_score():
    names = set(aggregate(system(60, flat=True).merged).scores())
    assert not {"class.oracle", "class.product", "class.oracle[A]", "class.wipo_any_symbol"} & names
    assert {"section.accuracy", "class.top_5", "class.first_errors"} <= names
    with pytest.raises(AttributeError):
        Score.of_hits(1, 2, 1).n_labels  # noqa: B018 - only a local score has one
