import numpy as np
import pytest
import sklearn.metrics
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from patent_hier.evaluation.label_sets import true_sets
from patent_hier.evaluation.set_rule import SetRule
from patent_hier.evaluation.set_scores import RANKS, naming_scores, ranking_scores, score_sets
from tests.evaluation.sets import UNSEEN, as_matrix, made_up, named, ranked

PADDING = [f"none {k}" for k in range(5)]  # labels before the unseen ones, so that no ranking reaches these
QUICK = settings(max_examples=25, deadline=None, phases=[Phase.generate])  # each example has a dozen of intervals


def scored(made, threshold=None):
    (own,) = made.network.levels
    rule = None if threshold is None else SetRule(1, {own.level: threshold})
    return score_sets(own, true_sets(made.network.tree, own.level, made.labels), rule and (rule, own))


def test_ranking_by_hand():
    """Two labels at ranks 1 and 4; three labels, one of them at rank 2; one label that is not found."""
    hits = np.array([[1, 0, 0, 1, 0], [0, 1, 0, 0, 0], [0, 0, 0, 0, 0]], bool)
    scores = ranking_scores(hits, np.array([2, 3, 1]), 5)
    gain = {rank: 1 / np.log2(rank + 1) for rank in range(1, 6)}
    expected = {
        "precision_at_1": (1 + 0 + 0) / 3,
        "precision_at_3": (1 / 3 + 1 / 3 + 0) / 3,
        "precision_at_5": (2 / 5 + 1 / 5 + 0) / 3,
        "recall_at_1": (1 / 2 + 0 + 0) / 3,
        "recall_at_3": (1 / 2 + 1 / 3 + 0) / 3,
        "recall_at_5": (1 + 1 / 3 + 0) / 3,
        "ndcg_at_3": (gain[1] / (gain[1] + gain[2]) + gain[2] / (gain[1] + gain[2] + gain[3])) / 3,
        "ndcg_at_5": ((gain[1] + gain[4]) / (gain[1] + gain[2]) + gain[2] / (gain[1] + gain[2] + gain[3])) / 3,
    }
    assert {name: score.value for name, score in scores.items()} == pytest.approx(expected)
    assert {(score.n_documents, score.n_classes_with_support) for score in scores.values()} == {(3, 5)}


def test_naming_by_hand():
    """Labels a to d. The documents have ab, c, d and are given ab, ac, a."""
    truth = csr_matrix(np.array([[1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]))
    chosen = csr_matrix(np.array([[1, 1, 0, 0], [1, 0, 1, 0], [1, 0, 0, 0]]))
    scores = {name: score.value for name, score in naming_scores(truth, chosen, 4).items()}
    f1 = [2 * 1 / (1 + 3), 1, 1, 0]
    assert scores == pytest.approx(
        {
            "micro_precision": 3 / 5,
            "micro_recall": 3 / 4,
            "micro_f1": 2 * 3 / (5 + 4),
            "macro_f1": np.mean(f1),
            "exact": 1 / 3,
        }
    )


@QUICK
@given(st.integers(1, 30), st.integers(2, 30), st.floats(0.01, 1), st.integers(0, 10**6))
def test_every_score_is_that_of_scikit_learn(n, n_labels, threshold, seed):
    """Labels that no network knows stay in all denominators."""
    made = made_up(n, n_labels, seed)
    columns = [*made.codes, *PADDING, *UNSEEN]
    truth = as_matrix(made.sets, columns)
    chosen = as_matrix([named(own, threshold) for own in made.log_prob], columns)
    found = scored(made, threshold)
    values = {name: score.value for name, score in found.scores.items()}
    supported = np.flatnonzero(truth.sum(axis=0))
    how = {"average": "micro", "zero_division": 0}
    expected = {
        "micro_precision": sklearn.metrics.precision_score(truth, chosen, **how),
        "micro_recall": sklearn.metrics.recall_score(truth, chosen, **how),
        "micro_f1": sklearn.metrics.f1_score(truth, chosen, **how),
        "macro_f1": sklearn.metrics.f1_score(truth, chosen, labels=supported, average="macro", zero_division=0),
        "exact": sklearn.metrics.accuracy_score(truth, chosen),
    }
    log_prob = np.array([[own.get(code, -1e9 * (code in UNSEEN)) for code in columns] for own in made.log_prob])
    log_prob[:, len(made.codes) : -len(UNSEEN)] = -1e8
    for k in RANKS:
        best = as_matrix([ranked(own)[:k] for own in made.log_prob], columns)
        expected[f"precision_at_{k}"] = (truth & best).sum() / (k * n)
        expected[f"recall_at_{k}"] = sklearn.metrics.recall_score(truth, best, average="samples")
        if k > 1:
            expected[f"ndcg_at_{k}"] = sklearn.metrics.ndcg_score(truth, log_prob, k=k)
    assert values == pytest.approx(expected)
    assert {score.n_documents for score in found.scores.values()} == {n}
    assert {score.n_classes_with_support for score in found.scores.values()} == {len(supported)}
    assert (found.threshold, found.true_labels) == (threshold, truth.sum() / n)
    assert found.named_labels == chosen.sum() / n
    for name, score in found.scores.items():
        low, high = score.interval
        assert 0 <= low <= score.value <= high <= 1, name


def test_levels_that_keep_only_their_best_labels_score_alike():
    """Of 300 labels 20 are kept; unlikely documents have no label among these."""
    made = made_up(60, 300, 3)
    assert made.network.levels[0].labels.shape == (60, 20)
    found = scored(made, 0.01)
    best = [ranked(own) for own in made.log_prob]
    for k in RANKS:
        hits = [len(set(own[:k]) & true) for own, true in zip(best, made.sets, strict=True)]
        assert found.scores[f"precision_at_{k}"].value == pytest.approx(np.mean(hits) / k)
    sets = [named(own, 0.01) for own in made.log_prob]
    shared = sum(len(own & true) for own, true in zip(sets, made.sets, strict=True))
    total = sum(map(len, sets)) + sum(map(len, made.sets))
    assert found.scores["micro_f1"].value == pytest.approx(2 * shared / total)
    assert found.named_labels == pytest.approx(np.mean([len(own) for own in sets]))


def test_without_a_rule_nothing_is_named():
    found = scored(made_up(20, 5))
    assert (found.threshold, found.named_labels) == (None, None)
    assert set(found.scores) == {*(f"{name}_at_{k}" for name in ("precision", "recall") for k in RANKS)} | {
        "ndcg_at_3",
        "ndcg_at_5",
    }
