import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from safetensors.numpy import load_file, save_file
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.neighbors import KNeighborsClassifier

from patent_hier.errors import ArtifactError
from patent_hier.models.classical import LinearClassifier, NaiveBayesClassifier, NeighboursClassifier, NgramModel
from patent_hier.models.ngram_features import fit_idf, tf_idf

CLASSICAL: dict[str, type[NgramModel]] = {
    kind.kind: kind for kind in (LinearClassifier, NaiveBayesClassifier, NeighboursClassifier)
}
TERMS, LABELS, DOCUMENTS = 12, 3, 20


def float_counts(matrix: object) -> csr_matrix:
    return csr_matrix(matrix, dtype=np.float32)


def random_counts(n: int, seed: int) -> csr_matrix:
    return float_counts(np.random.default_rng(seed).poisson(0.7, (n, TERMS)))


def neighbours(train: csr_matrix, codes: list[int], num_labels: int, k: int) -> NeighboursClassifier:
    """All labels siblings."""
    return on_paths(train, np.array(codes)[:, None], [0] * num_labels, k)


def on_paths(train: csr_matrix, paths: object, families: list[int], k: int) -> NeighboursClassifier:
    idf = fit_idf(train)
    own = np.array(paths, np.int64), np.array(families, np.int64)
    return NeighboursClassifier(idf, tf_idf(train, idf).T.tocsr(), *own, k)


def models() -> dict[str, NgramModel]:
    rng = np.random.default_rng(1)
    idf = fit_idf(random_counts(DOCUMENTS, 2))
    weights, bias = rng.normal(size=(TERMS, LABELS)).astype(np.float32), rng.normal(size=LABELS).astype(np.float32)
    return {
        "linear": LinearClassifier(idf, weights, bias, 0.3),
        "naive_bayes": NaiveBayesClassifier(idf, weights, bias),
        "knn": neighbours(random_counts(DOCUMENTS, 2), [*range(LABELS)] * 6 + [0, 1], LABELS, 5),
    }


MODELS = models()


def test_tf_idf_by_hand() -> None:
    counts = float_counts([[1, 0], [3, 2], [0, 0]])
    idf = fit_idf(counts)
    assert idf == pytest.approx([np.log(4 / 3) + 1, np.log(4 / 2) + 1])
    second = np.array([(1 + np.log(3)) * idf[0], (1 + np.log(2)) * idf[1]])
    assert tf_idf(counts, idf).toarray() == pytest.approx(np.array([[1, 0], second / np.hypot(*second), [0, 0]]))
    assert counts.toarray().tolist() == [[1, 0], [3, 2], [0, 0]]


def test_tf_idf_equals_scikit_learn(demo_texts: list[str]) -> None:
    reference = TfidfVectorizer(analyzer="char", ngram_range=(1, 3), min_df=2, sublinear_tf=True)
    reference.fit(demo_texts[:200])
    counter = CountVectorizer(analyzer="char", ngram_range=(1, 3), vocabulary=reference.vocabulary_)
    idf = fit_idf(float_counts(counter.transform(demo_texts[:200])))
    found = tf_idf(float_counts(counter.transform(demo_texts)), idf)
    assert found.dtype == np.float32
    assert np.abs(idf - reference.idf_).max() < 1e-6
    assert np.abs(found - reference.transform(demo_texts)).max() < 1e-6


def test_linear_by_hand() -> None:
    model = LinearClassifier(np.ones(2, np.float32), np.eye(2, dtype=np.float32), np.array([0, 1], np.float32), 0.5)
    log_prob = model.log_prob(float_counts([[1, 0], [0, 1], [0, 0]]))
    # scores 1 1, 0 2, 0 1; divided by 0.5: 2 2, 0 4, 0 2
    assert np.exp(log_prob[:, 1]) == pytest.approx([1 / 2, 1 / (1 + np.exp(-4)), 1 / (1 + np.exp(-2))])


def test_neighbours_by_hand() -> None:
    train = float_counts([[1, 0, 0], [1, 1, 0], [0, 0, 1]])
    model = neighbours(train, [0, 1, 1], 2, 2)
    similarity = tf_idf(train, model.idf).toarray()[:, 0]  # to a document of the first n-gram alone: 1, s, 0
    assert similarity[0] == 1
    total = 1 + similarity[1] + 1
    found = np.exp(model.log_prob(float_counts([[1, 0, 0], [0, 0, 5], [0, 0, 0]])))
    assert found[0] == pytest.approx([1.5 / total, (similarity[1] + 0.5) / total])
    # the third document is itself the nearest; of the two others, both of similarity 0, no vote comes
    assert found[1] == pytest.approx([0.25, 0.75])
    assert found[2] == pytest.approx([0.5, 0.5])


def test_neighbours_vote_at_every_head_on_their_path() -> None:
    """Sections A, B; classes A01, A02 and B01; the third document's path ends at its section."""
    train = float_counts([[1, 0], [1, 0], [1, 0], [0, 1]])
    model = on_paths(train, [[0, 2], [0, 2], [1, -1], [1, 4]], [0, 0, 1, 1, 2], 3)
    found = np.exp(model.log_prob(float_counts([[1, 0], [0, 1]])))
    assert found[0] == pytest.approx([(2 + 0.5) / 4, (1 + 0.5) / 4, (2 + 0.5) / 3, 0.5 / 3, 1])
    # The last document and, of similarity 0, the first two: one vote for B and B01.
    assert found[1] == pytest.approx([0.5 / 2, 1.5 / 2, 0.5, 0.5, 1])


def test_the_symbols_of_a_neighbour_share_its_vote(tmp_path: Path) -> None:
    """The first document has A with A01 and B with B01, the second A with A01 and A02; A is all its own."""
    train = float_counts([[1, 0], [0, 1]])
    paths = np.array([[0, 2], [1, 4], [0, 2], [0, 3]])
    own = np.array([0, 0, 1, 1, 2]), 1, np.array([0, 0, 1, 1])
    idf = fit_idf(train)
    model = NeighboursClassifier(idf, tf_idf(train, idf).T.tocsr(), paths, *own)
    model.save(tmp_path)
    for one in (model, NeighboursClassifier.load(tmp_path)):
        found = np.exp(one.log_prob(train))
        assert found[0] == pytest.approx([1 / 2, 1 / 2, (0.5 + 0.5) / 1.5, 0.5 / 1.5, 1])
        assert found[1] == pytest.approx([1.5 / 2, 0.5 / 2, 1 / 2, 1 / 2, 1])


def test_of_equally_similar_documents_the_earlier_ones_vote() -> None:
    train = float_counts([[0, 1], [1, 0], [1, 0], [2, 0], [0, 1]])
    query = float_counts([[1, 0]])
    one = np.exp(neighbours(train, [0, 1, 2, 2, 0], 3, 1).log_prob(query))
    assert one[0] == pytest.approx([1 / 6, 4 / 6, 1 / 6])
    two = np.exp(neighbours(train, [0, 1, 2, 2, 0], 3, 2).log_prob(query))
    assert two[0] == pytest.approx([1 / 9, 4 / 9, 4 / 9])
    every = np.exp(neighbours(train, [0, 1, 2, 2, 0], 3, 99).log_prob(query))
    assert every[0] == pytest.approx([1 / 12, 4 / 12, 7 / 12])


def test_neighbours_vote_as_in_scikit_learn() -> None:
    train, queries = random_counts(200, 3), random_counts(100, 4)
    codes = np.random.default_rng(5).integers(0, 6, 200)
    model = neighbours(train, codes.tolist(), 6, 9)
    reference = KNeighborsClassifier(9, weights=lambda distance: 1 - distance, metric="cosine", algorithm="brute")
    reference.fit(tf_idf(train, model.idf), codes)
    features = tf_idf(queries, model.idf)
    nearest = 1 - np.sort(1 - (features @ model.index).toarray(), axis=1)[:, :10]
    clear = nearest[:, 8] - nearest[:, 9] > 1e-6  # else two documents compete for the ninth place
    clear &= np.diff(np.sort(reference.predict_proba(features), axis=1)[:, -2:]).ravel() > 1e-6
    assert clear.sum() > 60
    votes = reference.predict_proba(features) * nearest[:, :9].sum(1, keepdims=True)
    expected = (votes + 1 / 6) / (votes.sum(1, keepdims=True) + 1)
    found = model.log_prob(queries)
    assert np.abs(np.exp(found) - expected)[clear].max() < 1e-6
    assert np.array_equal(found.argmax(1)[clear], reference.predict(features)[clear])


def test_neighbours_in_chunks_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    queries = random_counts(23, 9)
    expected = MODELS["knn"].log_prob(queries)
    monkeypatch.setattr("patent_hier.models.classical._CHUNK", 4 * DOCUMENTS)
    assert np.array_equal(MODELS["knn"].log_prob(queries), expected)


@pytest.mark.parametrize("kind", CLASSICAL)
@given(matrix=arrays(np.int64, st.tuples(st.integers(0, 5), st.just(TERMS)), elements=st.integers(0, 10**5)))
def test_rows_are_distributions(kind: str, matrix: np.ndarray) -> None:
    counts = float_counts(np.vstack([np.zeros((1, TERMS), np.int64), matrix]))
    log_prob = MODELS[kind].log_prob(counts)
    assert log_prob.shape == (len(matrix) + 1, LABELS)
    assert log_prob.dtype == np.float32
    assert np.isfinite(log_prob).all()
    assert np.abs(np.exp(log_prob.astype(float)).sum(1) - 1).max() < 1e-6
    alone = np.vstack([MODELS[kind].log_prob(counts[row]) for row in range(counts.shape[0])])
    assert np.array_equal(alone, log_prob)


@pytest.mark.parametrize("kind", CLASSICAL)
def test_round_trip_is_exact(kind: str, tmp_path: Path) -> None:
    model = MODELS[kind]
    assert (model.kind, type(model)) == (kind, CLASSICAL[kind])
    model.save(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["model.safetensors"]
    loaded = CLASSICAL[kind].load(tmp_path)
    queries = random_counts(50, 6)
    assert np.array_equal(loaded.log_prob(queries), model.log_prob(queries))
    assert loaded.num_parameters == model.num_parameters


def refused(kind: str, folder: Path) -> str:
    with pytest.raises(ArtifactError) as caught:
        CLASSICAL[kind].load(folder)
    assert str(folder / "model.safetensors") in str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("kind", "name", "values"),
    [
        *((kind, "idf", np.ones(TERMS + 1, np.float32)) for kind in CLASSICAL),
        *((kind, "idf", np.ones(TERMS)) for kind in CLASSICAL),
        ("linear", "weights", np.ones((LABELS, TERMS), np.float32)),
        ("naive_bayes", "bias", np.ones((LABELS, 1), np.float32)),
        ("naive_bayes", "temperature", np.ones(1)),
        ("linear", "temperature", np.ones(2)),
        ("linear", "temperature", np.zeros(1)),
        ("linear", "temperature", np.full(1, np.nan)),
        ("knn", "paths", np.zeros((DOCUMENTS - 1, 1), np.int64)),
        ("knn", "paths", np.full((DOCUMENTS, 1), LABELS)),
        ("knn", "paths", np.full((DOCUMENTS, 1), -2)),
        ("knn", "paths", np.zeros((DOCUMENTS, 0), np.int64)),
        ("knn", "paths", np.zeros((DOCUMENTS, 1), np.float32)),
        ("knn", "owners", np.zeros(DOCUMENTS - 1, np.int64)),
        ("knn", "owners", np.arange(DOCUMENTS).astype(np.float32)),
        ("knn", "owners", np.arange(DOCUMENTS) - 1),
        ("knn", "owners", np.arange(DOCUMENTS) * 2),
        ("knn", "owners", np.full(DOCUMENTS, 0)),
        ("knn", "families", np.zeros((LABELS, 1), np.int64)),
        ("knn", "families", np.array([0, 2, 2])),
        ("knn", "families", np.array([-1, 0, 0])),
        ("knn", "sizes", np.array([0])),
        ("knn", "sizes", np.array([LABELS, 5])),
        ("knn", "index.data", np.ones(3, np.float32)),
        ("knn", "index.indptr", np.zeros(TERMS, np.int64)),
    ],
)
def test_arrays_that_do_not_fit(kind: str, name: str, values: np.ndarray, tmp_path: Path) -> None:
    MODELS[kind].save(tmp_path)
    save_file({**load_file(tmp_path / "model.safetensors"), name: values}, tmp_path / "model.safetensors")
    refused(kind, tmp_path)


def test_an_index_that_points_outside(tmp_path: Path) -> None:
    MODELS["knn"].save(tmp_path)
    content = load_file(tmp_path / "model.safetensors")
    content["index.indices"][-1] = DOCUMENTS
    save_file(content, tmp_path / "model.safetensors")
    refused("knn", tmp_path)


@pytest.mark.parametrize("kind", CLASSICAL)
def test_other_files(kind: str, tmp_path: Path) -> None:
    refused(kind, tmp_path)
    for other in CLASSICAL:
        if other != kind:
            MODELS[other].save(tmp_path)
            assert f"is not a valid {kind} model" in refused(kind, tmp_path)
    MODELS[kind].save(tmp_path)
    content = (tmp_path / "model.safetensors").read_bytes()
    for damaged in (b"", content[: len(content) // 2]):
        (tmp_path / "model.safetensors").write_bytes(damaged)
        refused(kind, tmp_path)
    shutil.rmtree(tmp_path)
