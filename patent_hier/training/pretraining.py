"""Pre-train an encoder with Lightning in rounds of equal length, saving the state after each for exact resumption."""

import logging
import math
import pickle
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from torch import Tensor
from torch.utils.data import DataLoader

from patent_hier.errors import ArtifactError, ConfigError
from patent_hier.models.allocation import keep_freed_memory
from patent_hier.models.masked_language import MaskedLanguageModel, masked_loss, set_dropout
from patent_hier.settings import filled
from patent_hier.settings.pretraining import PretrainSettings
from patent_hier.training.device import choose_gpu, choose_precision
from patent_hier.training.masking import MaskedRows, Steps
from patent_hier.training.optimizing import build_optimizer, clip_gradients
from patent_hier.training.schedule import schedule_factor

STATE_FILE = "state.ckpt"


@dataclass(frozen=True)
class Pretrained:
    """The result of pre-training.

    Attributes:
        model: The network, on the CPU.
        history: One dictionary per round: ``step``, ``tokens``, ``seconds``, ``train/loss``, ``dev/loss`` (nats per
            hidden token), ``dev/accuracy`` (share of hidden tokens), ``lr``. The first describes the untrained network.
        facts: Steps, tokens, seconds, parameters, device, precision and threads.
    """

    model: MaskedLanguageModel
    history: list[dict[str, float]]
    facts: dict[str, Any]


def pretrain_network(
    build: Callable[[bool], MaskedLanguageModel],
    rows: MaskedRows,
    held_out: MaskedRows,
    settings: PretrainSettings,
    state_folder: Path,
    say: Callable[[str], None],
) -> Pretrained:
    """Pre-train a network, or continue from the state of an interrupted run.

    Args:
        build: Returns the network with its initial weights, given whether there is a GPU.
        rows: Rows of the training passages.
        held_out: Rows of the held-out passages.
        settings: Settings of the run.
        state_folder: Folder in which the state is saved after each round.
        say: Called with the line of each round.

    Raises:
        ConfigError: If the settings do not fit the machine, or the loss is no longer a finite number.
        ArtifactError: If the state is damaged.
    """
    keep_freed_memory()
    if settings.num_threads is not None:
        torch.set_num_threads(settings.num_threads)
    on_gpu = choose_gpu(settings.accelerator, "accelerator")
    torch.manual_seed(settings.seed)
    model = build(on_gpu).train()  # a loaded network is in evaluation mode, which Lightning would keep
    set_dropout(model, settings.dropout)
    task = MaskedLanguageTask(model, rows, held_out, settings, state_folder, say)
    if settings.compile or (settings.compile is None and on_gpu):
        model.network.base_model.compile()
    state = _readable(state_folder / STATE_FILE)
    with tempfile.TemporaryDirectory() as scratch, warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="pytorch_lightning")
        trainer = _trainer(settings, on_gpu, model.network.config.hidden_size, scratch)
        try:
            trainer.fit(task, ckpt_path=state, weights_only=True)
        except SystemExit as stop:  # Lightning's response to Ctrl-C and SIGTERM
            raise KeyboardInterrupt from stop
    last = task.history[-1]
    facts = {
        "steps": int(last["step"]),
        "tokens": int(last["tokens"]),
        "seconds": last["seconds"],
        "tokens_per_second": round(last["tokens"] / max(last["seconds"], 1e-3), 1),
        "passes": round(last["tokens"] / len(rows.text), 2),
        "parameters": sum(weight.numel() for weight in model.parameters()),
        "device": torch.cuda.get_device_name() if on_gpu else "cpu",
        "precision": str(trainer.precision),
        "threads": torch.get_num_threads(),
    }
    return Pretrained(model.cpu(), task.history, facts)


class MaskedLanguageTask(pl.LightningModule):
    """Masked language modelling in rounds, each of which is a Lightning epoch.

    All randomness in a step depends only on the seed and the number of the step. A run that was interrupted after any
    round therefore continues exactly like an uninterrupted one.

    Args:
        model: The network.
        rows: Rows of the training passages.
        held_out: Rows of the held-out passages.
        settings: Settings of the run.
        state_folder: Folder in which the state is saved after each round.
        say: Called with the line of each round.
    """

    def __init__(
        self,
        model: MaskedLanguageModel,
        rows: MaskedRows,
        held_out: MaskedRows,
        settings: PretrainSettings,
        state_folder: Path,
        say: Callable[[str], None],
    ) -> None:
        super().__init__()
        self.model = model
        self.history: list[dict[str, float]] = []
        self._rows, self._held_out, self._settings = rows, held_out, settings
        self._state_folder, self._say = state_folder, say
        self._seconds = 0.0  # training time before the current round
        self._round_start: float | None = None  # None between rounds: scoring and saving do not count
        self._losses: list[Tensor] = []

    def train_dataloader(self) -> "DataLoader[dict[str, Tensor]]":
        """Return the steps of the current round; Lightning requests them anew for each round."""
        first = self.current_epoch * self._settings.steps_per_round
        count = self._settings.steps_per_round
        if self._settings.max_steps is not None:
            count = min(count, self._settings.max_steps - first)
        return DataLoader(Steps(self._rows, first, count), batch_size=None)

    def configure_optimizers(self) -> Any:
        """Return AdamW or Adam; the learning rate is set at each step."""
        return build_optimizer(self.model, self._settings.optimizer)

    def on_fit_start(self) -> None:
        """Score the untrained network first, unless training continues from a state."""
        if not self.history:
            self._record(train_loss=None)

    def on_train_epoch_start(self) -> None:
        """Start the clock of the round."""
        self._round_start = time.perf_counter()

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Set the step's learning rate and random seed."""
        optimizer = self._settings.optimizer
        for group in self.trainer.optimizers[0].param_groups:
            group["lr"] = filled(optimizer.lr) * schedule_factor(optimizer, self._share_done())
        torch.manual_seed(self._settings.seed + (self.global_step << 16))

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        """Return the loss of a batch in nats, averaged over its hidden tokens."""
        loss = masked_loss(self.model(batch["input_ids"], batch["positions"]), batch["targets"])
        self._losses.append(loss.detach())
        return loss

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip the gradients with :func:`clip_gradients` instead of Lightning's own clipping."""
        clip_gradients(self.model, gradient_clip_val, gradient_clip_algorithm)

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Stop when all steps are done or the time is up.

        Lightning's own ``max_steps`` would change how it counts rounds when training continues from a state.
        """
        if self._share_done() >= 1:
            self.trainer.should_stop = True

    def on_train_epoch_end(self) -> None:
        """Score and report the round, even a shorter last one; save the state unless the round is the last."""
        self._seconds, self._round_start = self._elapsed(), None
        loss = float(torch.stack(self._losses).mean())
        self._losses.clear()
        self._record(loss)
        if not self.trainer.should_stop:
            self._save_state()

    def _save_state(self) -> None:
        """Write the state to a temporary file, then replace the previous state with it."""
        self._state_folder.mkdir(parents=True, exist_ok=True)
        partial = self._state_folder / f".partial-{STATE_FILE}"
        self.trainer.save_checkpoint(partial)
        partial.replace(self._state_folder / STATE_FILE)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add history, training time and precision to the state."""
        checkpoint["patent_hier"] = {
            "history": self.history,
            "seconds": self._seconds,
            "precision": str(self.trainer.precision),
        }

    def on_load_checkpoint(self, checkpoint: Mapping[str, Any]) -> None:
        """Restore history and training time.

        Raises:
            ConfigError: If ``precision=auto`` selects a different precision here than on the machine that saved the
                state.
        """
        own = str(self.trainer.precision)
        if (precision := checkpoint["patent_hier"].get("precision", own)) != own:
            raise ConfigError(
                f"state {self._state_folder / STATE_FILE} was saved with precision={precision}, but this "
                f"machine trains in {own}; continue on the original machine, or delete the state to start over"
            )
        self.history = list(checkpoint["patent_hier"]["history"])
        self._seconds = float(checkpoint["patent_hier"]["seconds"])
        self._say(f"continuing after step {int(self.history[-1]['step'])}")

    def _elapsed(self) -> float:
        """Return the training time in seconds since the start, summed over all interruptions."""
        running = 0.0 if self._round_start is None else time.perf_counter() - self._round_start
        return self._seconds + running

    def _share_done(self) -> float:
        """Return the share of the whole run that is done, 0 to 1."""
        steps, minutes = self._settings.max_steps, self._settings.max_time
        return max(
            self.global_step / steps if steps else 0.0,
            self._elapsed() / (60 * minutes) if minutes else 0.0,
        )

    def _record(self, train_loss: float | None) -> None:
        """Score the held-out text, and add a line to the history and the output."""
        loss, accuracy = self._score()
        if not math.isfinite(loss + (train_loss or 0.0)):
            lr = self._settings.optimizer.lr
            raise ConfigError(f"pre-training diverged: its loss is not a finite number; lower optimizer.lr={lr}")
        step = self.global_step
        row: dict[str, float] = {
            "step": step,
            "tokens": step * self._settings.batch_size * self._settings.seq_len,
            "seconds": round(self._seconds, 3),
        }
        if train_loss is not None:
            row |= {"train/loss": train_loss, "lr": self.trainer.optimizers[0].param_groups[0]["lr"]}
        row |= {"dev/loss": loss, "dev/accuracy": accuracy}
        self.history.append(row)
        if self._settings.progress:
            self._say(_line(row, self._share_done() if train_loss is not None else 0.0))

    def _score(self) -> tuple[float, float]:
        """Return loss in nats and accuracy over the hidden tokens of the held-out text."""
        total = right = count = 0.0
        was_training = self.training
        self.eval()
        with torch.inference_mode(), self.trainer.precision_plugin.forward_context():
            for batch in self._dev_batches():
                logits = self.model(batch["input_ids"], batch["positions"])
                total += float(masked_loss(logits, batch["targets"])) * len(batch["targets"])
                right += float((logits.argmax(-1) == batch["targets"]).sum())
                count += len(batch["targets"])
        self.train(was_training)
        return total / count, right / count

    def _dev_batches(self) -> Iterator[dict[str, Tensor]]:
        for batch in self._held_out.fixed(self._settings.held_out_tokens):
            yield {name: value.to(self.device) for name, value in batch.items()}


def _readable(state: Path) -> Path | None:
    """Return the path of an interrupted run's state, or None if there is none.

    Raises:
        ArtifactError: If the state cannot be read.
    """
    if not state.is_file():
        return None
    try:
        torch.load(state, map_location="cpu", weights_only=True)
    except (EOFError, OSError, RuntimeError, pickle.UnpicklingError) as error:
        raise ArtifactError(f"state {state} cannot be read; delete it to start over") from error
    return state


def _line(row: Mapping[str, float], done: float) -> str:
    rate = row["tokens"] / max(row["seconds"], 1e-3)
    parts = [f"step {int(row['step'])}", f"{row['tokens'] / 1e6:.2f} M tokens"]
    if "train/loss" in row:
        parts += [f"train loss {row['train/loss']:.3f}"]
    parts += [f"dev loss {row['dev/loss']:.3f}", f"dev accuracy {row['dev/accuracy']:.3f}"]
    if done > 0:
        parts += [
            f"{rate:,.0f} tokens/s",
            f"{row['seconds']:.0f} s, about {row['seconds'] * max(0.0, 1 / done - 1):.0f} s left",
        ]
    return "  ".join(parts)


def _trainer(settings: PretrainSettings, on_gpu: bool, width: int, scratch: str) -> pl.Trainer:
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    return pl.Trainer(
        accelerator="cuda" if on_gpu else "cpu",
        devices=1,
        plugins=[LightningEnvironment()],  # as in patent_hier.training.neural
        precision=choose_precision(settings.precision, on_gpu, width),  # type: ignore[arg-type]  # one of two
        max_epochs=-1,
        gradient_clip_val=settings.gradient_clip,
        logger=False,
        default_root_dir=scratch,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        num_sanity_val_steps=0,
        reload_dataloaders_every_n_epochs=1,
        use_distributed_sampler=False,
    )
