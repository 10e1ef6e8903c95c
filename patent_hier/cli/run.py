"""``python run.py``: one Hydra job per node, then the result of all of them."""

import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from patent_hier.atomic import read_json
from patent_hier.cli import schema
from patent_hier.cli.composing import composed_once
from patent_hier.cli.jobs import Job, RememberJobFolder, read_jobs, refuse_failed, refuse_lost, write_outcome
from patent_hier.cli.launching import finished_first
from patent_hier.cli.messages import DEBUG, describe, exit_status
from patent_hier.cli.observers import configured_observers
from patent_hier.cli.overrides import arranged, readable, refuse_misuse
from patent_hier.errors import ConfigError, DataError, LostRanksError, PatentHierError, ProcessError
from patent_hier.sanitize import one_line

_HELP = ("-h", "--help")
_OF_EVERY_JOB = (ConfigError, DataError, LostRanksError)  # usually the same in every job, so reported once at the end
_HYDRA_RAW_ERRORS = "HYDRA_FULL_ERROR"  # makes Hydra raise errors in settings instead of printing them


def run(words: Sequence[str]) -> None:
    """Compose the configuration, launch every job, then print and save the joint result.

    Raises:
        PatentHierError: If the arguments contradict each other or a job failed (after the others have run).
    """
    words = readable(words)
    schema.register()
    if any(word in _HELP for word in words):
        from patent_hier.cli.compose import help_text

        print(help_text([word for word in words if not word.startswith("-")]))
        return
    words = arranged(words)
    refuse_misuse(words)
    os.environ[_HYDRA_RAW_ERRORS] = "1"
    sys.argv = ["run.py", *words]
    RememberJobFolder.forget()
    try:
        with composed_once(), finished_first():
            hydra.main(version_base="1.3", config_path=schema.config_folder(), config_name="config")(_job)()
    except Exception as error:
        refuse_lost(error, RememberJobFolder.folder)
        if (
            RememberJobFolder.folder and os.environ.get(DEBUG) != "1"
        ):  # otherwise a sweeper's error, which only follows from the failed job, would be reported
            refuse_failed(read_jobs(RememberJobFolder.folder))
        raise
    if RememberJobFolder.unwritten:
        raise RememberJobFolder.unwritten
    jobs = read_jobs(RememberJobFolder.folder) if RememberJobFolder.folder else []
    refuse_failed(jobs)
    if jobs:
        from patent_hier.cli.collect import finish

        finish(jobs)


def _job(config: DictConfig) -> float | None:
    """Train the node of one job unless it is finished, and write the outcome, good or bad, to the job folder.

    Returns:
        The accuracy on ``val``, which optimising sweepers maximise; None if there is none.
    """
    hydra_config = HydraConfig.get()
    folder = Path(hydra_config.runtime.output_dir)
    number = 0 if OmegaConf.is_missing(hydra_config.job, "num") else int(hydra_config.job.num)
    node = "?" if OmegaConf.is_missing(config, "node") else str(config.node)
    job = Job(number, list(hydra_config.overrides.task), str(config.level.name), node)
    try:
        return _run_node(config, job, folder)
    except Exception as error:  # recorded, so that other jobs continue and the command reports it at the end
        advises = isinstance(error, PatentHierError) and not isinstance(error, ProcessError)
        failed = replace(job, error=describe(error), exit_status=exit_status(error), advises=advises)
        write_outcome(failed, folder)
        if os.environ.get(DEBUG) == "1":
            raise
        if not isinstance(error, _OF_EVERY_JOB):
            print(one_line(f"{' '.join(job.overrides)} failed: {describe(error)}"), flush=True)
        return None


def _run_node(config: DictConfig, job: Job, folder: Path) -> float | None:
    settings = schema.to_settings(config)
    observers = configured_observers(config, HydraConfig.get().runtime)
    from patent_hier.pipeline.node import METRICS_FILE, run_node

    plan = run_node(settings, job.overrides, observers)
    result = str(plan.folder) if plan.is_trained else ""
    write_outcome(replace(job, suite=plan.suite, folder=result, corpus=str(plan.corpus.folder)), folder)
    score = read_json(plan.folder / METRICS_FILE)["val"]["accuracy"] if plan.is_trained else None
    return score["value"] if score else None
