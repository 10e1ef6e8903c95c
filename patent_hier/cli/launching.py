"""Run jobs with finished results in this process; leave only the others to the launcher.

Starting a joblib process takes two seconds and a Slurm job waits in a queue, whereas a finished node is recognised in
a twentieth of a second.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from hydra._internal.core_plugins.basic_launcher import BasicLauncher
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig, open_dict

from patent_hier.atomic import read_json, write_json
from patent_hier.cli import schema
from patent_hier.cli.jobs import JOB_FILE

Words = Sequence[str]  # overrides of one job


@contextlib.contextmanager
def finished_first() -> Iterator[None]:
    """While active, give the chosen launcher only the jobs that have work to do."""
    make, changed = Plugins.instantiate_launcher, contextlib.ExitStack()

    def instantiated(self: Plugins, *arguments: Any, **options: Any) -> Launcher:
        launcher = make(self, *arguments, **options)
        if (
            type(launcher).__name__ != BasicLauncher.__name__
        ):  # by name: Hydra imports plugins twice, as different classes
            changed.enter_context(_asked_first(type(launcher)))
        return launcher

    Plugins.instantiate_launcher = instantiated  # type: ignore[method-assign]
    try:
        with changed:
            yield
    finally:
        Plugins.instantiate_launcher = make  # type: ignore[method-assign]


@contextlib.contextmanager
def _asked_first(kind: Any) -> Iterator[None]:
    # The class is patched and not its object, because submitit pickles the object.
    launch = kind.launch

    def launched(self: Any, jobs: Sequence[Words], initial_job_idx: int) -> list[JobReturn]:
        return _launch(self, lambda some, number: launch(self, some, number), jobs, initial_job_idx)

    kind.launch = launched
    try:
        yield
    finally:
        kind.launch = launch


def _launch(
    launcher: Any, launch: Callable[[list[Words], int], Sequence[JobReturn]], jobs: Sequence[Words], first: int
) -> list[JobReturn]:
    """Launch the jobs that have work to do, then run the finished ones here, with the numbers that follow.

    A launcher numbers its jobs, and so their folders, from ``first`` without gaps. The file that each job leaves is
    therefore renumbered to the job's position among all jobs.
    """
    load = launcher.hydra_context.config_loader.load_sweep_config
    done = [_is_finished(load(launcher.config, list(words))) for words in jobs]
    if not any(done):
        return list(launch(list(jobs), first))
    others = [place for place, is_done in enumerate(done) if not is_done]
    returned = list(launch([jobs[place] for place in others], first)) if others else []
    here = BasicLauncher()
    here.setup(hydra_context=launcher.hydra_context, task_function=launcher.task_function, config=launcher.config)
    order = others + [place for place, is_done in enumerate(done) if is_done]
    for number, place in enumerate(order[len(others) :], first + len(others)):
        returned += here.launch([jobs[place]], number)
    results = dict(zip(order, returned, strict=True))
    for place, result in results.items():
        if result.hydra_cfg is not None:
            _renumber(Path(str(result.hydra_cfg.hydra.runtime.output_dir)), first + place)
    return [results[place] for place in range(len(jobs))]


def _renumber(folder: Path, number: int) -> None:
    if (file := folder / JOB_FILE).is_file():  # a job that was killed leaves none
        write_json(file, {**read_json(file), "number": number})


def _is_finished(config: DictConfig) -> bool:
    """Return whether a job's result exists and is intact; errors are left for the job to report."""
    from patent_hier.pipeline.node import finished
    from patent_hier.pipeline.plan import plan_node
    from patent_hier.pipeline.stages import is_prepared

    with open_dict(config):
        del config["hydra"]  # as Hydra does before it runs a job
    try:
        settings = schema.to_settings(config)
        trained = (Path(settings.runs_dir) / settings.model.name).is_dir()
        # The launching process does not prepare a corpus, because it may run on a cluster's login node.
        return trained and is_prepared(settings.data, Path(settings.cache_dir)) and finished(plan_node(settings).folder)
    except Exception:  # for example, an environment variable that exists only inside a job
        return False
