"""The process environment: locale, standard streams, signals, limits and working folder."""

import contextlib
import io
import os
import signal
import sys
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self

from patent_hier.errors import ConfigError

LEAST_FILES = 64  # open at once; with fewer, libraries hang instead of failing
_ENDING = ("SIGINT", "SIGTERM", "SIGHUP")  # by name, because Windows lacks SIGHUP
_PATIENCE = 2  # signals during an orderly shutdown; a further one ends the process at once


class OutputLostError(BaseException):
    """Standard output cannot be written: its reader has exited, or the disk is full.

    Like Ctrl-C, it ends the whole command, so no handler may treat it as an error of a single job.
    """

    def __init__(self, reason: OSError) -> None:
        super().__init__(reason)
        self.reason = reason

    @property
    def has_no_reader(self) -> bool:
        """Whether the reader closed the pipe, as ``head`` does after its last line."""
        return isinstance(self.reason, BrokenPipeError | ConnectionResetError)


class _Output(io.TextIOWrapper):
    """Standard output that raises :class:`OutputLostError`; a plain ``OSError`` could concern any file."""

    def write(self, text: str, /) -> int:
        try:
            return super().write(text)
        except OSError as error:
            raise OutputLostError(error) from error

    def flush(self) -> None:
        try:
            super().flush()
        except OSError as error:
            raise OutputLostError(error) from error


def restart_in_utf8() -> None:
    """Restart the process in Python's UTF-8 mode if the locale is limited to ASCII, as with ``LC_ALL=POSIX``.

    Python does this itself unless the environment forbids it. Arguments and file names are decoded at startup.
    """
    if sys.flags.utf8_mode or sys.getfilesystemencoding().lower() not in ("ascii", "us-ascii", "ansi_x3.4-1968"):
        return
    os.environ["PYTHONUTF8"] = "1"  # for child processes
    os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])  # noqa: S606 - the same command


def watch_output() -> None:
    """Detect the loss of standard output, and print characters that its encoding lacks as escapes.

    If the shell has closed standard input or standard error, they are opened on the null device; otherwise the next
    file to be opened would take their place and be overwritten.

    Raises:
        OutputLostError: If standard output is closed.
    """
    stdout, stderr = sys.stdout, sys.stderr  # None if the shell has closed them
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free descriptor, which is this one
    if stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - open for the life of the process
    if stdout is None:
        raise OutputLostError(OSError(0, "it is closed"))
    if isinstance(stdout, io.TextIOWrapper):
        errors = "backslashreplace" if stdout.errors == "strict" else stdout.errors
        encoding, by_line, at_once = stdout.encoding, stdout.line_buffering, stdout.write_through
        sys.stdout = _Output(stdout.detach(), encoding, errors, line_buffering=by_line, write_through=at_once)
        sys.__stdout__ = sys.stdout  # type: ignore[misc]  # writing to the detached stream would fail


def drop_output() -> None:
    """Discard what is still buffered for a lost standard output; Python would write it at exit."""
    with contextlib.suppress(AttributeError, OSError, ValueError):  # standard output may not exist
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def refuse_odd_surroundings() -> None:
    """Refuse conditions in which libraries fail with a traceback or hang.

    Raises:
        ConfigError: If the working folder has been deleted, or too few files may be open.
    """
    try:
        Path.cwd()
    except FileNotFoundError as error:
        raise ConfigError("the working folder has been deleted; change to another folder: cd FOLDER") from error
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= allowed < LEAST_FILES:  # RLIM_INFINITY is negative
        raise ConfigError(f"only {allowed} files may be open at once; raise the limit: ulimit -n {LEAST_FILES} or more")


class Interruptions:
    """An orderly shutdown on Ctrl-C, SIGTERM or a closed terminal.

    The first signal raises ``KeyboardInterrupt``, the second has no effect, the third ends the process at once. A
    signal that the caller ignores, as with ``nohup`` and ``&``, stays ignored.

    Attributes:
        number: Number of the first signal received; None if there was none.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self._count = 0

    def __enter__(self) -> Self:
        for number in self._heeded():
            signal.signal(number, self._receive)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Restore the default handlers: from now on, a signal ends the process without a message."""
        for number in self._heeded():
            signal.signal(number, signal.SIG_DFL)

    @staticmethod
    def _heeded() -> list[signal.Signals]:
        known = [getattr(signal, name) for name in _ENDING if hasattr(signal, name)]
        return [number for number in known if signal.getsignal(number) is not signal.SIG_IGN]

    def _receive(self, number: int, frame: FrameType | None) -> None:
        self._count += 1
        if self._count == 1:
            self.number = number
            raise KeyboardInterrupt
        if self._count > _PATIENCE:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
