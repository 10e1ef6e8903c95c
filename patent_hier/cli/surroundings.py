"""What a process inherits from its shell: the locale, streams, signals, limits and the working folder."""

import contextlib
import io
import os
import signal
import sys
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self

from patent_hier.errors import ConfigError

LEAST_FILES = 64  # open at once; libraries hang instead of failing where fewer are allowed
_ENDING = ("SIGINT", "SIGTERM", "SIGHUP")  # by name: Windows lacks the last one
_PATIENCE = 2  # signals that one orderly end takes; a further one ends the process at once


class OutputLostError(BaseException):
    """Standard output took no more: its reader has ended, or there is no space.

    Like Ctrl-C it ends the whole command, so nothing on the way may take it for an error of one job.
    """

    def __init__(self, reason: OSError) -> None:
        super().__init__(reason)
        self.reason = reason

    @property
    def has_no_reader(self) -> bool:
        """Whether the other end of a pipe was closed, as ``head`` does when it has what it wanted."""
        return isinstance(self.reason, BrokenPipeError | ConnectionResetError)


class _Output(io.TextIOWrapper):
    """Standard output that says so when it is lost; a plain ``OSError`` could be any file's."""

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
    """Start the process anew in Python's UTF-8 mode if the locale knows ASCII only, as ``LC_ALL=POSIX`` does.

    Python does this by itself unless it is told not to. It decides at its start how words and names of files are read.
    """
    if sys.flags.utf8_mode or sys.getfilesystemencoding().lower() not in ("ascii", "us-ascii", "ansi_x3.4-1968"):
        return
    os.environ["PYTHONUTF8"] = "1"  # for the processes that this one starts
    os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])  # noqa: S606 - this very command


def watch_output() -> None:
    """Let standard output tell when it is lost, and show what its encoding lacks as escapes.

    Standard input and errors that the shell has closed go nowhere; else the next file to be opened would take their
    place, and be written into.

    Raises:
        OutputLostError: If standard output is closed.
    """
    stdout, stderr = sys.stdout, sys.stderr  # None where the shell has closed them
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number: this one
    if stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - as long as the process
    if stdout is None:
        raise OutputLostError(OSError(0, "it is closed"))
    if isinstance(stdout, io.TextIOWrapper):
        errors = "backslashreplace" if stdout.errors == "strict" else stdout.errors
        encoding, by_line, at_once = stdout.encoding, stdout.line_buffering, stdout.write_through
        sys.stdout = _Output(stdout.detach(), encoding, errors, line_buffering=by_line, write_through=at_once)
        sys.__stdout__ = sys.stdout  # type: ignore[misc]  # the detached one would fail whoever writes into it


def drop_output() -> None:
    """Send nowhere what may still be buffered for a lost standard output: Python writes it when it ends."""
    with contextlib.suppress(AttributeError, OSError, ValueError):  # there is none
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def refuse_odd_surroundings() -> None:
    """Refuse what libraries answer with a traceback, or by waiting for ever.

    Raises:
        ConfigError: If the working folder is gone, or too few files may be open.
    """
    try:
        Path.cwd()
    except FileNotFoundError as error:
        raise ConfigError("the working folder has been deleted; change to another folder: cd FOLDER") from error
    try:
        import resource
    except ImportError:  # Windows, which has no such limit
        return
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= allowed < LEAST_FILES:  # RLIM_INFINITY is negative
        raise ConfigError(
            f"only {allowed} files may be open at once; raise the limit: ulimit -n {LEAST_FILES}, or more"
        )


class Interruptions:
    """Ctrl-C, SIGTERM and a closed terminal end a command in the same order: what it has begun is put away first.

    The first signal raises ``KeyboardInterrupt``, the second changes nothing, the third ends the process at once. A
    signal that the caller ignores, as ``nohup`` and ``&`` do, stays ignored.

    Attributes:
        number: Of the first signal that came; None if none did.
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
        """The work is over: what comes now ends the process without further words."""
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
