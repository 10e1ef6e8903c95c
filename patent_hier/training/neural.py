"""Train one node's network with Lightning: best epoch on the validation part, never on test."""

import contextlib
import logging
import math
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from pytorch_lightning.callbacks import Callback, ModelCheckpoint, RichProgressBar
from pytorch_lightning.strategies import DDPStrategy
from torch import nn

from patent_hier.features.token_store import TokenStore
from patent_hier.models.allocation import keep_freed_memory
from patent_hier.models.blueprint import Blueprint
from patent_hier.models.saved import NodeClassifier
from patent_hier.settings import FLAT, Settings, TrainerSettings, planned_epochs
from patent_hier.training.callbacks import History, Patience
from patent_hier.training.datamodule import PatentDataModule
from patent_hier.training.device import choose_gpu, choose_precision
from patent_hier.training.fitted import Fitted
from patent_hier.training.losses import same_section
from patent_hier.training.memory import memory_advice, with_less_memory
from patent_hier.training.module import PatentClassificationTask, inverse_frequency_weights
from patent_hier.training.node_data import NodeView
from patent_hier.training.ranks import ALONE, Ranks

_MONITOR = "val/accuracy"


def fit_network(
    view: NodeView[TokenStore],
    blueprint: Blueprint,
    settings: Settings,
    scratch: Path | None = None,
    ranks: Ranks = ALONE,
) -> Fitted:
    """Train the network of one node.

    Args:
        view: The node's documents and labels, at least two.
        blueprint: The network to be trained.
        settings: One node's run.
        scratch: Folder for checkpoints while it trains; they are removed. None: the system's temporary folder.
        ranks: The processes that train together, each with its share of every batch; their process group exists.

    Returns:
        The classifier with the weights of the best validation epoch; on ranks other than 0, of the last one.

    Raises:
        ConfigError: If the settings do not fit the encoder or the machine.
    """
    wanted = settings.trainer.accumulate
    if wanted is None and ranks.size == 1:
        return with_less_memory(
            lambda passes: _fit_in_passes(view, blueprint, settings, scratch, ranks, passes),
            passes=1,
            most=settings.trainer.batch_size,
            say=lambda line: print(f"{settings.model.name} {settings.node}: {line}", flush=True),
        )
    return _fit_in_passes(view, blueprint, settings, scratch, ranks, wanted or 1)


def _fit_in_passes(
    view: NodeView[TokenStore],
    blueprint: Blueprint,
    settings: Settings,
    scratch: Path | None,
    ranks: Ranks,
    passes: int,
) -> Fitted:
    keep_freed_memory()
    trainer_settings = settings.trainer
    if trainer_settings.num_threads is not None:
        torch.set_num_threads(trainer_settings.num_threads)
    pl.seed_everything(settings.seed, workers=True, verbose=False)
    data = PatentDataModule(
        view,
        batch_size=trainer_settings.batch_size,
        score_batch_size=trainer_settings.score_batch_size,
        pad_id=blueprint.reader.pad_id,
        seed=settings.seed,
        ranks=ranks,
        passes=passes,
    )
    # transformers hands pre-trained weights over in evaluation mode, and Lightning keeps the modes that it finds: there
    # would be no dropout. A frozen encoder stays in evaluation mode by itself.
    network = blueprint.build(len(view.labels)).train()
    if ranks.rank:  # equal weights, but a dropout of its own
        torch.manual_seed(settings.seed + (ranks.rank << 32))
    sizes = {
        "parameters": sum(weight.numel() for weight in network.parameters()),
        "trainable_parameters": sum(weight.numel() for weight in network.parameters() if weight.requires_grad),
    }
    advice = "lower encoder.max_length"
    if (more := min(2 * passes, trainer_settings.batch_size)) > passes:
        advice = f"use trainer.accumulate={more}, which gives the same result, or {advice}"
    with blueprint.reading(network), memory_advice(advice):
        history, facts = _train(network, data, settings, scratch)
    classifier = NodeClassifier(settings.node, view.labels, settings.model, network.eval(), blueprint.reader)
    return Fitted(classifier, history, facts | sizes)


def _train(
    network: nn.Module, data: PatentDataModule, settings: Settings, scratch: Path | None
) -> tuple[list[dict[str, float]], dict[str, Any]]:
    """Run the Lightning trainer, put the best epoch's weights into the network; return history and facts."""
    view, ranks, trainer_settings = data.view, data.ranks, settings.trainer
    steps_per_epoch = math.ceil(len(view.train) / trainer_settings.batch_size)
    epochs = planned_epochs(trainer_settings, steps_per_epoch)
    task = _task(network, view, settings, epochs * steps_per_epoch, ranks.size * data.passes)
    history = History(f"{settings.model.name} {settings.node}", trainer_settings.progress and not ranks.rank)
    with _checkpoint_folder(scratch, ranks) as checkpoints:
        checkpoint = ModelCheckpoint(checkpoints, monitor=_MONITOR, mode="max", save_weights_only=True)
        has_val = len(view.val) > 0
        trainer = _trainer(trainer_settings, epochs, history, checkpoint if has_val else None, ranks, data.passes)
        start = time.perf_counter()
        with warnings.catch_warnings():
            # Lightning's hints about loader workers and missing loggers are for its own users.
            warnings.filterwarnings("ignore", module="pytorch_lightning")
            warnings.filterwarnings("ignore", module="torch.optim.lr_scheduler")
            _fit(trainer, task, data, has_val)
        seconds = time.perf_counter() - start
        for optimizer in trainer.optimizers:  # trainer and task hold each other, until Python looks for such circles
            optimizer.state.clear()
        if checkpoint.best_model_path and not ranks.rank:
            saved = torch.load(checkpoint.best_model_path, weights_only=True, map_location="cpu")
            task.load_state_dict(saved["state_dict"])
    facts: dict[str, Any] = {
        "train_documents": view.num_documents,
        "val_documents": len(view.val),
        "epochs": len(history.epochs),
        "best_epoch": best_epoch(history.epochs),
        "seconds": round(seconds, 3),
        "documents_per_second": round(len(view.train) * len(history.epochs) / seconds, 1),
        "device": str(trainer.strategy.root_device),
        "devices": ranks.size,
        "accumulate": data.passes,
        "precision": str(trainer.precision),
        "threads": torch.get_num_threads(),
    }
    if view.label_share is not None:
        facts["label_text"] = {"weight": view.label_share.weights[0]}
    network.to(trainer.strategy.root_device)  # Lightning moves it back to the CPU after training
    return history.epochs, facts


@contextlib.contextmanager
def _checkpoint_folder(scratch: Path | None, ranks: Ranks) -> Iterator[str]:
    """A folder of rank 0's; Lightning tells the others of it, and they write nothing."""
    if ranks.rank:
        yield tempfile.gettempdir()
        return
    with tempfile.TemporaryDirectory(prefix="patent_hier-", dir=scratch) as folder:
        yield folder


def _task(
    network: nn.Module, view: NodeView[TokenStore], settings: Settings, total_steps: int, shares: int
) -> PatentClassificationTask:
    """The network with its loss: weights of classes by the corpus's documents, the section's term at ``flat`` only."""
    n_labels, n_documents = len(view.labels), view.num_documents
    weights, sections = None, None
    if settings.trainer.class_weights:
        weights = inverse_frequency_weights(view.train_codes[:n_documents], n_labels)
    section_loss = settings.trainer.section_loss if view.node == FLAT else 0.0
    if section_loss:
        sections = same_section(view.labels)
    return PatentClassificationTask(
        network,
        n_labels,
        settings.optimizer,
        total_steps,
        class_weights=weights,
        section_loss=section_loss,
        sections=sections,
        r_drop=settings.trainer.r_drop,
        shares=shares,
    )


def _fit(trainer: pl.Trainer, task: PatentClassificationTask, data: PatentDataModule, has_val: bool) -> None:
    try:
        if has_val:
            trainer.fit(task, datamodule=data)
        else:
            trainer.fit(task, train_dataloaders=data.train_dataloader())
    except SystemExit as stop:  # Lightning's answer to Ctrl-C and to SIGTERM, which would end with status 0
        raise KeyboardInterrupt from stop


def best_epoch(epochs: list[dict[str, float]]) -> int | None:
    """The epoch whose weights were kept: the first with the best validation accuracy; None without validation."""
    scored = [epoch for epoch in epochs if _MONITOR in epoch]
    return int(max(scored, key=lambda epoch: epoch[_MONITOR])["epoch"]) if scored else None


def _trainer(
    settings: TrainerSettings,
    epochs: int,
    history: History,
    checkpoint: ModelCheckpoint | None,
    ranks: Ranks,
    passes: int,
) -> pl.Trainer:
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    callbacks: list[Callback] = [history]
    if checkpoint is not None:
        callbacks.append(checkpoint)
        if settings.patience is not None:
            callbacks.append(Patience(_MONITOR, settings.patience, settings.min_steps))
    bar = settings.progress and not ranks.rank and sys.stdout.isatty()
    if bar:
        callbacks.append(RichProgressBar(refresh_rate=10, leave=False))
    on_gpu = choose_gpu(settings.accelerator, "trainer.accelerator")
    return pl.Trainer(
        accelerator="cuda" if on_gpu else "cpu",
        devices=ranks.local_size,
        num_nodes=ranks.size // ranks.local_size,
        strategy=_ddp(passes) if ranks.size > 1 else "auto",
        # Named, or Lightning guesses: in a Slurm job it would answer Slurm's signals with checkpoints and new jobs.
        plugins=[TorchElasticEnvironment() if ranks.size > 1 else LightningEnvironment()],
        precision=choose_precision(settings.precision, on_gpu),
        max_epochs=epochs,
        accumulate_grad_batches=passes,
        gradient_clip_val=settings.gradient_clip,
        callbacks=callbacks,
        logger=False,
        enable_progress_bar=bar,
        enable_model_summary=False,
        enable_checkpointing=checkpoint is not None,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
    )


def _ddp(passes: int) -> DDPStrategy:
    """DDP that does not wait for gradients of weights that no head reads, which some encoders have.

    A static graph is the cheaper way to that, but fails when gradients are accumulated.
    """
    return DDPStrategy(static_graph=passes == 1, find_unused_parameters=passes > 1, broadcast_buffers=False)
