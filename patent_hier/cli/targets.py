"""Before Hydra carries out a configuration: its files come from where the user said, its jobs go where only he writes.

``conf/``, a folder that the user names with ``--config-dir``, the words of his command line and installed plugins are
trusted: Hydra makes every callback, launcher and sweeper that they name. What is refused is what a word can mean
beyond that: a choice that leads to a file elsewhere, and a folder in which others could change pickled jobs.
"""

import os
import stat
from pathlib import Path

from omegaconf import DictConfig

from patent_hier.errors import ConfigError


def refuse_strange_files(config: DictConfig) -> None:
    """Refuse a composed configuration of which a part lies outside its folders, or whose jobs others could change.

    Args:
        config: With Hydra's own node.

    Raises:
        ConfigError: Naming the group and its choice, or the folder of jobs.
    """
    hydra = config.hydra
    for group, choice in hydra.runtime.choices.items():
        for name in choice if isinstance(choice, list | tuple) else [choice]:
            if name is not None and (".." in Path(str(name)).parts or Path(str(name)).is_absolute()):
                raise ConfigError(f"{group}={name} leads out of conf/; choose one of its files, see --help")
    if "submitit" in str(hydra.launcher.get("_target_", "")):
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
