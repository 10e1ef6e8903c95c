import json

import pytest

from tests.commands import command
from tests.planning.records import ALL, STAGES, write_record


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    return str(write_record(tmp_path_factory.mktemp("plan") / "bench", ALL))


def test_the_plan_is_printed_with_what_it_assumes(record):
    done = command("plan", "--bench", record)
    assert (done.status, done.err) == (0, "")
    for word in ("2,317,701 documents", "one RTX 4090", "hydra/launcher=slurm", "trainer=ddp", "assumed: 45%", record):
        assert word in done.out
    assert max(map(len, done.out.splitlines())) <= 120


def test_as_json(record):
    done = command("plan", "--bench", record, "--json", "--seeds", "2", "level=flat", "encoder=small", "--rows", "9000")
    assert (done.status, done.err) == (0, "")
    plan = json.loads(done.out)
    assert (plan["facts"]["rows"], plan["facts"]["seeds"], plan["facts"]["encoder"]) == (9000, 2, "small")
    assert {hours["level_2"] for hours in plan["hours"]} == {0}


def test_a_corpus_of_ones_own(record, tmp_path):
    demo = command("prepare", "data.rows=400", f"cache_dir={tmp_path}/cache")
    assert demo.status == 0
    (source,) = (tmp_path / "cache" / "demo").glob("*.csv")
    words = ("data=cnipa", f"data.path={source}", f"cache_dir={tmp_path}/cache", "encoder.max_length=64")
    done = command("plan", "--bench", record, "--json", *words)
    assert (done.status, done.err) == (0, "")
    plan = json.loads(done.out[done.out.index("{") :])
    assert plan["facts"]["documents"] == 400
    assert plan["disk"]["raw CSV"] == source.stat().st_size
    assert plan["facts"]["tokens"] == 64


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--seeds", "0"], "--seeds 0"),
        (["--rows", "0"], "--rows 0"),
        (["--rows", "many"], "many"),
        (["level=node", "node=D"], "node"),
        (["--bench", "nowhere"], "nowhere"),
        (["model=linear"], "model=linear"),
    ],
)
def test_mistakes_are_one_line(record, words, said):
    done = command("plan", *([] if "--bench" in words else ["--bench", record]), *words)
    assert done.status != 0
    assert said in done.err
    assert len(done.err.splitlines()) == 1


def test_a_missing_figure_names_its_command(tmp_path):
    done = command("plan", "--bench", str(write_record(tmp_path / "r", STAGES)))
    assert done.status != 0
    assert "patent-hier bench --rows training" in done.err
