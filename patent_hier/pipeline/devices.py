"""Fit one node on one or several devices: in this process, in processes started for it, or in those of torchrun.

One process does all the work before and after training: it holds the node's lock, prepares the inputs, scores and
writes. The others find the inputs finished, map the same files, train on their share, and write nothing.
"""

import multiprocessing
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from patent_hier.atomic import read_json, write_json
from patent_hier.errors import ConfigError
from patent_hier.pipeline.environment import PeakMemory
from patent_hier.pipeline.plan import NodePlan
from patent_hier.pipeline.torchrun import current_session
from patent_hier.progress import say
from patent_hier.training.ranks import Ranks

if TYPE_CHECKING:
    from patent_hier.models.network_spec import NetworkSpec
    from patent_hier.training.fitted import Fitted
    from patent_hier.training.node_data import CorpusView

_MODEL, _FACTS = "model", "facts.json"


def fit_on_devices(plan: NodePlan, view: "CorpusView[Any]", scratch: Path) -> "Fitted":
    """Fit the classifier of a planned node on the number of devices in its settings.

    Args:
        plan: Plan of the node, whose inputs already exist.
        view: The training data; a classical model is always fitted in this process.
        scratch: Folder for temporary files, which are removed after training.

    Raises:
        PatentHierError: If training fails in any of the processes.
    """
    from patent_hier.training.device import choose_devices
    from patent_hier.training.fit import fit_node  # imported late: loading torch takes seconds

    settings = plan.settings
    if view.spec is None:
        return fit_node(view, settings, plan.state)
    if session := current_session():
        session.check(settings.trainer)
        return session.fit(plan, view)
    devices = choose_devices(settings.trainer)
    _refuse_launcher(devices)
    if settings.trainer.devices is None and devices == 1:
        say("trainer.devices=null: one process, because fewer than two GPUs are in use; set trainer.devices=2 for two")
    if devices == 1:
        return fit_node(view, settings, plan.state, observe=plan.observe)
    return _fit_apart(plan, view.spec, devices, scratch)


def _refuse_launcher(devices: int) -> None:
    """Raise an error if several jobs would each claim all devices.

    Raises:
        ConfigError: If another launcher started this job under torchrun, or joblib did and there are several devices.
    """
    if Ranks.of_torchrun(os.environ):
        raise ConfigError("hydra/launcher cannot be used under torchrun, which trains one node at a time; leave it out")
    if devices > 1 and multiprocessing.get_start_method(allow_none=True) == "loky":
        raise ConfigError(
            f"trainer.devices={devices}: with hydra/launcher=joblib several nodes would share these devices; "
            "leave one of the two out"
        )


def _fit_apart(plan: NodePlan, spec: "NetworkSpec", devices: int, scratch: Path) -> "Fitted":
    """Fit in separate processes, and load the result that rank 0 has written to a folder."""
    import shutil
    import tempfile

    import torch
    from torch import nn

    from patent_hier.models.saved import load_classifier
    from patent_hier.training.device import choose_gpu
    from patent_hier.training.fitted import Fitted
    from patent_hier.training.launch import launch

    folder = Path(tempfile.mkdtemp(prefix="ranks-", dir=scratch))
    try:
        launch(_fit_share, devices, folder, plan, folder)
        classifier = load_classifier(folder / _MODEL)
        left = read_json(folder / _FACTS)
    finally:
        shutil.rmtree(folder)
    if isinstance(classifier.model, nn.Module):
        classifier.reader = spec.reader  # the loaded reader refers to the deleted folder
        if choose_gpu(plan.settings.trainer.accelerator, "trainer.accelerator"):
            classifier.model.to(torch.device("cuda", 0))  # as after training on a single device
    return Fitted(classifier, left["history"], left["facts"])


def _fit_share(ranks: Ranks, plan: NodePlan, folder: Path) -> None:
    """Train as one of those processes; rank 0 writes the result to the folder."""
    from patent_hier.training.device import choose_gpu
    from patent_hier.training.fit import fit_node
    from patent_hier.training.launch import join_group

    memory = PeakMemory()
    view = plan.open()
    join_group(ranks, choose_gpu(plan.settings.trainer.accelerator, "trainer.accelerator"))
    fitted = fit_node(view, plan.settings, plan.state, ranks, plan.observe)
    if ranks.rank == 0:
        fitted.classifier.save(folder / _MODEL)
        facts = {**fitted.facts, "peak_memory_bytes": memory.bytes()}
        write_json(folder / _FACTS, {"history": fitted.history, "facts": facts})
