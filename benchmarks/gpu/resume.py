"""Compare a training that was stopped and resumed with two uninterrupted trainings."""

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from benchmarks.gpu.steps import Found
from benchmarks.speed.subjects import training_view
from patent_hier.errors import ProcessError
from patent_hier.settings import OptimizerSettings
from patent_hier.training.fitted import Fitted
from patent_hier.training.neural import fit_network
from patent_hier.training.observers import Observers

if TYPE_CHECKING:
    from benchmarks.gpu.check import Check

_STEPS, _STOP = 6, 3  # steps in each of two epochs; the batch before which the run is stopped
# Some kernels add up in a different order each time. Then two uninterrupted runs differ as well, and a resumed run may
# differ from them by this many times as much.
_TOLERANCE = 3.0


class _StoppedError(Exception):
    """Error that stands in for any event that ends a process."""


class _Stop(pl.Callback):
    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if batch_idx == _STOP:
            raise _StoppedError


def resume(check: "Check") -> Found:
    """Compare two uninterrupted runs with one that is stopped in the middle of an epoch and resumed from its state."""
    subject = check.subject(_STEPS * check.amounts.batch)
    every = replace(
        subject.run(batch_size=check.amounts.batch, max_epochs=2, accumulate=1, checkpoint_minutes=0),
        optimizer=OptimizerSettings(lr=1e-4),
    )
    view, never = training_view(subject.store), replace(every, trainer=replace(every.trainer, checkpoint_minutes=None))
    first, second = (fit_network(view, subject.spec(), never) for _ in range(2))
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder) / "state"
        try:
            fit_network(view, subject.spec(), every, state, observe=lambda: Observers(callbacks=[_Stop()]))
        except _StoppedError:
            pass
        else:
            raise ProcessError("the run was not stopped at the intended step; report this bug")
        size = state.stat().st_size
        resumed = fit_network(view, subject.spec(), never, state)
    return compare(first, second, resumed, size)


def compare(first: Fitted, second: Fitted, resumed: Fitted, state_bytes: int) -> Found:
    """Check that the resumed run is as close to an uninterrupted run as a second uninterrupted run is."""
    chance, apart = difference(first, second), difference(first, resumed)
    facts = {
        "steps": 2 * _STEPS,
        "taken_up_at": resumed.facts["resumed"],
        "precision": resumed.facts["precision"],
        "state_bytes": state_bytes,
        "bit_for_bit": apart["largest"] == 0,
        "undisturbed_runs": chance,
        "resumed_run": apart,
        "tolerance": _TOLERANCE,
    }
    if not resumed.facts["resumed"]:
        return Found(facts, "The state was not used.", "the state was not used: training started from the beginning")
    fault = ""
    if not apart["norm"] <= _TOLERANCE * chance["norm"]:  # true of NaN too
        fault = f"resumed weights differ by {apart['norm']:.3g} of their norm, uninterrupted by {chance['norm']:.3g}"
    exact = "bit for bit equal to" if facts["bit_for_bit"] else f"at most {apart['largest']:.3g} from"
    also = "bit for bit equal" if chance["largest"] == 0 else f"at most {chance['largest']:.3g} apart"
    said = (
        f"{facts['precision']}, stopped before step {_STOP + 1} of {2 * _STEPS}: the resumed run's weights are {exact} "
        f"the uninterrupted run's; two uninterrupted runs are {also}. Allowed: {_TOLERANCE:g} times the distance of "
        f"the latter; relative to the norm of the weights, the two are {apart['norm']:.3g} and {chance['norm']:.3g}."
    )
    return Found(facts, said, fault)


def difference(one: Fitted, other: Fitted) -> dict[str, float]:
    """Return how much two trained networks with the same initial weights differ.

    Returns:
        ``largest``, the largest difference of a weight, and ``norm``, the norm of all differences as a share of the
        norm of the weights.
    """
    pairs = [(_weights(one)[name].double(), value.double()) for name, value in _weights(other).items()]
    largest = max(float((a - b).abs().max()) for a, b in pairs)
    apart, whole = (sum(float(value.square().sum()) for value in values) for values in (
        [a - b for a, b in pairs], [a for a, _ in pairs]
    ))  # fmt: skip
    return {"largest": largest, "norm": (apart / whole) ** 0.5}


def _weights(fitted: Fitted) -> dict[str, Tensor]:
    assert isinstance(fitted.classifier.model, nn.Module)
    return {
        name: value.cpu()
        for name, value in fitted.classifier.model.state_dict().items()
        if torch.is_floating_point(value)
    }
