from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file
from scipy.sparse import csr_matrix
from scipy.special import log_softmax

from patent_hier.errors import ArtifactError
from patent_hier.models.classical import LinearClassifier, arrays_in
from patent_hier.models.ngram_heads import HEADS, Head, NgramHeads

TERMS = 6


def head(start: int, columns: list[int], labels: int, seed: int, temperature: float = 1.0) -> Head:
    rng = np.random.default_rng(seed)
    weights = rng.normal(size=(len(columns), labels)).astype(np.float32)
    idf, bias = rng.uniform(1, 3, len(columns)), rng.normal(size=labels)
    return Head(
        start, np.array(columns, np.int32), idf.astype(np.float32), weights, bias.astype(np.float32), temperature
    )


# Labels 0 and 1, then 2 without siblings, 3 to 5 of other n-grams, 6 and 7 without any n-gram.
MODEL = NgramHeads([head(0, [0, 1, 4], 2, 1), head(3, [1, 2, 3, 5], 3, 2, 0.4), head(6, [], 2, 3)], 8, TERMS)


def counts(rows: int, seed: int) -> csr_matrix:
    return csr_matrix(np.random.default_rng(seed).poisson(0.8, (rows, TERMS)), dtype=np.float32)


@given(st.integers(0, 10**6))
def test_each_head_is_a_linear_model_on_its_own_terms(seed: int) -> None:
    found, own = MODEL.log_prob(rows := counts(5, seed)), MODEL.heads
    assert (found.dtype, found.shape) == (np.float32, (5, 8))
    assert found[:, 6:] == pytest.approx(np.tile(log_softmax(own[2].bias), (5, 1)), abs=1e-6)
    for one in own[:2]:
        alone = LinearClassifier(one.idf, one.weights, one.bias, one.temperature)
        assert found[:, one.labels] == pytest.approx(alone.log_prob(rows[:, one.columns]), abs=1e-5)
        assert np.exp(found[:, one.labels]).sum(axis=1) == pytest.approx(1, abs=1e-5)
    assert (found[:, 2] == 0).all()  # without siblings: certain


def test_round_trip_is_exact(tmp_path: Path) -> None:
    MODEL.save(tmp_path)
    assert HEADS in arrays_in(tmp_path)
    loaded = NgramHeads.load(tmp_path)
    assert np.array_equal(loaded.log_prob(counts(30, 1)), MODEL.log_prob(counts(30, 1)))
    assert loaded.num_parameters == MODEL.num_parameters == 6 + 2 + 12 + 3 + 2


def test_a_head_may_have_a_single_term(tmp_path: Path) -> None:
    one = head(0, [3], 2, 1)
    assert Head(one.start, one.columns, one.idf, one.weights, one.bias).temperature == 1  # unless one is fitted
    NgramHeads([one], 2, TERMS).save(tmp_path)
    assert NgramHeads.load(tmp_path).heads[0].columns.tolist() == [3]


def test_counts_of_other_terms_are_refused() -> None:
    with pytest.raises(ValueError, match="5 n-grams, not 6"):
        MODEL.log_prob(counts(1, 1)[:, :5])


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("heads", np.zeros((0, 3), np.int64)),
        ("heads", np.array([[0, 3, 2], [1, 4, 3], [6, 0, 2]])),  # the second begins within the first
        ("heads", np.array([[0, 3, 2], [3, 4, 3], [7, 0, 2]])),  # beyond the last label
        ("heads", np.array([[0, 3, 2], [3, 4, 4], [7, 0, 1]])),
        ("heads", np.array([[0, 3, 2], [3, 4, 3], [-1, 0, 2]])),
        ("heads", np.array([[0, 3, 2], [3, 4, 3]])),  # of another length than the rest
        ("heads", np.array([[0, 3.0, 2], [3, 4, 3], [6, 0, 2]])),
        ("columns", np.full(7, TERMS, np.int32)),
        ("columns", np.full(7, -1, np.int32)),
        ("columns", np.zeros(7, np.int64)),
        ("weights", np.zeros(17, np.float32)),
        ("bias", np.zeros((7, 1), np.float32)),
        ("idf", np.zeros(7)),
        ("temperatures", np.array([1.0, 0.0, 1.0])),
        ("temperatures", np.array([1.0, np.inf, 1.0])),
        ("sizes", np.array([8])),
    ],
)
def test_arrays_that_do_not_fit_are_refused(name: str, values: np.ndarray, tmp_path: Path) -> None:
    MODEL.save(tmp_path)
    save_file({**load_file(tmp_path / "model.safetensors"), name: values}, tmp_path / "model.safetensors")
    with pytest.raises(ArtifactError, match="is not a valid heads model") as caught:
        NgramHeads.load(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["columns", "idf", "weights", "bias", "temperatures", "heads", "sizes"])
def test_a_missing_array_is_named(name: str, tmp_path: Path) -> None:
    MODEL.save(tmp_path)
    kept = load_file(tmp_path / "model.safetensors")
    del kept[name]
    save_file(kept, tmp_path / "model.safetensors")
    with pytest.raises(ArtifactError, match=f"no array '{name}'"):
        NgramHeads.load(tmp_path)
