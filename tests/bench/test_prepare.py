from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from patent_hier.bench import prepare
from patent_hier.data.corpus import Corpus


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    path = tmp_path_factory.mktemp("bench") / "raw.csv"
    return path, prepare.write_raw_csv(path, 1500, seed=3)


def test_the_file_has_the_rows_and_the_length_of_real_ones(source: tuple[Path, int], tmp_path: Path) -> None:
    path, rows = source
    assert 1480 <= rows <= 1520
    assert 520 <= path.stat().st_size / rows <= 680
    again = prepare.write_raw_csv(tmp_path / "again.csv", 1500, seed=3)
    assert (again, (tmp_path / "again.csv").read_bytes()) == (rows, path.read_bytes())


def test_both_keep_the_same_documents_but_for_rows_that_pandas_swallows(
    source: tuple[Path, int], tmp_path: Path
) -> None:
    path, rows = source
    files = []
    for name, run in (("ours", prepare.ours), ("peer", prepare.peer)):
        (tmp_path / name).mkdir()
        files.append(run(path, tmp_path / name))
    found = prepare.compare(*files)
    kept = [pq.read_metadata(file).num_rows for file in files]
    assert Corpus.open(tmp_path / "ours").manifest["accounting"]["rows"] == rows
    assert 0.8 * kept[0] < found["documents_of_both"] <= kept[0]
    assert found["documents_of_both"] > 0.98 * kept[1]
    assert found["same_labels"] == found["same_text"] == found["documents_of_both"]


def test_agreement_is_counted_by_document(tmp_path: Path) -> None:
    def write(name: str, ids: list[str], classes: list[str], texts: list[str]) -> Path:
        labels = dict.fromkeys(prepare.LABELS, classes)
        pq.write_table(pa.table({"document_id": ids, "text": texts, **labels}), tmp_path / name)
        return tmp_path / name

    first = write("first", ["1", "2", "3"], ["A", "B", "C"], ["x", "y", "z"])
    second = write("second", ["3", "4", "2"], ["C", "A", "A"], ["o", "x", "y"])
    assert prepare.compare(first, second) == {"documents_of_both": 2, "same_labels": 1, "same_text": 1}


def test_measuring_tells_medians_and_ratios(tmp_path: Path) -> None:
    found = prepare.measure(rows=400, repeats=2, folder=tmp_path)
    assert list(tmp_path.iterdir()) == []
    for who in ("ours", "peer"):
        facts = found[who]
        assert len(facts["all_seconds"]) == 2
        assert facts["seconds"] == pytest.approx(sum(facts["all_seconds"]) / 2)
        assert facts["rows_per_second"] == pytest.approx(found["rows"] / facts["seconds"])
        assert facts["peak_bytes"] > 50 << 20
    ratios = [
        theirs / own for theirs, own in zip(found["peer"]["all_seconds"], found["ours"]["all_seconds"], strict=True)
    ]
    assert found["ratio"] == pytest.approx(sum(ratios) / 2)
    assert found["memory_ratio"] == pytest.approx(found["ours"]["peak_bytes"] / found["peer"]["peak_bytes"])
    assert found["documents_of_both"] <= min(found["ours"]["documents"], found["peer"]["documents"])
