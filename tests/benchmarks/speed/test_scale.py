import json

import pytest

from benchmarks.speed import scale, stages
from benchmarks.speed.record import tables, write_record
from patent_hier.artifacts import find_damage
from patent_hier.data.corpus import Corpus
from patent_hier.data.splits import TRAIN
from patent_hier.features.token_store import TokenStore
from patent_hier.pipeline.stages import load_parts


def test_each_stage_goes_through_all_that_the_stage_before_left(tmp_path):
    rows = stages.write_raw_csv(tmp_path, 900)
    found = {stage: stages.STAGES[stage](tmp_path) for stage in scale.WORKS}
    corpus = Corpus.open(tmp_path / "corpus")
    lengths = TokenStore.open(stages.made(tmp_path / stages.TOKENS)).lengths
    trained = (load_parts(corpus, stages.made(tmp_path / stages.SPLITS)) == TRAIN).sum()
    items = {"prepare": rows, "split": corpus.size, "count": corpus.size, "linear": trained}
    items |= {"encode": corpus.size, "loader": trained}
    assert {stage: one["items"] for stage, one in found.items()} == items
    assert found["linear"]["labels"] > 300  # down to the subgroup
    assert (found["prepare"]["documents"], found["encode"]["tokens"]) == (corpus.size, lengths.sum())
    assert 150 < lengths.mean() <= lengths.max() == 200  # of a realistic length
    assert all(one["seconds"] > 0 and one["cpu_seconds"] > 0 for one in found.values())


def _size(rows, rate, own=1e9):
    return {
        "rows": rows, "items": rows, "unit": "rows", "seconds": rows / rate, "cpu_seconds": rows / rate,
        "per_second": rate, "peak_bytes": own + 1, "peak_own_bytes": own, "repeats": 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("sizes", "ratio", "met"),
    [
        ([_size(10_000, 1.0), _size(99_999, 100.0), _size(10**6, 90.0), _size(3 * 10**6, 95.0)], 0.9, True),
        ([_size(10**5, 100.0), _size(10**6, 80.0)], 0.8, False),
        ([_size(10**5, 1.0, 1.6e9)], 1.0, False),  # too much memory
    ],
)
def test_a_row_compares_larger_sizes_with_the_smallest_steady_one(sizes, ratio, met):
    row = scale.scale_row("prepare", sizes)
    assert (row.ratio, row.ours, row.met) == (ratio, sizes[-1]["per_second"], met)


def test_a_record_has_numbers_tables_figure_and_machine(tmp_path):
    rows = [scale.scale_row(stage, [_size(10_000, 50.0), _size(10**5, 100.0)]) for stage in scale.WORKS]
    write_record(rows, tmp_path / "bench", {"size": "quick"})
    assert find_damage(tmp_path / "bench") is None
    read = {
        name: (tmp_path / "bench" / name).read_text("utf-8") for name in ("bench.json", "bench.md", "manifest.json")
    }
    assert [row["met"] for row in json.loads(read["bench.json"])] == [True] * 6
    assert read["bench.md"] == tables(rows)
    assert [line.count("|") for line in read["bench.md"].splitlines()] == [8] * 8 + [0] + [8] * 14
    assert "| prepare | 100,000 " in " ".join(read["bench.md"].split())
    assert json.loads(read["manifest.json"])["environment"]["cpus"]
    assert (tmp_path / "bench" / "scale.svg").read_bytes().startswith(b"<?xml")


@pytest.mark.slow
def test_stages_run_in_processes_of_their_own():
    for row in scale.scale_rows((400,), 1):
        (size,) = row.facts["sizes"]
        assert 20 << 20 < size["peak_own_bytes"] < size["peak_bytes"]
        json.dumps(row.as_dict(), allow_nan=False)
