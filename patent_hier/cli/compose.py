"""Settings for commands that launch no Hydra job: the same groups and overrides as ``run.py``."""

from collections.abc import Sequence

from hydra import compose, initialize_config_dir

from patent_hier.cli import schema
from patent_hier.cli.overrides import readable, refuse_misuse
from patent_hier.errors import ConfigError
from patent_hier.settings import ROOT, Settings


def compose_settings(arguments: Sequence[str]) -> Settings:
    """Compose and check the settings of one configuration; its node is set to ``root`` as a placeholder.

    Args:
        arguments: Hydra overrides.

    Raises:
        ConfigError: If an option is unknown or out of range.
    """
    for word in arguments:
        if word.startswith("-"):
            raise ConfigError(
                f"unknown option {word}; this command takes overrides such as data=demo, see run.py --help"
            )
    refuse_misuse(arguments)
    schema.register()
    with initialize_config_dir(version_base="1.3", config_dir=schema.config_folder()):
        config = compose("config", overrides=[*readable(arguments), f"node={ROOT}"])
    return schema.to_settings(config)
