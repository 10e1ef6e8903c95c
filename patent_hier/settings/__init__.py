"""All settings of a run: one dataclass for each group of ``conf/``, the schema that rejects misspelt options.

Standard library only, so that ``run.py --help`` starts instantly. The defaults here also apply on the command line:
a file of ``conf/`` holds only what it changes.
"""

from patent_hier.settings.checks import check as check
from patent_hier.settings.checks import check_pretraining as check_pretraining
from patent_hier.settings.data import DataSettings as DataSettings
from patent_hier.settings.data import DemoDataSettings as DemoDataSettings
from patent_hier.settings.data import SplitSettings as SplitSettings
from patent_hier.settings.distillation import DistillSettings as DistillSettings
from patent_hier.settings.inputs import DemoEncoderSettings as DemoEncoderSettings
from patent_hier.settings.inputs import EncoderSettings as EncoderSettings
from patent_hier.settings.inputs import FeatureSettings as FeatureSettings
from patent_hier.settings.inputs import small_encoder as small_encoder
from patent_hier.settings.inputs import small_half_frozen_encoder as small_half_frozen_encoder
from patent_hier.settings.learning import LearnSettings as LearnSettings
from patent_hier.settings.models import HEAD_SETTINGS as HEAD_SETTINGS
from patent_hier.settings.models import BertCnnSettings as BertCnnSettings
from patent_hier.settings.models import LinearSettings as LinearSettings
from patent_hier.settings.models import ModelSettings as ModelSettings
from patent_hier.settings.models import NaiveBayesSettings as NaiveBayesSettings
from patent_hier.settings.models import NeighboursSettings as NeighboursSettings
from patent_hier.settings.models import NgramSettings as NgramSettings
from patent_hier.settings.models import RnnSettings as RnnSettings
from patent_hier.settings.models import TextCnnSettings as TextCnnSettings
from patent_hier.settings.pretraining import PretrainSettings as PretrainSettings
from patent_hier.settings.run import FLAT as FLAT
from patent_hier.settings.run import HIER_NODES as HIER_NODES
from patent_hier.settings.run import ROOT as ROOT
from patent_hier.settings.run import SHARED as SHARED
from patent_hier.settings.run import WHOLE as WHOLE
from patent_hier.settings.run import LevelSettings as LevelSettings
from patent_hier.settings.run import Settings as Settings
from patent_hier.settings.run import as_dict as as_dict
from patent_hier.settings.training import BEST as BEST
from patent_hier.settings.training import BF16 as BF16
from patent_hier.settings.training import FP32 as FP32
from patent_hier.settings.training import LAST as LAST
from patent_hier.settings.training import OptimizerSettings as OptimizerSettings
from patent_hier.settings.training import TrainerSettings as TrainerSettings
from patent_hier.settings.training import filled as filled
from patent_hier.settings.training import planned_epochs as planned_epochs
