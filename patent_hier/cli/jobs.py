"""The outcomes of the jobs of one Hydra command.

A job may run in this process, in another one (joblib) or on another machine (submitit). Each job therefore writes
``job.json`` into its Hydra job folder, and the launching command reads these files when all jobs have ended.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from patent_hier.atomic import read_json, write_json
from patent_hier.errors import PatentHierError

JOB_FILE = "job.json"
_LAUNCHERS = ("submitit", "joblib")  # packages that run jobs elsewhere and may lose them
_SUBMITIT = ".submitit"  # the plugin's folder of logs


@dataclass(frozen=True)
class Job:
    """One job's outcome.

    Attributes:
        number: Position in the sweep, from 0.
        overrides: The job's own overrides, as Hydra applied them.
        level: Name of the level.
        node: The node to train.
        suite: Fingerprint of all settings except the node; jobs with the same one form one hierarchical result.
        folder: Result folder; empty if the job failed.
        corpus: Corpus folder; empty if the job failed before it was known.
        error: The error's line; empty on success.
        exit_status: Exit status of the command if this job failed.
        advises: Whether the error's line states what to change, so that the same command would fail again unchanged.
    """

    number: int
    overrides: list[str]
    level: str
    node: str
    suite: str = ""
    folder: str = ""
    corpus: str = ""
    error: str = ""
    exit_status: int = 0
    advises: bool = False


def read_jobs(folder: Path) -> list[Job]:
    """Return all jobs below the folder of one command, in the order of the sweep."""
    return sorted((Job(**read_json(file)) for file in folder.rglob(JOB_FILE)), key=lambda job: job.number)


class JobsFailedError(PatentHierError):
    """Some jobs of a command failed or were killed; the others have run."""

    def __init__(self, message: str, exit_status: int = PatentHierError.exit_status) -> None:
        super().__init__(message)
        self.exit_status = exit_status


def refuse_failed(jobs: Sequence[Job]) -> None:
    """Raise if jobs failed, with one line in which an error shared by several jobs appears once.

    Raises:
        JobsFailedError: With the failed jobs, unless all failed in the same way, and the number of finished ones. It
            suggests the same command only if a job was interrupted or failed unexpectedly.
    """
    failed: dict[str, list[Job]] = defaultdict(list)
    for job in jobs:
        if job.error:
            failed[job.error].append(job)
    if not failed:
        return
    errors = list(failed)
    status = failed[errors[0]][0].exit_status
    if len(failed[errors[0]]) == len(jobs):
        raise JobsFailedError(errors[0], status)
    lines = [f"{', '.join(_label(job, jobs) for job in group)} failed: {error}" for error, group in failed.items()]
    n_kept = len(jobs) - sum(map(len, failed.values()))
    if n_kept:
        lines.append(f"the other {n_kept} of {len(jobs)} are kept")
    if not all(job.advises for group in failed.values() for job in group):
        lines.append("run the same command again to train only what is missing")
    raise JobsFailedError("; ".join(lines), status)


def refuse_lost(error: Exception, folder: Path | None) -> None:
    """Raise if a launcher reports that it lost a job, because the job was killed or ran out of time.

    Args:
        error: The launcher's error.
        folder: Folder of the jobs, in which submitit stores their output.

    Raises:
        JobsFailedError: As one line. Other errors are ignored.
    """
    if type(error).__module__.partition(".")[0] not in _LAUNCHERS:
        return
    where = f", see {folder / _SUBMITIT}" if folder and (folder / _SUBMITIT).is_dir() else ""
    first = str(error).strip().partition("\n")[0]
    raise JobsFailedError(
        f"a job ended without reporting an error: {first}{where}; it was killed, or its time or memory ran out. Wait "
        "for the other jobs on the cluster, then run the same command again to train only what is missing"
    ) from error


def _label(job: Job, jobs: Sequence[Job]) -> str:
    """Return the overrides that distinguish a job from the others, such as ``node=D seed=1``."""
    return " ".join(word for word in job.overrides if not all(word in other.overrides for other in jobs))


def write_outcome(job: Job, folder: Path) -> None:
    """Save a job in its folder.

    A full disk may also prevent the outcome from being stored. In the command's own process, the error is kept until
    the command ends, because Hydra would print it in words of its own; in another process, it must be raised.

    Raises:
        OSError: In another process, if the job cannot be saved.
    """
    try:
        write_json(folder / JOB_FILE, asdict(job))
    except OSError as error:
        if RememberJobFolder.folder is None:  # this process did not launch the job
            raise
        RememberJobFolder.unwritten = RememberJobFolder.unwritten or error


class RememberJobFolder(Callback):
    """A callback that records where Hydra puts the jobs of this command.

    It does nothing else: Hydra swallows errors in callbacks, so whatever can fail is in :mod:`patent_hier.cli.run`.
    """

    folder: Path | None = None
    unwritten: OSError | None = None  # why the outcome of a job in this process could not be written

    @classmethod
    def forget(cls) -> None:
        """Reset the records for a new command."""
        cls.folder, cls.unwritten = None, None

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Record the folder of a single run."""
        RememberJobFolder.folder = Path(config.hydra.run.dir)

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Record the folder that holds a sub-folder for each job of the sweep."""
        RememberJobFolder.folder = Path(config.hydra.sweep.dir)
