"""Support vector machines of a whole tree, on documents of few n-grams whose labels can be told by hand."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from sklearn.svm import LinearSVC

from patent_hier.models.ngram_features import fit_idf, tf_idf
from patent_hier.models.tree_linear import FITS, TreeLinear
from patent_hier.settings import LinearSettings
from patent_hier.taxonomy.tree import NONE, LabelTree
from patent_hier.training import tree_svm
from patent_hier.training.rows import Rows
from patent_hier.training.tree_svm import Earlier, fit_tree_svm

LEVELS = ("section", "class", "subclass")
SEEN = [(s, s + c, s + c + k) for s in "AB" for c in "12" for k in "XY"]
NEW = ("A", "A1", "A1Z")  # known by its title alone
TERMS = 40
KEPT = np.arange(TERMS)


def signs(path: tuple[str, ...]) -> list[int]:
    """The n-grams that speak of a label: two for each label on its path."""
    section, number, last = "AB".index(path[0]), int(path[1][1]) - 1, "XYZ".index(path[2][2])
    own = 12 + 2 * (6 * section + 3 * number + last)
    return [2 * section, 2 * section + 1, 4 + 4 * section + 2 * number, 5 + 4 * section + 2 * number, own, own + 1]


def documents(tree: LabelTree, paths: list[tuple[str, ...]], seed: int, noise: int = 4) -> Rows:
    rng = np.random.default_rng(seed)
    counts = np.zeros((len(paths), TERMS), np.float32)
    for row, path in zip(counts, paths, strict=True):
        row[rng.choice(signs(path), 4, replace=False)] = 1
        row[rng.choice(TERMS, noise)] += 1
    places = [tree.find(level, [path[i] for path in paths]) for i, level in enumerate(LEVELS)]
    return Rows(csr_matrix(counts), np.stack(places, axis=1))


def titles(tree: LabelTree, paths: list[tuple[str, ...]]) -> Rows:
    counts = np.zeros((len(paths), TERMS), np.float32)
    for row, path in zip(counts, paths, strict=True):
        row[signs(path)[4:]] = 1
    places = [tree.find(level, [path[i] for path in paths]) for i, level in enumerate(LEVELS)]
    return Rows(csr_matrix(counts), np.stack(places, axis=1))


def drawn(paths: list[tuple[str, ...]], n: int, seed: int) -> list[tuple[str, ...]]:
    return [paths[i] for i in np.random.default_rng(seed).integers(0, len(paths), n)]


def tree_of(*paths: tuple[str, ...]) -> LabelTree:
    return LabelTree.from_paths(paths, LEVELS)


NOTHING = Rows(csr_matrix((0, TERMS), dtype=np.float32), np.empty((0, 3), np.int32))


def fit(
    tree: LabelTree, train: Rows, val: Rows, own: Rows = NOTHING, seed: int = 0
) -> tuple[TreeLinear, dict[str, Any]]:
    return fit_tree_svm(tree, train, own, val, KEPT, LinearSettings(), 0)


def leaf_probabilities(model: TreeLinear, tree: LabelTree, rows: Rows) -> NDArray[np.float64]:
    conditional = model.log_prob(rows.counts).astype(float)
    for start, stop in zip(tree.bounds[1:-1], tree.bounds[2:], strict=True):
        conditional[:, start:stop] += conditional[:, tree.parents[start:stop]]
    return np.exp(conditional[:, tree.leaves])


@pytest.fixture(scope="module")
def seen() -> tuple[LabelTree, Rows, Rows]:
    tree = tree_of(*SEEN)
    return tree, documents(tree, drawn(SEEN, 400, 1), 1), documents(tree, drawn(SEEN, 200, 2), 2)


def test_new_documents_find_their_leaf_with_fitting_probabilities(seen: tuple[LabelTree, Rows, Rows]) -> None:
    tree, train, val = seen
    model, facts = fit(tree, train, val)
    test = documents(tree, drawn(SEEN, 600, 3), 3)
    chances = leaf_probabilities(model, tree, test)
    hits = chances.argmax(1) == test.paths[:, 2] - tree.leaves.start
    assert hits.mean() > 0.8
    assert chances.max(1).mean() == pytest.approx(hits.mean(), abs=0.05)
    assert (facts["heads"], facts["converged"], facts["path_weights_documents"]) == (7, True, 200)
    assert facts["weights_kept"] == model.weights.nnz
    assert list(facts["path_weights"]) == ["margin"]


def test_a_heads_weights_are_those_of_liblinear_without_the_small_ones(seen: tuple[LabelTree, Rows, Rows]) -> None:
    tree, train, val = seen
    model, _ = fit(tree, train, val)
    features = tf_idf(train.counts, fit_idf(train.counts))
    below = np.flatnonzero(train.paths[:, 0] == 1)  # below B: its two classes
    solver = LinearSVC(C=1.0, tol=1e-8, max_iter=100_000).fit(features[below], train.paths[below, 1])
    own = model.weights.toarray()[:, tree.children(1)].T
    assert np.abs(own[1] - solver.coef_[0]).max() < tree_svm.PRUNED + 0.02
    assert np.abs(own[own != 0]).min() >= tree_svm.PRUNED
    assert own[0] == pytest.approx(-own[1])


def test_equal_seeds_make_equal_models(seen: tuple[LabelTree, Rows, Rows]) -> None:
    tree, train, val = seen
    first, second = fit(tree, train, val)[0].arrays(), fit(tree, train, val)[0].arrays()
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_without_validation_documents_the_usual_path_weights_stay(seen: tuple[LabelTree, Rows, Rows]) -> None:
    tree, train, val = seen
    few = Rows(val.counts[: tree_svm.MIN_VAL_DOCUMENTS - 1], val.paths[: tree_svm.MIN_VAL_DOCUMENTS - 1])
    model, facts = fit(tree, train, few)
    assert model.path_weights.tolist() == [[0.6, 0.6, 0.6]]
    assert (facts["path_weights_documents"], facts["temperature_fitted"]) == (0, False)


def test_a_label_is_found_by_its_title_alone() -> None:
    tree = tree_of(*SEEN, NEW)
    train = documents(tree, drawn(SEEN, 400, 1), 1)
    val = documents(tree, drawn([*SEEN, NEW], 200, 2), 2)
    model, facts = fit(tree, train, val, titles(tree, [*SEEN, NEW]))
    new = int(tree.find("subclass", ["A1Z"])[0])
    assert facts["label_text"] == {"unseen_labels": 1}
    assert (model.unseen.nonzero()[0].tolist(), list(facts["path_weights"])) == ([new], ["margin", "title", "unseen"])
    test = documents(tree, [NEW] * 50 + drawn(SEEN, 400, 3), 3)
    answers = leaf_probabilities(model, tree, test).argmax(1) + tree.leaves.start
    assert (answers[:50] == new).mean() > 0.5
    assert (answers[50:] == new).mean() < 0.08


def test_a_title_is_an_example_of_its_own_label_only() -> None:
    tree = tree_of(*SEEN, NEW)
    train, own = documents(tree, drawn(SEEN, 100, 1), 1), titles(tree, [*SEEN, NEW])
    unseen = np.zeros(len(tree), np.bool_)
    new = int(tree.find("subclass", ["A1Z"])[0])
    unseen[new] = True
    of_titles = tree_svm._by_label(tree, own.counts, own.paths)
    learnt = tree_svm._with_titles(train, of_titles, unseen, tree)
    assert learnt.counts.shape[0] == 101
    assert learnt.paths[-1].tolist() == [NONE, NONE, new]
    assert learnt.counts[100].toarray().tolist() == own.counts[8].toarray().tolist()


def test_a_tree_without_a_head_to_learn_is_decided_by_titles() -> None:
    tree = tree_of(SEEN[0], NEW)
    of_one = documents(tree, [SEEN[0]] * 6, 1)
    whole = replace(titles(tree, [SEEN[0], NEW]), counts=csr_matrix((2, TERMS), dtype=np.float32))
    model, facts = fit_tree_svm(tree, of_one, whole, NOTHING, KEPT, LinearSettings(), 1)
    assert (facts["weights_kept"], facts["converged"]) == (0, True)
    assert np.isfinite(model.log_prob(of_one.counts)).all()


def test_a_leaf_that_repeats_its_parents_code_has_its_title() -> None:
    tree = LabelTree.from_paths([("A1/00", "A1/00"), ("A1/00", "A1/02")], ("main_group", "subgroup"))
    features = csr_matrix(np.eye(2, dtype=np.float32))
    of_titles = tree_svm._by_label(tree, features, np.array([[0, NONE], [0, 2]], np.int32)).toarray()
    assert of_titles.tolist() == [[1, 1, 0], [0, 0, 1]]


def test_a_document_of_several_symbols_speaks_for_all_of_them(seen: tuple[LabelTree, Rows, Rows]) -> None:
    """Of 200 documents of A1X every second one is of A1Y too: it is no evidence against A1Y."""
    tree, _, val = seen
    first, second = SEEN[0], SEEN[1]
    one = documents(tree, [first] * 200 + drawn(SEEN[2:], 100, 5), 4, noise=0)
    also = np.arange(0, 200, 2)
    further = documents(tree, [second] * len(also), 0).paths
    both = Rows(
        one.counts[np.concatenate([np.arange(300), also])],
        np.concatenate([one.paths, further]),
        np.concatenate([np.where(np.isin(np.arange(300), also), 0.5, 1.0), np.full(len(also), 0.5)]),
        np.concatenate([np.arange(300), also]),
    )
    model, _ = fit(tree, both, val)
    margins = (tf_idf(one.counts[also], model.idf) @ model.weights).toarray() + model.bias
    x, y = (int(tree.find("subclass", [path[2]])[0]) for path in (first, second))
    assert margins[:, x].mean() == pytest.approx(FITS, abs=1e-6)  # all have it: nothing to learn
    assert abs(margins[:, y].mean()) < 0.2  # half of them have it


def test_heads_that_are_not_concerned_stay_to_the_last_bit(seen: tuple[LabelTree, Rows, Rows]) -> None:
    tree, train, val = seen
    model, _ = fit(tree, train, val)
    other = documents(tree, drawn(SEEN, 300, 9), 9)  # every head would be another on these
    earlier = Earlier(model, tree, {("class", "A"), ("subclass", "A2")})
    again, facts = fit_tree_svm(tree, other, NOTHING, val, KEPT, LinearSettings(), 0, earlier)
    assert (facts["heads"], facts["heads_solved_again"]) == (7, 2)
    assert np.array_equal(again.idf, model.idf)
    assert np.array_equal(again.path_weights, model.path_weights)
    for parent, labels in tree.heads():
        above = "root" if parent == NONE else tree.codes[parent]
        stays = (tree.level_of(labels.start), above) not in earlier.heads
        same = (again.weights[:, labels] != model.weights[:, labels]).nnz == 0
        assert stays == same == np.array_equal(again.bias[labels], model.bias[labels])


def test_heads_are_found_in_a_tree_that_has_grown(seen: tuple[LabelTree, Rows, Rows]) -> None:
    tree, train, val = seen
    model, _ = fit(tree, train, val)
    wider = tree_of(*SEEN, NEW)
    own = documents(wider, drawn([*SEEN, NEW], 500, 4), 4)
    again, facts = fit_tree_svm(wider, own, NOTHING, val, KEPT, LinearSettings(), 0, Earlier(model, tree, ()))
    assert facts["heads_solved_again"] == 1  # what is below A1 has one label more
    old, new = tree.find("subclass", ["B1X", "B1Y"]), wider.find("subclass", ["B1X", "B1Y"])
    assert np.array_equal(again.weights[:, new].toarray(), model.weights[:, old].toarray())
    assert again.weights[:, wider.find("subclass", ["A1Z"])].nnz
