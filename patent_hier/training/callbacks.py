"""Callbacks that training needs: plain progress lines, history, best weights and early stopping."""

import time
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EarlyStopping, WeightAveraging
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn


class History(pl.Callback):
    """Callback that records each epoch's metrics and prints a line with an estimate of the time left.

    Args:
        label: Name of what is being trained, printed at the start of each line.
        enabled: Whether to print lines; the history is recorded in any case.
        note: Text for the end of the first line.

    Attributes:
        epochs: One dictionary per epoch with ``epoch`` (from 1), ``seconds`` and every logged metric.
    """

    def __init__(self, label: str, enabled: bool, note: str = "") -> None:
        self.epochs: list[dict[str, float]] = []
        self._label = label
        self._enabled = enabled
        self._note = f"; {note}" if note else ""
        self._start: float | None = None
        self._before = 0.0  # seconds of training before this run resumed

    @property
    def seconds(self) -> float:
        """Training time in seconds, summed over all interruptions."""
        return self._before + (0.0 if self._start is None else time.perf_counter() - self._start)

    def state_dict(self) -> dict[str, Any]:
        """Return the state that a resumed run needs."""
        return {"epochs": self.epochs, "seconds": self.seconds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue the history of an interrupted run."""
        self.epochs, self._before = list(state_dict["epochs"]), float(state_dict["seconds"])

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Print the device and the precision, and start the clock."""
        if self._enabled:
            hardware = f"{trainer.strategy.root_device} in {trainer.precision}"
            print(f"{self._label}: training on {hardware}{self._note}", flush=True)
        self._start = time.perf_counter()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Record the epoch and print its line; its validation has already run."""
        seconds = self.seconds
        # Only the task's own metrics: other callbacks may add some, such as a learning rate, and results ignore them.
        metrics = {key: value for key, value in trainer.callback_metrics.items() if key.startswith(("train/", "val/"))}
        done, planned = trainer.current_epoch + 1, trainer.max_epochs or 1
        self.epochs.append(
            {"epoch": done, "seconds": round(seconds, 3)} | {key: float(value) for key, value in metrics.items()}
        )
        if self._enabled:
            left = seconds / done * (planned - done)
            scores = "  ".join(f"{key} {float(value):.3f}" for key, value in sorted(metrics.items()))
            print(
                f"{self._label}  epoch {done}/{planned}  {scores}  {seconds:.0f} s, at most {left:.0f} s left",
                flush=True,
            )


class PatientStopping(EarlyStopping):
    """Early stopping after ``patience`` epochs without improvement, at the end of an epoch, not before ``min_steps``.

    Lightning's own ``min_steps`` remembers an early signal to stop and then ends training in the middle of an epoch,
    before its validation, even if the score has improved since.

    Args:
        monitor: Name of the metric; larger is better.
        patience: Number of epochs, at least 1.
        min_steps: Number of optimizer steps.
    """

    def __init__(self, monitor: str, patience: int, min_steps: int) -> None:
        super().__init__(monitor, mode="max", patience=patience, check_on_train_epoch_end=True)
        self._min_steps = min_steps

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Compare the score, and cancel a signal to stop that comes too early."""
        super().on_train_epoch_end(trainer, pl_module)
        if trainer.global_step < self._min_steps:
            trainer.should_stop = False


class AveragedWeights(WeightAveraging):
    """Callback that validates and saves an exponential moving average of the weights; training uses the plain ones.

    After ``n`` steps the average keeps the fraction ``min(decay, (1 + n) / (10 + n))`` of itself, so that it soon
    forgets the first steps. Lightning's callback removes the average before other callbacks learn that validation has
    ended. This one removes it afterwards, so that the best weights are the averaged ones.

    Args:
        decay: Decay per step, 0 to 1.

    Source: the lower decay at the start: TensorFlow's ``ExponentialMovingAverage``, ``num_updates``.
    """

    def __init__(self, decay: float) -> None:
        def average(averages: tuple[Tensor, ...], weights: tuple[Tensor, ...], updates: Tensor | int) -> None:
            n = int(updates)
            get_ema_multi_avg_fn(min(decay, (1 + n) / (10 + n)))(averages, weights, n)

        super().__init__(use_buffers=False, multi_avg_fn=average)

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Create the average on the device where the network will be; the network is still on the CPU."""
        self._device = trainer.strategy.root_device
        super().setup(trainer, pl_module, stage)

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Leave the average in place until :meth:`on_validation_end`."""

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Put the unaveraged weights back."""
        if self._average_model is not None:
            self._swap_models(pl_module)


class BestWeights(pl.Callback):
    """Callback that keeps a copy of the best epoch's weights in main memory.

    Args:
        monitor: Name of the metric; larger is better, and the first of equally good epochs is kept.
        enabled: Whether this rank keeps the copy; one rank is enough, since all have the same weights.
    """

    def __init__(self, monitor: str, enabled: bool) -> None:
        self._monitor = monitor
        self._enabled = enabled
        self._score: float | None = None
        self._weights: dict[str, torch.Tensor] = {}

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Copy the weights if they are the best so far."""
        score = float(trainer.callback_metrics[self._monitor])
        if self._enabled and (self._score is None or score > self._score):
            self._score = score
            self._weights = {name: value.to("cpu", copy=True) for name, value in pl_module.state_dict().items()}

    def state_dict(self) -> dict[str, Any]:
        """Return the score and the weights."""
        return {"score": self._score, "weights": self._weights}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the score and the weights of an interrupted run."""
        self._score, self._weights = state_dict["score"], dict(state_dict["weights"])

    def put_into(self, module: pl.LightningModule) -> None:
        """Load the best epoch's weights into a module, if there are any."""
        if self._weights:
            module.load_state_dict(self._weights)
        self._weights = {}
