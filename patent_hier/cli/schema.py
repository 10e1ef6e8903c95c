"""Hand the settings dataclasses to Hydra, so that a misspelt key fails, inside a group file too."""

from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

import patent_hier
from patent_hier import settings as s
from patent_hier.errors import ConfigError

_SCHEMA = {
    ("schema", "settings"): s.Settings,
    ("schema", "pretrain"): s.PretrainSettings,
    ("schema/data", "csv"): s.DataSettings,
    ("schema/data", "demo"): s.DemoDataSettings,
    ("schema/encoder", "pretrained"): s.EncoderSettings,
    ("schema/encoder", "demo"): s.DemoEncoderSettings,
    ("schema", "features"): s.FeatureSettings,
    ("schema/model", "bertcnn"): s.BertCnnSettings,
    ("schema/model", "textcnn"): s.TextCnnSettings,
    ("schema/model", "rnn"): s.RnnSettings,
    ("schema/model", "linear"): s.LinearSettings,
    ("schema/model", "naive_bayes"): s.NaiveBayesSettings,
    ("schema/model", "knn"): s.NeighboursSettings,
}


def register() -> None:
    """Store every schema under the name that the group files use in their defaults list."""
    store = ConfigStore.instance()
    for (group, name), node in _SCHEMA.items():
        store.store(group=group, name=name, node=node)


def config_folder() -> str:
    """The absolute path of ``conf/``: inside an installed package, else beside it in a checkout."""
    package = Path(patent_hier.__file__).resolve().parent
    inside = package / "conf"
    return str(inside if inside.is_dir() else package.parent / "conf")


def to_settings(config: DictConfig) -> s.Settings:
    """Resolve interpolations and make checked dataclasses of a composed configuration.

    Raises:
        ConfigError: If a value is missing or out of range.
    """
    if OmegaConf.is_missing(config, "node"):
        raise ConfigError("level=node needs a node: node=root, a section node=A ... node=H, or node=flat")
    settings = _to_object(config)
    assert isinstance(settings, s.Settings)
    s.check(settings)
    return settings


def to_pretrain_settings(config: DictConfig) -> s.PretrainSettings:
    """The same for the configuration of ``patent-hier pretrain``."""
    settings = _to_object(config)
    assert isinstance(settings, s.PretrainSettings)
    settings.encoder = None  # chosen for run.py by the files of conf/data
    s.check_pretraining(settings)
    return settings


def _to_object(config: DictConfig) -> Any:
    try:
        return OmegaConf.to_object(config)
    except OmegaConfBaseException as error:
        raise ConfigError(f"{error.full_key or 'the configuration'}: {str(error.msg).splitlines()[0]}") from error
