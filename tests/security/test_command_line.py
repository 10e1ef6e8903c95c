"""Settings: the words of a command are trusted, and folders that they name; what others planted is not."""

import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hydra.utils import instantiate

from patent_hier.cli import schema
from tests.commands import command
from tests.security.traps import Trap, refused


@pytest.fixture
def runs(tmp_path: Path) -> Callable[..., str]:
    """The refusal of ``patent-hier run`` with some words."""

    def runs(*words: str) -> str:
        own = [f"runs_dir={tmp_path / 'runs'}", f"cache_dir={tmp_path / 'cache'}", "data.rows=400"]
        return refused(command("run", "model=linear", "level=node", "node=root", *own, *words))

    return runs


@pytest.mark.parametrize("group", ["logger", "callbacks"])
@pytest.mark.parametrize(
    "node",
    [
        "{_target_:os.mkdir,path:MARKER}",
        "{_target_:patent_hier.cli.jobs.Path.mkdir,self:MARKER}",
        "{_target_:pytorch_lightning.callbacks.Timer,duration:{_target_:os.mkdir,path:MARKER}}",
        "{_target_:'${oc.decode:os.mkdir}',path:MARKER}",
    ],
)
def test_only_loggers_and_callbacks_are_made(trap: Trap, runs: Callable[..., str], group: str, node: str) -> None:
    words = ["model=textcnn", "features.vector_size=8", "features.epochs=0", "trainer.max_epochs=1"]
    trap.closes(lambda: instantiate({"_target_": "os.mkdir", "path": str(trap.marker)}))
    message = runs(*words, f"+{group}.evil={node.replace('MARKER', str(trap.marker))}")
    assert f"{group}.evil" in message


def test_modules_of_the_working_folder_are_none_of_the_users(
    trap: Trap, runs: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "planted.py").write_text(trap.python, "utf-8")
    monkeypatch.chdir(tmp_path)
    assert "is not allowed" in runs("+callbacks.evil._target_=planted.Callback")
    (tmp_path / "mine").mkdir()
    assert "is not allowed" in runs("+callbacks.evil._target_=planted.Callback", "--config-dir", "mine")


@pytest.mark.parametrize("option", ["--config-path", "-cp", "--config-name", "-cn"])
def test_configurations_in_the_place_of_ours(trap: Trap, runs: Callable[..., str], tmp_path: Path, option: str) -> None:
    evil = f"hydra:\n  callbacks:\n    evil:\n      _target_: os.mkdir\n      path: {trap.marker}\n"
    (tmp_path / "config.yaml").write_text(evil, "utf-8")
    assert "--config-dir" in runs(option, str(tmp_path) if "p" in option else "config")


@pytest.mark.parametrize("option", ["--experimental-rerun", "--experimental-r", "--exp"])
def test_pickled_configurations(trap: Trap, runs: Callable[..., str], tmp_path: Path, option: str) -> None:
    (tmp_path / "config.pickle").write_bytes(trap.pickled)
    trap.closes(lambda: pickle.loads(trap.pickled))  # noqa: S301 - the trap's own
    assert "pickled" in runs(option, str(tmp_path / "config.pickle"))


def test_a_planted_file_beside_the_groups(trap: Trap, runs: Callable[..., str], tmp_path: Path) -> None:
    """Hydra follows ``..`` in the name of a choice, out of its folder."""
    evil = f"# @package hydra.callbacks\nevil:\n  _target_: os.mkdir\n  path: {trap.marker}\n"
    (tmp_path / "evil.yaml").write_text(evil, "utf-8")
    way = os.path.relpath(tmp_path / "evil", Path(schema.config_folder()) / "experiment")
    runs(f"experiment={way}")
    runs(f"experiment={way}", "--config-dir", str(tmp_path / "runs" / ".."))
    runs("hydra/launcher=../../evil", "-m")


@pytest.mark.parametrize("mode", [0o777, 0o757])
def test_jobs_are_not_pickled_into_a_folder_that_others_write(
    runs: Callable[..., str], tmp_path: Path, mode: int
) -> None:
    """submitit leaves pickles in the job folder and loads them from there."""
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs").chmod(mode)
    message = runs("hydra/launcher=local", "-m")
    assert str(tmp_path / "runs") in message
    assert "chmod" in message
    (tmp_path / "runs").chmod(0o755)
    (tmp_path / "runs" / ".jobs").mkdir()
    (tmp_path / "runs" / ".jobs").chmod(mode)
    assert ".jobs" in runs("hydra/launcher=local", "-m")


def test_the_program_starts_no_other_interpreter_of_the_working_folder(trap: Trap, tmp_path: Path) -> None:
    """Workers that clean a large file are new interpreters, whose first path would be the working folder."""
    (tmp_path / "multiprocessing.py").write_text(trap.python, "utf-8")
    control = [sys.executable, "-c", "import multiprocessing.spawn"]
    trap.closes(lambda: subprocess.run(control, cwd=tmp_path, check=True, capture_output=True))
    code = (
        "import os, subprocess, sys\n"
        f"sys.path[0] = {str(Path(schema.__file__).parents[2])!r}\n"
        "from patent_hier.cli.main import main\n"
        "assert main(['--version']) == 0\n"
        f"subprocess.run({control!r}, check=True)\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
