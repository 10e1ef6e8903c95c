"""An output that is written for hours: whole or not there, and continued where a killed command left it.

Beside the output lie its beginning and a small file that says how many rows of which work it holds. They are taken up
by the same command on the same file with the same model, and by no other.
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
    """Refuse what is no plain file of this user, under one name: in a shared folder anybody may have put it there."""
    is_own = not hasattr(os, "geteuid") or facts.st_uid == os.geteuid()  # Windows keeps others out by access lists
    if not (stat.S_ISREG(facts.st_mode) and is_own and facts.st_nlink <= 1):
        raise ConfigError(f"{file} is a link or another user's; delete it, or choose another --output")


class ResumableOutput:
    """A text file under way; use it as a context.

    Args:
        path: Where it will be.
        work: All that decides its content, as JSON-able values.

    Attributes:
        file: Takes the text, UTF-8 with line ends as written.
        rows: How many rows are there already.
        state: What was kept with them by :meth:`keep`; None at the beginning.

    Raises:
        ConfigError: If another command writes the same file, or what lies beside it is not this user's.
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
        """Keep other commands away. The lock's file goes with it: one that waited for it looks for a new one."""
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
            with contextlib.suppress(PermissionError):  # Windows removes no file that is open
                self._lock_file.unlink(missing_ok=True)
            lock.release()

    def _opened(self) -> IO[str]:
        """The beginning, and nothing that somebody else has put in its place."""
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT
        for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC"):  # Windows has none of them
            flags |= getattr(os, name, 0)
        handle = os.open(self._begun, flags, 0o666)
        with contextlib.ExitStack() as refused:
            file = refused.enter_context(os.fdopen(handle, "a+", encoding="utf-8", newline=""))
            _require_own(self._begun, os.fstat(handle))  # what was looked at before may have been replaced
            refused.pop_all()
        return file

    def _take_up(self) -> int:
        """Bytes of earlier work that can be gone on with."""
        if not self._notes.is_file():
            return 0
        try:
            notes = read_json(self._notes)
            rows, size = int(notes["rows"]), int(notes["bytes"])
            if notes["work"] != self._work or rows < 0 or not 0 <= size <= self._begun.stat().st_size:
                return 0
            self.rows, self.state = rows, notes["state"]
        except (ArtifactError, KeyError, OverflowError, TypeError, ValueError):  # no more than a beginning is lost
            return 0
        return size

    def restart(self) -> None:
        """Begin anew."""
        self.rows, self.state = 0, None
        self._notes.unlink(missing_ok=True)
        self.file.truncate(0)

    def keep(self, rows: int, state: Any) -> None:
        """All that was written so far will be there after a kill: so many rows, and a value that goes with them."""
        self.file.flush()
        os.fsync(self.file.fileno())
        notes = {"work": self._work, "rows": rows, "bytes": os.fstat(self.file.fileno()).st_size, "state": state}
        write_json(self._notes, notes)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Put the file in its place; after an error leave what was kept, or nothing if that is nothing."""
        with self._held:
            try:
                if kind is None:
                    self.file.flush()
                    os.fsync(self.file.fileno())
                self.file.close()  # first: Windows neither moves nor removes a file that is open
                if kind is None:
                    self._begun.replace(self.path)
                    self._notes.unlink(missing_ok=True)
            finally:
                if not self._notes.is_file():
                    self._begun.unlink(missing_ok=True)
