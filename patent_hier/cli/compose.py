"""Settings without a Hydra job: for commands that launch none, by the same words as ``run.py``, and for its help."""

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

_HELP = """Hierarchical classification of Chinese patents into the IPC.

usage: python run.py [-m] [group=choice ...] [group.key=value ...]

  python run.py model=bertcnn level=hier                       the paper's nine models on the demo corpus
  python run.py level=hier data=cnipa data.path=FILE.csv encoder=bert_base_chinese experiment=paper
  python run.py -m level=node node=D model.num_last_layers=1,2,3,4,5,6

Levels: section (L1), class (the eight L2), hier (both, then the aggregated result), node (one, with node=root or a
label such as A or A01), flat (all classes at once), shared (one network for every level). Finished nodes are skipped;
delete their folder to train again.
Show a configuration without running it: --cfg job. Traceback of an error: PATENT_HIER_DEBUG=1.

Groups and choices
{groups}

Settings as they stand
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
    """The same for a command that trains, with the loggers and callbacks of its configuration; level=node has its own.

    Raises:
        ConfigError: Likewise.
    """
    refuse_misuse(arguments)
    config, runtime = _compose("config", [*arguments, *([] if "level=node" in arguments else [f"node={ROOT}"])])
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
    with composed_once(), initialize_config_dir(version_base="1.3", config_dir=schema.config_folder()):
        config = compose(name, overrides=readable(arguments), return_hydra_config=True)
    runtime = config.hydra.runtime
    with open_dict(config):
        del config["hydra"]
    return config, runtime


def help_text(overrides: Sequence[str]) -> str:
    """Return the text of ``run.py --help``; Hydra's own takes half a second, for it copies all once for each group.

    Args:
        overrides: Overrides beside ``--help``; the settings are shown as they change them.

    Raises:
        HydraException: If an override is unknown.
    """
    folder = schema.config_folder()
    with initialize_config_dir(version_base="1.3", config_dir=folder):
        config = compose("config", overrides=list(overrides))
    groups = (f"{group}: {', '.join(choices)}" for group, choices in group_choices(Path(folder)).items())
    return _HELP.format(groups="\n".join(groups), settings=OmegaConf.to_yaml(config).rstrip())


def group_choices(folder: Path) -> dict[str, list[str]]:
    """Every group of a configuration folder with its choices, both sorted."""
    groups = sorted(path for path in (*folder.iterdir(), folder / "hydra" / "launcher") if any(path.glob("*.yaml")))
    return {
        group.relative_to(folder).as_posix(): sorted(file.stem for file in group.glob("*.yaml")) for group in groups
    }
