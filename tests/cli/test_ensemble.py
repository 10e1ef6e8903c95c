"""``patent-hier ensemble``: its members are trained once, combined, and ready for ``predict``."""

from pathlib import Path

import pytest

from patent_hier.atomic import read_json
from patent_hier.cli.compose import compose_settings
from patent_hier.cli.systems import member_overrides
from patent_hier.errors import ConfigError
from patent_hier.settings import Settings
from tests.commands import command

TINY = (
    "data.rows=400",
    "encoder=demo",
    "encoder.hidden_size=16",
    "encoder.intermediate_size=32",
    "encoder.max_length=32",
    "trainer.max_epochs=1",
    "trainer.min_steps=0",
    "trainer.num_threads=1",
    "trainer.progress=false",
)


def test_members_are_trained_combined_and_kept(tmp_path: Path) -> None:
    words = (*TINY, f"runs_dir={tmp_path / 'runs'}", f"cache_dir={tmp_path / 'cache'}", "--members", "linear,encoder")
    first = command("ensemble", *words)
    assert (first.status, first.err) == (0, "")
    assert {folder.name for folder in (tmp_path / "runs").iterdir()} == {"linear", "bertcnn", "ensemble"}
    (whole,) = (tmp_path / "runs" / "ensemble").glob("result-hier-*")
    assert first.out.splitlines()[-1] == f"classify another file: patent-hier predict {whole} FILE.csv"
    (flat,) = (tmp_path / "runs" / "ensemble").glob("flat-*")
    members = read_json(flat / "model" / "classifier.json")["members"]
    assert sorted(member["model"] for member in members) == ["bertcnn", "linear"]
    (encoder,) = (tmp_path / "runs" / "bertcnn").glob("shared-*")
    assert {"model=bertcnn", "split=applicant", "data.depth=main_group"} <= set(
        read_json(encoder / "manifest.json")["overrides"]
    )

    made = {file: file.stat().st_mtime_ns for file in (tmp_path / "runs").rglob("predictions.parquet")}
    second = command("ensemble", *words)
    assert second.status == 0
    assert second.out.count("already finished") == len(made)
    assert made == {file: file.stat().st_mtime_ns for file in (tmp_path / "runs").rglob("predictions.parquet")}


def composed(*given: str) -> dict[str, Settings]:
    """Every member's settings."""
    return {name: compose_settings(words) for name, words in member_overrides(given, None).items()}


def test_every_member_can_be_composed() -> None:
    settings = composed("data.rows=400")
    assert {name: (s.model.name, s.level.name) for name, s in settings.items()} == {
        "linear": ("linear", "shared"),
        "encoder": ("bertcnn", "shared"),
        "tokens": ("bertcnn", "shared"),
        "layers": ("bertcnn", "shared"),
    }
    assert {settings[name].encoder.name for name in ("encoder", "tokens", "layers")} == {"small"}
    assert {name: s.data.depth for name, s in settings.items()} == {
        "linear": "main_group", "encoder": "main_group", "tokens": "class", "layers": "class"
    }  # fmt: skip
    assert {s.data.rows for s in settings.values()} == {400}
    assert {(s.split.policy, s.split.test) for s in settings.values()} == {("applicant", 0.1)}


def test_below_the_class_each_member_has_all_heads() -> None:
    settings = composed("data.depth=main_group", "trainer.max_epochs=2")
    assert {name: (s.model.name, s.level.name) for name, s in settings.items()} == {
        "linear": ("linear", "shared"),
        "encoder": ("bertcnn", "shared"),
    }
    assert {s.data.depth for s in settings.values()} == {"main_group"}
    assert settings["encoder"].trainer.max_epochs == 2
    assert composed("data.depth=class") == composed()


def test_some_members_read_no_titles(tmp_path: Path) -> None:
    table = tmp_path / "titles.csv"
    table.write_text("code,level,title\nA01,class,农业\n", "utf-8")
    settings = composed(f"data.label_text={table}")
    assert {name for name, s in settings.items() if s.data.label_text} == {"linear", "encoder"}


def test_a_deep_ensemble_is_one_network(tmp_path: Path) -> None:
    words = (*TINY, f"runs_dir={tmp_path / 'runs'}", f"cache_dir={tmp_path / 'cache'}", "data.depth=subclass")
    done = command("ensemble", *words)
    assert (done.status, done.err) == (0, "")
    (whole,) = (tmp_path / "runs" / "ensemble").glob("result-shared-*")
    assert done.out.splitlines()[-1] == f"classify another file: patent-hier predict {whole} FILE.csv"


@pytest.mark.slow
def test_members_at_the_same_time_make_the_same_ensemble(tmp_path: Path) -> None:
    scores = []
    for jobs in (1, 2):
        runs = tmp_path / str(jobs)
        words = (*TINY, f"runs_dir={runs}", f"cache_dir={tmp_path / 'cache'}", "--members", "linear,encoder")
        done = command("ensemble", *words, "--jobs", jobs)
        assert (done.status, done.err) == (0, "")
        (flat,) = (runs / "ensemble").glob("result-flat-*")
        scores.append(read_json(flat / "result.json"))
    assert scores[0] == scores[1]


def test_the_users_split_takes_the_place_of_the_members() -> None:
    shares = {
        (s.split.policy, s.split.test, s.split.val, s.split.calibration) for s in composed("split=deploy").values()
    }
    assert shares == {("applicant", 0.02, 0.04, 0.04)}
    assert {s.split.policy for s in composed("split=random", "split.seed=3").values()} == {"random"}


def test_only_members_that_count_n_grams_read_context() -> None:
    members = composed("data=demo", "split=random", "data.context=[applicant]")
    assert {name for name, own in members.items() if own.data.context} == {"linear"}


def test_the_users_encoder_takes_the_place_of_the_members() -> None:
    encoder = composed("encoder=macbert", "seed=3")["encoder"]
    assert (encoder.encoder.name, encoder.seed) == ("macbert", 3)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("model=rnn",), "model=rnn cannot be set, because the ensemble chooses its models itself"),
        (
            ("features.max_length=3",),
            "features.max_length=3 cannot be set, because the ensemble chooses its models itself",
        ),
        (("--members", "linear,svm"), "--members svm is unknown; choose from linear, tokens, layers, encoder"),
        (("--members", "linear"), "--members names fewer than two members"),
        (("--members",), "--members: expected one argument"),
        (("--jobs", "0"), "--jobs 0 is out of range"),
        (("data.rowz=3",), "data.rowz"),
    ],
)
def test_misuse_is_one_line(words: tuple[str, ...], said: str) -> None:
    outcome = command("ensemble", *words)
    assert outcome.status == ConfigError.exit_status
    assert said in outcome.err
    assert outcome.err.count("\n") == 1
    assert outcome.out == ""


def test_help() -> None:
    outcome = command("ensemble", "--help")
    assert outcome.status == 0
    assert "--members NAME,NAME" in outcome.out
