"""Resume an interrupted training run where it stopped, and obtain the same weights.

The state is one file next to the future result. It holds the weights, the optimizer, the schedule, the best weights so
far, the history, the patience, the completed batches and the states of the random number generators. It is saved
between two batches, every few minutes, and replaced atomically. It is not a result: a state that is damaged or does not
fit is ignored, and training starts over.

Lightning restores its loops, but on its own it would restart the epoch's data and draw different random numbers.
"""

import time
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
import torch.distributed as dist
from lightning_fabric.plugins import CheckpointIO
from torch import Tensor

from patent_hier.atomic import atomic_file, remove_partials
from patent_hier.regular_files import require_regular
from patent_hier.training.ranks import Ranks

STATE_VERSION = 2
_KEY = "patent_hier"
_ASKED_EVERY = 20  # with several ranks, number of batches after which rank 0 decides whether a save is due


@dataclass(frozen=True)
class Position:
    """Position of a run, always before a batch.

    Attributes:
        epoch: Number of completed epochs.
        batch: Number of completed batches of the current epoch.
        passes: Number of passes in which each batch is read.
        ranks: Number of processes that train together.
        precision: Precision in which the network computes.
        random: Generator states of each rank, uint8: the CPU's and, when training on a GPU, the GPU's.
        resumed: Earlier positions at which the run was resumed, as ``epoch`` and ``batch``.
        ended: Whether training is complete and only the result is missing.
    """

    epoch: int
    batch: int
    passes: int
    ranks: int
    precision: str
    random: list[list[Tensor]]
    resumed: list[dict[str, int]] = field(default_factory=list)
    ended: bool = False


def find_state(path: Path | None, ranks: Ranks, precision: str, say: Callable[[str], None]) -> Position | None:
    """Return the position at which an interrupted run can resume.

    Args:
        path: File of the state; None if no state is stored.
        ranks: The processes of this run.
        precision: Precision in which this run computes.
        say: Called with the reason if a state is not used.

    Returns:
        The position, or None if there is no state that this run can use.
    """
    if path is None:
        return None
    if ranks.rank == 0:
        remove_partials(path)
    if not path.exists():
        return None
    try:
        require_regular(path)
        if zipfile.ZipFile(path).testzip() is not None:  # each record has a checksum
            raise ValueError("a checksum differs")
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)[_KEY]
        made_by, position = content["made_by"], Position(**content["position"])
    except Exception as error:  # an untrusted file can raise any error
        say(f"training starts over: state {path} cannot be read ({type(error).__name__})")
        return None
    if made_by != _versions():
        say(f"training starts over: state {path} was saved by {made_by}, this is {_versions()}")
        return None
    if position.ranks != ranks.size:
        say(f"training starts over: state {path} was saved with {position.ranks} device(s), not {ranks.size}")
        return None
    if position.precision != precision:
        say(
            f"training starts over: state {path} was saved with trainer.precision={position.precision}, not {precision}"
        )
        return None
    return position


def _versions() -> dict[str, Any]:
    return {"state": STATE_VERSION, "torch": version("torch"), "lightning": version("pytorch-lightning")}


class StateFile(CheckpointIO):
    """File access for Lightning's checkpoints: atomic, without a copy in memory, and never executing any code."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write the checkpoint, replacing the file atomically."""
        with atomic_file(Path(path)) as temporary, temporary.open("wb") as file:
            torch.save(checkpoint, file)

    def load_checkpoint(self, path: Any, map_location: Any = "cpu", weights_only: bool | None = True) -> dict[str, Any]:
        """Read tensors and plain values; refuse anything else."""
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        assert isinstance(content, dict)
        return content

    def remove_checkpoint(self, path: Any) -> None:
        """Remove the file."""
        Path(path).unlink(missing_ok=True)


def take_up_the_end(path: Path, task: pl.LightningModule, callbacks: Iterable[pl.Callback]) -> None:
    """Restore a run whose training had already finished to its final state."""
    content = StateFile().load_checkpoint(path)
    task.load_state_dict(content["state_dict"])
    for callback in callbacks:
        if callback.state_key in content["callbacks"]:
            callback.load_state_dict(content["callbacks"][callback.state_key])


class StateCheckpoint(pl.Callback):
    """Callback that saves the state between two batches, and restores the generators when a run resumes.

    Args:
        path: File of the state; None stores no state.
        minutes: Interval between two saves; 0 saves before every batch, None never saves.
        passes: Number of passes in which each batch is read.
        ranks: The processes that train together; all of them save, and rank 0 writes.
        taken_up: Position at which the run resumes.

    Attributes:
        resumed: Every position at which the run was resumed, as ``epoch`` and ``batch``, counted from 0.
    """

    def __init__(
        self, path: Path | None, minutes: float | None, passes: int, ranks: Ranks, taken_up: Position | None
    ) -> None:
        self._path = path
        self._seconds = None if minutes is None else 60 * minutes
        self._passes = passes
        self._ranks = ranks
        self._taken_up = taken_up
        self._last = time.monotonic()
        self._has_saved = taken_up is not None
        self._ended = False
        self.resumed = list(taken_up.resumed) if taken_up else []
        if taken_up:
            self.resumed.append({"epoch": taken_up.epoch, "batch": taken_up.batch})

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Save the state if it is due: between two batches nothing is half done and no gradient is held."""
        if self._taken_up is not None:
            self._put_back(self._taken_up.random[self._ranks.rank], trainer.strategy.root_device)
            # Corrects the step in logs: Lightning assumes that a state was saved after a step, and counts that step.
            trainer.fit_loop.epoch_loop._batches_that_stepped = trainer.global_step
            self._taken_up = None
        elif self._path is not None and batch_idx % self._passes == 0 and self._is_due(trainer, batch_idx):
            trainer.save_checkpoint(self._path)
            self._last = time.monotonic()
            self._has_saved = True

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save the end of a long run too, because scoring and writing the result also take time."""
        if self._path is not None and self._has_saved:
            self._ended = True
            trainer.save_checkpoint(self._path)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add the position and every rank's generator states to the checkpoint."""
        batch = trainer.fit_loop.batch_idx // self._passes
        random = self._generators(trainer.strategy.root_device)
        shared = (self._passes, self._ranks.size, str(trainer.precision), random, self.resumed, self._ended)
        position = Position(trainer.current_epoch, batch, *shared)
        checkpoint[_KEY] = {"made_by": _versions(), "position": asdict(position)}

    def _is_due(self, trainer: pl.Trainer, batch_idx: int) -> bool:
        if self._seconds is None:
            return False
        if self._ranks.size == 1:
            return time.monotonic() - self._last >= self._seconds
        if self._seconds and batch_idx % (_ASKED_EVERY * self._passes):
            return False
        return bool(trainer.strategy.broadcast(time.monotonic() - self._last >= self._seconds))

    def _generators(self, device: torch.device) -> list[list[Tensor]]:
        own = [torch.get_rng_state()]
        if device.type == "cuda":
            own.append(torch.cuda.get_rng_state(device))
        if self._ranks.size == 1:
            return [own]
        gathered = []
        for state in own:
            of_all = [torch.empty_like(state) for _ in range(self._ranks.size)]
            dist.all_gather(of_all, state)
            gathered.append(of_all)
        return [list(of_rank) for of_rank in zip(*gathered, strict=True)]

    @staticmethod
    def _put_back(states: list[Tensor], device: torch.device) -> None:
        torch.set_rng_state(states[0])
        if device.type == "cuda":
            torch.cuda.set_rng_state(states[1], device)
