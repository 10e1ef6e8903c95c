"""Cache folders: made once, found again by every later run, made again when damaged.

Each is named by the fingerprint of what decides its content and made under a lock in a staging folder.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

from patent_hier.artifacts import MANIFEST, find_damage, write_manifest
from patent_hier.atomic import atomic_folder, exclusive, read_json
from patent_hier.errors import ArtifactError
from patent_hier.progress import say


def ensure(folder: Path, make: Callable[[Path], None]) -> None:
    """Make a cache folder unless it is whole; one process makes it, others wait.

    Whole is what has the content that its manifest says, and the name that it was made under: a folder that was put
    in the place of another has the wrong vocabulary, split or corpus.
    """
    with exclusive(folder):
        if find_damage(folder) is None and read_json(folder / MANIFEST).get("made_as") == folder.name:
            return
        if folder.exists():
            state = "damaged" if _was_made_as_now(folder) else "of an older version"
            say(f"{folder} is {state}; it is made again")
            shutil.rmtree(folder)
        with atomic_folder(folder) as staging:
            make(staging)
            write_manifest(staging, {**read_json(staging / MANIFEST), "made_as": folder.name})


def _was_made_as_now(folder: Path) -> bool:
    """Whether its manifest is one of ours today, or cannot be read."""
    try:
        return "made_as" in read_json(folder / MANIFEST)
    except ArtifactError:
        return True
