"""The settings dataclasses as Hydra's schema: they set the defaults and reject misspelt keys, also in files."""

from dataclasses import dataclass, field, fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

import patent_hier
from patent_hier import settings as s
from patent_hier.cli.messages import unknown_setting
from patent_hier.errors import ConfigError


@dataclass
class _Log:
    """Log folder and name, for the files of ``conf/logger``; the name is set for each node."""

    dir: str = "${runs_dir}/logs"
    name: str = "MODEL/NODE-FINGERPRINT"


@dataclass
class _Run(s.Settings):
    """The settings of a run, with data, encoder and model chosen by groups, and the node by the level.

    Loggers and callbacks are separate from the settings, because no result depends on them.
    """

    data: Any = MISSING
    encoder: Any = MISSING
    model: Any = MISSING
    node: str = MISSING
    logger: dict[str, Any] = field(default_factory=dict)
    callbacks: dict[str, Any] = field(default_factory=dict)
    log: _Log = field(default_factory=_Log)


@dataclass
class _Pretraining(s.PretrainSettings):
    data: Any = MISSING
    encoder: Any = MISSING


_SCHEMA: dict[tuple[str, str], Any] = {
    ("schema", "settings"): _Run,
    ("schema", "pretrain"): _Pretraining,
    ("schema/data", "csv"): s.DataSettings,
    ("schema/data", "demo"): s.DemoDataSettings,
    ("schema/encoder", "pretrained"): s.EncoderSettings,
    ("schema/encoder", "small"): s.small_encoder(),
    ("schema/encoder", "small_half_frozen"): s.small_half_frozen_encoder(),
    ("schema/encoder", "demo"): s.DemoEncoderSettings,
    ("schema/model", "bertcnn"): s.BertCnnSettings,
    ("schema/model", "textcnn"): s.TextCnnSettings,
    ("schema/model", "rnn"): s.RnnSettings,
    ("schema/model", "linear"): s.LinearSettings,
    ("schema/model", "naive_bayes"): s.NaiveBayesSettings,
    ("schema/model", "knn"): s.NeighboursSettings,
}


@cache
def register() -> None:
    """Register every schema, once per process, under the name that the group files use in their defaults list."""
    store = ConfigStore.instance()
    for (group, name), node in _SCHEMA.items():
        store.store(group=group, name=name, node=node)


def config_folder() -> str:
    """Return the absolute path of ``conf/``: inside an installed package, next to the package in a checkout."""
    package = Path(patent_hier.__file__).resolve().parent
    inside = package / "conf"
    return str(inside if inside.is_dir() else package.parent / "conf")


def to_settings(config: DictConfig) -> s.Settings:
    """Resolve the interpolations of a composed configuration and return it as checked dataclasses.

    Raises:
        ConfigError: If a value is missing or out of range.
    """
    if OmegaConf.is_missing(config, "node"):
        raise ConfigError(
            "level=node needs a node; set node=root, flat or shared, or a label such as node=A, node=A01 or node=A01B"
        )
    found = _to_object(config)
    settings = s.Settings(**{own.name: getattr(found, own.name) for own in fields(s.Settings)})
    s.check(settings)
    return settings


def to_pretrain_settings(config: DictConfig) -> s.PretrainSettings:
    """Return the checked settings of a composed configuration of ``patent-hier pretrain``."""
    settings = s.PretrainSettings(
        **{**vars(_to_object(config)), "encoder": None}
    )  # conf/data chooses one for classifiers
    s.check_pretraining(settings)
    return settings


def _to_object(config: DictConfig) -> Any:
    _refuse_unknown(config)
    try:
        return OmegaConf.to_object(config)
    except OmegaConfBaseException as error:
        raise ConfigError(f"{error.full_key or 'the configuration'}: {str(error.msg).splitlines()[0]}") from error


def _refuse_unknown(config: DictConfig, group: str = "") -> None:
    """Refuse keys that ``+key=value`` adds and the schema lacks; Hydra itself accepts them."""
    kind = OmegaConf.get_type(config)
    if not is_dataclass(kind):
        return
    known = [own.name for own in fields(kind)]
    for key in map(str, config):
        if key not in known:
            raise ConfigError(unknown_setting(group + key, known))
        if not OmegaConf.is_missing(config, key) and isinstance(config[key], DictConfig):
            _refuse_unknown(config[key], f"{group}{key}.")
