"""Hand the settings dataclasses to Hydra: they have the defaults, and a misspelt key fails, inside a file too."""

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
    """Where loggers write, for the files of ``conf/logger``; the name is set for each node."""

    dir: str = "${runs_dir}/logs"
    name: str = "MODEL/NODE-FINGERPRINT"


@dataclass
class _Run(s.Settings):
    """Settings whose kinds of data, encoder and model are chosen by groups, and whose node by the level.

    Loggers and callbacks stand beside them: they are no settings, for no result depends on them.
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
    """Once in a process, store every schema under the name that the group files use in their defaults list."""
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
        raise ConfigError(
            "level=node needs a node: node=root, flat or shared, or a label such as node=A, node=A01 or node=A01B"
        )
    found = _to_object(config)
    settings = s.Settings(**{own.name: getattr(found, own.name) for own in fields(s.Settings)})
    s.check(settings)
    return settings


def to_pretrain_settings(config: DictConfig) -> s.PretrainSettings:
    """The same for the configuration of ``patent-hier pretrain``."""
    settings = s.PretrainSettings(**{**vars(_to_object(config)), "encoder": None})  # conf/data chooses one for run.py
    s.check_pretraining(settings)
    return settings


def _to_object(config: DictConfig) -> Any:
    _refuse_unknown(config)
    try:
        return OmegaConf.to_object(config)
    except OmegaConfBaseException as error:
        raise ConfigError(f"{error.full_key or 'the configuration'}: {str(error.msg).splitlines()[0]}") from error


def _refuse_unknown(config: DictConfig, group: str = "") -> None:
    """Refuse keys that ``+key=value`` adds where a schema has none; Hydra itself lets them pass."""
    kind = OmegaConf.get_type(config)
    if not is_dataclass(kind):
        return
    known = [own.name for own in fields(kind)]
    for key in map(str, config):
        if key not in known:
            raise ConfigError(unknown_setting(group + key, known))
        if not OmegaConf.is_missing(config, key) and isinstance(config[key], DictConfig):
            _refuse_unknown(config[key], f"{group}{key}.")
