"""Folders that explain themselves: fingerprints, manifests and the digests that vouch for every file.

A finished folder always holds ``manifest.json``, written last inside a staging folder that is then renamed (see
:mod:`patent_hier.atomic`). So a folder with a manifest was complete once, and its digests say whether it still is.
"""

import contextlib
import hashlib
import json
import os
import sys
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, cast

from patent_hier.atomic import exclusive, is_denied, read_json, write_json
from patent_hier.errors import ArtifactError, ConfigError, DataError
from patent_hier.regular_files import open_regular, read_regular, require_regular
from patent_hier.sanitize import shown

MANIFEST = "manifest.json"
_OWN_DIGEST = "sha256"  # of a manifest's other content
_CHUNK = 1 << 18  # bytes
_MOST_REMEMBERED = 1 << 26  # bytes of a file of digests
_digests: dict[tuple[str, tuple[int, ...]], str] = {}  # of this process, by path and stamp


def fingerprint(content: object) -> str:
    """Name a JSON-like value by its content.

    Args:
        content: Anything JSON can hold; the order of keys does not matter.

    Returns:
        The first 12 hexadecimal digits (48 bits) of the SHA-256 of the canonical JSON text.
    """
    return _content_digest(content)[:12]


def file_digest(path: Path, most: int = sys.maxsize) -> str:
    """SHA-256 of a file's bytes as 64 hexadecimal digits, read in chunks.

    Args:
        path: A regular file.
        most: Bytes after which reading ends, however many there are.

    Raises:
        DataError: If the file does not exist, cannot be read or is not a regular file.
    """
    digest = hashlib.sha256()
    with _reading(path), open_regular(path) as file:
        while chunk := file.read(min(_CHUNK, most)):
            digest.update(chunk)
            most -= len(chunk)
    return digest.hexdigest()


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}; check the path and its permissions") from error


def seal(folder: Path, manifest: Mapping[str, object]) -> None:
    """Write ``manifest.json`` with the size and SHA-256 of every other file of the folder. Do it last."""
    files = {
        file.relative_to(folder).as_posix(): {"bytes": file.stat().st_size, "sha256": file_digest(file)}
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file.name != MANIFEST
    }
    write_manifest(folder, {**manifest, "files": files})


def write_manifest(folder: Path, content: Mapping[str, object]) -> None:
    """Write ``manifest.json`` with the digest of its own content, without which nothing would vouch for it."""
    own = json.loads(json.dumps(content))  # as it will be read
    own.pop(_OWN_DIGEST, None)
    write_json(folder / MANIFEST, {**own, _OWN_DIGEST: _content_digest(own)})


def _content_digest(content: object) -> str:
    text = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def manifest_of(folder: Path, kind: str) -> Any:
    """A folder's manifest as it stands, unchecked; None where there is none or it is of another kind."""
    content = read_json(folder / MANIFEST) if (folder / MANIFEST).is_file() else None
    return content if isinstance(content, dict) and content.get("kind") == kind else None


def refuse_foreign(folder: Path, kind: str) -> None:
    """Refuse to replace a folder that a user named and that holds something else.

    Args:
        folder: It may be absent, empty, or an earlier artifact of the kind.
        kind: As in the manifest.

    Raises:
        ConfigError: If it exists with other content.
    """
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if manifest_of(folder, kind) is None:
        raise ConfigError(f"{folder} exists and holds no {kind}, so it is not replaced; choose another folder")


def require_only_files(folder: Path) -> None:
    """Refuse a folder with pipes, devices or sockets in it, before any library opens what it names.

    Raises:
        ArtifactError: Naming the first one.
        DataError: If this user may not look into it.
    """
    try:
        require_regular(folder)
    except PermissionError as error:  # it may well be whole
        raise DataError(
            f"{error.filename} may not be read by this user; ask its owner for leave: chmod a+rX"
        ) from error
    except OSError as error:
        raise ArtifactError(
            f"{error.filename} cannot be used: {error.strerror}; remove it, or get the folder again"
        ) from error


def find_damage(folder: Path, only: Collection[str] | None = None) -> str | None:
    """The first file of a sealed folder that has not the recorded content; None if all have it.

    A file is read once in each process, as long as its size and times stay the same.

    Args:
        folder: A folder that :func:`seal` has closed.
        only: Names of the files to compare; None for all.

    Returns:
        A name in the manifest, or the manifest's own if that is missing, damaged or lists no files, or if there are
        pipes, devices or sockets in the folder.
    """
    try:
        return _first_damaged(folder, only)
    except ArtifactError:
        return MANIFEST


def verify(folder: Path, only: Collection[str] | None = None) -> None:
    """Refuse a sealed folder in which :func:`find_damage` finds some.

    Raises:
        ArtifactError: Naming the first file that is missing or differs.
    """
    if (damaged := _first_damaged(folder, only)) is None:
        return
    if not os.path.isfile(folder / damaged):  # noqa: PTH113 - Path.is_file raises for a name that is too long
        raise ArtifactError(f"{folder / damaged} is missing; delete {folder} and run again")
    raise ArtifactError(
        f"{folder / damaged} is damaged (its SHA-256 is not the recorded one); delete {folder} and run again"
    )


def _first_damaged(folder: Path, only: Collection[str] | None) -> str | None:
    for name, facts in _listed_files(folder).items():
        if (only is None or name in only) and not _is_whole(folder / name, facts):
            return name
    return None


def _is_whole(file: Path, facts: Mapping[str, Any]) -> bool:
    try:
        if file.stat().st_size != facts["bytes"]:
            return False
        key = (str(file.resolve()), _stamp(file))
        if key not in _digests:
            _digests[key] = file_digest(file, facts["bytes"])
        return bool(_digests[key] == facts["sha256"])
    except (DataError, OSError) as error:
        if isinstance(error.__cause__ or error, PermissionError):  # it may well be whole
            raise DataError(f"{file} may not be read by this user; ask its owner for leave: chmod a+rX") from error
        return False


def _stamp(file: Path) -> tuple[int, ...]:
    """Return values that change with the file: size and mtime can be set by hand, the inode and its ctime cannot."""
    facts = file.stat()
    return facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns, facts.st_ino


def _listed_files(folder: Path) -> dict[str, dict[str, Any]]:
    """The files that a manifest lists, by name."""
    require_only_files(folder)
    manifest = read_json(folder / MANIFEST)
    if isinstance(manifest, dict) and _OWN_DIGEST in manifest:  # older ones have none
        own = {key: value for key, value in manifest.items() if key != _OWN_DIGEST}
        if not _has_digest(own, manifest[_OWN_DIGEST]):
            raise ArtifactError(f"{folder / MANIFEST} is damaged; delete {folder} and run again")
    files = manifest.get("files") if isinstance(manifest, dict) else None
    if not isinstance(files, dict) or not all(
        isinstance(facts, dict) and facts.keys() >= {"bytes", "sha256"} for facts in files.values()
    ):
        raise ArtifactError(f"{folder / MANIFEST} lists no files; delete {folder} and run again")
    known = cast("dict[str, dict[str, Any]]", files)
    if (outside := next((name for name in known if not _is_inside(name)), None)) is not None:
        raise ArtifactError(
            f"{folder / MANIFEST} lists {shown(outside)}, which lies outside its folder; no manifest of ours does, so "
            "the folder is not used"
        )
    return known


def _has_digest(content: object, digest: object) -> bool:
    try:
        return _content_digest(content) == digest
    except ValueError:  # NaN, or half of a character: no manifest of ours
        return False


def _is_inside(name: str) -> bool:
    """Whether a file's name leads to a place below the folder that it is taken from."""
    path = PurePosixPath(name)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts and "\0" not in name


class DigestCache:
    """SHA-256 of large input files, remembered by path, size and time of change, so that a rerun need not read them.

    Args:
        path: The JSON file that remembers; rewritten atomically after each new digest.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def of(self, file: Path) -> str:
        """The file's digest, as :func:`file_digest` gives it.

        Raises:
            DataError: If the file does not exist or cannot be read.
        """
        with _reading(file):
            key, stamp = str(file.resolve()), list(_stamp(file))
        known = self._read()
        if known.get(key, {}).get("stamp") != stamp:
            with exclusive(self._path):
                known = {**self._read(), key: {"stamp": stamp, "sha256": file_digest(file)}}
                try:
                    write_json(self._path, known)
                except OSError as error:
                    if not is_denied(error):
                        raise  # else nothing is lost but the time of the next reading
        return str(known[key]["sha256"])

    def _read(self) -> dict[str, Any]:
        """Return the remembered digests; none if the file is missing or damaged (it can always be made again)."""
        try:
            content = json.loads(read_regular(self._path, _MOST_REMEMBERED))
        except (OSError, ValueError, RecursionError):
            return {}
        return content if isinstance(content, dict) else {}
