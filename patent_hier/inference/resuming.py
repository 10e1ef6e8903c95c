"""A long-running output that is written atomically, and resumed where a killed command stopped.

The partial output is next to the final one, together with a small file that records the work and the number of rows.
Only the same command on the same file with the same model resumes them.
"""

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from patent_hier.artifacts import fingerprint
from patent_hier.atomic import read_json, remove_partials, write_json
from patent_hier.errors import ArtifactError, ConfigError

_PREFIX = ".partial-"


def _require_own(file: Path, facts: os.stat_result) -> None:
    """Raise an error unless the file is a regular file of this user with a single name.

    In a shared folder, anyone may have put the file there.
    """
    is_own = not hasattr(os, "geteuid") or facts.st_uid == os.geteuid()  # Windows uses access control lists instead
    if not (stat.S_ISREG(facts.st_mode) and is_own and facts.st_nlink <= 1):
        raise ConfigError(f"{file} is a link or belongs to another user; delete it, or choose another --output")


class ResumableOutput:
    """A text file that can be resumed; use it as a context manager.

    Args:
        path: Final path.
        work: Everything that determines the content, as JSON-able values.

    Attributes:
        file: Open text file, UTF-8, line ends unchanged.
        rows: Number of rows that the file already holds.
        state: Value stored with these rows by :meth:`keep`; None at the start.

    Raises:
        ConfigError: If another command is writing the same file, or its partial files do not belong to this user.
    """

    file: IO[str]

    def __init__(self, path: Path, work: Any) -> None:
        self.path = path
        self.rows = 0
        self.state: Any = None
        self._work = fingerprint(work)
        self._begun = path.with_name(f"{_PREFIX}{path.name}")
        self._notes = path.with_name(f"{_PREFIX}{path.name}.json")
        self._lock_file = path.with_name(f"{_PREFIX}{path.name}.lock")

    def __enter__(self) -> Self:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as refused:
            refused.enter_context(self._locked())
            for file in (self._begun, self._notes):
                with contextlib.suppress(FileNotFoundError):
                    _require_own(file, file.lstat())
            self.file = refused.enter_context(self._opened())
            remove_partials(self._notes)
            self.file.truncate(self._take_up())
            self.file.seek(0, os.SEEK_END)
            self._held = refused.pop_all()
        return self

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep other commands away; the lock file is removed too, so a command that waited for it opens a new one."""
        from filelock import FileLock, Timeout

        lock = FileLock(self._lock_file)
        try:
            lock.acquire(blocking=False)
        except Timeout as error:
            raise ConfigError(
                f"another command is writing {self.path}; wait for it, or choose another --output"
            ) from error
        try:
            yield
        finally:
            with contextlib.suppress(PermissionError):  # Windows cannot remove an open file
                self._lock_file.unlink(missing_ok=True)
            lock.release()

    def _opened(self) -> IO[str]:
        """Open the partial output, and refuse any file that someone else has put in its place."""
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT
        for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC"):  # not available on Windows
            flags |= getattr(os, name, 0)
        handle = os.open(self._begun, flags, 0o666)
        with contextlib.ExitStack() as refused:
            file = refused.enter_context(os.fdopen(handle, "a+", encoding="utf-8", newline=""))
            _require_own(self._begun, os.fstat(handle))  # the file checked before may have been replaced
            refused.pop_all()
        return file

    def _take_up(self) -> int:
        """Return the number of bytes of earlier work that can be kept."""
        if not self._notes.is_file():
            return 0
        try:
            notes = read_json(self._notes)
            rows, size = int(notes["rows"]), int(notes["bytes"])
            if notes["work"] != self._work or rows < 0 or not 0 <= size <= self._begun.stat().st_size:
                return 0
            self.rows, self.state = rows, notes["state"]
        except (ArtifactError, KeyError, OverflowError, TypeError, ValueError):  # only the partial output is lost
            return 0
        return size

    def restart(self) -> None:
        """Discard all earlier work."""
        self.rows, self.state = 0, None
        self._notes.unlink(missing_ok=True)
        self.file.truncate(0)

    def keep(self, rows: int, state: Any) -> None:
        """Make everything written so far survive a kill, with its number of rows and a state value."""
        self.file.flush()
        os.fsync(self.file.fileno())
        notes = {"work": self._work, "rows": rows, "bytes": os.fstat(self.file.fileno()).st_size, "state": state}
        write_json(self._notes, notes)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Move the file to its final path; after an error, leave what was kept, or nothing if nothing was kept."""
        with self._held:
            try:
                if kind is None:
                    self.file.flush()
                    os.fsync(self.file.fileno())
                self.file.close()  # close first: Windows can neither move nor remove an open file
                if kind is None:
                    self._begun.replace(self.path)
                    self._notes.unlink(missing_ok=True)
            finally:
                if not self._notes.is_file():
                    self._begun.unlink(missing_ok=True)
