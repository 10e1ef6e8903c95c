"""Settings for commands that launch no Hydra job: the same groups and overrides as ``run.py``."""

import re
from collections.abc import Sequence

from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, open_dict

from patent_hier.cli import schema
from patent_hier.cli.observers import ConfiguredObservers, configured_observers
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
    return compose_training(arguments)[0]


def compose_training(arguments: Sequence[str]) -> tuple[Settings, ConfiguredObservers]:
    """The same for a command that trains, with the loggers and callbacks of its configuration."""
    refuse_misuse(arguments)
    config, runtime = _compose("config", [*arguments, f"node={ROOT}"])
    return schema.to_settings(config), configured_observers(config, runtime)


def compose_pretrain_settings(arguments: Sequence[str]) -> PretrainSettings:
    """Compose and check the settings of ``patent-hier pretrain``; see :func:`compose_settings`."""
    if chosen := next((word for word in arguments if re.match(r"[+~]*encoder\b", word)), None):
        raise ConfigError(f"{chosen}: pre-training makes an encoder; start=FOLDER names one to train further")
    return schema.to_pretrain_settings(_compose("pretrain", arguments)[0])


def _compose(name: str, arguments: Sequence[str]) -> tuple[DictConfig, DictConfig]:
    """A configuration, and what Hydra knows of its origin."""
    for word in arguments:
        if word.startswith("-"):
            raise ConfigError(f"unknown option {word}; this command takes overrides such as data=demo, see --help")
    schema.register()
    with initialize_config_dir(version_base="1.3", config_dir=schema.config_folder()):
        config = compose(name, overrides=readable(arguments), return_hydra_config=True)
    runtime = config.hydra.runtime
    with open_dict(config):
        del config["hydra"]
    return config, runtime
