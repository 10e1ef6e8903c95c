"""Trials without training: what is proposed, what is stored, and who resumes an unfinished trial."""

from pathlib import Path
from typing import Any

import pytest

from patent_hier.errors import ConfigError
from patent_hier.pipeline.search_space import Choice, Interval
from patent_hier.pipeline.study import JOURNAL, Attempted, Pruned, SettingsStudy

SPACE = {"c": Interval(0.01, 10.0, log=True), "n": Interval(1, 64), "kind": Choice(("a", "b"))}
WORDS = {"words": ["model=x"]}


class Killed(BaseException):
    """Ends a search as SIGKILL does: no line after it runs but those that a dead process would leave to the kernel."""


def height(settings: Any, ask: Any) -> Attempted:
    """Highest at c=1 and n=32, a little higher for b."""
    away = abs(float(settings["c"]) - 1) / 10 + abs(int(settings["n"]) - 32) / 64
    return Attempted(1 - away + 0.01 * (settings["kind"] == "b"), {"documents": 7})


def tried(study: SettingsStudy) -> list[tuple[int, dict[str, str]]]:
    return [(record.number, record.settings) for record in study.records()]


def test_a_killed_search_proposes_what_an_undisturbed_one_does(tmp_path: Path) -> None:
    whole = SettingsStudy(tmp_path / "whole", WORDS, SPACE, seed=1)
    whole.work(height, 6)
    calls = 0

    def dies(settings: Any, ask: Any) -> Attempted:
        nonlocal calls
        calls += 1
        if calls == 4:
            raise Killed
        return height(settings, ask)

    with pytest.raises(Killed):
        SettingsStudy(tmp_path / "killed", WORDS, SPACE, seed=1).work(dies, 6)
    with (tmp_path / "killed" / JOURNAL).open("a") as journal:
        journal.write('{"op_code":5,"wor')  # what a process leaves that is killed while it writes
    after = SettingsStudy(tmp_path / "killed", WORDS, SPACE, seed=1)
    assert [record.state for record in after.records()] == ["complete"] * 3 + ["running"]
    after.work(height, 6)
    assert tried(after) == tried(whole)
    assert [record.value for record in after.records()] == [record.value for record in whole.records()]
    assert after.best() == max(after.records(), key=lambda record: record.value or 0)
    assert tried(SettingsStudy(tmp_path / "other", WORDS, SPACE, seed=2)) == []


def test_two_processes_share_the_trials(tmp_path: Path) -> None:
    inner: list[int] = []
    first = SettingsStudy(tmp_path, WORDS, SPACE, seed=1)

    def beside(settings: Any, ask: Any) -> Attempted:
        if not inner:  # while the first trial runs, another process works at the same study
            inner.append(1)
            SettingsStudy(tmp_path, WORDS, SPACE, seed=1).work(height, 4)
        return height(settings, ask)

    first.work(beside, 4)
    assert [record.number for record in first.records()] == [1, 2, 3, 4]
    assert {record.state for record in first.records()} == {"complete"}
    assert len({tuple(record.settings.values()) for record in first.records()}) == 4


def test_equal_settings_are_run_once_and_failures_are_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs: list[str] = []

    def some_fail(settings: Any, ask: Any) -> Attempted:
        runs.append(settings["kind"])
        if settings["kind"] == "a":
            raise ConfigError("a cannot be used")
        return Attempted(0.5)

    study = SettingsStudy(tmp_path, WORDS, {"kind": Choice(("a", "b"))}, seed=3)
    study.work(some_fail, 6)
    assert sorted(runs) == ["a", "b"]
    records = study.records()
    assert len(records) == 6
    assert {(record.settings["kind"], record.state) for record in records} == {("a", "failed"), ("b", "complete")}
    assert sum("repeats" in record.facts for record in records) == 4
    assert capsys.readouterr().out.count("failed: a cannot be used") == 1


def test_what_falls_behind_is_stopped(tmp_path: Path) -> None:
    epochs: list[int] = []

    def epochwise(settings: Any, ask: Any) -> Attempted:
        slow = len(epochs) == 6
        for epoch in range(1, 5):
            if ask(epoch, 0.1 if slow else 0.1 * epoch + 0.01 * len(epochs)):
                epochs.append(epoch)
                raise Pruned
        epochs.append(4)
        return Attempted(0.5)

    study = SettingsStudy(tmp_path, WORDS, SPACE, seed=1)
    study.work(epochwise, 8)
    assert epochs == [4, 4, 4, 4, 4, 4, 2, 4]  # never behind the first epoch, never among the first five trials
    pruned = study.records()[6]
    assert (pruned.state, pruned.value, pruned.facts["epochs"]) == ("pruned", 0.1, 2)


def test_the_defaults_come_first(tmp_path: Path) -> None:
    study = SettingsStudy(tmp_path, WORDS, SPACE, 1, {"c": 1.0, "n": 8, "kind": "b"})
    study.work(height, 2)
    first = study.records()[0]
    assert (first.settings, first.facts["defaults"]) == ({"c": "1", "n": "8", "kind": "b"}, True)
    assert "defaults" not in study.records()[1].facts


def test_importance_needs_trials_and_names_what_matters(tmp_path: Path) -> None:
    study = SettingsStudy(tmp_path, WORDS, SPACE, seed=1)
    study.work(height, 4)
    assert study.importance() == {}
    study.work(height, 14)
    shares = study.importance()
    assert set(shares) == set(SPACE)
    assert sum(shares.values()) == pytest.approx(1)
    assert shares["kind"] < max(shares.values())


def test_another_search_is_refused(tmp_path: Path) -> None:
    SettingsStudy(tmp_path, WORDS, SPACE, seed=1)
    with pytest.raises(ConfigError, match="has a search with other settings"):
        SettingsStudy(tmp_path, {"words": ["model=y"]}, SPACE, seed=1)
    (tmp_path / JOURNAL).write_text("no journal\n")
    with pytest.raises(ConfigError, match="is not the journal of a search"):
        SettingsStudy(tmp_path, WORDS, SPACE, seed=1)


@pytest.mark.parametrize(
    ("axis", "value", "placed"),
    [
        (Interval(0.1, 1.0), 0.5, 0.5),
        (Interval(0.1, 1.0), 2.0, None),
        (Interval(1, 9), 3, 3),
        (Interval(1, 9), 3.5, None),
        (Interval(64, 256, step=64), 128, 128),
        (Interval(64, 256, step=64), 100, None),
        (Interval(1, 9), True, None),
        (Interval(1, 9), None, None),
        (Choice(("[1,2]", "null", "true")), (1, 2), "[1,2]"),
        (Choice(("[1,2]", "null", "true")), True, "true"),
        (Choice(("[1,2]", "null")), None, "null"),
        (Choice(("1", "2")), 3, None),
    ],
)
def test_a_default_has_its_place_in_the_space(axis: Any, value: Any, placed: Any) -> None:
    assert axis.place(value) == placed
