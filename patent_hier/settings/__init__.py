"""Every setting of a run: one dataclass per group of ``conf/``; the schema that catches a misspelt option.

Standard library only, so that ``run.py --help`` stays instant. The defaults here are those of the command line too:
a file of ``conf/`` holds only what it changes.
"""

from patent_hier.settings.checks import check
from patent_hier.settings.data import DataSettings, DemoDataSettings, SplitSettings
from patent_hier.settings.inputs import DemoEncoderSettings, EncoderSettings, FeatureSettings, small_encoder
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
from patent_hier.settings.training import BF16, FP32, OptimizerSettings, TrainerSettings, filled, planned_epochs

__all__ = [
    "BF16",
    "FLAT",
    "FP32",
    "HEAD_SETTINGS",
    "HIER_NODES",
    "ROOT",
    "SHARED",
    "WHOLE",
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
    "TrainerSettings",
    "as_dict",
    "check",
    "check_pretraining",
    "filled",
    "planned_epochs",
    "small_encoder",
]
