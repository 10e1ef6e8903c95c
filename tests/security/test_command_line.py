"""Settings: nothing that they name is imported and called, whether it stands in a word or in a file."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from patent_hier.cli import schema
from tests.commands import command
from tests.security.traps import Trap, refused

WORDS = [
    "+hydra.callbacks.evil._target_=os.mkdir +hydra.callbacks.evil.path=MARKER",
    "+hydra.callbacks.evil={_target_:os.mkdir,path:MARKER}",
    "hydra.callbacks.remember._target_=os.mkdir +hydra.callbacks.remember.path=MARKER",
    "hydra.callbacks.remember._target_=patent_hier.cli.jobs.Path.mkdir +hydra.callbacks.remember.self=MARKER",
    "+hydra.callbacks.evil=${oc.create:{_target_:os.mkdir,path:MARKER}}",
    "+hydra.callbacks.evil._target_=${oc.decode:os.mkdir} +hydra.callbacks.evil.path=MARKER",
    "hydra.launcher._target_=os.mkdir +hydra.launcher.path=MARKER -m",
    "hydra.launcher={_target_:os.mkdir,path:MARKER} -m",
    "hydra.sweeper._target_=os.mkdir +hydra.sweeper.path=MARKER -m",
    "hydra.job_logging={version:1,handlers:{x:{'()':os.mkdir,path:MARKER}},root:{handlers:[x]}}",
    "hydra.hydra_logging={version:1,handlers:{x:{'()':os.mkdir,path:MARKER}},root:{handlers:[x]}}",
    "hydra.job_logging={version:1,handlers:{x:{class:os.mkdir,path:MARKER}},root:{handlers:[x]}}",
    "hydra.job_logging={version:1,handlers:{x:{class:logging.StreamHandler,stream:'ext://evil.stream'}}}",
    "+model._target_=os.mkdir",
    "+_target_=os.mkdir",
    "model=../../../evil",
]


@pytest.fixture
def runs(tmp_path: Path) -> Callable[..., str]:
    """The refusal of ``patent-hier run`` with some words."""

    def runs(*words: str) -> str:
        own = [f"runs_dir={tmp_path / 'runs'}", f"cache_dir={tmp_path / 'cache'}", "data.rows=400"]
        return refused(command("run", "model=linear", "level=node", "node=root", *own, *words))

    return runs


def test_callbacks_have_teeth(trap: Trap) -> None:
    """The positive control: Hydra makes whatever a configuration names as a target."""
    words = ["+hydra.callbacks.evil._target_=pathlib.Path.mkdir", f"+hydra.callbacks.evil.self={trap.marker}", "node=D"]
    schema.register()
    with initialize_config_dir(version_base="1.3", config_dir=schema.config_folder()):
        config = compose("config", words, return_hydra_config=True)
    assert config.hydra.callbacks.evil["_target_"] == "pathlib.Path.mkdir"
    trap.closes(lambda: instantiate({"_target_": "os.makedirs", "name": str(trap.marker)}))


@pytest.mark.parametrize("words", WORDS)
def test_targets_on_the_command_line(trap: Trap, runs: Callable[..., str], words: str) -> None:
    runs(*words.replace("MARKER", str(trap.marker)).split())


@pytest.mark.parametrize(
    "option", ["--config-dir", "--config-path", "-cd", "-cp", "--config-name", "-cn", "SEARCHPATH"]
)
def test_configuration_folders_of_others(trap: Trap, runs: Callable[..., str], tmp_path: Path, option: str) -> None:
    folder = tmp_path / "conf"
    (folder / "experiment").mkdir(parents=True)
    evil = (
        f"# @package _global_\nhydra:\n  callbacks:\n    evil:\n      _target_: os.mkdir\n      path: {trap.marker}\n"
    )
    (folder / "experiment" / "evil.yaml").write_text(evil, "utf-8")
    (folder / "config.yaml").write_text(evil, "utf-8")
    if option == "SEARCHPATH":
        runs(f"hydra.searchpath=[file://{folder}]", "experiment=evil")
    elif "name" in option or option == "-cn":
        runs(option, "evil")
    else:
        message = runs(option, str(folder), "experiment=evil")
        assert "conf/" in message


def test_a_planted_file_beside_the_groups(trap: Trap, runs: Callable[..., str], tmp_path: Path) -> None:
    """Hydra follows ``..`` in the name of a choice, out of its folder."""
    evil = f"# @package hydra.callbacks\nevil:\n  _target_: os.mkdir\n  path: {trap.marker}\n"
    (tmp_path / "evil.yaml").write_text(evil, "utf-8")
    way = os.path.relpath(tmp_path / "evil", Path(schema.config_folder()) / "experiment")
    runs(f"experiment={way}")


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
