"""Checks of a configuration before Hydra acts on it: the origin of its files, and who can write to its job folder.

Trusted are ``conf/``, a folder that the user names with ``--config-dir``, the words of the command line and installed
plugins: Hydra creates every callback, launcher and sweeper that they name. Refused are choices that lead to files
elsewhere, and job folders in which other users could change pickled jobs.
"""

import os
import stat
from pathlib import Path

from omegaconf import DictConfig

from patent_hier.errors import ConfigError


def refuse_strange_files(config: DictConfig) -> None:
    """Refuse a composed configuration that uses files outside its folders or a job folder that others can change.

    Args:
        config: The configuration, including Hydra's own node.

    Raises:
        ConfigError: With the group and its choice, or the job folder.
    """
    hydra = config.hydra
    for group, choice in hydra.runtime.choices.items():
        for name in choice if isinstance(choice, list | tuple) else [choice]:
            if name is not None and (".." in Path(str(name)).parts or Path(str(name)).is_absolute()):
                raise ConfigError(f"{group}={name} leads outside conf/; choose one of the choices that --help lists")
    if "submitit" in str(hydra.launcher.get("_target_", "")):
        refuse_shared(Path(str(hydra.sweep.dir)))


def refuse_shared(folder: Path) -> None:
    """Refuse a job folder in which another user could change the pickled jobs that submitit loads.

    Args:
        folder: The job folder; it need not exist yet.

    Raises:
        ConfigError: If the folder or one above it is writable by everybody, or the parent belongs to another user.
    """
    folder = folder.resolve()
    for place in (folder, *folder.parents):
        if place.exists() and place.stat().st_mode & (stat.S_IWOTH | stat.S_ISVTX) == stat.S_IWOTH:
            raise ConfigError(
                f"{place} is writable by everybody, and submitit loads pickled jobs from below it; run chmod o-w on it "
                "or choose another runs_dir"
            )
    jobs = folder.parent
    if jobs.exists() and jobs.stat().st_uid not in (0, os.geteuid()):
        raise ConfigError(
            f"{jobs} belongs to another user, and submitit would load pickled jobs from it; choose your own runs_dir"
        )
