"""``python run.py``: one Hydra job per node, then the result of all of them."""

import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from patent_hier.cli import schema
from patent_hier.cli.jobs import Job, RememberJobFolder, read_jobs
from patent_hier.cli.messages import describe
from patent_hier.errors import ConfigError

# A sweep stops at its first failed job unless each failure reaches us as the exception it is.
_HYDRA_RAW_ERRORS = "HYDRA_FULL_ERROR"


def run(arguments: Sequence[str]) -> None:
    """Compose, launch every job, then print and save what they make together.

    Raises:
        PatentHierError: If the arguments contradict each other or a job failed (after the others have run).
    """
    refuse_misuse(arguments)
    os.environ[_HYDRA_RAW_ERRORS] = "1"
    schema.register()
    sys.argv = ["run.py", *arguments]
    launch = hydra.main(version_base="1.3", config_path=schema.config_folder(), config_name="config")(_job)
    error: Exception | None = None
    try:
        launch()
    except Exception as caught:  # held until the other jobs' outcomes have been read; raised below in any case
        error = caught
    jobs = read_jobs(RememberJobFolder.folder) if RememberJobFolder.folder else []
    if error is not None:
        _report_failures(jobs)
        raise error
    if jobs:
        from patent_hier.cli.collect import finish

        finish(jobs)


def _report_failures(jobs: Sequence[Job]) -> None:
    """After a sweep in which jobs failed: one line for each, and what the others are worth."""
    failed = [job for job in jobs if job.error]
    if len(jobs) < 2 or not failed:
        return
    for job in failed:
        print(f"failed: node {job.node} ({' '.join(job.overrides)}): {job.error}", file=sys.stderr)
    nodes = ", ".join(dict.fromkeys(job.node for job in failed))
    print(
        f"no aggregated result: {len(failed)} of {len(jobs)} jobs failed (nodes {nodes}); the other "
        f"{len(jobs) - len(failed)} are kept, the same command trains only what is missing",
        file=sys.stderr,
    )


def refuse_misuse(arguments: Sequence[str]) -> None:
    """Refuse what Hydra would carry out in another sense than the user's.

    Raises:
        ConfigError: For a swept level (each level brings settings of its own, which a sweep loses), and for a node
            given to a level that sets its nodes itself (Hydra would silently train that node alone).
    """
    given = dict(word.lstrip("+~").split("=", 1) for word in arguments if "=" in word)
    level = given.get("level", "hier")
    if "," in level or "(" in level:
        raise ConfigError(f"level={level}: a level cannot be swept; run one command for each level")
    if "node" in given and level != "node":
        raise ConfigError(f"level={level} sets its nodes itself; for one node use level=node node={given['node']}")


def _job(config: DictConfig) -> None:
    """Train, or recognise as finished, the node of one job; leave its outcome in the job folder."""
    hydra_config = HydraConfig.get()
    folder = Path(hydra_config.runtime.output_dir)
    number = 0 if OmegaConf.is_missing(hydra_config.job, "num") else int(hydra_config.job.num)
    node = "?" if OmegaConf.is_missing(config, "node") else str(config.node)
    job = Job(number, list(hydra_config.overrides.task), str(config.level.name), node)
    try:
        _run_node(config, job, folder)
    except Exception as error:  # recorded and raised again: a sweep goes on and reports it at its end
        replace(job, error=describe(error)).write(folder)
        raise


def _run_node(config: DictConfig, job: Job, folder: Path) -> None:
    settings = schema.to_settings(config)
    from patent_hier.pipeline.node import run_node

    done = run_node(settings)
    result = str(done.folder) if done.folder else ""
    replace(job, suite=done.suite, folder=result, corpus=str(done.corpus)).write(folder)
