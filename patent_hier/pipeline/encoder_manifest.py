"""Manifest of an encoder's folder: how the encoder was made, and what it began with.

The folder is made to be passed on, so files stand in it by their names: nothing tells of the machine's folders.
"""

import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from patent_hier.artifacts import MANIFEST
from patent_hier.atomic import read_json
from patent_hier.settings import PretrainSettings

ENCODER_KIND = "encoder"
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


def earlier_runs(folder: Path) -> list[dict[str, Any]]:
    """Return the records of an encoder's own pre-training and of that before it, the first run first.

    Of others' encoders, which have no such manifest, nothing is known.
    """
    manifest = read_json(folder / MANIFEST) if (folder / MANIFEST).is_file() else {}
    if not isinstance(manifest, dict) or manifest.get("kind") != ENCODER_KIND or "training" not in manifest:
        return []
    training, environment = manifest["training"], manifest["environment"]
    own = {
        **{key: training[key] for key in ("tokens", "steps", "seconds", "device")},
        **manifest["dev"],
        "date": environment["date"],
        "command": environment["command"],
    }
    return [*manifest.get("before", []), own]
