"""Train one node's network with Lightning; the validation part chooses the best epoch, never the test part."""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.loggers import WandbLogger
from torch import nn

from patent_hier.errors import ConfigError
from patent_hier.features.token_store import TokenStore
from patent_hier.features.wordpiece import WordPieceReader
from patent_hier.models.allocation import keep_freed_memory
from patent_hier.models.network_spec import ENCODER_NAME, NetworkSpec
from patent_hier.models.registry import TokenReader
from patent_hier.models.saved import NodeClassifier, num_outputs
from patent_hier.settings import BEST, Settings, TrainerSettings, as_dict, filled, planned_epochs
from patent_hier.training.callbacks import BestWeights, History, PatientStopping
from patent_hier.training.datamodule import NodeBatches
from patent_hier.training.device import choose_gpu, choose_precision
from patent_hier.training.fitted import Fitted
from patent_hier.training.memory import memory_advice, with_less_memory
from patent_hier.training.module import PatentClassifier
from patent_hier.training.node_data import NodeView
from patent_hier.training.observers import Observe, Observers
from patent_hier.training.optimizing import inverse_frequency_weights
from patent_hier.training.ranks import ALONE, Ranks
from patent_hier.training.resume import Position, StateCheckpoint, find_state, take_up_the_end
from patent_hier.training.trainer import make_trainer

_MONITOR = "val/accuracy"


def fit_network(
    view: NodeView[TokenStore],
    spec: NetworkSpec,
    settings: Settings,
    state: Path | None = None,
    ranks: Ranks = ALONE,
    observe: Observe | None = None,
) -> Fitted:
    """Train the network of one node.

    Args:
        view: The node's documents and labels, at least two.
        spec: Specification of the network to train.
        settings: Settings of one node's run.
        state: File that stores the progress of training, so that an interrupted run can resume; the caller removes it
            once the result is written. None stores no state.
        ranks: The processes that train together, each with its share of every batch; their process group exists.
        observe: Creates loggers and callbacks; a resumed run gets new ones, which start at the step where it resumes.

    Returns:
        The classifier with the weights of the best validation epoch. It has those of the last epoch with
        ``trainer.keep=last``, without validation documents under the node, and on ranks other than 0.

    Raises:
        ConfigError: If the settings do not fit the encoder or the machine.
    """

    def say(line: str) -> None:
        print(f"{settings.model.name} {settings.node}: {line}", flush=True)

    if settings.trainer.keep == BEST and not len(view.val):
        say("no validation document under this node, so the weights of the last epoch are kept")
    wanted = settings.trainer.accumulate
    precision = _precision(spec, settings.trainer)
    position = find_state(state, ranks, precision, say)
    if position and position.passes != (wanted or position.passes):
        say(f"training starts over: state {state} was saved with trainer.accumulate={position.passes}, not {wanted}")
        position = None

    def fit(passes: int) -> Fitted:
        fitting = position if position and position.passes == passes else None
        keeping = _Keeping(state, fitting, ranks, precision)
        return _fit_in_passes(view, spec, settings, passes, keeping, observe or Observers)

    if position:
        say("training had already finished; writing its result" if position.ended else _where(position))
    first = wanted or (position.passes if position else 1)
    if wanted is None and ranks.size == 1:
        return with_less_memory(fit, passes=first, most=filled(settings.trainer.batch_size), say=say)
    return fit(first)


def _precision(spec: NetworkSpec, settings: TrainerSettings) -> str:
    """Return the precision in which the network computes.

    If the outputs of a frozen encoder are looked up, no matrix product is large enough for bf16 to pay off.
    """
    reader, width = spec.reader, spec.width
    if isinstance(reader, WordPieceReader) and spec.vectors is None:
        width = reader.files.hidden_size
    return choose_precision(settings.precision, choose_gpu(settings.accelerator, "trainer.accelerator"), width)


def _where(position: Position) -> str:
    return f"training resumes in epoch {position.epoch + 1}, after {position.batch} batches"


@dataclass(frozen=True)
class _Keeping:
    """The state file and the resume position of a run, with its ranks and precision."""

    path: Path | None
    position: Position | None
    ranks: Ranks
    precision: str

    @property
    def done(self) -> tuple[int, int]:
        """An epoch and the number of its batches that are already done."""
        return (self.position.epoch, self.position.batch) if self.position else (0, 0)


def _fit_in_passes(
    view: NodeView[TokenStore],
    spec: NetworkSpec,
    settings: Settings,
    passes: int,
    keeping: _Keeping,
    observe: Observe,
) -> Fitted:
    keep_freed_memory()
    trainer_settings, ranks = settings.trainer, keeping.ranks
    if trainer_settings.num_threads is not None:
        torch.set_num_threads(trainer_settings.num_threads)
    pl.seed_everything(settings.seed, workers=True, verbose=False)
    data = NodeBatches(
        view,
        batch_size=filled(trainer_settings.batch_size),
        score_batch_size=trainer_settings.score_batch_size,
        pad_id=spec.reader.pad_id,
        seed=settings.seed,
        ranks=ranks,
        passes=passes,
        done=keeping.done,
        text_turns=trainer_settings.text_turns,
    )
    # transformers returns pre-trained networks in evaluation mode, and Lightning keeps the mode it finds: without
    # train() there would be no dropout. A frozen encoder stays in evaluation mode on its own.
    network = spec.build(num_outputs(view.tree, view.flat)).train()
    if ranks.rank:  # identical weights, but different dropout on each rank
        torch.manual_seed(settings.seed + (ranks.rank << 32))
    sizes = {
        "parameters": sum(weight.numel() for weight in network.parameters()),
        "trainable_parameters": sum(weight.numel() for weight in network.parameters() if weight.requires_grad),
    }
    advice = "lower encoder.max_length"
    if (more := min(2 * passes, filled(trainer_settings.batch_size))) > passes:
        advice = f"use trainer.accumulate={more}, which gives the same result, or {advice}"
    with spec.reading(network), memory_advice(advice):
        history, facts = _train(network, spec.reader, data, settings, keeping, observe())
    classifier = NodeClassifier(settings.node, view.tree, view.flat, settings.model, network.eval(), spec.reader)
    return Fitted(classifier, history, facts | sizes)


def _note_on_epochs(settings: TrainerSettings, epochs: int) -> str:
    """Return why a node trains more epochs than set; empty if it does not."""
    if epochs == settings.max_epochs:
        return ""
    return f"{epochs} epochs instead of {settings.max_epochs}, to reach trainer.min_steps={settings.min_steps}"


def _train(
    network: nn.Module,
    reader: TokenReader,
    data: NodeBatches,
    settings: Settings,
    keeping: _Keeping,
    observers: Observers,
) -> tuple[list[dict[str, float]], dict[str, Any]]:
    """Run the Lightning trainer and load the best epoch's weights into the network; return history and facts."""
    view, ranks, trainer_settings = data.view, data.ranks, settings.trainer
    batches = data.train_batches()
    steps_per_epoch = len(batches)
    epochs = planned_epochs(trainer_settings, steps_per_epoch)
    task = _task(network, reader, view, settings, epochs * steps_per_epoch, ranks.size * data.passes)
    shows_progress = trainer_settings.progress and not ranks.rank
    history = History(
        f"{settings.model.name} {settings.node}", shows_progress, _note_on_epochs(trainer_settings, epochs)
    )
    best = BestWeights(_MONITOR, enabled=not ranks.rank and trainer_settings.keep == BEST)
    keeper = StateCheckpoint(keeping.path, trainer_settings.checkpoint_minutes, data.passes, ranks, keeping.position)
    callbacks: list[Callback] = [history, keeper]
    if len(view.val):
        callbacks.append(best)
        if trainer_settings.patience is not None:
            callbacks.append(PatientStopping(_MONITOR, trainer_settings.patience, filled(trainer_settings.min_steps)))
    trainer = make_trainer(trainer_settings, keeping.precision, epochs, callbacks, ranks, data.passes, observers)
    for logger in trainer.loggers:
        logger.log_hyperparams(as_dict(settings))
    if keeping.path and keeping.position and keeping.position.ended:
        take_up_the_end(keeping.path, task, callbacks)
    else:
        _fit(trainer, task, data, keeping.path if keeping.position else None)
    for logger in trainer.loggers:
        if isinstance(logger, WandbLogger):  # otherwise the next node would log to the same run
            logger.experiment.finish()
    for optimizer in trainer.optimizers:  # trainer and task form a reference cycle, freed only later
        optimizer.state.clear()
    best.put_into(task)
    seconds = history.seconds
    facts: dict[str, Any] = {
        "train_documents": view.num_documents,
        "val_documents": len(view.val),
        "epochs": len(history.epochs),
        "best_epoch": best_epoch(history.epochs),
        "seconds": round(seconds, 3),
        "documents_per_second": round(batches.size * len(history.epochs) / seconds, 1),
        "device": str(trainer.strategy.root_device),
        "devices": ranks.size,
        "accumulate": data.passes,
        "resumed": keeper.resumed,
        "precision": str(trainer.precision),
        "threads": torch.get_num_threads(),
    }
    if view.label_share is not None:
        facts["label_text"] = {"weight": view.label_share.weights[0]}
    if view.shares is not None:
        facts["distill"] = view.shares.facts
    network.to(trainer.strategy.root_device)  # Lightning moves it back to the CPU after training
    return history.epochs, facts


def _task(
    network: nn.Module,
    reader: TokenReader,
    view: NodeView[TokenStore],
    settings: Settings,
    total_steps: int,
    shares: int,
) -> PatentClassifier:
    """Return the network with its loss; class weights depend only on the documents of the corpus."""
    trainer, optimizer, tree = settings.trainer, settings.optimizer, view.tree
    weights = None
    if trainer.class_weights:
        weights = inverse_frequency_weights(tree, view.train_paths[: view.num_documents])
    by_level = {level: weight for level, weight in trainer.level_weights.items() if level in tree.levels}
    if view.flat and len(tree.levels) > 1:
        by_level.setdefault(tree.levels[0], trainer.section_loss)
    config, shape = None, None
    if isinstance(reader, WordPieceReader):
        config = {**reader.files.config, ENCODER_NAME: settings.encoder.name}
    else:
        shape = tuple(network.get_parameter("embedding.weight").shape)
    return PatentClassifier(
        settings.model,
        tree,
        network=network,
        freeze=settings.encoder.freeze if config is not None else False,
        encoder_config=config,
        vector_shape=shape,
        flat=view.flat,
        optimizer=optimizer.name,
        lr=optimizer.lr,
        head_lr=optimizer.head_lr,
        layer_decay=optimizer.layer_decay,
        weight_decay=optimizer.weight_decay,
        warmup=optimizer.warmup,
        schedule=optimizer.schedule,
        total_steps=total_steps,
        level_weights=by_level,
        label_weights=weights,
        r_drop=trainer.r_drop,
        label_smoothing=trainer.label_smoothing,
        ema=trainer.ema,
        shares=shares,
    )


def _fit(trainer: pl.Trainer, task: PatentClassifier, data: NodeBatches, state: Path | None) -> None:
    try:
        with warnings.catch_warnings():
            # Lightning's hints about loader workers and missing loggers do not apply here.
            warnings.filterwarnings("ignore", module="pytorch_lightning")
            warnings.filterwarnings("ignore", module="torch.optim.lr_scheduler")
            trainer.fit(task, datamodule=data, ckpt_path=state, weights_only=True)
    except MisconfigurationException as error:  # from callbacks, such as one that needs a logger
        raise ConfigError(f"{' '.join(str(error).split())} Change logger=... or callbacks=...") from error
    except SystemExit as stop:  # Lightning's response to Ctrl-C and SIGTERM, which would exit with status 0
        raise KeyboardInterrupt from stop


def best_epoch(epochs: list[dict[str, float]]) -> int | None:
    """Return the first epoch with the best validation accuracy; None without validation."""
    scored = [epoch for epoch in epochs if _MONITOR in epoch]
    return int(max(scored, key=lambda epoch: epoch[_MONITOR])["epoch"]) if scored else None
