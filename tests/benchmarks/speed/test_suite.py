from itertools import chain

import pytest

from benchmarks.architecture import Architecture
from benchmarks.speed.jobs import job_rows
from benchmarks.speed.suite import ROWS, Amounts, Bench
from patent_hier.settings import BF16, FP32

TINY = Amounts(rows=400, texts=40, demo=24, base=1, repeats=1, sizes=(400, 800))


@pytest.mark.slow
def test_jobs_are_launched_recognised_and_compared():
    launched, recognised, shared = job_rows(rows=400, repeats=1)
    assert (launched.unit, recognised.unit, shared.unit) == ("CPU s", "s", "documents/s")
    assert launched.ours > 0
    assert launched.ratio == pytest.approx(launched.peer / launched.ours)
    assert shared.ratio > 1  # it does a fraction of the work
    assert recognised.ours < 5


@pytest.mark.slow
def test_rows_of_networks_agree_with_their_peers(demo_texts, monkeypatch):
    tiny = Architecture(16, 4, 2, 32, 8192)
    monkeypatch.setattr("benchmarks.speed.subjects.SIZES", {"demo": tiny, "base": tiny})
    monkeypatch.setattr("benchmarks.speed.ablation.SIZES", {"demo": tiny})
    bench = Bench(tuple(demo_texts), tuple(text[:12] for text in demo_texts), TINY)
    rows = list(chain.from_iterable(ROWS[name](bench) for name in ("scoring", "training", "ablation")))
    assert [row.agrees for row in rows] == [True] * 8
    assert all(row.ours > 0 and row.peer > 0 and row.ratio > 0 for row in rows)
    scoring = [row for row in rows if row.work.startswith("scoring")]
    assert all(row.facts["same_labels"] == row.facts["documents"] for row in scoring)
    assert all(row.facts["largest_difference"] < 1e-5 for row in scoring if row.facts["precision"] == FP32)
    assert [row.work for row in scoring if row.facts["precision"] == BF16] == ["scoring abstracts, base size, bf16"]


@pytest.mark.slow
def test_rows_of_engines_agree_with_the_peer(demo_texts, monkeypatch):
    tiny = {"small": Architecture(16, 4, 2, 32, 8192)}
    for module in ("subjects", "suite"):
        monkeypatch.setattr(f"benchmarks.speed.{module}.ENGINE_SIZES", tiny)
    rows = list(ROWS["engines"](Bench(tuple(demo_texts), tuple(text[:12] for text in demo_texts), TINY)))
    assert [row.work for row in rows] == [
        f"scoring {what}, small size{engine}"
        for what in ("titles", "abstracts")
        for engine in ("", ", onnx", ", onnx, int8", ", openvino", ", openvino, int8")
    ]
    assert all(row.agrees and row.ratio > 0 for row in rows)
    assert {row.target for row in rows if row.facts["precision"] == "int8" and "titles" in row.work} == {5.0}
