"""Manifest of an encoder's folder: how the encoder was made, and which encoder it started from.

The folder is meant to be shared, so the manifest gives files by name only and reveals no folders of this machine.
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
_PATH = re.compile(r"[^\[\],'\"]+")  # a path in a Hydra list


def portable(settings: PretrainSettings) -> dict[str, Any]:
    """Return the settings with file names in place of paths, and without the folders that the run wrote to."""
    values = {key: value for key, value in asdict(settings).items() if key not in (*_FOLDERS, _NOT_READ)}
    values["text"] = [Path(name).name for name in settings.text]
    if settings.start is not None:
        values["start"] = _name(settings.start)
    for group, key in _PATHS:
        if values[group].get(key) is not None:
            values[group][key] = _name(values[group][key])
    return values


def portable_words(overrides: Sequence[str]) -> list[str]:
    """Return the overrides of the command, changed in the same way as by :func:`portable`."""
    names = ("text", "start", *(f"{group}.{key}" for group, key in _PATHS))
    words = []
    for word in overrides:
        key, sign, value = word.partition("=")
        key = key.lstrip("+")
        if key not in _FOLDERS:
            words.append(f"{key}{sign}{_PATH.sub(lambda path: _name(path[0]), value)}" if key in names else word)
    return words


def _name(path: str) -> str:
    """Return the last part of an existing path; the name of a hub or built-in encoder is returned unchanged."""
    return Path(path).name if Path(path).exists() else path


def earlier_runs(folder: Path) -> list[dict[str, Any]]:
    """Return the records of an encoder's pre-training runs, the earliest first.

    The list is empty for an encoder from elsewhere, which has no such manifest.
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
