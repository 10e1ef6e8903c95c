"""All settings of one node's run, and the names of the nodes."""

import dataclasses
from dataclasses import dataclass, field, replace
from typing import Any

from patent_hier.settings.data import DemoDataSettings, SplitSettings
from patent_hier.settings.distillation import DistillSettings
from patent_hier.settings.inputs import FeatureSettings, small_encoder, small_half_frozen_encoder, with_pooling
from patent_hier.settings.learning import LearnSettings
from patent_hier.settings.models import BertCnnSettings
from patent_hier.settings.training import OptimizerSettings, TrainerSettings
from patent_hier.taxonomy.symbols import SECTIONS

ROOT = "root"
FLAT = "flat"
SHARED = "shared"
WHOLE = (FLAT, SHARED)  # nodes that need no other node for a full answer
HIER_NODES = (ROOT, *SECTIONS)


@dataclass
class LevelSettings:
    """Which nodes a command trains.

    Attributes:
        name: ``section``, ``class``, ``hier``, ``node``, ``flat`` or ``shared``.
    """

    name: str = "node"


@dataclass
class Settings:
    """All settings of one node's run; by default, the paper's section classifier on the demo corpus.

    Settings that are ``None`` because they depend on another one (the encoder, ``optimizer.lr``,
    ``trainer.batch_size``, ``trainer.max_epochs``, ``trainer.min_steps``, ``model.pooling``) are filled in when an
    instance is created.

    Attributes:
        data: A :class:`patent_hier.settings.DataSettings`.
        encoder: A :class:`patent_hier.settings.EncoderSettings`; read by models on word pieces only. ``None``: the
            encoder included in the package, half of it frozen for the demo corpus.
        model: A :class:`patent_hier.settings.ModelSettings`.
        node: ``root`` classifies the section, a label everything below it, ``flat`` the deepest level directly,
            ``shared`` every level with one network.
        seed: Seed of initial weights, batches and dropout.
        runs_dir: Folder of results.
        cache_dir: Folder of files that can be rebuilt: corpora, splits, token ids, word vectors.
    """

    data: Any = field(default_factory=DemoDataSettings)
    split: SplitSettings = field(default_factory=SplitSettings)
    encoder: Any = None
    features: FeatureSettings = field(default_factory=FeatureSettings)
    model: Any = field(default_factory=BertCnnSettings)
    level: LevelSettings = field(default_factory=LevelSettings)
    optimizer: OptimizerSettings = field(default_factory=OptimizerSettings)
    trainer: TrainerSettings = field(default_factory=TrainerSettings)
    distill: DistillSettings = field(default_factory=DistillSettings)
    learn: LearnSettings = field(default_factory=LearnSettings)
    node: str = ROOT
    seed: int = 1
    runs_dir: str = "runs"
    cache_dir: str = "cache"

    def __post_init__(self) -> None:
        if self.encoder is None:
            is_demo = isinstance(self.data, DemoDataSettings)
            self.encoder = small_half_frozen_encoder() if is_demo else small_encoder()
        self.model = with_pooling(self.model, self.encoder)
        model, trainer = self.model, self.trainer
        if self.optimizer.lr is None:
            self.optimizer = self._suited_optimizer()
        if trainer.batch_size is None:
            trainer = replace(trainer, batch_size=model.suggested_batch_size)
        if trainer.max_epochs is None:
            # The level counts too: commands compose the settings of a level once, with a placeholder for its nodes.
            is_whole = self.node in WHOLE or self.level.name in WHOLE
            epochs = model.suggested_whole_epochs if is_whole else model.suggested_max_epochs
            trainer = replace(trainer, max_epochs=epochs)
        if trainer.min_steps is None:
            own = self.encoder.suggested_min_steps if model.suggested_min_steps is None else model.suggested_min_steps
            trainer = replace(trainer, min_steps=own)
        self.trainer = trainer

    def _suited_optimizer(self) -> OptimizerSettings:
        """Return the learning rates that suit the model, or its encoder and the layers above it."""
        own, encoder, lr = self.optimizer, self.encoder, self.model.suggested_lr
        if lr is not None:
            return replace(own, lr=lr)
        head_lr = encoder.suggested_head_lr if own.head_lr is None else own.head_lr
        return replace(own, lr=encoder.suggested_lr, head_lr=head_lr)


def as_dict(settings: Any) -> dict[str, Any]:
    """Return a settings dataclass as nested plain dictionaries, ready for JSON or YAML."""
    return dataclasses.asdict(settings)
