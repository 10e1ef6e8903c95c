"""The Lightning trainer for the settings of a run."""

import logging
import sys

import pytorch_lightning as pl
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from pytorch_lightning.callbacks import Callback, Checkpoint, ProgressBar
from pytorch_lightning.strategies import DDPStrategy

from patent_hier.settings import TrainerSettings
from patent_hier.training.device import choose_gpu
from patent_hier.training.observers import Observers
from patent_hier.training.ranks import Ranks
from patent_hier.training.resume import StateFile


def make_trainer(
    settings: TrainerSettings,
    precision: str,
    epochs: int,
    callbacks: list[Callback],
    ranks: Ranks,
    passes: int,
    observers: Observers,
) -> pl.Trainer:
    """Build the Lightning trainer of one network.

    Args:
        settings: The trainer group of a run's settings.
        precision: Result of :func:`patent_hier.training.device.choose_precision`.
        epochs: Number of passes over the training documents.
        callbacks: Callbacks that training itself needs.
        ranks: The processes that train together.
        passes: Number of passes in which each batch is read.
        observers: Loggers and callbacks that watch training.
    """
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    if settings.progress and not ranks.rank and sys.stdout.isatty():
        callbacks = [*callbacks, *observers.callbacks]
    else:
        callbacks = [*callbacks, *(own for own in observers.callbacks if not isinstance(own, ProgressBar))]
    on_gpu = choose_gpu(settings.accelerator, "trainer.accelerator")
    return pl.Trainer(
        accelerator="cuda" if on_gpu else "cpu",
        devices=ranks.local_size,
        num_nodes=ranks.size // ranks.local_size,
        strategy=_ddp(passes) if ranks.size > 1 else "auto",
        # Set explicitly: in a Slurm job Lightning would otherwise react to signals with checkpoints and new jobs.
        plugins=[TorchElasticEnvironment() if ranks.size > 1 else LightningEnvironment(), StateFile()],
        precision=precision,  # type: ignore[arg-type]  # one of two
        max_epochs=epochs,
        accumulate_grad_batches=passes,
        gradient_clip_val=settings.gradient_clip,
        callbacks=callbacks,
        logger=observers.loggers or False,
        default_root_dir=observers.folder,
        enable_progress_bar=any(isinstance(own, ProgressBar) for own in callbacks),
        enable_model_summary=False,
        enable_checkpointing=any(isinstance(own, Checkpoint) for own in callbacks),
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
    )


def _ddp(passes: int) -> DDPStrategy:
    """Return a DDP strategy that tolerates weights without gradients, which some encoders have.

    A static graph is the cheaper way to do this, but it fails when gradients are accumulated.
    """
    return DDPStrategy(static_graph=passes == 1, find_unused_parameters=passes > 1, broadcast_buffers=False)
