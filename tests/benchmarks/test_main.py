import contextlib
import io
import json

import pytest

from benchmarks.__main__ import main
from tests.benchmarks.plan.records import ALL, write_record
from tests.commands import Outcome, command


def benchmark(*words):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = main([str(word) for word in words])
    return Outcome(status, out.getvalue(), err.getvalue())


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    return str(write_record(tmp_path_factory.mktemp("plan") / "bench", ALL))


@pytest.mark.slow
def test_speed_measures_and_records(tmp_path):
    words = (f"runs_dir={tmp_path}/runs", f"cache_dir={tmp_path}/cache", "data.rows=300")
    done = benchmark("speed", "--rows", "overhead", *words)
    assert (done.status, done.err) == (0, "")
    assert "overhead" in done.out
    (row,) = json.loads((tmp_path / "runs" / "bench" / "bench.json").read_text("utf-8"))
    assert row["facts"]["step_ms"] > 0


def test_the_plan_is_printed_with_what_it_assumes(record):
    done = benchmark("plan", "--bench", record)
    assert (done.status, done.err) == (0, "")
    for word in ("2,317,701 documents", "one RTX 4090", "hydra/launcher=slurm", "trainer=ddp", "assumed: 45%", record):
        assert word in done.out
    assert max(map(len, done.out.splitlines())) <= 120


def test_a_corpus_of_ones_own_as_json(record, tmp_path):
    assert command("prepare", "data.rows=400", f"cache_dir={tmp_path}/cache").status == 0
    (source,) = (tmp_path / "cache" / "demo").glob("*.csv")
    words = ("data=cnipa", f"data.path={source}", f"cache_dir={tmp_path}/cache", "encoder=small", "level=flat")
    done = benchmark("plan", "--bench", record, "--json", "--seeds", "2", *words, "encoder.max_length=64")
    assert (done.status, done.err) == (0, "")
    plan = json.loads(done.out[done.out.index("{") :])
    assert [plan["facts"][key] for key in ("documents", "seeds", "encoder", "tokens")] == [400, 2, "small", 64]
    assert plan["disk"]["raw CSV"] == source.stat().st_size
    assert {hours["level_2"] for hours in plan["hours"]} == {0}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("", "speed,plan,gpu"),
        ("speed --rows nothing", "nothing"),
        ("speed --size huge", "huge"),
        ("plan --seeds 0", "--seeds 0"),
        ("plan --rows 0", "--rows 0"),
        ("plan level=node node=D", "node"),
        ("plan --bench nowhere", "nowhere"),
        ("plan model=linear", "model=linear"),
        ("plan encoder.freeze=true", "encoder.freeze"),
        ("plan encoder.path=nobody/nothing", "nobody/nothing"),
        ("gpu --size huge", "huge"),
        ("gpu --minutes 0", "--minutes 0"),
        ("gpu --minutes nan", "--minutes nan"),
        ("gpu --size tiny model=nothing", "model=nothing"),
    ],
)
def test_mistakes_are_one_line(words, said):
    done = benchmark(*words.split())
    assert done.status != 0
    assert said in done.err
    assert len(done.err.splitlines()) == 1


def test_without_a_gpu_its_check_is_refused_but_can_be_rehearsed(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    done = benchmark("gpu")
    assert done.status == 2
    assert "--size base needs a GPU" in done.err
    assert done.err.endswith("--size tiny\n")


def test_the_check_replaces_nothing_of_others(tmp_path):
    (tmp_path / "letter.txt").write_text("mine", "utf-8")
    done = benchmark("gpu", "--size", "tiny", "--output", tmp_path)
    assert done.status == 2
    assert "choose another folder" in done.err


@pytest.mark.parametrize("name", ["bench", "plan", "gpu-check"])
def test_the_package_says_where_they_are(name):
    assert command(name).err.endswith(f"in a checkout, use make {name}\n")
