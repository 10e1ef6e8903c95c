"""The jobs of one Hydra command: what each left, wherever it ran.

A job may run in this process, in another one (joblib) or on another machine (submitit). So each writes ``job.json``
into its Hydra job folder, and the command that launched them reads those files when all have ended.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from patent_hier.artifacts import read_json, write_json

JOB_FILE = "job.json"


@dataclass(frozen=True)
class Job:
    """One job's outcome.

    Attributes:
        number: Position in the sweep, from 0.
        overrides: The job's own overrides, as Hydra applied them.
        level: Name of the level.
        node: The node that was to be trained.
        suite: Fingerprint of all settings but the node: jobs with the same one make one hierarchical result.
        folder: Result folder; empty if the job failed.
        corpus: Corpus folder; empty if the job failed before it was there.
        error: The error's line; empty if all went well.
    """

    number: int
    overrides: list[str]
    level: str
    node: str
    suite: str = ""
    folder: str = ""
    corpus: str = ""
    error: str = ""

    def write(self, folder: Path) -> None:
        """Save this job in its Hydra job folder."""
        write_json(folder / JOB_FILE, asdict(self))


def read_jobs(folder: Path) -> list[Job]:
    """All jobs below the folder of one command, in the order of the sweep."""
    return sorted((Job(**read_json(file)) for file in folder.rglob(JOB_FILE)), key=lambda job: job.number)


class RememberJobFolder(Callback):
    """Note where Hydra puts the jobs of this command.

    Only a note: Hydra swallows errors in callbacks, so whatever can fail happens in :mod:`patent_hier.cli.run`.
    """

    folder: Path | None = None

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Note the folder of a single run."""
        RememberJobFolder.folder = Path(config.hydra.run.dir)

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Note the folder that holds a sub-folder for each job of the sweep."""
        RememberJobFolder.folder = Path(config.hydra.sweep.dir)
