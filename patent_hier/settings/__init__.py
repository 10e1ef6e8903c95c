"""Every setting of a run: one dataclass per group of ``conf/``; the schema that catches a misspelt option.

Standard library only, so that ``run.py --help`` stays instant. Values come from ``conf/``; the defaults here only make
the classes usable from Python. ``???`` is Hydra's mark for a value that must be given.
"""

from patent_hier.settings.checks import check
from patent_hier.settings.data import DataSettings, DemoDataSettings, SplitSettings
from patent_hier.settings.inputs import DemoEncoderSettings, EncoderSettings, FeatureSettings
from patent_hier.settings.models import (
    HEAD_SETTINGS,
    BertCnnSettings,
    LinearSettings,
    ModelSettings,
    NaiveBayesSettings,
    NeighboursSettings,
    RnnSettings,
    TermSettings,
    TextCnnSettings,
)
from patent_hier.settings.pretraining import PretrainSettings
from patent_hier.settings.pretraining_checks import check_pretraining
from patent_hier.settings.run import FLAT, HIER_NODES, ROOT, SHARED, WHOLE, LevelSettings, Settings, as_dict
from patent_hier.settings.training import BF16, FP32, OptimizerSettings, TrainerSettings, planned_epochs

__all__ = [
    "BF16",
    "FLAT",
    "FP32",
    "HEAD_SETTINGS",
    "HIER_NODES",
    "ROOT",
    "SHARED",
    "BertCnnSettings",
    "DataSettings",
    "DemoDataSettings",
    "DemoEncoderSettings",
    "EncoderSettings",
    "FeatureSettings",
    "LevelSettings",
    "LinearSettings",
    "ModelSettings",
    "NaiveBayesSettings",
    "NeighboursSettings",
    "OptimizerSettings",
    "PretrainSettings",
    "RnnSettings",
    "Settings",
    "SplitSettings",
    "TermSettings",
    "TextCnnSettings",
    "WHOLE",
    "TrainerSettings",
    "as_dict",
    "check",
    "check_pretraining",
    "planned_epochs",
]
