import json
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from patent_hier.errors import ArtifactError
from patent_hier.evaluation.contract import NetworkPredictions
from patent_hier.evaluation.level_scores import DENSE_LABELS, KEPT, NO_TARGET, UNSEEN, concatenate, ranks, score_levels
from patent_hier.taxonomy.tree import NONE
from tests.trees import FIVE, children, classes_of, network, random_joint, random_tree, tree_of, trees

SEEDS = st.integers(0, 10**6)
WIDE = tree_of([(s, f"{s}{k:03}") for s, k in ((s, k) for s in "AB" for k in range(130))])  # 260 classes: sparse


def column(own, name):
    return getattr(own, name).tolist()


def rows_of(*rows):
    with np.errstate(divide="ignore"):
        return np.log(np.array(rows)).astype(np.float32)


# --- by hand


def test_two_levels_by_hand():
    """A tie, a class that never occurs in training, a document of another network, and a probability of 0."""
    tree = classes_of(A="01 21", B="60")
    joint = rows_of([0.6, 0.4, 0.3, 0.3, 0.4], [0.2, 0.8, 0.1, 0.1, 0.8], [1, 0, 0, 1, 0], [0.5, 0.5, 0.4, 0.1, 0.5])
    made = network("shared", tree, joint, [("A", "A21"), ("A", "A99"), (None, None), ("B", "B60")])
    section, ipc_class = made.levels
    assert column(section, "target_codes") == [0, 0, NO_TARGET, 1]
    assert column(section, "target_rank") == [0, 1, 2, 1]  # of equals the first label is first
    assert column(section, "sibling_rank") == [0, 1, NONE, 1]
    assert column(section, "greedy") == [0, 1, 0, 0]
    assert np.exp(section.target_log_prob) == pytest.approx([0.6, 0.2, 0, 0.5])
    assert column(ipc_class, "target_codes") == [1, UNSEEN, NO_TARGET, 2]
    assert column(ipc_class, "target_rank") == [2, 3, 3, 0]
    assert column(ipc_class, "sibling_rank") == [1, NONE, NONE, 0]  # A01 is as probable and comes first
    assert column(ipc_class, "greedy") == [0, 2, 1, 0]
    assert np.exp(ipc_class.target_log_prob) == pytest.approx([0.3, 0, 0, 0.5])
    assert np.exp(ipc_class.target_conditional) == pytest.approx([0.5, 0, 0, 1])
    assert ipc_class.best(2)[0].tolist() == [[2, 0], [2, 0], [1, 0], [2, 0]]
    assert np.exp(ipc_class.best(1)[1][:, 0]) == pytest.approx([0.4, 0.8, 1, 0.5])


def test_five_levels_by_hand():
    """A path to the last level, a "stops here" leaf, one that ends at its class, and an answer that ends there."""
    tree = tree_of(FIVE)
    conditional = np.array([0.5, 0.3, 0.2, 0.9, 0.1, 1, 1, 1, 1, 1, 0.3, 0.4, 0.3, 1, 0.6, 0.4, 1, 1, 1])
    other = conditional.copy()
    other[3:5] = 0.2, 0.8
    joint = np.zeros((4, 19), np.float32)
    for row, own in enumerate((conditional, conditional, conditional, other)):
        for i, above in enumerate(tree.parents):
            joint[row, i] = np.log(own[i]) + (joint[row, above] if above >= 0 else 0)
    made = network("shared", tree, joint, [FIVE[4], FIVE[5], FIVE[3], FIVE[3]])
    ranks_of = {own.level: (column(own, "target_rank"), column(own, "sibling_rank")) for own in made.levels}
    assert ranks_of["class"] == ([0, 0, 3, 0], [0, 0, 1, 0])  # 0.45 | 0.05 < 0.3, 0.2; other: 0.1 | 0.4
    assert ranks_of["main_group"] == ([2, 2, 4, 4], [1, 1, NONE, NONE])  # 0.135, 0.18, 0.135, 0.2 (H01L21)
    assert ranks_of["subgroup"] == ([4, 3, 5, 5], [1, 0, NONE, NONE])
    assert [made.levels[i].greedy.tolist() for i in range(5)] == [
        [0] * 4, [0, 0, 0, 1], [0, 0, 0, NONE], [1, 1, 1, NONE], [2, 2, 2, NONE]
    ]  # fmt: skip
    assert np.exp(made.level("subgroup").target_conditional) == pytest.approx([0.4, 0.6, 0, 0])
    assert np.exp(made.level("subgroup").target_log_prob[:2]) == pytest.approx([0.45 * 0.3 * 0.4, 0.45 * 0.3 * 0.6])


def test_a_level_with_many_labels_keeps_its_best():
    rng = np.random.default_rng(4)
    conditional = rng.random((6, len(WIDE)))
    joint = np.log(conditional / conditional.sum(axis=1, keepdims=True)).astype(np.float32)
    joint[0, 2:] = np.float32(-7)  # all equal
    joint[1, 2:] = -np.inf
    joint[1, 2 + 55] = 0
    truth = [("A", f"A{k:03}") for k in (3, 55, 99, 100, 129)] + [("B", "B129")]
    made = network("shared", WIDE, joint, truth)
    section, ipc_class = made.levels
    assert section.labels is None
    assert ipc_class.labels.shape == ipc_class.log_prob.shape == (6, KEPT)
    for row in range(6):
        values = joint[row, 2:]
        expected = sorted(range(260), key=lambda k: (-values[k], k))
        assert ipc_class.labels[row].tolist() == expected[:KEPT]
        assert ipc_class.log_prob[row].tolist() == values[expected[:KEPT]].tolist()
        assert ipc_class.target_rank[row] == expected.index(WIDE.labels("class").index(truth[row][1]))
    assert ipc_class.labels[0].tolist() == list(range(KEPT))
    assert not made.is_whole
    assert made.scores().tree == WIDE.to_depth("section")  # down to the first level that keeps only its best
    assert np.array_equal(made.scores().log_prob, joint[:, :2])


def test_scores_reach_down_to_the_first_level_that_keeps_only_its_best():
    tree = tree_of([("A", f"A0{k % 2}", f"A0{k % 2}.{k:03}") for k in range(DENSE_LABELS + 1)])
    joint = random_joint(tree, 3)
    scores = network("shared", tree, joint, [(None,) * 3] * 3).scores()
    assert scores.tree == tree.to_depth("class")
    assert np.array_equal(scores.log_prob, joint[:, :3])


@pytest.mark.parametrize(("size", "dense"), [(DENSE_LABELS, True), (DENSE_LABELS + 1, False)])
def test_how_many_labels_are_many(size, dense):
    tree = tree_of([(f"{k:03}",) for k in range(size)])
    (own,) = score_levels(tree, np.full((2, size), -np.log(size), np.float32), [np.array(["000", "199"], object)])
    assert (own.labels is None) == dense
    if not dense:
        alone = NetworkPredictions("x", tree, np.array(list("ab")), np.full(2, "test"), (own,))
        with pytest.raises(ArtifactError, match="node x stores only the best 20 labels of its first level section"):
            alone.scores()
    assert own.target_rank.tolist() == [0, 199]


# --- properties


@given(SEEDS, st.booleans())
def test_a_rank_is_a_place_in_a_sort(seed, with_zeros):
    rng = np.random.default_rng(seed)
    scores = rng.integers(-3, 0, (20, 7)).astype(np.float32)
    if with_zeros:
        scores[scores == -3] = -np.inf
    codes = rng.integers(-2, 7, 20)
    expected = [
        7 if code < 0 else sorted(range(7), key=lambda k: (-row[k], k)).index(code)
        for row, code in zip(scores.tolist(), codes.tolist(), strict=True)
    ]
    assert ranks(scores, codes).tolist() == expected


@given(trees(), SEEDS, st.booleans())
def test_every_column_against_a_search_document_by_document(tree, seed, flat):
    joint = np.maximum(random_joint(tree, 5, seed, flat).round(1), -99)  # with ties, nothing impossible
    rng = np.random.default_rng(seed)
    chosen = rng.integers(0, len(tree), 5)
    paths = [tuple(tree.names(path)) for path in tree.paths(chosen.astype(np.int32))]
    made = network("x", tree, joint, paths, flat=flat)
    for row, target in enumerate(chosen.tolist()):
        line = {target}
        while tree.parents[target] != NONE:
            target = int(tree.parents[target])
            line.add(target)
        for own in made.levels:
            span = tree.span(own.level)
            true = [i for i in line if span.start <= i < span.stop]
            everyone = list(range(span.start, span.stop))
            if not true:
                assert (own.targets[row], own.target_codes[row], own.sibling_rank[row]) == (None, NO_TARGET, NONE)
                assert own.target_rank[row] == len(everyone)
                continue
            (label,) = true
            assert own.target_codes[row] == label - span.start
            assert own.target_rank[row] == sorted(everyone, key=lambda i: (-joint[row, i], i)).index(label)
            parent = int(tree.parents[label])
            above = np.float32(0) if parent == NONE else joint[row, parent]
            conditional = {i: joint[row, i] - above for i in children(tree, parent)}
            assert own.target_conditional[row] == pytest.approx(conditional[label], abs=1e-5)
            assert own.sibling_rank[row] == sorted(conditional, key=lambda i: (-conditional[i], i)).index(label)


@given(trees(), SEEDS)
def test_scored_some_at_a_time_it_is_the_same(tree, seed):
    joint = random_joint(tree, 7, seed)
    targets = [np.array([None, *tree.labels(level)] * 7, object)[:7] for level in tree.levels]
    whole = score_levels(tree, joint, targets)
    pieces = (slice(0, 3), slice(3, 4), slice(4, 7))
    joined = concatenate([score_levels(tree, joint[rows], [own[rows] for own in targets]) for rows in pieces])
    for one, other in zip(whole, joined, strict=True):
        for name, value in vars(one).items():
            assert np.array_equal(getattr(other, name), value), name


# --- the file


def made(n=4, tree=None, flat=False):
    tree = tree or tree_of(FIVE)
    paths = [FIVE[4], (None,) * 5, ("A", "A99", None, None, None), FIVE[3]] if len(tree.levels) == 5 else None
    paths = paths or [tuple(tree.names(path)) for path in tree.paths(np.arange(n, dtype=np.int32) % len(tree))]
    own = network("root", tree, random_joint(tree, n, 1, flat), paths, ["val", "test", "test", "calibration"], flat)
    return replace(own, document_ids=np.array(["甲", "b", "c", "d"], object))


@pytest.mark.parametrize("tree", [tree_of(FIVE), WIDE, random_tree(5, 1)], ids=["five", "sparse", "one"])
@pytest.mark.parametrize("flat", [True, False])
def test_round_trip(tmp_path, tree, flat):
    before = made(tree=tree, flat=flat)
    before.write(tmp_path / "predictions.parquet")
    after = NetworkPredictions.read(tmp_path / "predictions.parquet")
    assert (after.node, after.flat, after.tree) == (before.node, before.flat, before.tree)
    for name in ("document_ids", "parts"):
        assert getattr(after, name).tolist() == getattr(before, name).tolist()
    for one, other in zip(before.levels, after.levels, strict=True):
        for name, value in vars(one).items():
            found = getattr(other, name)
            assert np.array_equal(found, value), name
            assert value is None or name == "level" or found.dtype == value.dtype, name
    assert [file.name for file in tmp_path.iterdir()] == ["predictions.parquet"]


def test_the_file_is_the_contract(tmp_path):
    made(tree=WIDE).write(tmp_path / "p.parquet")
    schema = pq.read_schema(tmp_path / "p.parquet")
    names = ["target", "log_prob", "target_log_prob", "target_conditional", "target_rank", "sibling_rank", "greedy"]
    assert schema.names == [
        "document_id", "part", *(f"section.{name}" for name in names), "class.target", "class.labels",
        *(f"class.{name}" for name in names[1:]),
    ]  # fmt: skip
    assert schema.field("section.log_prob").type == pa.list_(pa.float32(), 2)
    assert schema.field("class.labels").type == pa.list_(pa.int32(), KEPT)
    assert json.loads(schema.metadata[b"tree"])["levels"] == ["section", "class"]


def test_groups_are_written_where_there_are_any(tmp_path):
    own = replace(made(), groups=np.array([-1, -1, 3, 3], np.int32))
    own.write(tmp_path / "p.parquet")
    found = NetworkPredictions.read(tmp_path / "p.parquet")
    assert found.groups.tolist() == [-1, -1, 3, 3]
    assert found.take(np.array([3, 0])).groups.tolist() == [3, -1]
    table = pq.read_table(tmp_path / "p.parquet")
    pq.write_table(put("group", pa.array(list("abcd")))(table), tmp_path / "p.parquet")
    with pytest.raises(ArtifactError, match=r"column group has the wrong type or nulls \(type string"):
        NetworkPredictions.read(tmp_path / "p.parquet")


def test_selection_keeps_every_column_together():
    assert made().select("test").document_ids.tolist() == ["b", "c"]
    with pytest.raises(ArtifactError, match="node root has no predictions for part 'train'"):
        made().select("train")
    chosen = made().take(np.array([3, 0]))
    assert (chosen.document_ids.tolist(), chosen.parts.tolist()) == (["d", "甲"], ["calibration", "val"])
    assert chosen.level("class").targets.tolist() == ["A61", "A01"]
    assert np.array_equal(chosen.level("subgroup").log_prob, made().level("subgroup").log_prob[[3, 0]])
    with pytest.raises(ArtifactError, match="node root has no scores for level x; it has section, class"):
        made().level("x")


def level(place, **changes):
    def change(own):
        levels = list(own.levels)
        levels[place] = replace(levels[place], **changes)
        return replace(own, levels=tuple(levels))

    return change


WRONG = {
    "NaN": (level(0, log_prob=np.full((4, 3), np.nan, np.float32)), "log_prob of level section is NaN"),
    "NaN of targets": (
        level(1, target_log_prob=np.full(4, np.nan, np.float32)),
        "target_log_prob of level class is NaN",
    ),
    "not normalised": (level(0, log_prob=np.zeros((4, 3), np.float32)), "level section is not normalised in row 0"),
    "minus infinity": (level(0, log_prob=np.full((4, 3), -np.inf, np.float32)), "not normalised"),
    "infinity": (level(2, log_prob=np.full((4, 3), np.inf, np.float32)), "level subclass is not normalised"),
    "more than all": (level(4, log_prob=np.zeros((4, 5), np.float32)), "level subgroup is not normalised"),
    "another width": (level(4, log_prob=np.zeros((4, 4), np.float32)), r"shape \(4, 4\), but the level has 5 labels"),
    "a rank below 0": (level(1, target_rank=np.full(4, -1, np.int32)), "target_rank of level class is out of range"),
    "a rank too high": (level(1, sibling_rank=np.full(4, 9, np.int32)), "sibling_rank of level class is out of range"),
    "another label": (level(1, greedy=np.full(4, 4, np.int32)), "greedy of level class is out of range"),
    "a wrong row": (
        level(0, log_prob=np.log(np.array([[0.5, 0.3, 0.2]] * 3 + [[0.5] * 3], np.float32))),
        "level section is not normalised in row 3",
    ),
    "a long column": (level(3, targets=np.array(["x"] * 5, object)), "level main_group have different lengths"),
    "a short column": (level(3, targets=np.array(["x"], object)), "level main_group have different lengths"),
    "a repeated id": (lambda own: replace(own, document_ids=np.array(list("aacd"), object)), "occurs twice"),
    "a null id": (lambda own: replace(own, document_ids=np.array(["a", None, "c", "d"], object)), "id is null"),
    "another part": (lambda own: replace(own, parts=np.array(["train"] * 4, object)), "part 'train' is not one of"),
    "a level less": (lambda own: replace(own, levels=own.levels[:-1]), "are not those of the tree"),
    "another order": (lambda own: replace(own, levels=own.levels[::-1]), "are not those of the tree"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_breaks_the_contract_is_not_written(tmp_path, case):
    change, message = WRONG[case]
    with pytest.raises(ArtifactError, match=message) as caught:
        change(made()).write(tmp_path / "p.parquet")
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": np.full((4, KEPT), 260, np.int32)}, "labels of level class are not those of the tree"),
        ({"labels": np.full((4, KEPT), -2, np.int32)}, "labels of level class are not those of the tree"),
        ({"labels": np.zeros((4, 3), np.int32)}, "labels of level class are not those of the tree"),
        (
            {"log_prob": np.arange(80, dtype=np.float32).reshape(4, KEPT)},
            "log_prob of level class is not in descending order",
        ),
    ],
)
def test_what_breaks_it_at_a_sparse_level(tmp_path, changes, message):
    with pytest.raises(ArtifactError, match=message):
        level(1, **changes)(made(tree=WIDE)).write(tmp_path / "p.parquet")


def put(name, values):
    return lambda table: table.set_column(table.column_names.index(name), name, values)


def facts(**changes):
    def change(table):
        kept = {key.decode(): value for key, value in table.schema.metadata.items()} | changes
        return table.replace_schema_metadata({key: value for key, value in kept.items() if value is not None})

    return change


DAMAGE = {
    "no part": (lambda table: table.drop_columns(["part"]), "does not hold predictions"),
    "a column less": (lambda table: table.drop_columns(["class.greedy"]), r"column class\.greedy is missing"),
    "no metadata": (lambda table: table.replace_schema_metadata({}), "lacks the node or the tree"),
    "no node": (facts(node=None), "lacks the node or the tree"),
    "no JSON": (facts(tree="{"), "does not hold predictions"),
    "no UTF-8": (facts(tree=b"\xff"), "does not hold predictions"),
    "no tree": (facts(tree="[1, 2]"), "this is not a label tree"),
    "a deep tree": (facts(tree="[" * 10**5), "does not hold a label tree"),
    "another tree": (facts(tree=json.dumps(classes_of(A="01").as_dict())), "of level section"),
    "rows twice": (lambda table: pa.concat_tables([table, table]), "occurs twice"),
    "numbers for ids": (put("document_id", pa.array(range(4))), "column document_id has type int64, not string"),
    "numbers for targets": (put("class.target", pa.array(range(4))), r"class\.target has type int64, not string"),
    "null ids": (put("document_id", pa.array([None, "b", "c", "d"])), "a document id is null"),
    "words for ranks": (put("class.target_rank", pa.array(list("abcd"))), r"class\.target_rank .* \(type string"),
    "null ranks": (put("class.greedy", pa.array([None, 0, 0, 0], pa.int32())), "type int32, nulls: 1"),
    "null scores": (put("class.log_prob", pa.array([None] * 4, pa.list_(pa.float32(), 4))), "contains nulls"),
    "null in a score": (put("class.log_prob", pa.array([[None] * 4] * 4, pa.list_(pa.float32(), 4))), "contains nulls"),
    "loose lists": (put("class.log_prob", pa.array([[0.0]] * 4, pa.list_(pa.float32()))), r"the wrong type list"),
    "doubles": (put("class.log_prob", pa.array([[0.0] * 4] * 4, pa.list_(pa.float64(), 4))), "the wrong type fixed"),
    "a huge label": (put("class.greedy", pa.array([2**31 - 1] * 4, pa.int32())), "greedy of level class is out"),
}  # fmt: skip


@pytest.mark.parametrize("case", DAMAGE)
def test_damaged_and_hostile_files_are_refused_in_one_line(tmp_path, case):
    change, message = DAMAGE[case]
    path = tmp_path / "p.parquet"
    made().write(path)
    pq.write_table(change(pq.read_table(path)), path)
    with pytest.raises(ArtifactError, match=message) as caught:
        NetworkPredictions.read(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_and_truncated_files(tmp_path):
    path = tmp_path / "p.parquet"
    with pytest.raises(ArtifactError, match="cannot be read"):
        NetworkPredictions.read(path)
    made().write(path)
    for content in (path.read_bytes()[:-40], b"", b"PAR1" * 100):
        path.write_bytes(content)
        with pytest.raises(ArtifactError, match="cannot be read") as caught:
            NetworkPredictions.read(path)
        assert "\n" not in str(caught.value)
