from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks.speed import stages
from benchmarks.speed.prepare import LABELS, agreement, prepare_row
from patent_hier.data.corpus import CORPUS_FILE


def test_both_keep_the_same_documents_but_for_rows_that_pandas_swallows(tmp_path: Path) -> None:
    rows = stages.write_raw_csv(tmp_path, 1500, seed=3)
    assert 520 <= (tmp_path / stages.RAW).stat().st_size / rows <= 680  # as rows of real files
    ours = stages.prepare(tmp_path)
    stages.peer(tmp_path)
    kept = pq.read_metadata(tmp_path / stages.PEER_FILE).num_rows
    found = agreement(tmp_path / stages.CORPUS / CORPUS_FILE, tmp_path / stages.PEER_FILE)
    assert ours["items"] == rows
    assert 0.8 * ours["documents"] < found["documents_of_both"] <= ours["documents"]
    assert found["documents_of_both"] > 0.98 * kept
    assert found["same_labels"] == found["same_text"] == found["documents_of_both"]


def test_agreement_is_counted_by_document(tmp_path: Path) -> None:
    def write(name: str, ids: list[str], classes: list[str], texts: list[str]) -> Path:
        labels = dict.fromkeys(LABELS, classes)
        pq.write_table(pa.table({"document_id": ids, "text": texts, **labels}), tmp_path / name)
        return tmp_path / name

    first = write("first", ["1", "2", "3"], ["A", "B", "C"], ["x", "y", "z"])
    second = write("second", ["3", "4", "2"], ["C", "A", "A"], ["o", "x", "y"])
    assert agreement(first, second) == {"documents_of_both": 2, "same_labels": 1, "same_text": 1}


def test_the_row_compares_both_in_processes_of_their_own() -> None:
    row = prepare_row(rows=400, repeats=1)
    assert row.peer is not None
    assert row.ratio == pytest.approx(row.ours / row.peer)
    assert 0.2 < row.facts["memory_ratio"] < 2
    assert row.facts["documents_of_both"] <= row.facts["documents"]
