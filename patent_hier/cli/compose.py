"""Settings for commands that launch no Hydra job: the same groups and overrides as ``run.py``."""

import re
from collections.abc import Sequence

from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from patent_hier.cli import schema
from patent_hier.cli.overrides import readable, refuse_misuse
from patent_hier.errors import ConfigError
from patent_hier.settings import ROOT, PretrainSettings, Settings


def compose_settings(arguments: Sequence[str]) -> Settings:
    """Compose and check the settings of one configuration; its node is set to ``root`` as a placeholder.

    Args:
        arguments: Hydra overrides.

    Raises:
        ConfigError: If an option is unknown or out of range.
    """
    refuse_misuse(arguments)
    return schema.to_settings(_compose("config", [*arguments, f"node={ROOT}"]))


def compose_pretrain_settings(arguments: Sequence[str]) -> PretrainSettings:
    """Compose and check the settings of ``patent-hier pretrain``; see :func:`compose_settings`."""
    if chosen := next((word for word in arguments if re.match(r"[+~]*encoder\b", word)), None):
        raise ConfigError(f"{chosen}: pre-training makes an encoder; start=FOLDER names one to train further")
    return schema.to_pretrain_settings(_compose("pretrain", arguments))


def _compose(name: str, arguments: Sequence[str]) -> DictConfig:
    for word in arguments:
        if word.startswith("-"):
            raise ConfigError(f"unknown option {word}; this command takes overrides such as data=demo, see --help")
    schema.register()
    with initialize_config_dir(version_base="1.3", config_dir=schema.config_folder()):
        return compose(name, overrides=readable(arguments))
