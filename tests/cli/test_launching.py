import json
import shutil
from pathlib import Path

import joblib
import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from patent_hier.cli import launching, schema
from patent_hier.cli.composing import composed_once
from tests.commands import TINY_OF, command

WORDS = ("run", "-m", "level=node", "node=A,B,D", "model=linear", *TINY_OF["linear"])
JOBLIB = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=1")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("launched")
    outcome = command(*WORDS, f"runs_dir={folder}/runs", f"cache_dir={folder}/cache")
    assert (outcome.status, outcome.err) == (0, "")
    return folder


@pytest.fixture
def copied(trained: Path, tmp_path: Path) -> Path:
    for name in ("runs", "cache"):
        shutil.copytree(trained / name, tmp_path / name)
    shutil.rmtree(tmp_path / "runs" / ".jobs")
    return tmp_path


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The overrides of the jobs that joblib gets."""
    from hydra_plugins.hydra_joblib_launcher import _core

    seen: list[list[str]] = []

    class Parallel(joblib.Parallel):  # type: ignore[misc]
        def __call__(self, tasks):  # type: ignore[no-untyped-def]
            tasks = list(tasks)
            seen.extend([task[1][1] for task in tasks])
            return super().__call__(tasks)

    monkeypatch.setattr(_core, "Parallel", Parallel)
    return seen


def again(folder: Path) -> tuple[list[dict[str, object]], str]:
    outcome = command(*WORDS, *JOBLIB, f"runs_dir={folder}/runs", f"cache_dir={folder}/cache")
    assert (outcome.status, outcome.err) == (0, "")
    jobs = [json.loads(file.read_text()) for file in (folder / "runs" / ".jobs").rglob("job.json")]
    return sorted(jobs, key=lambda job: job["number"]), outcome.out


def nodes(jobs: list[dict[str, object]]) -> list[object]:
    return [job["node"] for job in jobs]


def test_finished_jobs_start_nothing(copied: Path, launched: list[list[str]]) -> None:
    jobs, out = again(copied)
    assert launched == []
    assert out.count("already finished") == 3
    assert (nodes(jobs), [job["number"] for job in jobs]) == (["A", "B", "D"], [0, 1, 2])


def test_only_what_is_missing_is_launched(copied: Path, launched: list[list[str]]) -> None:
    (missing,) = (copied / "runs" / "linear").glob("B-*")
    shutil.rmtree(missing)
    jobs, out = again(copied)
    assert [[word for word in words if word.startswith("node=")] for words in launched] == [["node=B"]]
    assert missing.is_dir()
    assert nodes(jobs) == ["A", "B", "D"]
    assert [job["number"] for job in jobs] == [0, 1, 2]
    assert len(list((copied / "runs" / ".jobs").rglob("job.json"))) == 3
    assert out.count("already finished") == 2


def test_batches_of_jobs_keep_to_their_numbers(copied: Path) -> None:
    for node in "AB":
        (missing,) = (copied / "runs" / "linear").glob(f"{node}-*")
        shutil.rmtree(missing)
    outcome = command(
        *WORDS, *JOBLIB, f"runs_dir={copied}/runs", f"cache_dir={copied}/cache", "hydra.sweeper.max_batch_size=2"
    )
    assert (outcome.status, outcome.err) == (0, "")
    jobs = [json.loads(file.read_text()) for file in (copied / "runs" / ".jobs").rglob("job.json")]
    assert sorted((job["number"], job["node"]) for job in jobs) == [(0, "A"), (1, "B"), (2, "D")]


def test_what_only_a_job_knows_is_left_to_it(trained: Path) -> None:
    config = OmegaConf.create({"hydra": {}, "runs_dir": "${oc.env:NOT_SET_HERE}", "node": "A"})
    assert not launching._is_finished(config)


def test_a_damaged_result_is_told_by_its_job(copied: Path) -> None:
    (damaged,) = (copied / "runs" / "linear").glob("B-*")
    (damaged / "metrics.json").write_text("{}")
    outcome = command(*WORDS, *JOBLIB, f"runs_dir={copied}/runs", f"cache_dir={copied}/cache")
    assert outcome.status != 0
    assert "is damaged" in outcome.err
    assert outcome.err.count("\n") == 1


def test_without_results_nothing_is_planned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plan reads the corpus: not the business of the process that launches."""
    monkeypatch.setattr("patent_hier.pipeline.plan.plan_node", lambda settings: pytest.fail("planned"))
    (tmp_path / "runs" / "bertcnn").mkdir(parents=True)
    schema.register()
    with composed_once(), initialize_config_dir(version_base="1.3", config_dir=schema.config_folder()):
        config = compose(
            "config",
            overrides=["node=A", f"runs_dir={tmp_path}/runs", f"cache_dir={tmp_path}/cache"],
            return_hydra_config=True,
        )
    assert not launching._is_finished(config)
