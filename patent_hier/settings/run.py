"""One node's run, whole; the nodes."""

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from patent_hier.ipc import SECTIONS
from patent_hier.settings.data import MISSING, SplitSettings
from patent_hier.settings.inputs import FeatureSettings
from patent_hier.settings.training import OptimizerSettings, TrainerSettings

ROOT = "root"
FLAT = "flat"
SHARED = "shared"
WHOLE = (FLAT, SHARED)  # nodes that decide everything by themselves
HIER_NODES = (ROOT, *SECTIONS)


@dataclass
class LevelSettings:
    """Which nodes a command trains.

    Attributes:
        name: ``section``, ``class``, ``hier``, ``node``, ``flat`` or ``shared``.
    """

    name: str = MISSING


@dataclass
class Settings:
    """One node's run, whole.

    Attributes:
        data: A :class:`patent_hier.settings.DataSettings`.
        encoder: A :class:`patent_hier.settings.EncoderSettings`; read by models on word pieces only.
        model: A :class:`patent_hier.settings.ModelSettings`.
        node: ``root`` decides the section, a label everything below it, ``flat`` the deepest level at once, ``shared``
            every level by one network.
        seed: Seed of initial weights, batches and dropout.
        runs_dir: Folder of results.
        cache_dir: Folder of what can be made again: corpora, splits, token ids, word vectors.
    """

    data: Any = MISSING
    split: SplitSettings = field(default_factory=SplitSettings)
    encoder: Any = MISSING
    features: FeatureSettings = field(default_factory=FeatureSettings)
    model: Any = MISSING
    level: LevelSettings = field(default_factory=LevelSettings)
    optimizer: OptimizerSettings = field(default_factory=OptimizerSettings)
    trainer: TrainerSettings = field(default_factory=TrainerSettings)
    node: str = MISSING
    seed: int = 1
    runs_dir: str = "runs"
    cache_dir: str = "cache"


def as_dict(settings: Any) -> dict[str, Any]:
    """Nested plain dictionaries of a settings dataclass, ready for JSON or YAML."""
    return dataclasses.asdict(settings)
