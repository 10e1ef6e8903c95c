import dataclasses
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from patent_hier.errors import ArtifactError
from patent_hier.evaluation.predictions import NO_TARGET, UNSEEN, Predictions


def make(**change):
    probability = np.array([[0.5, 0.25, 0.25], [0.1, 0.8, 0.1], [1.0, 0.0, 0.0], [0.2, 0.2, 0.6]])
    with np.errstate(divide="ignore"):
        log_prob = np.log(probability).astype(np.float32)
    values = {
        "node": "D",
        "labels": ("D01", "D02", "D21"),
        "document_ids": np.array(["甲", "b", "c", "d"], dtype=object),
        "parts": np.array(["val", "test", "test", "calibration"], dtype=object),
        "targets": np.array(["D01", None, "D99", "D21"], dtype=object),
        "log_prob": log_prob,
    }
    return Predictions(**(values | change))


def test_round_trip(tmp_path):
    before = make()
    before.write(tmp_path / "predictions.parquet")
    after = Predictions.read(tmp_path / "predictions.parquet")
    assert (after.node, after.labels) == (before.node, before.labels)
    for name in ("document_ids", "parts", "targets", "log_prob"):
        assert np.array_equal(getattr(after, name), getattr(before, name)), name
    assert after.log_prob.dtype == np.float32
    assert [file.name for file in tmp_path.iterdir()] == ["predictions.parquet"]


def test_file_is_the_contract(tmp_path):
    make().write(tmp_path / "p.parquet")
    schema = pq.read_schema(tmp_path / "p.parquet")
    assert schema.names == ["document_id", "part", "target", "log_prob"]
    assert schema.field("log_prob").type == pa.list_(pa.float32(), 3)
    assert json.loads(schema.metadata[b"labels"]) == ["D01", "D02", "D21"]
    assert schema.metadata[b"node"] == b"D"


def test_codes_tell_unseen_targets_from_none():
    assert make().target_codes().tolist() == [0, NO_TARGET, UNSEEN, 2]
    assert make().predicted_codes().tolist() == [0, 1, 0, 2]


def test_select():
    assert make().select("test").document_ids.tolist() == ["b", "c"]
    with pytest.raises(ArtifactError, match="node D has no prediction for part 'train'"):
        make().select("train")


WRONG = {
    "NaN": ({"log_prob": np.full((4, 3), np.nan, np.float32)}, "row 0 is NaN"),
    "not normalised": ({"log_prob": np.zeros((4, 3), np.float32)}, "row 0 is not normalised"),
    "all minus infinity": ({"log_prob": np.full((4, 3), -np.inf, np.float32)}, "not normalised"),
    "infinity": ({"log_prob": np.full((4, 3), np.inf, np.float32)}, "not normalised"),
    "repeated id": ({"document_ids": np.array(["a", "a", "c", "d"], dtype=object)}, "'a' occurs twice"),
    "null id": ({"document_ids": np.array(["a", None, "c", "d"], dtype=object)}, "id is null"),
    "unknown part": ({"parts": np.array(["train"] * 4, dtype=object)}, "part 'train' is not one of"),
    "fewer labels": ({"labels": ("D01", "D02")}, r"shape \(4, 3\) but there are 2 labels"),
    "repeated labels": ({"labels": ("D01", "D02", "D02")}, "empty or repeat"),
    "short column": ({"targets": np.array(["D01"], dtype=object)}, "different lengths"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_breaks_the_contract_is_not_written(tmp_path, case):
    change, message = WRONG[case]
    with pytest.raises(ArtifactError, match=message) as caught:
        make(**change).write(tmp_path / "p.parquet")
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def rewritten(path, change):
    make().write(path)
    table = pq.read_table(path)
    pq.write_table(change(table), path)
    return path


DAMAGE = {
    "column": (lambda table: table.drop_columns(["part", "target"]), "column part, target is missing"),
    "metadata": (lambda table: table.replace_schema_metadata({}), "lacks the node or the labels"),
    "no JSON": (lambda table: table.replace_schema_metadata({"node": "D", "labels": "D01,"}), "not JSON"),
    "no list": (lambda table: table.replace_schema_metadata({"node": "D", "labels": "{}"}), "not a list of strings"),
    "labels": (lambda table: table.replace_schema_metadata({"node": "D", "labels": '["D01"]'}), "not 1 float32 labels"),
    "repeated rows": (lambda table: pa.concat_tables([table, table]), "occurs twice"),
    "type": (
        lambda table: table.set_column(0, "document_id", pa.array([1, 2, 3, 4])),
        "column document_id is int64, not string",
    ),
    "null scores": (
        lambda table: table.set_column(3, "log_prob", pa.array([None] * 4, pa.list_(pa.float32(), 3))),
        "holds nulls",
    ),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_damaged_files_are_named(tmp_path, case):
    change, message = DAMAGE[case]
    path = rewritten(tmp_path / "p.parquet", change)
    with pytest.raises(ArtifactError, match=message) as caught:
        Predictions.read(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_and_truncated_files(tmp_path):
    path = tmp_path / "p.parquet"
    with pytest.raises(ArtifactError, match="cannot be read"):
        Predictions.read(path)
    make().write(path)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(ArtifactError, match="cannot be read"):
        Predictions.read(path)


def test_selection_keeps_every_column_together():
    chosen = make().take(np.array([3, 0]))
    assert dataclasses.astuple(chosen)[:2] == ("D", ("D01", "D02", "D21"))
    assert chosen.document_ids.tolist() == ["d", "甲"]
    assert chosen.targets.tolist() == ["D21", "D01"]
    assert chosen.log_prob.argmax(axis=1).tolist() == [2, 0]
