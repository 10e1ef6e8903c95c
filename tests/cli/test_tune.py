"""``patent-hier tune`` as a user meets it: trials on val, a folder that explains itself, a command to go on with."""

import csv
import shlex
from collections.abc import Sequence
from pathlib import Path

import pytest

from patent_hier.atomic import read_json
from patent_hier.errors import ConfigError
from tests.commands import TINY_OF, Outcome, command

SWEEP = ("model.alpha=tag(log, interval(0.01,2))", "model.min_documents=choice(1,2)")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tune")


def words(place: Path, model: str = "naive_bayes", level: str = "flat") -> list[str]:
    where = [f"runs_dir={place / 'runs'}", f"cache_dir={place / 'cache'}"]
    return [f"model={model}", f"level={level}", *TINY_OF[model], *where]


def tune(place: Path, *more: str, study: str = "study", own: Sequence[str] | None = None) -> Outcome:
    return command("tune", *(own or words(place)), *more, "--study", place / study)


@pytest.fixture(scope="module")
def done(place: Path) -> Outcome:
    return tune(place, *SWEEP, "--trials", "3")


def test_trials_are_scored_on_val_alone_and_the_best_is_a_command(place: Path, done: Outcome) -> None:
    assert (done.status, done.err) == (0, "")
    assert not (place / "runs").exists()  # a trial leaves no result
    assert "test accuracy" not in done.out
    folder = place / "study"
    search = read_json(folder / "search.json")
    assert [trial["state"] for trial in search["trials"]] == ["complete"] * 3
    assert search["trials"][0]["facts"]["defaults"]
    best = max(search["trials"], key=lambda trial: trial["value"])
    assert search["best"] == best
    assert done.out.splitlines()[-1] == f"train and test with the best settings: {search['command']}"
    assert {f"{name}={value}" for name, value in best["settings"].items()} <= set(shlex.split(search["command"]))
    page = (folder / "README.md").read_text("utf-8")
    assert "is optimistic" in page
    assert search["command"] in page
    assert "(search_history.svg)" in page
    assert (folder / "search_history.svg").stat().st_size > 1000
    with (folder / "trials.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["score"]) for row in rows] == [trial["value"] for trial in search["trials"]]

    again = tune(place, *SWEEP, "--trials", "3")
    assert "3 of 3 trials so far" in again.out
    assert "trial 4" not in again.out
    assert again.out.splitlines()[1:] == done.out.splitlines()[-len(again.out.splitlines()) + 1 :]


def test_the_score_is_that_of_the_run_on_val(place: Path, done: Outcome) -> None:
    search = read_json(place / "study" / "search.json")
    outcome = command(*shlex.split(search["command"])[1:])
    assert outcome.status == 0
    (node,) = (place / "runs" / "naive_bayes").glob("flat-*")
    assert read_json(node / "metrics.json")["val"]["accuracy"]["value"] == search["best"]["value"]


@pytest.mark.slow
def test_nine_nodes_are_scored_as_one_system(place: Path) -> None:
    own = words(place, level="hier")
    objective = ("--objective", "accuracy/section")
    outcome = tune(place, "model.alpha=choice(0.1,5)", "--trials", "1", *objective, study="hier", own=own)
    assert outcome.status == 0, outcome.err
    (trial,) = read_json(place / "hier" / "search.json")["trials"]
    alpha = trial["settings"]["model.alpha"]
    assert command("run", *words(place, level="section"), f"model.alpha={alpha}").status == 0  # the root alone
    (node,) = (place / "runs" / "naive_bayes").glob("root-*")
    assert read_json(node / "metrics.json")["val"]["accuracy"]["value"] == trial["value"]


def test_a_network_is_told_after_each_epoch(place: Path) -> None:
    own = [*words(place, "textcnn"), "features=chars", "trainer.max_epochs=2", "trainer.patience=null"]
    outcome = tune(place, "model.num_filters=choice(4,8)", "--trials", "1", "--seeds", "2", study="net", own=own)
    assert outcome.status == 0, outcome.err
    (trial,) = read_json(place / "net" / "search.json")["trials"]
    assert trial["facts"]["epochs"] == 2  # of the first seed alone
    by_seed = trial["facts"]["by_seed"]
    assert trial["value"] == sum(by_seed) / 2
    assert not list((place / "net" / ".trials").glob("*.ckpt"))


def test_failing_trials_are_counted(place: Path) -> None:
    outcome = tune(place, "model.alpha=choice(0.5,-1)", "--trials", "4", study="failing")
    assert outcome.status == 0
    assert "failed: model.alpha=-1.0 is out of range" in outcome.out
    states = [trial["state"] for trial in read_json(place / "failing" / "search.json")["trials"]]
    assert set(states) == {"complete", "failed"}
    assert f"{states.count('failed')} failed" in outcome.out
    outcome = tune(place, "split.seed=choice(2017,5)", "--trials", "4", study="splits")
    assert "failed: trials with different corpora, splits or depths cannot be compared" in outcome.out


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--trials", "3"), "nothing to search"),
        (("model.alpha=1,2", "--trials", "0"), "--trials 0 is out of range; use 1 or more"),
        (("model.alpha=1,2", "--objective", "f1"), "--objective f1 is unknown"),
        (("model.alpha=1,2", "--objective", "accuracy/group", "--trials", "1"), "none of the 1 trials was completed"),
        (("model.alhpa=1,2",), "model.alhpa"),
        (("model.alpha=1,2", "level=class"), "level=class has one result for each section"),
    ],
)
def test_misuse_is_one_line(place: Path, more: tuple[str, ...], said: str) -> None:
    outcome = tune(place, *more, study="misuse-" + "".join(filter(str.isalnum, said)))
    assert outcome.status == ConfigError.exit_status
    assert said in outcome.err
    assert outcome.err.count("\n") == 1


def test_a_missing_extra_is_named_first(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("patent_hier.pipeline.study.find_spec", lambda name: None)
    outcome = tune(place, "model.alpha=1,2", "--trials", "0")
    assert outcome.status == ConfigError.exit_status
    assert "optuna, which tune needs, is not installed; install it: pip install" in outcome.err


def test_another_search_does_not_mix_with_this_one(place: Path, done: Outcome) -> None:
    outcome = tune(place, "model.alpha=1,2")
    assert "has a search with other settings" in outcome.err
