"""The LightningModule: one classifier under training."""

import math
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim import Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR
from torchmetrics import MeanMetric
from torchmetrics.classification import MulticlassAccuracy

from patent_hier.settings import OptimizerSettings, filled
from patent_hier.training.losses import ClassificationLoss, disagreement

_LENT = -1  # the label code of a document that does not count


class PatentClassificationTask(pl.LightningModule):
    """Train a network that maps token ids to logits, with cross-entropy.

    The terms of its loss are :class:`ClassificationLoss` and :func:`disagreement`. A batch may be read in shares, by
    several ranks or in several passes: gradients, and what is logged, are those of the whole batch.

    Args:
        network: Maps ``input_ids`` and ``attention_mask`` ``(batch, seq_len)`` to logits ``(batch, num_labels)``.
        num_labels: Number of classes.
        optimizer: The optimizer group of a run's settings.
        total_steps: Optimizer steps that the schedule spans.
        class_weights: ``(num_labels,)``, or None for equal weights.
        section_loss: Weight of the section's cross-entropy, 0 for none.
        sections: ``(num_labels, num_labels)`` bool: which classes are of one section; needed for ``section_loss``.
        r_drop: Weight of the disagreement between two passes over each batch, 0 for one pass.
        shares: Ranks × passes; the trainer averages the gradients of a batch's shares.
    """

    def __init__(
        self,
        network: nn.Module,
        num_labels: int,
        optimizer: OptimizerSettings,
        total_steps: int,
        class_weights: Tensor | None = None,
        section_loss: float = 0.0,
        sections: Tensor | None = None,
        r_drop: float = 0.0,
        shares: int = 1,
    ) -> None:
        super().__init__()
        self.network = network
        self.r_drop = r_drop
        self.shares = shares
        self.optimizer_settings = optimizer
        self.total_steps = total_steps
        self.loss = ClassificationLoss(class_weights, section_loss, sections)
        self.val_accuracy = MulticlassAccuracy(num_labels, average="micro", ignore_index=_LENT)
        self.val_loss = MeanMetric()
        self._loss_sum = torch.zeros(())
        self._loss_documents = 0

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Logits ``(batch, num_labels)``."""
        return self.network(input_ids, attention_mask)  # type: ignore[no-any-return]  # torch modules return Any

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        """Loss of one batch, averaged over its documents; a ``weight`` in the batch is each document's.

        The mean of what it returns for a batch's shares is that of the whole batch.
        """
        input_ids, attention_mask, target = batch["input_ids"], batch["attention_mask"], batch["target"]
        weight = batch.get("weight")
        if self.r_drop:  # both passes as one batch of twice as many documents: dropout differs from row to row
            logits = self(input_ids.repeat(2, 1), attention_mask.repeat(2, 1))  # (2 * batch, num_labels)
            loss: Tensor = self.loss(logits, target.repeat(2), None if weight is None else weight.repeat(2))
            first, second = logits.chunk(2)
            apart = disagreement(first, second, weight)
        else:
            loss, apart = self.loss(self(input_ids, attention_mask), target, weight), None
        if self.shares > 1:  # the mean of these over the shares is the mean over the whole batch's documents
            whole = batch["whole"]  # label codes of all shares
            loss = loss * (self.shares * self.loss.denominator(target) / self.loss.denominator(whole))
            apart = None if apart is None else apart * (self.shares * len(target) / len(whole))
        if apart is not None:
            loss = loss + self.r_drop * apart
        return loss

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
        self.val_accuracy.update(logits, torch.full_like(target, _LENT) if lent else target)
        self.val_loss.update(self.loss(logits, target), 0.0 if lent else self.loss.denominator(target))
        self.log("val/loss", self.val_loss, on_epoch=True, batch_size=len(target))
        self.log("val/accuracy", self.val_accuracy, on_epoch=True, batch_size=len(target))

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """A step, after which the gradients are freed: Lightning would hold them until after the next forward pass."""
        super().optimizer_step(*args, **kwargs)
        self.zero_grad()

    def configure_gradient_clipping(
        self, optimizer: Optimizer, gradient_clip_val: float | None = None, gradient_clip_algorithm: str | None = None
    ) -> None:
        """Clip by norm ourselves: in mixed precision Lightning refuses to do so with a fused optimizer.

        With bf16 there is no gradient scale that would have to be taken off first; fp16 is refused in the settings.
        """
        if gradient_clip_val is not None:
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), gradient_clip_val)

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


def build_optimizer(network: nn.Module, settings: OptimizerSettings) -> Optimizer:
    """Adam or AdamW over the trainable weights; no weight decay on vectors (biases and layer norms)."""
    trainable = [weight for weight in network.parameters() if weight.requires_grad]
    groups = [
        {"params": [w for w in trainable if w.ndim > 1], "weight_decay": settings.weight_decay},
        {"params": [w for w in trainable if w.ndim <= 1], "weight_decay": 0.0},
    ]
    optimizer_class = AdamW if settings.name == "adamw" else Adam
    return optimizer_class([group for group in groups if group["params"]], lr=filled(settings.lr), fused=True)


def inverse_frequency_weights(codes: NDArray[np.int64], num_labels: int) -> Tensor:
    """Loss weights ``(num_labels,)``: ``n / (num_labels * count)``, so that the mean weight of a document is 1."""
    counts = np.bincount(codes, minlength=num_labels)
    return torch.from_numpy((len(codes) / (num_labels * np.maximum(counts, 1))).astype(np.float32))
