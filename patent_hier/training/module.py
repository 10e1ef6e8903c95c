"""``PatentClassifier``: the LightningModule of one network."""

import math
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.optim import Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR
from torchmetrics import MeanMetric

from patent_hier.errors import ConfigError
from patent_hier.evaluation.level_accuracy import LevelAccuracy
from patent_hier.models.tree_softmax import TreeSoftmax
from patent_hier.settings import OptimizerSettings, filled
from patent_hier.taxonomy.tree import NONE, LabelTree, Positions
from patent_hier.training.losses import PathLoss, disagreement


class PatentClassifier(pl.LightningModule):
    """A network with the heads of its part of the label tree, under training.

    Its loss is :class:`PathLoss` and, with ``r_drop``, :func:`disagreement`. A batch may be read in shares, by several
    ranks or in several passes: gradients, and what is logged, are those of the whole batch.

    Args:
        network: Maps ``input_ids`` and ``attention_mask`` ``(batch, seq_len)`` to logits ``(batch, num_outputs)``.
        tree: The labels that it decides between.
        optimizer: The optimizer group of a run's settings.
        total_steps: Optimizer steps that the schedule spans.
        flat: One softmax over the deepest level instead of one for each parent.
        level_weights: Weight of each level in the loss; see :func:`patent_hier.training.losses.level_weights`.
        label_weights: ``(n_labels,)``, or None for equal weights.
        r_drop: Weight of the disagreement between two passes over each batch, 0 for one pass.
        shares: Ranks × passes; the trainer averages the gradients of a batch's shares.
    """

    def __init__(
        self,
        network: nn.Module,
        tree: LabelTree,
        optimizer: OptimizerSettings,
        total_steps: int,
        *,
        flat: bool = False,
        level_weights: tuple[float, ...] | None = None,
        label_weights: Tensor | None = None,
        r_drop: float = 0.0,
        shares: int = 1,
    ) -> None:
        super().__init__()
        self.network = network
        self.tree = tree
        self.softmax = TreeSoftmax(tree, flat)
        self.r_drop = r_drop
        self.shares = shares
        self.optimizer_settings = optimizer
        self.total_steps = total_steps
        weights = tuple(float(not flat or level == tree.depth) for level in tree.levels)
        self.loss = PathLoss(self.softmax, level_weights or weights, label_weights)
        self.val_accuracy = LevelAccuracy(tree)
        self.val_loss = MeanMetric()
        self._loss_sum = torch.zeros(())
        self._loss_documents = 0

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Logits ``(batch, num_outputs)``."""
        return self.network(input_ids, attention_mask)  # type: ignore[no-any-return]  # torch modules return Any

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        """Loss of one batch, averaged over its documents; a ``weight`` in the batch is each document's.

        The mean of what it returns for a batch's shares is that of the whole batch.
        """
        input_ids, attention_mask, target = batch["input_ids"], batch["attention_mask"], batch["target"]
        weight, whole = batch.get("weight"), batch.get("whole")
        if not self.r_drop:
            loss: Tensor = self.loss(self(input_ids, attention_mask), target, weight, whole)
            return loss * self.shares
        # Both passes as one batch of twice as many documents: dropout differs from row to row.
        logits = self(input_ids.repeat(2, 1), attention_mask.repeat(2, 1))  # (2 * batch, num_outputs)
        twice = None if whole is None else whole.repeat(2, 1, 1)
        loss = self.loss(logits, target.repeat(2, 1, 1), None if weight is None else weight.repeat(2), twice)
        first, second = self.softmax.joint(logits)[:, self.tree.leaves].chunk(2)
        apart = disagreement(first, second, weight)
        if whole is not None:  # the mean over the shares is the mean over the whole batch's documents
            apart = apart * (len(target) / len(whole))
        return (loss + self.r_drop * apart) * self.shares

    def on_train_batch_end(self, outputs: Any, batch: dict[str, Tensor], batch_idx: int) -> None:
        """Add up the loss and hand Lightning one mean for each epoch: its ``log`` at every step took 0.3 ms each."""
        n_documents = len(batch.get("whole", batch["target"]))
        loss = outputs["loss"].float() * self.trainer.accumulate_grad_batches  # Lightning has divided it
        self._loss_sum = self._loss_sum.to(loss.device) + loss * n_documents
        self._loss_documents += n_documents
        if self.trainer.is_last_batch:
            mean = self._loss_sum / self._loss_documents
            self.log("train/loss", mean, on_step=False, on_epoch=True, batch_size=1, sync_dist=self.shares > 1)
            self._loss_sum, self._loss_documents = torch.zeros_like(self._loss_sum), 0

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """The loss of the epoch so far, each rank's own, belongs to the state."""
        of_ranks = torch.atleast_1d(self.all_gather(self._loss_sum))  # (ranks,)
        checkpoint["loss"] = {"sums": of_ranks.cpu(), "documents": self._loss_documents}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take it back."""
        self._loss_sum = checkpoint["loss"]["sums"][self.global_rank]
        self._loss_documents = checkpoint["loss"]["documents"]

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        """Update the validation loss and accuracy, both over all documents of all ranks, however they are batched."""
        target = batch["target"]
        logits = self(batch["input_ids"], batch["attention_mask"])
        lent = "weight" in batch  # the whole batch then is one document, for a rank without a share
        self.val_loss.update(self.loss(logits, target), 0.0 if lent else self.loss.denominators(target)[0])
        self.val_accuracy.update(self.softmax.joint(logits), torch.full_like(target, NONE) if lent else target)
        self.log("val/loss", self.val_loss, on_epoch=True, batch_size=len(target))

    def on_validation_epoch_end(self) -> None:
        """The accuracy at each level; ``val/accuracy`` is their mean over the levels that have heads."""
        by_level = torch.atleast_1d(self.val_accuracy.compute())  # torchmetrics takes a single value out of its array
        own = by_level[-1:] if self.softmax.flat else by_level
        self.log("val/accuracy", own.mean())
        if len(by_level) > 1:
            self.log_dict(
                {f"val/accuracy/{name}": value for name, value in zip(self.tree.levels, by_level, strict=True)}
            )
        self.val_accuracy.reset()

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """A step, after which the gradients are freed: Lightning would hold them until after the next forward pass."""
        super().optimizer_step(*args, **kwargs)
        self.zero_grad()

    def configure_gradient_clipping(
        self, optimizer: Optimizer, gradient_clip_val: float | None = None, gradient_clip_algorithm: str | None = None
    ) -> None:
        """Clip ourselves; see :func:`clip_gradients`."""
        clip_gradients(self.network, gradient_clip_val, gradient_clip_algorithm)

    def configure_optimizers(self) -> Any:
        """The optimizer with its schedule, stepped after each batch."""
        optimizer = build_optimizer(self.network, self.optimizer_settings)
        schedule = LambdaLR(optimizer, Schedule(self.optimizer_settings, self.total_steps))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


class Schedule:
    """Factor on the learning rate at each step: linear warm-up, then constant or a linear fall to 0.

    Args:
        settings: ``warmup`` (a fraction of all steps) and ``schedule``.
        total_steps: All optimizer steps.
    """

    def __init__(self, settings: OptimizerSettings, total_steps: int) -> None:
        self._warmup = math.ceil(settings.warmup * total_steps)
        self._falls = settings.schedule == "linear"
        self._total = total_steps

    def __call__(self, step: int) -> float:
        """The factor for a step, counted from 0."""
        if step < self._warmup:
            return (step + 1) / self._warmup
        if not self._falls:
            return 1.0
        return max(0.0, (self._total - step) / max(1, self._total - self._warmup))


def clip_gradients(network: nn.Module, largest: float | None, algorithm: str | None) -> None:
    """Clip the gradients of a network; in mixed precision Lightning refuses to do so with a fused optimizer.

    With bf16 there is no gradient scale that would have to be taken off first; fp16 is refused in the settings.

    Args:
        network: Has gradients.
        largest: The largest norm of all gradients together, or the largest absolute value of one; None clips nothing.
        algorithm: ``"norm"``, which None stands for, or ``"value"``.

    Raises:
        ConfigError: If the algorithm is another.
    """
    if algorithm not in (None, "norm", "value"):
        raise ConfigError(f"gradients cannot be clipped by {algorithm!r}; choose 'norm' or 'value'")
    if largest is None:
        return
    if algorithm == "value":
        nn.utils.clip_grad_value_(network.parameters(), largest)
    else:
        nn.utils.clip_grad_norm_(network.parameters(), largest)


def build_optimizer(network: nn.Module, settings: OptimizerSettings) -> Optimizer:
    """Adam or AdamW over the trainable weights; no weight decay on vectors (biases and layer norms)."""
    trainable = [weight for weight in network.parameters() if weight.requires_grad]
    groups = [
        {"params": [w for w in trainable if w.ndim > 1], "weight_decay": settings.weight_decay},
        {"params": [w for w in trainable if w.ndim <= 1], "weight_decay": 0.0},
    ]
    optimizer_class = AdamW if settings.name == "adamw" else Adam
    return optimizer_class([group for group in groups if group["params"]], lr=filled(settings.lr), fused=True)


def inverse_frequency_weights(tree: LabelTree, paths: Positions) -> Tensor:
    """Loss weights ``(n_labels,)`` within each level: ``n / (n_labels * count)``, so a document's mean weight is 1.

    Args:
        tree: The labels.
        paths: Of the training documents, ``(n, n_levels)``.
    """
    counts = np.bincount(paths[paths != NONE], minlength=len(tree))
    weights = np.empty(len(tree), np.float32)
    for own in map(tree.span, tree.levels):
        weights[own] = counts[own].sum() / ((own.stop - own.start) * np.maximum(counts[own], 1))
    return torch.from_numpy(weights)
