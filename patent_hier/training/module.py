"""``PatentClassifier``: the LightningModule of one network."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

import pytorch_lightning as pl
import torch
from pytorch_lightning.trainer.states import TrainerFn
from pytorch_lightning.utilities.parsing import AttributeDict
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from patent_hier.errors import ConfigError
from patent_hier.evaluation.torch_metrics import HierarchicalF1, LevelAccuracy, LevelMeans
from patent_hier.models.network_spec import Inputs, build_network
from patent_hier.models.registry import registered_name
from patent_hier.models.saved import num_outputs
from patent_hier.models.tree_softmax import TreeSoftmax
from patent_hier.settings import EncoderSettings, ModelSettings, OptimizerSettings, TrainerSettings
from patent_hier.settings.checks import check_group, network_settings
from patent_hier.settings.inputs import encoder_settings, with_pooling
from patent_hier.settings.models import NETWORKS, NO_INFLUENCE
from patent_hier.taxonomy.tree import NONE, LabelTree
from patent_hier.training.callbacks import AveragedWeights
from patent_hier.training.datamodule import NodeBatches
from patent_hier.training.losses import PathLoss, disagreement, weights_of_levels
from patent_hier.training.optimizing import Schedule, build_optimizer, clip_gradients

_NOT_LOGGED = ("tree", "encoder_config", "label_weights")  # long, and not useful in a log
TOP_K = 3


class PatentClassifier(pl.LightningModule):
    """A network with the heads of a label tree, for any ``pytorch_lightning.Trainer``.

    The loss is :class:`PathLoss` and, with ``r_drop``, :func:`disagreement`. Training logs ``train/loss``, ``val/loss``
    and ``val/accuracy``, which is the mean of ``val/accuracy/<level>`` over the levels that have heads.
    ``trainer.test`` logs ``test/accuracy/<level>``, ``test/top_3_accuracy/<level>`` and ``test/hierarchical_f1``.
    Checkpoints hold plain values and tensors: ``load_from_checkpoint`` needs neither the encoder's files nor unsafe
    loading.

    A batch may be read in shares, by several ranks or in several passes. Gradients and logged values are those of the
    whole batch.

    Args:
        model: ``bertcnn``, ``bert``, ``textcnn`` or ``rnn``; or a settings object.
        tree: The labels to choose from, such as :attr:`PatentDataModule.tree`; also accepted as a plain dictionary.
        encoder: Encoder of ``bertcnn`` and ``bert``: ``small``, ``demo``, a folder, a hub name, or a settings object.
        freeze: True keeps all weights of the encoder fixed; a number freezes its embeddings and that many lower layers.
        features: Folder of the word vectors of ``textcnn`` and ``rnn``, :attr:`PatentDataModule.vectors`.
        flat: Use one softmax over the deepest level instead of one per parent.
        optimizer: ``adamw``, ``adam`` or ``muon``.
        lr: Peak learning rate; None for the value suggested for the model or its encoder.
        head_lr: Peak learning rate above the encoder; None for the value of ``lr``.
        layer_decay: As in :class:`patent_hier.settings.OptimizerSettings`.
        weight_decay: As in :class:`patent_hier.settings.OptimizerSettings`.
        warmup: Fraction of all steps used for warm-up.
        schedule: ``linear`` or ``constant``.
        total_steps: Number of optimizer steps that the schedule spans; None for the number that the trainer plans.
        level_weights: Weights of levels in the loss that differ from the default: 1, or 0 above the deepest level of a
            flat network.
        label_weights: Weights of labels in the loss, ``(n_labels,)``; None for equal weights.
        r_drop: Weight of the disagreement between two passes over each batch; 0 for a single pass.
        label_smoothing: As in :class:`PathLoss`.
        ema: Decay per step of a running average of the weights, which the trainer validates and saves; 0 for none. See
            :class:`patent_hier.training.callbacks.AveragedWeights`.
        shares: Number of ranks times passes if batches are read in shares; the trainer averages their gradients.
        network: Network to use instead of building one; maps ``input_ids`` and ``attention_mask`` ``(batch, seq_len)``
            to logits ``(batch, num_outputs)``.
        encoder_config: For a saved model, the ``config.json`` of its encoder, which is built without weights.
        vector_shape: For a saved model, the rows and dimensions of its word vectors.
        **settings: Settings of the model itself, such as ``num_last_layers=4``; see :mod:`patent_hier.settings.models`.

    Raises:
        ConfigError: If a setting is unknown, out of range, or does not fit the encoder.
    """

    def __init__(
        self,
        model: str | ModelSettings,
        tree: LabelTree | Mapping[str, Any],
        *,
        encoder: str | Path | EncoderSettings | None = None,
        freeze: bool | int = False,
        features: str | Path | None = None,
        flat: bool = False,
        optimizer: str = OptimizerSettings.name,
        lr: float | None = None,
        head_lr: float | None = None,
        layer_decay: float = OptimizerSettings.layer_decay,
        weight_decay: float = OptimizerSettings.weight_decay,
        warmup: float = OptimizerSettings.warmup,
        schedule: str = OptimizerSettings.schedule,
        total_steps: int | None = None,
        level_weights: Mapping[str, float] | None = None,
        label_weights: Sequence[float] | Tensor | None = None,
        r_drop: float = 0.0,
        label_smoothing: float = 0.0,
        ema: float = 0.0,
        shares: int = 1,
        network: nn.Module | None = None,
        encoder_config: Mapping[str, Any] | None = None,
        vector_shape: Sequence[int] | None = None,
        **settings: Any,
    ) -> None:
        super().__init__()
        own = model if isinstance(model, ModelSettings) else network_settings(model, settings)
        if network is None and encoder_config is None:
            own = with_pooling(own, encoder_settings("small" if encoder is None else encoder))
        tree = tree if isinstance(tree, LabelTree) else LabelTree.from_dict(tree)
        size = num_outputs(tree, flat)
        inputs = Inputs(encoder_config, freeze, None if vector_shape is None else (vector_shape[0], vector_shape[1]))
        suggested_lr = own.suggested_lr
        if network is None:
            network, inputs, suggested_lr = build_network(own, size, inputs, encoder, features)
        lr = (suggested_lr or EncoderSettings.suggested_lr) if lr is None else lr
        self.optimizer_settings = OptimizerSettings(optimizer, lr, head_lr, layer_decay, weight_decay, warmup, schedule)
        check_group("optimizer", self.optimizer_settings)
        check_group("trainer", TrainerSettings(r_drop=r_drop, label_smoothing=label_smoothing, ema=ema), "")
        self.network = network
        self.tree = tree
        self.softmax = TreeSoftmax(tree, flat)
        self.r_drop = r_drop
        self.ema = ema
        self.shares = shares
        self.total_steps = total_steps
        by_level = weights_of_levels(tree, flat, level_weights or {})
        of_labels = None if label_weights is None else torch.as_tensor(label_weights, dtype=torch.float32)
        if of_labels is not None and of_labels.shape != (len(tree),):
            raise ConfigError(
                f"label_weights has shape {tuple(of_labels.shape)}; give one for each of {len(tree)} labels"
            )
        self.loss = PathLoss(self.softmax, by_level, of_labels, label_smoothing)
        self._make_metrics(tree, flat)
        self._loss_sum, self._loss_documents = torch.zeros(()), 0  # sums over the current epoch
        usual = NETWORKS.get(own.name)
        self.save_hyperparameters(
            {
                "model": own.name if usual and type(usual()) is type(own) else registered_name(own),
                **{name: value for name, value in asdict(own).items() if name not in NO_INFLUENCE},
                **inputs.as_dict(),
                "tree": tree.as_dict(),
                "flat": flat,
                "optimizer": optimizer,
                **{name: value for name, value in asdict(self.optimizer_settings).items() if name != "name"},
                "total_steps": total_steps,
                "level_weights": dict(zip(tree.levels, by_level, strict=True)),
                "label_weights": None if of_labels is None else of_labels.tolist(),
                "r_drop": r_drop,
                "label_smoothing": label_smoothing,
                "ema": ema,
            }
        )

    @property
    def hparams_initial(self) -> AttributeDict:
        """The hyperparameters that loggers receive, without the long ones."""
        known = super().hparams_initial.items()
        return AttributeDict({name: value for name, value in known if name not in _NOT_LOGGED})

    @classmethod
    def load_from_checkpoint(
        cls,
        checkpoint_path: Any,
        map_location: Any = None,
        hparams_file: Any = None,
        strict: bool | None = None,
        weights_only: bool | None = True,
        **kwargs: Any,
    ) -> Self:
        """Load a checkpoint; arguments as in Lightning, which would run code from an ``http`` address by default."""
        return super().load_from_checkpoint(checkpoint_path, map_location, hparams_file, strict, weights_only, **kwargs)

    def configure_callbacks(self) -> list[pl.Callback]:
        """Return the running average of the weights as a callback, during training only."""
        return [AveragedWeights(self.ema)] if self.ema and self.trainer.state.fn == TrainerFn.FITTING else []

    def setup(self, stage: str) -> None:
        """Check that the data module has the same labels and tokens as the model.

        Raises:
            ConfigError: If the labels or the tokens differ.
        """
        self._loss_sum, self._loss_documents = torch.zeros(()), 0  # checkpoints are loaded later
        data = self.trainer.datamodule  # type: ignore[attr-defined]  # None if loaders are passed directly
        if not isinstance(data, NodeBatches):
            return
        if data.view.tree != self.tree:
            raise ConfigError("the model's labels differ from the data module's; create the model with tree=data.tree")
        config, shape = self.hparams["encoder_config"], self.hparams["vector_shape"]
        own = shape[0] if shape else (config or {}).get("vocab_size")
        if own and data.num_ids and own != data.num_ids:
            raise ConfigError(
                f"the data module has {data.num_ids} distinct tokens, but the model has {own}; give both the same "
                "encoder, or pass features=data.vectors to the model"
            )

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Return logits ``(batch, num_outputs)``."""
        return self.network(input_ids, attention_mask)  # type: ignore[no-any-return]  # torch modules return Any

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        """Return the loss of a batch, averaged over its documents and weighted by ``weight`` if the batch has it.

        For a batch read in shares, the mean of the shares' results is the loss of the whole batch.
        """
        input_ids, attention_mask, target = batch["input_ids"], batch["attention_mask"], batch["target"]
        weight, whole, share = batch.get("weight"), batch.get("whole"), batch.get("share")
        if not self.r_drop:
            loss: Tensor = self.loss(self(input_ids, attention_mask), target, weight, whole, share)
            return loss * self.shares
        # Both passes as one batch of twice as many documents: dropout differs from row to row.
        logits = self(input_ids.repeat(2, 1), attention_mask.repeat(2, 1))  # (2 * batch, num_outputs)
        twice = None if whole is None else whole.repeat(2, 1, 1)
        weights, shares = None if weight is None else weight.repeat(2), None if share is None else share.repeat(2, 1)
        loss = self.loss(logits, target.repeat(2, 1, 1), weights, twice, shares)
        first, second = self.softmax.joint(logits)[:, self.tree.leaves].chunk(2)
        apart = disagreement(first, second, weight)
        if whole is not None:  # the mean over the shares is the mean over the whole batch's documents
            apart = apart * (len(target) / len(whole))
        return (loss + self.r_drop * apart) * self.shares

    def on_train_batch_end(self, outputs: Any, batch: dict[str, Tensor], batch_idx: int) -> None:
        """Add up the loss, so that Lightning logs one mean per epoch: its ``log`` took 0.3 ms at every step."""
        n_documents = len(batch.get("whole", batch["target"]))
        loss = outputs["loss"].float() * self.trainer.accumulate_grad_batches  # undoes Lightning's division
        self._loss_sum = self._loss_sum.to(loss.device) + loss * n_documents
        self._loss_documents += n_documents
        if self.trainer.is_last_batch:
            self._log_loss()

    def on_train_epoch_end(self) -> None:
        """Log the loss of an epoch that ``max_steps`` or ``max_time`` ended before its last batch."""
        if self._loss_documents:
            self._log_loss()

    def _log_loss(self) -> None:
        mean = self._loss_sum / self._loss_documents
        self.log("train/loss", mean, on_step=False, on_epoch=True, batch_size=1, sync_dist=self.trainer.world_size > 1)
        self._loss_sum, self._loss_documents = torch.zeros_like(self._loss_sum), 0

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Save the current epoch's loss of each rank with the checkpoint."""
        of_ranks = torch.atleast_1d(self.all_gather(self._loss_sum))  # (ranks,)
        checkpoint["loss"] = {"sums": of_ranks.cpu(), "documents": self._loss_documents}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the loss, unless the number of ranks has changed or the model is not being trained."""
        sums = checkpoint["loss"]["sums"]
        if self._trainer is not None and len(sums) == self._trainer.world_size:
            self._loss_sum, self._loss_documents = sums[self.global_rank], checkpoint["loss"]["documents"]

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        """Update the validation loss and accuracy over all documents of all ranks, however they are batched."""
        target = batch["target"]
        logits = self(batch["input_ids"], batch["attention_mask"])
        lent = "weight" in batch  # then the batch is a single placeholder, for a rank without documents
        divisors = torch.stack(self.loss.denominators(target))
        self.val_loss.update(torch.stack(self.loss.means(logits, target)), divisors * (not lent))
        self.val_accuracy.update(self.softmax.joint(logits), torch.full_like(target, NONE) if lent else target)

    def on_validation_epoch_end(self) -> None:
        """Log the loss and the accuracies; ``val/accuracy`` is the mean over the levels that have heads."""
        losses = zip(self.loss.level_weights, self.val_loss.compute().values(), strict=True)
        self.log("val/loss", torch.stack([weight * mean for weight, mean in losses if weight]).sum())
        self.val_loss.reset()
        by_level = self.val_accuracy.compute()
        own = list(by_level.values())[-1:] if self.softmax.flat else list(by_level.values())
        self.log("val/accuracy", torch.stack(own).mean())
        if len(by_level) > 1:
            self.log_dict({f"val/accuracy/{level}": value for level, value in by_level.items()})
        self.val_accuracy.reset()

    def test_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        """Update the metrics with a batch of test documents."""
        joint = self.softmax.joint(self(batch["input_ids"], batch["attention_mask"]))
        for metric in (self.test_accuracy, self.test_top_k, self.test_f1):
            metric.update(joint, batch["target"])

    def on_test_epoch_end(self) -> None:
        """Log the scores of each level and of the paths; labels not seen in training count as not found."""
        for name, metric in (("accuracy", self.test_accuracy), (f"top_{TOP_K}_accuracy", self.test_top_k)):
            self.log_dict({f"test/{name}/{level}": value for level, value in metric.compute().items()})
            metric.reset()
        self.log("test/hierarchical_f1", self.test_f1.compute())
        self.test_f1.reset()

    def predict_step(self, batch: dict[str, Tensor], batch_idx: int) -> dict[str, Tensor]:
        """Return the network's predictions for a batch.

        Returns:
            ``document`` ``(batch,)``, the documents' positions in the corpus; ``label`` ``(batch, n_levels)``, the
            predicted positions in the tree, -1 where there is none, see :meth:`TreeSoftmax.best`; ``log_prob``
            ``(batch, n_levels)``, their joint log-probabilities.
        """
        joint = self.softmax.joint(self(batch["input_ids"], batch["attention_mask"]))
        label = self.softmax.best(joint)
        log_prob = joint.gather(1, label.clamp(min=0)).masked_fill(label < 0, -torch.inf)
        return {"document": batch["document"], "label": label, "log_prob": log_prob}

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """Update the weights and free the gradients, which Lightning would keep until after the next forward pass."""
        super().optimizer_step(*args, **kwargs)
        self.zero_grad()

    def configure_gradient_clipping(
        self, optimizer: Optimizer, gradient_clip_val: float | None = None, gradient_clip_algorithm: str | None = None
    ) -> None:
        """Clip the gradients with :func:`clip_gradients` instead of Lightning's own clipping."""
        clip_gradients(self.network, gradient_clip_val, gradient_clip_algorithm)

    def configure_optimizers(self) -> Any:
        """Return the optimizer with its schedule, which advances after each batch."""
        settings = self.optimizer_settings
        # In fp16, Lightning removes the gradient scale before clipping only if the optimizer is not fused.
        optimizer = build_optimizer(self.network, settings, fused=not str(self.trainer.precision).startswith("16"))
        schedule = LambdaLR(optimizer, Schedule(settings, self._planned_steps()))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _planned_steps(self) -> int:
        steps = self.total_steps or self.trainer.estimated_stepping_batches
        if math.isinf(steps):
            raise ConfigError("the schedule needs an end of training; give the trainer max_epochs or max_steps")
        return int(steps)

    def _make_metrics(self, tree: LabelTree, flat: bool) -> None:
        self.val_accuracy = LevelAccuracy(tree, flat)
        self.val_loss = LevelMeans(tree)
        self.test_accuracy = LevelAccuracy(tree, flat)
        self.test_top_k = LevelAccuracy(tree, flat, TOP_K)
        self.test_f1 = HierarchicalF1(tree, flat)
