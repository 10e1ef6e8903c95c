"""Files and folders that are whole or absent, made by one process at a time.

What is written goes to a ``.partial-*`` file or folder beside its place, and takes the place in one step. So a killed
run leaves only such a remainder, which the next run of the same settings removes.
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
# Bytes of a file. The titles of all 77,000 IPC places are 20 MB of JSON, a configuration some kilobytes.
_MOST_JSON, _MOST_YAML = 1 << 28, 1 << 17


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
            if file.is_file() and not file.is_symlink():  # what a link leads to is not ours
                _sync(file)
                file.chmod(0o666 & ~_umask())  # safetensors lets nobody else read its files
        staging.chmod(0o777 & ~_umask())
        if path.exists():
            old = Path(tempfile.mkdtemp(prefix=f"{_PARTIAL}{path.name}-", dir=path.parent))
            path.replace(old / path.name)
            staging.replace(path)
            shutil.rmtree(old, ignore_errors=True)  # Windows keeps what is still open; the next run removes it
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

    The lock is the kernel's, so it ends with the process that holds it, however that ends. In a shared folder anybody
    may have put another's file in its place: no link is followed and nothing shortened. A user who
    may not write there takes no lock: such a user can only read what is finished.
    """
    from filelock import FileLock, Timeout  # here: most commands that only read need no lock

    lock = FileLock(path.parent / _LOCKS / path.name)
    try:
        Path(lock.lock_file).parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(blocking=False)
    except Timeout:
        print(one_line(f"waiting for another process that works on {path}"), flush=True)
        lock.acquire()
    except OSError as error:
        if not is_denied(error) or os.access(path.parent, os.W_OK):
            raise
    try:
        yield
    finally:
        lock.release()


def is_denied(error: OSError) -> bool:
    """Whether the system refuses to write or read: another user's file, or a file system that is read-only."""
    return error.errno in (errno.EACCES, errno.EPERM, errno.EROFS)


def write_json(path: Path, content: object) -> None:
    """Write JSON atomically: UTF-8, two spaces, keys in the given order. NaN and infinity are refused."""
    with atomic_file(path) as temporary:
        temporary.write_text(json.dumps(content, ensure_ascii=False, indent=2, allow_nan=False) + "\n", "utf-8")


def write_yaml(path: Path, content: object) -> None:
    """Write YAML: UTF-8, keys in the given order."""
    from patent_hier.plain_yaml import dump  # here: most of what reads and writes artifacts has JSON

    path.write_text(dump(content), "utf-8")


def read_json(path: Path) -> Any:
    """Read a JSON file of ours.

    Raises:
        ArtifactError: If it is missing, no regular file, larger than any of ours, or not JSON.
        DataError: If this user may not read it; it may well be whole.
    """
    return _read(path, "JSON", json.loads, _MOST_JSON)


def read_yaml(path: Path) -> Any:
    """Read a YAML file of ours: plain values only, see :mod:`patent_hier.plain_yaml`.

    Raises:
        ArtifactError: If it is missing, no regular file, larger than any of ours, or not such YAML.
    """
    from patent_hier.plain_yaml import load

    return _read(path, "YAML", load, _MOST_YAML)


def _read(path: Path, form: str, load: Callable[[str], Any], most: int) -> Any:
    try:
        return load(read_regular(path, most).decode("utf-8"))
    except FileNotFoundError as error:
        raise ArtifactError(f"{path} is missing; run the command that makes it again") from error
    except PermissionError as error:
        raise DataError(f"{path} may not be read by this user; ask its owner for leave: chmod a+rX") from error
    except (OSError, ValueError, RecursionError) as error:
        raise ArtifactError(
            f"{path} cannot be read as {form} ({reason(error)}); delete its folder and run again"
        ) from error


def _sync(path: Path) -> None:
    with path.open("r+b") as file:  # Windows syncs only what may be written
        os.fsync(file.fileno())


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
