import json

import pytest

from patent_hier.bench import scale
from patent_hier.bench.sizes import size_cells
from patent_hier.data.corpus import Corpus
from patent_hier.data.splits import TRAIN
from patent_hier.features.token_store import TokenStore
from patent_hier.pipeline.stages import load_parts
from patent_hier.report.figures import scale_curves


@pytest.fixture(scope="module")
def stages(tmp_path_factory):
    """All stages on one small file, in this process; the folder, and what each told."""
    place = tmp_path_factory.mktemp("scale")
    rows = scale.write_raw_csv(place / "raw.csv", 900)
    return place, rows, {stage: scale._STAGES[stage](place) for stage in scale.WORKS}


def test_each_stage_goes_through_all_that_the_stage_before_left(stages):
    place, rows, found = stages
    corpus = Corpus.open(place / "corpus")
    assert (found["prepare"]["items"], found["prepare"]["documents"]) == (rows, corpus.size)
    assert found["split"]["items"] == found["encode"]["items"] == corpus.size
    (tokens,) = scale._finished(place / "cache" / "tokens")
    lengths = TokenStore.open(tokens).lengths
    assert found["encode"]["tokens"] == lengths.sum()
    assert 150 < lengths.mean() <= lengths.max() == 200  # of a realistic length
    (split,) = scale._finished(place / "cache" / "splits")
    assert found["loader"]["items"] == (load_parts(corpus, split) == TRAIN).sum()
    assert all(one["seconds"] > 0 and one["cpu_seconds"] > 0 for one in found.values())


def _size(rows, rate, own=1e9):
    return {
        "rows": rows, "items": rows, "unit": "rows", "seconds": rows / rate, "cpu_seconds": rows / rate,
        "per_second": rate, "peak_bytes": own + 1, "peak_own_bytes": own, "repeats": 1,
    }  # fmt: skip


def test_a_row_compares_larger_sizes_with_the_smallest_steady_one():
    row = scale._row("prepare", [_size(10_000, 1.0), _size(99_999, 100.0), _size(10**6, 90.0), _size(3 * 10**6, 95.0)])
    assert (row.ratio, row.ours, row.peer) == (0.9, 95.0, 100.0)
    assert row.met


@pytest.mark.parametrize("sizes", [[_size(10**5, 100.0), _size(10**6, 80.0)], [_size(10**5, 1.0, 1.6e9)]])
def test_slower_or_larger_than_allowed_is_not_met(sizes):
    assert not scale._row("encode", sizes).met


def test_table_and_figure_show_every_size():
    row = scale._row("prepare", [_size(10_000, 50.0), _size(100_000, 100.0)])
    head, *lines = size_cells([row])
    assert [line[:3] for line in lines] == [("prepare", "10,000", "200.00"), ("prepare", "100,000", "1,000.00")]
    assert {len(line) for line in lines} == {len(head)}
    figure = scale_curves({"prepare": row.facts["sizes"]}, 1.5e9)
    assert figure.svg.startswith(b"<?xml")
    assert "100,000 rows in 1,000.0 s and 954 MiB" in figure.alt


@pytest.mark.slow
def test_stages_run_in_processes_of_their_own():
    rows = list(scale.scale_rows((400,), 1))
    assert [row.facts["stage"] for row in rows] == list(scale.WORKS)
    for row in rows:
        (size,) = row.facts["sizes"]
        assert 20 << 20 < size["peak_own_bytes"] < size["peak_bytes"]
        json.dumps(row.as_dict(), allow_nan=False)
