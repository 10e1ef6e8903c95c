"""Self-describing folders: fingerprints, manifests and the digest of every file.

A finished folder always contains ``manifest.json``. It is written last, inside a staging folder that is then renamed
(see :mod:`patent_hier.atomic`). A folder with a manifest was therefore complete at some point, and the digests show
whether it still is.
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
_OWN_DIGEST = "sha256"  # key: the digest of the rest of the manifest
_CHUNK = 1 << 18  # bytes
_MOST_REMEMBERED = 1 << 26  # bytes: largest digest cache that is read
_digests: dict[tuple[str, tuple[int, ...]], str] = {}  # computed by this process, by path and stamp


def fingerprint(content: object) -> str:
    """Return a short name for a JSON-like value, derived from its content.

    Args:
        content: Any value that JSON can represent; the order of keys does not matter.

    Returns:
        The first 12 hexadecimal digits (48 bits) of the SHA-256 of the canonical JSON text.
    """
    return _content_digest(content)[:12]


def file_digest(path: Path, most: int = sys.maxsize) -> str:
    """Return the SHA-256 of a file as 64 hexadecimal digits; the file is read in chunks.

    Args:
        path: A regular file.
        most: Largest number of bytes to read, whatever the size of the file.

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
    """Write ``manifest.json`` with the size and SHA-256 of every other file in the folder; call this last."""
    files = {
        file.relative_to(folder).as_posix(): {"bytes": file.stat().st_size, "sha256": file_digest(file)}
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file.name != MANIFEST
    }
    write_manifest(folder, {**manifest, "files": files})


def write_manifest(folder: Path, content: Mapping[str, object]) -> None:
    """Write ``manifest.json`` with a digest of its own content, so that damage to the manifest itself is detected."""
    own = json.loads(json.dumps(content))  # exactly what a reader will get
    own.pop(_OWN_DIGEST, None)
    write_json(folder / MANIFEST, {**own, _OWN_DIGEST: _content_digest(own)})


def _content_digest(content: object) -> str:
    text = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def manifest_of(folder: Path, kind: str) -> Any:
    """Return a folder's manifest, unchecked; None if it is missing or of another kind."""
    content = read_json(folder / MANIFEST) if (folder / MANIFEST).is_file() else None
    return content if isinstance(content, dict) and content.get("kind") == kind else None


def refuse_foreign(folder: Path, kind: str) -> None:
    """Refuse to replace a folder, named by the user, that contains something else.

    Args:
        folder: The folder; it may be absent, empty, or an earlier artifact of the same kind.
        kind: The kind that the manifest must name.

    Raises:
        ConfigError: If the folder exists and has other content.
    """
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if manifest_of(folder, kind) is None:
        raise ConfigError(
            f"{folder} exists and its manifest is not of kind {kind}, so it is not replaced; choose another folder"
        )


def require_only_files(folder: Path) -> None:
    """Refuse a folder that contains pipes, devices or sockets, before any library opens its files.

    Raises:
        ArtifactError: If there is one; the message names the first.
        DataError: If this user has no permission to read the folder.
    """
    try:
        require_regular(folder)
    except PermissionError as error:  # the folder may well be intact
        raise DataError(f"no permission to read {error.filename}; ask its owner to run chmod a+rX on it") from error
    except OSError as error:
        raise ArtifactError(
            f"cannot use {error.filename}: {error.strerror}; remove it, or fetch the folder again"
        ) from error


def find_damage(folder: Path, only: Collection[str] | None = None) -> str | None:
    """Return the first file of a sealed folder whose content differs from the manifest; None if all files match.

    Each process reads a file only once, as long as its size and timestamps do not change.

    Args:
        folder: A folder that :func:`seal` has sealed.
        only: Names of the files to compare; None for all.

    Returns:
        The name of a file in the manifest, or of the manifest itself if it is missing, damaged or lists no files, or if
        the folder contains pipes, devices or sockets.
    """
    try:
        return _first_damaged(folder, only)
    except ArtifactError:
        return MANIFEST


def verify(folder: Path, only: Collection[str] | None = None) -> None:
    """Refuse a sealed folder in which :func:`find_damage` finds a damaged file.

    Raises:
        ArtifactError: If a file is missing or differs; the message names the first.
    """
    if (damaged := _first_damaged(folder, only)) is None:
        return
    if not os.path.isfile(folder / damaged):  # noqa: PTH113 - Path.is_file raises for a name that is too long
        raise ArtifactError(f"{folder / damaged} is missing; delete {folder} and run again")
    raise ArtifactError(
        f"{folder / damaged} is damaged (its SHA-256 differs from the manifest); delete {folder} and run again"
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
        if isinstance(error.__cause__ or error, PermissionError):  # the file may well be intact
            raise DataError(f"no permission to read {file}; ask its owner to run chmod a+rX on it") from error
        return False


def _stamp(file: Path) -> tuple[int, ...]:
    """Return values that change with the file; size and mtime can be set by hand, the inode and its ctime cannot."""
    facts = file.stat()
    return facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns, facts.st_ino


def _listed_files(folder: Path) -> dict[str, dict[str, Any]]:
    """Return the files that a manifest lists, by name."""
    require_only_files(folder)
    manifest = read_json(folder / MANIFEST)
    if isinstance(manifest, dict) and _OWN_DIGEST in manifest:  # manifests of older versions have no digest
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
            f"{folder / MANIFEST} lists {shown(outside)}, which is outside its folder; patent_hier never writes such a "
            "manifest, so the folder is not used"
        )
    return known


def _has_digest(content: object, digest: object) -> bool:
    try:
        return _content_digest(content) == digest
    except ValueError:  # NaN or a lone surrogate: not a manifest of ours
        return False


def _is_inside(name: str) -> bool:
    """Return whether a file name stays inside the folder that it is relative to."""
    path = PurePosixPath(name)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts and "\0" not in name


class DigestCache:
    """Cache of the SHA-256 of large input files by path, size and times, so that a rerun need not read them again.

    Args:
        path: The JSON file of the cache; it is rewritten atomically after each new digest.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def of(self, file: Path) -> str:
        """Return the file's digest, the same as :func:`file_digest` returns.

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
                        raise  # otherwise only the next run takes longer
        return str(known[key]["sha256"])

    def _read(self) -> dict[str, Any]:
        """Return the cached digests; none if the file is missing or damaged, for it can always be rebuilt."""
        try:
            content = json.loads(read_regular(self._path, _MOST_REMEMBERED))
        except (OSError, ValueError, RecursionError):
            return {}
        return content if isinstance(content, dict) else {}
