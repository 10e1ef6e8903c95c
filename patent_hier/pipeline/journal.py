"""The journal of a search: Optuna's JSON Lines file, written by several processes, any of which may be killed."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from patent_hier.errors import ConfigError
from patent_hier.regular_files import require_regular
from patent_hier.sanitize import reason

if TYPE_CHECKING:
    from optuna.storages import JournalStorage


@contextlib.contextmanager
def open_journal(path: Path) -> Iterator["JournalStorage"]:
    """Open a journal, or create it; read its study within the context.

    Raises:
        ConfigError: If the file is not a journal.
    """
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    lock = _KernelLock(path.parent / ".locks" / path.name)
    if path.exists():
        require_regular(path)
        lock.acquire()
        _drop_torn_line(path)
        lock.release()
    try:
        # Optuna's annotation names a private class, but Optuna only calls these two methods.
        yield JournalStorage(JournalFileBackend(str(path), lock_obj=lock))  # type: ignore[arg-type]
    except (ValueError, KeyError, TypeError) as error:  # a line that Optuna cannot read
        raise ConfigError(f"{path} is not the journal of a search ({reason(error)}); choose another --study") from error


class _KernelLock:
    """A lock for Optuna's journal that ends with its process; Optuna's own locks outlast a killed process."""

    def __init__(self, path: Path) -> None:
        from filelock import FileLock

        path.parent.mkdir(exist_ok=True)
        self._lock = FileLock(path)

    def acquire(self) -> bool:
        """Wait for the lock and take it."""
        self._lock.acquire()
        return True

    def release(self) -> None:
        """Release the lock."""
        self._lock.release()


def _drop_torn_line(journal: Path) -> None:
    """Remove an incomplete last line of a process that was killed while writing; Optuna would append to it."""
    content = journal.read_bytes()
    if content and not content.endswith(b"\n"):
        journal.write_bytes(content[: content.rfind(b"\n") + 1])
