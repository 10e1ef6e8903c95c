"""Lightning loggers and callbacks from the groups ``logger`` and ``callbacks``, created where a node is trained.

A file of these groups names a class by ``_target_`` and its arguments. Allowed are Lightning's loggers and callbacks,
this package, and modules in the user's own ``--config-dir``.
"""

import importlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.machinery import PathFinder
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from patent_hier.errors import ConfigError, MissingExtraError

if TYPE_CHECKING:
    from patent_hier.training.observers import Observers

GROUPS = ("logger", "callbacks")
_PACKAGES = ("pytorch_lightning.loggers", "pytorch_lightning.callbacks", "patent_hier")
_EXTRAS = ("tensorboard", "wandb", "mlflow")  # packages with an extra and a file of conf/logger of the same name


@dataclass(frozen=True)
class ConfiguredObservers:
    """A factory for the loggers and callbacks of a composed configuration; its plain values can be pickled.

    Args:
        config: The configuration of a job, with unresolved interpolations; ``log`` is set for each node.
        folders: The user's own folders, which may contain modules that ``_target_`` names.
    """

    config: dict[str, Any]
    folders: tuple[str, ...]

    def __post_init__(self) -> None:
        if missing := [name for name in self.config["logger"] if name in _EXTRAS and find_spec(name) is None]:
            raise MissingExtraError(f"logger={missing[0]}", missing[0])
        for group in GROUPS:
            for key, target in _targets(group, self.config[group]):
                self._packages(key, target)

    def __call__(self, folder: Path, name: str) -> "Observers":
        """Return the loggers and callbacks of one run.

        Args:
            folder: Folder of all logs.
            name: Name of this run's log.

        Raises:
            ConfigError: If one cannot be created.
        """
        from pytorch_lightning.callbacks import Callback
        from pytorch_lightning.loggers import Logger

        from patent_hier.training.observers import Observers

        config = OmegaConf.create({**self.config, "log": {"dir": str(folder), "name": name}})
        loggers, callbacks = (
            [self._make(f"{group}.{key}", node, kind) for key, node in config[group].items() if node is not None]
            for group, kind in (("logger", Logger), ("callbacks", Callback))
        )
        return Observers(loggers, callbacks, folder / name)

    def _make(self, key: str, node: Any, kind: type[Any]) -> Any:
        from hydra.utils import instantiate

        plain = OmegaConf.to_container(node, resolve=True)
        for place, target in _targets(key, plain):
            self._refuse_foreign(place, target)
        try:
            made = instantiate(plain)
        except Exception as error:  # any error of a third-party constructor
            cause = error.__cause__ or error
            raise ConfigError(f"{key} cannot be created: {' '.join(str(cause).split())}") from error
        if not isinstance(made, kind):
            raise ConfigError(f"{key}._target_ is not a {kind.__name__} of Lightning; see conf/{key.partition('.')[0]}")
        return made

    def _refuse_foreign(self, key: str, target: str) -> None:
        """Refuse a target that only seems to belong to a package, such as a name imported by its modules."""
        packages = self._packages(key, target)
        module, _, name = target.rpartition(".")
        sys.path.extend(folder for folder in self.folders if folder not in sys.path)
        try:
            home = str(getattr(importlib.import_module(module), name).__module__)
        except (ImportError, AttributeError) as error:
            raise ConfigError(f"{key}={target} cannot be found: {error}") from error
        if not _belongs(home, packages):
            raise ConfigError(f"{key}={target} is defined in {home}; choose from {', '.join(packages)}")

    def _packages(self, key: str, target: str) -> tuple[str, ...]:
        """Return the packages to which a target may belong, including its own module in the user's folders."""
        top = target.partition(".")[0]
        own = (top,) if self.folders and PathFinder.find_spec(top, list(self.folders)) else ()
        packages = (*own, *_PACKAGES)
        if not _belongs(target.rpartition(".")[0], packages):
            raise ConfigError(
                f"{key}={target} is not allowed; choose from {', '.join(packages)}, or put its module into --config-dir"
            )
        return packages


def configured_observers(config: DictConfig, runtime: Any) -> ConfiguredObservers:
    """Return the factory for the loggers and callbacks of a composed configuration.

    Args:
        config: The configuration of a job, without Hydra's own node.
        runtime: Hydra's ``hydra.runtime``, which knows the folders that the command line named.

    Raises:
        ConfigError: If one is not allowed, or its package is not installed.
    """
    folders = tuple(source.path for source in runtime.config_sources if "command-line" in source.provider)
    plain: Any = OmegaConf.to_container(config, resolve=False)
    return ConfiguredObservers(plain, folders)


def _belongs(module: str, packages: tuple[str, ...]) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def _targets(key: str, node: Any) -> Iterator[tuple[str, str]]:
    """Yield the key and value of every ``_target_`` at any depth, except for unresolved interpolations."""
    if isinstance(node, dict):
        for name, value in node.items():
            if name == "_target_" and "${" not in str(value):
                yield f"{key}._target_", str(value)
            yield from _targets(f"{key}.{name}", value)
    elif isinstance(node, list):
        for number, value in enumerate(node):
            yield from _targets(f"{key}[{number}]", value)
