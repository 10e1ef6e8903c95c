"""Files and folders that are either complete or absent, each written by one process at a time.

Content is first written to a ``.partial-*`` file or folder beside the target, which it then replaces in one step. A
killed run therefore leaves only such a partial file or folder, and the next run with the same settings removes it.
"""

import contextlib
import errno
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from patent_hier.errors import ArtifactError, DataError
from patent_hier.regular_files import read_regular
from patent_hier.sanitize import one_line, reason

_PARTIAL = ".partial-"
_LOCKS = ".locks"
# Largest file that is read, in bytes. The titles of all 77,000 IPC places take 20 MB of JSON, a configuration a few
# kilobytes.
_MOST_JSON, _MOST_YAML = 1 << 28, 1 << 17


@contextlib.contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; on success it replaces ``path`` in one step, otherwise it is removed."""
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
    """Yield an empty staging folder; on success it becomes ``path``, otherwise it is removed.

    An existing ``path`` is moved aside first and removed only after the new folder is in place. Staging folders that
    a killed run left behind are removed. Hold the lock :func:`exclusive` if two processes may write the same folder.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_partials(path)
    staging = Path(tempfile.mkdtemp(prefix=f"{_PARTIAL}{path.name}-", dir=path.parent))
    try:
        yield staging
        for file in staging.rglob("*"):
            if file.is_file() and not file.is_symlink():  # the target of a link is not ours to change
                _sync(file)
                file.chmod(0o666 & ~_umask())  # safetensors makes its files readable by their owner only
        staging.chmod(0o777 & ~_umask())
        if path.exists():
            old = Path(tempfile.mkdtemp(prefix=f"{_PARTIAL}{path.name}-", dir=path.parent))
            path.replace(old / path.name)
            staging.replace(path)
            shutil.rmtree(old, ignore_errors=True)  # Windows keeps open files; the next run removes them
        else:
            staging.replace(path)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def remove_partials(path: Path) -> None:
    """Remove what killed processes left of this file or folder; call it only while holding :func:`exclusive`."""
    for stale in path.parent.glob(f"{_PARTIAL}{path.name}-*"):
        if stale.is_dir():
            shutil.rmtree(stale, ignore_errors=True)
        else:
            stale.unlink(missing_ok=True)


@contextlib.contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold the lock of an artifact; a second process waits until the first has finished.

    The kernel releases the lock when its process ends, for whatever reason. In a shared folder, somebody may have
    replaced the lock file by a link to another user's file, so links are not followed and the file is never truncated.
    A user without write permission takes no lock, because such a user can only read finished artifacts.
    """
    from filelock import FileLock, Timeout  # imported here: most commands that only read need no lock

    lock = FileLock(path.parent / _LOCKS / path.name)
    try:
        Path(lock.lock_file).parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(blocking=False)
    except Timeout:
        print(one_line(f"waiting for another process that is working on {path}"), flush=True)
        lock.acquire()
    except OSError as error:
        if not is_denied(error) or os.access(path.parent, os.W_OK):
            raise
    try:
        yield
    finally:
        lock.release()


def is_denied(error: OSError) -> bool:
    """Return whether the system denies access: the file belongs to another user, or the file system is read-only."""
    return error.errno in (errno.EACCES, errno.EPERM, errno.EROFS)


def write_json(path: Path, content: object) -> None:
    """Write JSON atomically: UTF-8, indented by two spaces, keys in the given order; NaN and infinity are refused."""
    with atomic_file(path) as temporary:
        temporary.write_text(json.dumps(content, ensure_ascii=False, indent=2, allow_nan=False) + "\n", "utf-8")


def write_yaml(path: Path, content: object) -> None:
    """Write YAML in UTF-8, with the keys in the given order."""
    from patent_hier.plain_yaml import dump  # imported here: most artifacts need JSON only

    path.write_text(dump(content), "utf-8")


def read_json(path: Path) -> Any:
    """Read a JSON file that this project wrote.

    Raises:
        ArtifactError: If it is missing, not a regular file, too large, or not JSON.
        DataError: If this user has no permission to read it; the file may well be intact.
    """
    return _read(path, "JSON", json.loads, _MOST_JSON)


def read_yaml(path: Path) -> Any:
    """Read a YAML file that this project wrote; it may contain plain values only, see :mod:`patent_hier.plain_yaml`.

    Raises:
        ArtifactError: If it is missing, not a regular file, too large, or not plain YAML.
        DataError: If this user has no permission to read it; the file may well be intact.
    """
    from patent_hier.plain_yaml import load

    return _read(path, "YAML", load, _MOST_YAML)


def _read(path: Path, form: str, load: Callable[[str], Any], most: int) -> Any:
    try:
        return load(read_regular(path, most).decode("utf-8"))
    except FileNotFoundError as error:
        raise ArtifactError(f"{path} is missing; run the command that creates it again") from error
    except PermissionError as error:
        raise DataError(f"no permission to read {path}; ask its owner to run chmod a+rX on it") from error
    except (OSError, ValueError, RecursionError) as error:
        raise ArtifactError(
            f"cannot read {path} as {form} ({reason(error)}); delete its folder and run again"
        ) from error


def _sync(path: Path) -> None:
    with path.open("r+b") as file:  # Windows syncs only files that are open for writing
        os.fsync(file.fileno())


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
