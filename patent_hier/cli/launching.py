"""Jobs whose results are finished run in this process; a launcher starts processes, or asks a cluster, for the others.

A process of joblib takes two seconds to start, a job of Slurm waits in a queue, and a finished node is recognised in a
twentieth of a second.
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

from patent_hier.cli import schema
from patent_hier.errors import PatentHierError

Words = Sequence[str]  # overrides of one job


@contextlib.contextmanager
def finished_first() -> Iterator[None]:
    """Meanwhile, whatever launcher a command chooses gets only the jobs that have something to do."""
    make, changed = Plugins.instantiate_launcher, contextlib.ExitStack()

    def instantiated(self: Plugins, *arguments: Any, **options: Any) -> Launcher:
        launcher = make(self, *arguments, **options)
        if type(launcher).__name__ != BasicLauncher.__name__:  # Hydra imports plugins a second time, as other classes
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
    # The class is changed and not its object, which submitit pickles.
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
    """Run the finished jobs here under their own numbers; if others are left, they are numbered behind all."""
    load = launcher.hydra_context.config_loader.load_sweep_config
    done = [_is_finished(load(launcher.config, list(words))) for words in jobs]
    if not any(done):
        return list(launch(list(jobs), first))
    here = BasicLauncher()
    here.setup(hydra_context=launcher.hydra_context, task_function=launcher.task_function, config=launcher.config)
    results = {place: here.launch([jobs[place]], first + place)[0] for place, is_done in enumerate(done) if is_done}
    others = [place for place, is_done in enumerate(done) if not is_done]
    if others:
        returned = launch([jobs[place] for place in others], first + len(jobs))
        results |= dict(zip(others, returned, strict=True))
    return [results[place] for place in range(len(jobs))]


def _is_finished(config: DictConfig) -> bool:
    """Whether a job's result is there, and sound; of whatever is wrong the job itself will tell."""
    from patent_hier.pipeline.node import finished
    from patent_hier.pipeline.plan import plan_node

    with open_dict(config):
        del config["hydra"]  # as Hydra does before it runs a job
    try:
        settings = schema.to_settings(config)
        if not (Path(settings.runs_dir) / settings.model.name).is_dir():
            return False  # and the corpus may not even be prepared, which a plan would do
        return finished(plan_node(settings).folder)
    except (PatentHierError, OSError):
        return False
