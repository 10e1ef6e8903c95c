import numpy as np
import pytest
import sklearn.metrics
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from patent_hier.evaluation import metrics
from patent_hier.evaluation.macro_f1 import macro_f1, macro_f1_of_sets
from tests.evaluation.test_metrics import macro_f1 as of_a_table


def made_up(n: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Codes with gaps, labels with one document, answers that are not a target, and no answer."""
    rng = np.random.default_rng(seed)
    targets = 7 * rng.geometric(0.2, n)
    answers = np.where(rng.random(n) < 0.5, targets, rng.choice([*range(0, 70, 7), 3, -1], n))
    return targets, answers


@pytest.mark.parametrize("n", [1, 2, 40, 300])
def test_the_score_is_that_of_scikit_learn(n: int) -> None:
    targets, answers = made_up(n, n)
    expected = sklearn.metrics.f1_score(targets, answers, labels=np.unique(targets), average="macro", zero_division=0)
    assert macro_f1(targets, answers)[0] == pytest.approx(expected)


@pytest.mark.parametrize("n", [2, 40, 300])
def test_the_interval_is_that_of_leaving_out_a_document_of_each_cell(n: int) -> None:
    targets, answers = made_up(n, n)
    counts = sklearn.metrics.confusion_matrix(targets, answers)
    expected = metrics.bootstrap_interval(counts, of_a_table, bca=True)
    assert macro_f1(targets, answers)[1] == pytest.approx(expected, abs=1e-12)


def test_many_cells_are_drawn_by_document(monkeypatch: pytest.MonkeyPatch) -> None:
    targets, answers = made_up(400, 1)
    by_cell = macro_f1(targets, answers)[1]
    monkeypatch.setattr(metrics, "_MANY_CELLS", 10)
    by_document = macro_f1(targets, answers)[1]
    assert by_document != by_cell
    assert by_document == pytest.approx(by_cell, abs=0.02)


def sets_made_up(n: int, seed: int) -> tuple[csr_matrix, csr_matrix]:
    """Sets of one or more labels, and answers; a label is only answered, one document has no answer."""
    rng = np.random.default_rng(seed)
    truth = rng.random((n, 8)) < rng.geometric(0.3, 8) / 12
    truth[np.arange(n), rng.integers(0, 7, n)] = True
    truth[:, 7] = False
    chosen = np.where(rng.random((n, 8)) < 0.7, truth, rng.random((n, 8)) < 0.3)
    chosen[0] = False
    return csr_matrix(truth.astype(np.int64)), csr_matrix(chosen.astype(np.int64))


@pytest.mark.parametrize("n", [2, 30, 200])
def test_sets_are_scored_as_by_scikit_learn_and_leave_out_one_document_after_the_other(n: int) -> None:
    truth, chosen = sets_made_up(n, n)

    def score(weights: NDArray[np.int64]) -> float:
        rows = np.repeat(np.arange(n), weights)
        true, answered = truth[rows].toarray(), chosen[rows].toarray()
        labels = np.flatnonzero(true.sum(axis=0))
        found = sklearn.metrics.f1_score(true, answered, labels=labels, average="macro", zero_division=0)
        return float(found)

    value, interval = macro_f1_of_sets(truth, chosen)
    assert value == pytest.approx(score(np.ones(n, np.int64)))
    if n < 100:  # a thousand resamples take scikit-learn seconds
        expected = metrics.bootstrap_interval(np.ones(n, np.int64), score, bca=True)
        assert interval == pytest.approx(expected, abs=1e-12)
