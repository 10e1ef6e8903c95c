"""The journal of a search: Optuna's file of JSON lines, which several processes write and any of them may be killed."""

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
    """Open a journal, or begin it; the study in it is to be read within the context.

    Raises:
        ConfigError: If the file is no journal.
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
        # Optuna asks for a subclass of a class that it does not publish, and calls these two methods.
        yield JournalStorage(JournalFileBackend(str(path), lock_obj=lock))  # type: ignore[arg-type]
    except (ValueError, KeyError, TypeError) as error:  # a line that Optuna cannot read
        raise ConfigError(f"{path} is no journal of a search ({reason(error)}); name another --study") from error


class _KernelLock:
    """A lock as Optuna's journal takes it, which ends with its process; Optuna's own stay behind a killed one."""

    def __init__(self, path: Path) -> None:
        from filelock import FileLock

        path.parent.mkdir(exist_ok=True)
        self._lock = FileLock(path)

    def acquire(self) -> bool:
        """Wait for it."""
        self._lock.acquire()
        return True

    def release(self) -> None:
        """Give it back."""
        self._lock.release()


def _drop_torn_line(journal: Path) -> None:
    """Cut off half a line, which a process left that was killed while it wrote; Optuna would write behind it."""
    content = journal.read_bytes()
    if content and not content.endswith(b"\n"):
        journal.write_bytes(content[: content.rfind(b"\n") + 1])
