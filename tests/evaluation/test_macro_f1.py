import numpy as np
import pytest
import sklearn.metrics
from numpy.typing import NDArray

from patent_hier.evaluation import metrics
from patent_hier.evaluation.macro_f1 import macro_f1
from tests.evaluation.test_metrics import macro_f1 as of_a_table


def made_up(n: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Codes with gaps, labels with one document, answers that are no target, and none at all."""
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
