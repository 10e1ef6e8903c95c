"""Composition of settings without a Hydra job, for commands that launch none and for the help of ``run``."""

import re
from collections.abc import Sequence
from pathlib import Path

from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf, open_dict

from patent_hier.cli import schema
from patent_hier.cli.composing import composed_once
from patent_hier.cli.observers import ConfiguredObservers, configured_observers
from patent_hier.cli.overrides import readable, refuse_misuse
from patent_hier.errors import ConfigError
from patent_hier.settings import ROOT, PretrainSettings, Settings

_HELP = """Train and evaluate hierarchical classifiers of Chinese patents.

usage: patent-hier run [-m] [group=choice ...] [group.key=value ...]
       python run.py   [-m] [group=choice ...] [group.key=value ...]

  patent-hier run model=bertcnn level=hier                     the paper's nine models on the demo corpus
  patent-hier run level=hier data=cnipa data.path=FILE.csv encoder=bert_base_chinese experiment=paper
  patent-hier run -m level=node node=D model.num_last_layers=1,2,3,4,5,6

A group=choice selects a file of conf/, a group.key=value changes one setting, and -m runs every combination of
comma-separated values. Levels: section (L1), class (the eight L2 models), hier (both, then the aggregated result;
default), node (one node: node=root or a label such as A or A01), flat (all classes at once), shared (one network for
all levels). Finished nodes are skipped; delete a node's folder to train it again.

--cfg job prints the configuration without running it. PATENT_HIER_DEBUG=1 shows the traceback of an error.
Every setting is described in patent_hier/settings/.

Groups and choices
{groups}

Settings, with your overrides applied
{settings}"""


def compose_settings(arguments: Sequence[str]) -> Settings:
    """Compose and check the settings of one configuration; its node is set to ``root`` as a placeholder.

    Args:
        arguments: Hydra overrides.

    Raises:
        ConfigError: If an option is unknown or out of range.
    """
    return compose_training(arguments)[0]


def compose_training(arguments: Sequence[str]) -> tuple[Settings, ConfiguredObservers]:
    """Compose and check the settings of a command that trains, with its loggers and callbacks.

    Raises:
        ConfigError: If an option is unknown or out of range.
    """
    refuse_misuse(arguments)
    config, runtime = _compose("config", [*arguments, *([] if "level=node" in arguments else [f"node={ROOT}"])])
    return schema.to_settings(config), configured_observers(config, runtime)


def compose_pretrain_settings(arguments: Sequence[str]) -> PretrainSettings:
    """Compose and check the settings of ``patent-hier pretrain``; see :func:`compose_settings`."""
    if chosen := next((word for word in arguments if re.match(r"[+~]*encoder\b", word)), None):
        raise ConfigError(
            f"{chosen}: pre-training creates an encoder; to train an existing one further, use start=FOLDER"
        )
    return schema.to_pretrain_settings(_compose("pretrain", arguments)[0])


def _compose(name: str, arguments: Sequence[str]) -> tuple[DictConfig, DictConfig]:
    """Return a configuration and Hydra's record of its origin."""
    for word in arguments:
        if word.startswith("-"):
            raise ConfigError(f"unknown option {word}; this command takes overrides such as data=demo (see --help)")
    schema.register()
    with composed_once(), initialize_config_dir(version_base="1.3", config_dir=schema.config_folder()):
        config = compose(name, overrides=readable(arguments), return_hydra_config=True)
    runtime = config.hydra.runtime
    with open_dict(config):
        del config["hydra"]
    return config, runtime


def help_text(overrides: Sequence[str]) -> str:
    """Return the text of ``run.py --help``; Hydra's own help takes half a second.

    Args:
        overrides: Overrides given with ``--help``; they are applied to the settings shown.

    Raises:
        HydraException: If an override is unknown.
    """
    folder = schema.config_folder()
    with initialize_config_dir(version_base="1.3", config_dir=folder):
        config = compose("config", overrides=list(overrides))
    groups = (f"{group}: {', '.join(choices)}" for group, choices in group_choices(Path(folder)).items())
    return _HELP.format(groups="\n".join(groups), settings=OmegaConf.to_yaml(config).rstrip())


def group_choices(folder: Path) -> dict[str, list[str]]:
    """Return every group of a configuration folder with its choices, both sorted."""
    groups = sorted(path for path in (*folder.iterdir(), folder / "hydra" / "launcher") if any(path.glob("*.yaml")))
    return {
        group.relative_to(folder).as_posix(): sorted(file.stem for file in group.glob("*.yaml")) for group in groups
    }
