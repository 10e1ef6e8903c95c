from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file
from scipy.sparse import csr_matrix

from patent_hier.errors import ArtifactError
from patent_hier.models.classical import arrays_in
from patent_hier.models.tree_linear import TREE, TreeLinear

PARENTS = np.array([-1, -1, 0, 0, 1], np.int32)  # A, B; A01, A21, B60
TERMS = 4


def sparse(values: list[list[float]]) -> csr_matrix:
    return csr_matrix(np.array(values, np.float32))


def model(titles: bool = False) -> TreeLinear:
    weights = sparse([[2, -2, 0, 0, 0], [0, 0, 1.5, -1.5, 0], [0.5, 0, 0, 1, 0], [0, 0, 0, 0, 0]])
    bias = np.array([-0.5, 0.25, -1, -1, 1], np.float32)
    own = sparse([[0, 0, 0, 0, 0], [0, 0, 0, 1, 0], [0, 0, 0, 0, 0], [0, 0, 0, 0, 1]]) if titles else None
    unseen = np.array([0, 0, 0, titles, 0], np.bool_)
    kinds = [[0.5, 1.0], [0.0, 3.0], [-1.0, -0.5]][: 3 if titles else 1]
    return TreeLinear(np.ones(TERMS, np.float32), weights, bias, own, unseen, PARENTS, np.array(kinds))


def counts(rows: list[list[int]]) -> csr_matrix:
    return csr_matrix(np.array(rows), dtype=np.float32)


def expected(one: TreeLinear, row: list[int]) -> NDArray[np.float64]:
    """Joint probabilities, label by label and path by path."""
    features = np.array([1 + np.log(count) if count else 0.0 for count in row])
    features /= np.linalg.norm(features)
    scores = []
    for label in range(len(PARENTS)):
        level = int(PARENTS[label] >= 0)
        margin = features @ one.weights.toarray()[:, label] + one.bias[label]
        score = one.path_weights[0, level] * -(max(0.0, 1 - margin) ** 3)
        if one.titles is not None:
            score += one.path_weights[1, level] * (features @ one.titles.toarray()[:, label])
            score += one.path_weights[2, level] * one.unseen[label]
        scores.append(score)
    leaves = np.exp([scores[leaf] + scores[PARENTS[leaf]] for leaf in (2, 3, 4)])
    leaves /= leaves.sum()
    return np.array([leaves[0] + leaves[1], leaves[2], *leaves])


@pytest.mark.parametrize("titles", [False, True])
def test_probabilities_are_those_of_whole_paths(titles: bool) -> None:
    one, rows = model(titles), [[1, 2, 0, 0], [0, 0, 3, 1], [4, 0, 0, 1]]
    conditional = one.log_prob(counts(rows))
    assert conditional.dtype == np.float32
    joint = np.exp(conditional.astype(float))
    joint[:, 2:] *= joint[:, PARENTS[2:]]
    assert joint == pytest.approx(np.array([expected(one, row) for row in rows]), abs=1e-6)


def test_documents_do_not_depend_on_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = counts([[1, 2, 0, 0], [0, 0, 0, 0], [4, 0, 0, 1]])
    whole = model().log_prob(rows)
    monkeypatch.setattr("patent_hier.models.tree_linear._CELLS", 1)
    assert np.array_equal(model().log_prob(rows), whole)
    assert np.isfinite(whole).all()  # also of a document without any n-gram


@pytest.mark.parametrize("titles", [False, True])
def test_round_trip_is_exact(titles: bool, tmp_path: Path) -> None:
    model(titles).save(tmp_path)
    assert TREE in arrays_in(tmp_path)
    rows = counts([[1, 2, 0, 0], [0, 0, 3, 1]])
    assert np.array_equal(TreeLinear.load(tmp_path).log_prob(rows), model(titles).log_prob(rows))


def test_only_what_is_not_zero_is_saved_and_counted(tmp_path: Path) -> None:
    assert model().num_parameters == 6 + 5  # weights and biases
    model().save(tmp_path)
    assert load_file(tmp_path / "model.safetensors")["weights.data"].size == 6


DAMAGES = {
    "parents": np.array([-1, 0, -1, 0, 1], np.int32),
    "path_weights": np.ones((1, 3)),
    "bias": np.ones(4, np.float32),
    "unseen": np.zeros(5, np.int32),
    "weights.indices": np.array([0, 1, 9, 3, 0, 3], np.int32),
    "weights.indptr": np.array([0, 2, 1, 6, 6], np.int64),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_arrays_that_do_not_fit_are_refused(name: str, tmp_path: Path) -> None:
    model().save(tmp_path)
    arrays = load_file(tmp_path / "model.safetensors")
    save_file({**arrays, name: DAMAGES[name]}, tmp_path / "model.safetensors")
    with pytest.raises(ArtifactError, match="train again"):
        TreeLinear.load(tmp_path)
    del arrays[name]
    save_file(arrays, tmp_path / "model.safetensors")
    with pytest.raises(ArtifactError, match="train again"):
        TreeLinear.load(tmp_path)


def test_a_label_that_fits_is_at_its_best_whatever_else_stands_beside_it() -> None:
    sure = replace(model(), bias=np.array([5, -9, 5, -9, 1], np.float32))
    joint = np.exp(sure.log_prob(counts([[0, 0, 0, 1]])))
    assert joint[0, [0, 2]] == pytest.approx([1, 1], abs=1e-4)
