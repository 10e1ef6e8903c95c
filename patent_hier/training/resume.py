"""A training run that was killed goes on where it stood, and comes to the same weights.

The state is one file beside the result to come: weights, optimizer, schedule, the best weights so far, history,
patience, the batches that are done and the states of the generators. It is saved between two batches, every few
minutes, and replaced in one step. It is no result: what is damaged or does not fit is put aside, and the run begins
anew.

Lightning restores its loops; by itself it would begin the epoch's data again and draw other random numbers.
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
_ASKED_EVERY = 20  # batches after which several ranks ask rank 0 whether it is time


@dataclass(frozen=True)
class Position:
    """Where a run stands: before a batch.

    Attributes:
        epoch: Epochs that are done.
        batch: Batches of the present epoch that are done.
        passes: In how many passes each batch is read.
        ranks: Processes that train together.
        precision: In which the network computes.
        random: States of the generators of each rank: the CPU's, and its GPU's if it trains there; uint8.
        resumed: Where the run was taken up before, as ``epoch`` and ``batch``.
        ended: Whether all training is done, and only the result was not written.
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
    """Where a killed run stood.

    Args:
        path: The file of its state; None where none is kept.
        ranks: The processes of this run.
        precision: In which this run computes.
        say: Told why a state is not used.

    Returns:
        None if there is no state, or none that this run can take up.
    """
    if path is None:
        return None
    if ranks.rank == 0:
        remove_partials(path)
    if not path.exists():
        return None
    try:
        require_regular(path)
        if zipfile.ZipFile(path).testzip() is not None:  # each record has its checksum
            raise ValueError("a checksum differs")
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)[_KEY]
        made_by, position = content["made_by"], Position(**content["position"])
    except Exception as error:  # whatever stands in a file that nobody can vouch for
        say(f"training begins anew: its state {path} cannot be read ({type(error).__name__})")
        return None
    if made_by != _versions():
        say(f"training begins anew: its state {path} is of {made_by}, this is {_versions()}")
        return None
    if position.ranks != ranks.size:
        say(f"training begins anew: its state {path} is of {position.ranks} devices, not {ranks.size}")
        return None
    if position.precision != precision:
        say(f"training begins anew: its state {path} is of trainer.precision={position.precision}, not {precision}")
        return None
    return position


def _versions() -> dict[str, Any]:
    return {"state": STATE_VERSION, "torch": version("torch"), "lightning": version("pytorch-lightning")}


class StateFile(CheckpointIO):
    """How Lightning's checkpoints are written and read: atomically, without a copy in memory, and never executed."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Replace the file in one step."""
        with atomic_file(Path(path)) as temporary, temporary.open("wb") as file:
            torch.save(checkpoint, file)

    def load_checkpoint(self, path: Any, map_location: Any = "cpu", weights_only: bool | None = True) -> dict[str, Any]:
        """Read tensors and plain values; anything else is refused."""
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        assert isinstance(content, dict)
        return content

    def remove_checkpoint(self, path: Any) -> None:
        """Remove the file."""
        Path(path).unlink(missing_ok=True)


def take_up_the_end(path: Path, task: pl.LightningModule, callbacks: Iterable[pl.Callback]) -> None:
    """Put a run whose training had ended where it stood then."""
    content = StateFile().load_checkpoint(path)
    task.load_state_dict(content["state_dict"])
    for callback in callbacks:
        if callback.state_key in content["callbacks"]:
            callback.load_state_dict(content["callbacks"][callback.state_key])


class StateCheckpoint(pl.Callback):
    """Saves the state between two batches, and puts the generators back when a state is taken up.

    Args:
        path: The file; None keeps none.
        minutes: How often; 0 saves before every batch, None never.
        passes: In how many passes each batch is read.
        ranks: The processes that train together; all of them save, rank 0 writes.
        taken_up: Where the run goes on.

    Attributes:
        resumed: Where the run was taken up, each time, as ``epoch`` and ``batch``, counted from 0.
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
        """Between two batches: nothing is half done, no gradient is held."""
        if self._taken_up is not None:
            self._put_back(self._taken_up.random[self._ranks.rank], trainer.strategy.root_device)
            # The step in logs: Lightning takes a state for one that was saved behind a step, and counts that.
            trainer.fit_loop.epoch_loop._batches_that_stepped = trainer.global_step
            self._taken_up = None
        elif self._path is not None and batch_idx % self._passes == 0 and self._is_due(trainer, batch_idx):
            trainer.save_checkpoint(self._path)
            self._last = time.monotonic()
            self._has_saved = True

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """A long run's end is kept too, for what comes after it takes its time as well: scoring, writing."""
        if self._path is not None and self._has_saved:
            self._ended = True
            trainer.save_checkpoint(self._path)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add the position and the generators, of every rank, to what Lightning saves."""
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
