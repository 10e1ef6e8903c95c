import numpy as np
import pytest
from scipy.sparse import csr_matrix, random_array
from sklearn.svm import LinearSVC

from patent_hier.training import liblinear
from patent_hier.training.liblinear import fit_checked, fit_machines


@pytest.mark.parametrize("labels", [2, 7])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_equals_linear_svc(labels: int, dtype: type, capfd: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(labels)
    features = csr_matrix(random_array((60, 40), density=0.2, rng=rng), dtype=dtype)
    codes = rng.permutation(np.arange(60) % labels)
    for iterations in (1, 200):  # with one pass nothing converges
        found = fit_machines(features, codes, 0.7, 0.1, iterations, 3)
        solver = LinearSVC(C=0.7, dual=True, tol=0.1, max_iter=iterations, random_state=3)
        if iterations == 1:
            with pytest.warns(Warning, match="failed to converge"):
                solver.fit(features, codes)
        else:
            solver.fit(features, codes)
        assert np.array_equal(found.weights, solver.coef_)
        assert np.array_equal(found.bias, solver.intercept_)
        assert found.iterations == solver.n_iter_
    assert found.weights.shape == (1 if labels == 2 else labels, 40)
    assert capfd.readouterr() == ("", "")  # liblinear itself would tell of each fit


def test_weights_are_those_of_linear_svc() -> None:
    rng = np.random.default_rng(5)
    features, codes = csr_matrix(random_array((60, 40), density=0.2, rng=rng)), np.arange(60) % 3
    weights = rng.uniform(0.5, 3, 60)
    found = fit_machines(features, codes, 0.7, 0.1, 200, 3, weights)
    solver = LinearSVC(C=0.7, dual=True, tol=0.1, max_iter=200, random_state=3)
    solver.fit(features, codes, sample_weight=weights)
    assert np.array_equal(found.weights, solver.coef_)
    assert np.array_equal(found.bias, solver.intercept_)
    assert np.array_equal(fit_checked(features, codes, 0.7, 0.1, 200, 3, weights).weights, found.weights)
    assert not np.array_equal(fit_machines(features, codes, 0.7, 0.1, 200, 3).weights, found.weights)


def test_the_binding_is_that_of_the_installed_version() -> None:
    """If this fails, scikit-learn has changed it: everything still works, at twice the time."""
    assert liblinear._binding() is not None


def test_without_the_binding_the_numbers_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    features, codes = csr_matrix(np.eye(9)), np.arange(9) % 3
    fast = fit_machines(features, codes, 1.0, 0.1, 200, 0)
    monkeypatch.setattr(liblinear, "_binding", lambda: None)
    slow = fit_machines(features, codes, 1.0, 0.1, 200, 0)
    assert np.array_equal(fast.weights, slow.weights)
    assert np.array_equal(fast.bias, slow.bias)
    assert fast.iterations == slow.iterations
    assert fit_checked(features, codes, 1.0, 0.1, 200, 0).iterations == slow.iterations
