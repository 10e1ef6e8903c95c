import json

import pytest

from patent_hier.artifacts import find_damage
from patent_hier.bench.architecture import Architecture
from patent_hier.bench.rows import Row
from patent_hier.bench.suite import WORKS, Amounts, cells, run_bench, write_bench
from patent_hier.errors import ConfigError
from patent_hier.settings import BF16, FP32
from tests.commands import command

TINY = Amounts(rows=400, documents=40, demo=24, base=1, repeats=1, sizes=(400, 800))
FAST = Row("w", "documents/s", 1234.5, 10.0, 3, 100.0, "peer", 12.345, 5000.0, "product")
SLOW = Row("x", "ms", 1.5, 1.0, 3)


def test_cells_show_what_was_measured():
    assert cells(FAST) == ("w", "documents/s", "1,234", "100 (peer)", "12.35", "≥ 10", "5,000 (product)", "25%", "yes")
    assert cells(SLOW) == ("x", "ms", "1.5", "–", "–", "≤ 1 ms", "–", "–", "no")


def test_a_record_has_table_numbers_and_machine(tmp_path):
    write_bench([FAST, SLOW], tmp_path / "bench", {"size": "quick"})
    assert find_damage(tmp_path / "bench") is None
    rows = json.loads((tmp_path / "bench" / "bench.json").read_text("utf-8"))
    assert [row["met"] for row in rows] == [True, False]
    table = (tmp_path / "bench" / "bench.md").read_text("utf-8").splitlines()
    assert len(table) == 4
    assert {line.count("|") for line in table} == {10}
    assert json.loads((tmp_path / "bench" / "manifest.json").read_text("utf-8"))["environment"]["cpus"]


@pytest.mark.parametrize(
    ("works", "size", "word"), [(["tokens", "nothing"], "quick", "nothing"), (WORKS, "huge", "huge")]
)
def test_unknown_names_are_refused(works, size, word):
    with pytest.raises(ConfigError, match=word):
        list(run_bench(["一种"], ["一种"], works, size))


def test_rows_of_networks_agree_with_their_peers(demo_texts, monkeypatch):
    monkeypatch.setattr("patent_hier.bench.suite.AMOUNTS", {"quick": TINY})
    tiny = Architecture(16, 4, 2, 32, 8192)
    monkeypatch.setattr("patent_hier.bench.subjects.SIZES", {"demo": tiny, "base": tiny})
    rows = list(run_bench(demo_texts, [text[:12] for text in demo_texts], ["scoring", "training", "ablation"], "quick"))
    assert [row.agrees for row in rows] == [True] * 8
    assert all(row.ours > 0 and row.peer > 0 and row.ratio > 0 for row in rows)
    scoring = [row for row in rows if row.work.startswith("scoring")]
    assert all(row.facts["same_labels"] == row.facts["documents"] for row in scoring)
    assert all(row.facts["largest_difference"] < 1e-5 for row in scoring if row.facts["precision"] == FP32)
    assert [row.work for row in scoring if row.facts["precision"] == BF16] == ["scoring abstracts, base size, bf16"]


def test_the_command_measures_and_records(tmp_path):
    done = command(
        *("bench", "--rows", "overhead", f"runs_dir={tmp_path}/runs", f"cache_dir={tmp_path}/cache", "data.rows=300")
    )
    assert (done.status, done.err) == (0, "")
    assert "overhead" in done.out
    (row,) = json.loads((tmp_path / "runs" / "bench" / "bench.json").read_text("utf-8"))
    assert row["facts"]["step_ms"] > 0


def test_mistakes_are_one_line(tmp_path):
    done = command(
        "bench", "--rows", "speed", f"runs_dir={tmp_path}/runs", f"cache_dir={tmp_path}/cache", "data.rows=300"
    )
    assert done.status != 0
    assert "speed" in done.err
    assert len(done.err.splitlines()) == 1
