"""What an encoder's folder tells of its settings and its command: nothing of the machine's folders.

The folder is made to be passed on, so that files stand in it by their names.
"""

import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from patent_hier.settings.pretraining import PretrainSettings

_FOLDERS = ("runs_dir", "cache_dir")
_NOT_READ = "encoder"
_PATHS = (("vocabulary", "path"), ("data", "path"), ("data", "label_text"))
_PATH = re.compile(r"[^\[\],'\"]+")  # in a list of Hydra's


def portable(settings: PretrainSettings) -> dict[str, Any]:
    """The settings with the names of files in place of their paths, without the folders that the run wrote into."""
    values = {key: value for key, value in asdict(settings).items() if key not in (*_FOLDERS, _NOT_READ)}
    values["text"] = [Path(name).name for name in settings.text]
    if settings.start is not None:
        values["start"] = _name(settings.start)
    for group, key in _PATHS:
        if values[group].get(key) is not None:
            values[group][key] = _name(values[group][key])
    return values


def portable_words(overrides: Sequence[str]) -> list[str]:
    """The words of the command likewise."""
    names = ("text", "start", *(f"{group}.{key}" for group, key in _PATHS))
    words = []
    for word in overrides:
        key, sign, value = word.partition("=")
        key = key.lstrip("+")
        if key not in _FOLDERS:
            words.append(f"{key}{sign}{_PATH.sub(lambda path: _name(path[0]), value)}" if key in names else word)
    return words


def _name(path: str) -> str:
    """The last part of a path; the name of a hub's or of the package's encoder as it is."""
    return Path(path).name if Path(path).exists() else path
