"""Files that are whole or absent: atomic writes, fingerprints and manifests.

A finished folder always holds ``manifest.json``, written last inside a staging folder that is then renamed. So a
folder with a manifest is complete, and a killed run leaves only a ``.partial-*`` folder, which the next run of the
same settings removes.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, cast

from patent_hier.errors import ArtifactError, ConfigError, DataError
from patent_hier.harmless import one_line

MANIFEST = "manifest.json"
_PARTIAL = ".partial-"
_LOCKS = ".locks"
_OWN_DIGEST = "sha256"  # of a manifest's other content
_CHUNK = 1 << 20  # bytes
_digests: dict[tuple[str, int, int, int, int], str] = {}  # of this process, by path, size, times and inode


def fingerprint(content: object) -> str:
    """Name a JSON-like value by its content.

    Args:
        content: Anything JSON can hold; the order of keys does not matter.

    Returns:
        The first 12 hexadecimal digits (48 bits) of the SHA-256 of the canonical JSON text.
    """
    return _content_digest(content)[:12]


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes as 64 hexadecimal digits, read in chunks.

    Raises:
        DataError: If the file does not exist or cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}; check the path and its permissions") from error
    return digest.hexdigest()


@contextlib.contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; on success it replaces ``path`` in one step, else it is removed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f"{_PARTIAL}{path.name}-", dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        _sync(temporary)
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield an empty staging folder; on success it becomes ``path``, else it is removed.

    An existing ``path`` is moved aside first and removed only after the new folder is in place. Staging folders that
    a killed run left behind are removed. Call it under :func:`exclusive` where two processes may meet.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_partials(path)
    staging = Path(tempfile.mkdtemp(prefix=f"{_PARTIAL}{path.name}-", dir=path.parent))
    try:
        yield staging
        for file in staging.rglob("*"):
            if file.is_file():
                _sync(file)
                file.chmod(0o666 & ~_umask())  # safetensors lets nobody else read its files
        staging.chmod(0o777 & ~_umask())
        if path.exists():
            old = Path(tempfile.mkdtemp(prefix=f"{_PARTIAL}{path.name}-", dir=path.parent))
            path.replace(old / path.name)
            staging.replace(path)
            shutil.rmtree(old)
        else:
            staging.replace(path)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def remove_partials(path: Path) -> None:
    """Remove what killed processes left of this file or folder; only under :func:`exclusive`."""
    for stale in path.parent.glob(f"{_PARTIAL}{path.name}-*"):
        if stale.is_dir():
            shutil.rmtree(stale, ignore_errors=True)
        else:
            stale.unlink(missing_ok=True)


@contextlib.contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold the lock of an artifact; a second process waits until the first has finished with it.

    The lock is the kernel's (``flock``), so it ends with the process that holds it, however that ends.
    """
    locks = path.parent / _LOCKS
    locks.mkdir(parents=True, exist_ok=True)
    with (locks / path.name).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(one_line(f"waiting for another process that works on {path}"), flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def write_json(path: Path, content: object) -> None:
    """Write JSON atomically: UTF-8, two spaces, keys in the given order. NaN and infinity are refused."""
    with atomic_file(path) as temporary:
        temporary.write_text(json.dumps(content, ensure_ascii=False, indent=2, allow_nan=False) + "\n", "utf-8")


def read_json(path: Path) -> Any:
    """Read a JSON file of ours.

    Raises:
        ArtifactError: If it is missing or not JSON.
    """
    try:
        return json.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise ArtifactError(f"{path} is missing; run the command that makes it again") from error
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{path} cannot be read as JSON ({error}); delete its folder and run again") from error


def read_yaml(path: Path) -> Any:
    """Read a YAML file of ours: plain values only, since no tag of Python's is known to the loader.

    Raises:
        ArtifactError: If it is missing or not such YAML.
    """
    import yaml  # here: most of what reads artifacts reads JSON

    try:
        return yaml.safe_load(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise ArtifactError(f"{path} is missing; run the command that makes it again") from error
    except (OSError, ValueError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise ArtifactError(f"{path} cannot be read as YAML ({reason}); delete its folder and run again") from error


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
    return hashlib.sha256(_canonical(content)).hexdigest()


def _canonical(content: object) -> bytes:
    text = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.encode()


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
    content = read_json(folder / MANIFEST) if (folder / MANIFEST).is_file() else None
    if not (isinstance(content, dict) and content.get("kind") == kind):
        raise ConfigError(f"{folder} exists and holds no {kind}, so it is not replaced; choose another folder")


def is_complete(folder: Path) -> bool:
    """Whether the folder has a manifest and every file it lists has the listed size (contents are not read)."""
    try:
        files = _listed_files(folder)
        return all((folder / name).stat().st_size == facts["bytes"] for name, facts in files.items())
    except (ArtifactError, OSError):
        return False


def find_damage(folder: Path) -> str | None:
    """The first file of a sealed folder that has not the recorded content; None if all have it.

    A file is read once in each process, as long as its size and times stay the same.
    """
    try:
        files = _listed_files(folder)
    except ArtifactError:
        return MANIFEST
    for name, facts in files.items():
        try:
            if (folder / name).stat().st_size != facts["bytes"] or _digest_once(folder / name) != facts["sha256"]:
                return name
        except (DataError, OSError):
            return name
    return None


def _digest_once(file: Path) -> str:
    facts = file.stat()
    stamp = (str(file.resolve()), facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns, facts.st_ino)
    if stamp not in _digests:
        _digests[stamp] = file_digest(file)
    return _digests[stamp]


def verify(folder: Path, only: Collection[str] | None = None) -> None:
    """Compare the files of a sealed folder with its manifest, byte for byte.

    Args:
        folder: A folder that :func:`seal` has closed.
        only: Names of the files to compare; None for all.

    Raises:
        ArtifactError: Naming the first file that is missing or differs.
    """
    for name, facts in _listed_files(folder).items():
        if only is not None and name not in only:
            continue
        file = folder / name
        if not file.is_file():
            raise ArtifactError(f"{file} is missing; delete {folder} and run again")
        if file_digest(file) != facts["sha256"]:
            raise ArtifactError(
                f"{file} is damaged (its SHA-256 is not the recorded one); delete {folder} and run again"
            )


def _listed_files(folder: Path) -> dict[str, dict[str, Any]]:
    """The files that a manifest lists, by name."""
    manifest = read_json(folder / MANIFEST)
    if isinstance(manifest, dict) and _OWN_DIGEST in manifest:  # older ones have none
        own = {key: value for key, value in manifest.items() if key != _OWN_DIGEST}
        if manifest[_OWN_DIGEST] != _content_digest(own):
            raise ArtifactError(f"{folder / MANIFEST} is damaged; delete {folder} and run again")
    files = manifest.get("files") if isinstance(manifest, dict) else None
    if not isinstance(files, dict) or not all(
        isinstance(facts, dict) and facts.keys() >= {"bytes", "sha256"} for facts in files.values()
    ):
        raise ArtifactError(f"{folder / MANIFEST} lists no files; delete {folder} and run again")
    known = cast("dict[str, dict[str, Any]]", files)
    if (outside := next((name for name in known if not _is_inside(name)), None)) is not None:
        raise ArtifactError(
            f"{folder / MANIFEST} lists {outside!r}, which lies outside its folder; no manifest of ours does, so the "
            "folder is not used"
        )
    return known


def _is_inside(name: str) -> bool:
    """Whether a file's name leads to a place below the folder that it is taken from."""
    path = PurePosixPath(name)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts


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
        try:
            facts = file.stat()
        except OSError as error:
            raise DataError(f"cannot read {file}: {error.strerror}; check the path and its permissions") from error
        # Size and time of change may be set by hand; the inode and its own time of change may not.
        key, stamp = str(file.resolve()), [facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns, facts.st_ino]
        known = self._read()
        if known.get(key, {}).get("stamp") != stamp:
            with exclusive(self._path):
                known = {**self._read(), key: {"stamp": stamp, "sha256": file_digest(file)}}
                write_json(self._path, known)
        return str(known[key]["sha256"])

    def _read(self) -> dict[str, Any]:
        """What is remembered; nothing if the file is new or damaged (it can always be made again)."""
        try:
            content = json.loads(self._path.read_text("utf-8"))
        except (OSError, ValueError):
            return {}
        return content if isinstance(content, dict) else {}


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
