import numpy as np
import pytest

from patent_hier.evaluation import error_model
from patent_hier.evaluation.error_model import ErrorModel, fit_or_fall_back
from patent_hier.evaluation.review import errors_found


def documents(n=600, seed=0):
    """Two hidden causes of errors: confidence reflects the first, another signal the second."""
    rng = np.random.default_rng(seed)
    first, second = rng.normal(size=(2, n))
    wrong = rng.random(n) < 1 / (1 + np.exp(-(first + 2 * second - 1)))
    return {"confidence": -first, "members": second, "noise": rng.normal(size=n)}, -first, wrong


def test_a_second_sign_of_errors_is_used():
    signals, confidence, wrong = documents()
    fitted = fit_or_fall_back(signals, confidence, wrong, None)
    assert fitted.model is not None
    assert fitted.note.startswith("an error model orders the documents; cross-validated on 600 calibration documents")
    weights = dict(zip(fitted.model.names, fitted.model.weights.tolist(), strict=True))
    assert weights["members"] > -weights["confidence"] > 0.3 > abs(weights["noise"])
    signals, confidence, wrong = documents(seed=1)
    found = fitted.model.probability(signals)
    assert errors_found(found, wrong, 0.2) > errors_found(-confidence, wrong, 0.2) + 0.1
    assert found.mean() == pytest.approx(wrong.mean(), abs=0.06)
    assert np.log(found / (1 - found)) == pytest.approx(
        fitted.model.contributions(signals).sum(axis=1) + fitted.model.intercept
    )


def test_the_same_documents_give_the_same_model():
    first, second = (fit_or_fall_back(*documents(), None) for _ in range(2))
    assert first.note == second.note
    assert np.array_equal(first.model.weights, second.model.weights)


def test_plain_confidence_where_the_signals_say_less():
    signals, confidence, wrong = documents()
    fitted = fit_or_fall_back({"noise": signals["noise"]}, confidence, wrong, None)
    assert fitted.model is None
    assert "an error model is not better by more than one standard error" in fitted.note
    assert "plain confidence" in fitted.note
    assert "\n" not in fitted.note


def test_plain_confidence_where_the_difference_is_chance(monkeypatch):
    """Identical orders do not differ; a small difference is within its error, a large one is not."""
    _, confidence, wrong = documents()
    for noise, is_used in ((0.0, False), (0.02, False), (-3.0, True)):
        rng = np.random.default_rng(5)
        order = -confidence + noise * rng.normal(size=600) if noise >= 0 else -noise * wrong - confidence
        monkeypatch.setattr(error_model, "_cross_validated", lambda *given, order=order: order)
        assert (fit_or_fall_back(documents()[0], confidence, wrong, None).model is not None) == is_used, noise


def test_the_standard_error_is_that_of_the_paired_difference():
    """The error is close to that over many fresh samples, and far below that of two orders drawn separately."""
    found = []
    for seed in range(200):
        signals, confidence, wrong = documents(400, seed)
        order = -confidence + signals["members"]
        found.append(errors_found(order, wrong, 0.2) - errors_found(-confidence, wrong, 0.2))
    errors = []
    for seed in range(5):
        signals, confidence, wrong = documents(400, seed)
        errors.append(error_model._standard_error(-confidence + signals["members"], -confidence, wrong))
    assert np.mean(errors) == pytest.approx(np.std(found), rel=0.25)


@pytest.mark.parametrize(
    ("n", "errors", "said"),
    [
        (99, 40, "99 calibration documents with 40 wrong answers are too few"),
        (300, 19, "300 calibration documents with 19 wrong"),
        (300, 281, "300 calibration documents with 281 wrong"),
    ],
)
def test_plain_confidence_where_there_are_too_few(n, errors, said):
    wrong = np.arange(n) < errors
    fitted = fit_or_fall_back({"a": np.zeros(n)}, np.zeros(n), wrong, None)
    assert fitted.model is None
    assert said in fitted.note


def test_what_belongs_together_is_in_one_fold(monkeypatch):
    signals, confidence, wrong = documents(300)
    groups = np.where(np.arange(300) < 100, -1, np.arange(300) // 20)
    signals["row"] = np.arange(300.0)
    trained, original = [], ErrorModel.fit.__func__

    def fit(cls, given, target):
        trained.append(given["row"].astype(int))
        return original(cls, given, target)

    monkeypatch.setattr(error_model.ErrorModel, "fit", classmethod(fit))
    fit_or_fall_back(signals, confidence, wrong, groups)
    assert len(trained) >= 5
    for rows in trained[:5]:
        held_out = np.setdiff1d(np.arange(300), rows)
        assert len(held_out)
        assert not set(groups[rows][groups[rows] >= 0]) & set(groups[held_out][groups[held_out] >= 0])
    assert len({tuple(rows) for rows in trained[:5]}) == 5
    alone = [np.setdiff1d(np.arange(100), rows) for rows in trained[:5]]
    assert all(0 < len(own) < 100 for own in alone)  # those without relatives are spread


def test_a_constant_signal_says_nothing():
    signals, _, wrong = documents()
    model = ErrorModel.fit({**signals, "constant": np.ones(600)}, wrong)
    assert model.contributions({**signals, "constant": np.ones(600)})[:, -1] == pytest.approx(0)
