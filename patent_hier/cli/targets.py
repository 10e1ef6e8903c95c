"""Before Hydra carries out a configuration: it may name nothing to call but what belongs to this program.

Hydra makes every callback, launcher, sweeper and log handler that a configuration names by its path in Python: any
function of any module, whether the name stands in a word of the command line or in a file. Its own list of what is too
dangerous is a list of exceptions, and by its maintainers' word no security boundary (hydra-ecosystem/hydra, issue
3259); here is a list of permissions.
"""

import contextlib
import os
import re
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import InterpolationToMissingValueError, MissingMandatoryValue

from patent_hier.errors import ConfigError

_TARGETS = {
    "hydra._internal.core_plugins.basic_launcher.BasicLauncher",
    "hydra._internal.core_plugins.basic_sweeper.BasicSweeper",
    "hydra_plugins.hydra_joblib_launcher.joblib_launcher.JoblibLauncher",
    "hydra_plugins.hydra_submitit_launcher.submitit_launcher.LocalLauncher",
    "hydra_plugins.hydra_submitit_launcher.submitit_launcher.SlurmLauncher",
    "patent_hier.cli.jobs.RememberJobFolder",
}
_HANDLERS = {"logging.FileHandler", "logging.NullHandler", "logging.StreamHandler"}
_STREAMS = {"ext://sys.stdout", "ext://sys.stderr"}
_MADE = ("callbacks", "launcher", "sweeper", "job_logging", "hydra_logging")  # what Hydra makes objects of
_OTHER_FILES = re.compile(r"--config|-c[dpn]")  # --config-dir, --config-path, --config-name


def refuse_other_files(arguments: Sequence[str]) -> None:
    """Refuse options that let settings come from other files than those of ``conf/``.

    Raises:
        ConfigError: Naming the option.
    """
    if word := next((word for word in arguments if _OTHER_FILES.match(word)), None):
        raise ConfigError(f"{word}: settings come from conf/ and the command line only; put the file into conf/")


@contextlib.contextmanager
def known_targets_only() -> Iterator[None]:
    """Check every configuration that Hydra composes meanwhile, before it makes anything of it."""
    load = ConfigLoaderImpl.load_configuration

    def checked(*arguments: Any, **options: Any) -> DictConfig:
        config = load(*arguments, **options)
        refuse_targets(config)
        return config

    # Hydra has no hook between composing and making: its callbacks are made before any of them is asked.
    ConfigLoaderImpl.load_configuration = checked  # type: ignore[method-assign]
    try:
        yield
    finally:
        ConfigLoaderImpl.load_configuration = load  # type: ignore[method-assign]


def refuse_targets(config: DictConfig) -> None:
    """Refuse a composed configuration that names something else to call, or whose files lie elsewhere.

    Args:
        config: With Hydra's own node.

    Raises:
        ConfigError: Naming the first setting of that kind.
    """
    hydra = config.hydra
    if hydra.searchpath:
        raise ConfigError("hydra.searchpath: settings come from conf/ and the command line only")
    for group, choice in hydra.runtime.choices.items():
        if choice is not None and (".." in Path(str(choice)).parts or Path(str(choice)).is_absolute()):
            raise ConfigError(f"{group}={choice} leads out of conf/; choose one of its files, see --help")
    _refuse("", OmegaConf.to_container(config, resolve=False))
    for name in _MADE:  # once more with what interpolations give
        _refuse(f"hydra.{name}", _resolved(hydra.get(name)))
    launcher = str(hydra.launcher.get("_target_", ""))
    if "submitit" in launcher:
        refuse_shared(Path(str(hydra.sweep.dir)))


def refuse_shared(folder: Path) -> None:
    """Refuse a job folder in which another user could change what submitit pickles there and loads again.

    Args:
        folder: It need not exist yet.

    Raises:
        ConfigError: If everybody may write it or a folder above it, or another user made the folder of all jobs.
    """
    folder = folder.resolve()
    for place in (folder, *folder.parents):
        if place.exists() and place.stat().st_mode & (stat.S_IWOTH | stat.S_ISVTX) == stat.S_IWOTH:
            raise ConfigError(
                f"everybody may write {place}, and submitit loads pickled jobs from below it: chmod o-w it, or choose "
                "another runs_dir"
            )
    jobs = folder.parent
    if jobs.exists() and jobs.stat().st_uid not in (0, os.geteuid()):
        raise ConfigError(
            f"{jobs} belongs to another user, and submitit would load pickled jobs from it; choose your own runs_dir"
        )


def _resolved(node: Any) -> Any:
    """Plain values, each interpolation followed; one that leads to a missing value can be followed by nobody."""
    if isinstance(node, DictConfig):
        values = {}
        for key in node:
            with contextlib.suppress(InterpolationToMissingValueError, MissingMandatoryValue):
                values[str(key)] = _resolved(node[key])
        return values
    return OmegaConf.to_container(node, resolve=True) if isinstance(node, ListConfig) else node


def _refuse(key: str, value: Any) -> None:
    """Walk through nested settings."""
    if isinstance(value, dict):
        for name, inner in value.items():
            inside = f"{key}.{name}".lstrip(".")
            logs = "_logging" in inside
            foreign = (name == "_target_" and inner not in _TARGETS) or (logs and name == "()")
            if foreign or (logs and name == "class" and inner not in _HANDLERS):
                raise ConfigError(f"{inside}={inner}: settings may not name code to run; take it out")
            _refuse(inside, inner)
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            _refuse(f"{key}[{number}]", inner)
    elif isinstance(value, str) and value.startswith("ext://") and value not in _STREAMS:
        raise ConfigError(f"{key}={value}: settings may not name code to run; take it out")
