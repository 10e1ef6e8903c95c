"""Safe reading of untrusted files: only regular files are opened, and only up to a size limit.

A pipe without a writer never answers and a device never ends, so a program that opens one under a name chosen by others
waits forever. Links are followed, because the Hugging Face cache uses them, but only to regular files.
"""

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

_NOT_REGULAR = "it is a pipe, a device or a socket, not a regular file"
_ONLY_OPEN = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOCTTY", 0)


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file for reading bytes; anything else is refused without waiting.

    Raises:
        OSError: If it cannot be opened, or is a folder, pipe, device or socket; ``strerror`` gives the cause.
    """
    _require_regular(path.stat(), path)  # before opening it, which alone can start a device
    file = open(path, "rb", opener=lambda name, flags: os.open(name, flags | _ONLY_OPEN))  # noqa: SIM115
    try:
        _require_regular(os.fstat(file.fileno()), path)  # it may have been replaced in the meantime
    except BaseException:
        file.close()
        raise
    return file


def read_regular(path: Path, most: int) -> bytes:
    """Return the bytes of a regular file of at most ``most`` bytes.

    Raises:
        OSError: As :func:`open_regular`, or if the file has more bytes, whatever size the file system reports.
    """
    with open_regular(path) as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise OSError(errno.EFBIG, f"it has more than {most:,} bytes, too many for such a file", str(path))
    return content


def require_regular(path: Path) -> None:
    """Refuse a pipe, device or socket at a path, or anywhere below it if the path is a folder.

    A library that opens such a file waits forever. Libraries choose file names themselves, so the whole folder is
    checked first.

    Raises:
        OSError: If there is one, or a link to one; the error names the first.
    """
    try:
        facts = path.stat()
    except FileNotFoundError:  # or a broken link; opening it later will raise the error
        return
    _require_regular(facts, path)
    if stat.S_ISDIR(facts.st_mode):
        for inner in path.iterdir():
            if not (inner.is_symlink() and inner.is_dir()):  # a link to a folder may lead back here
                require_regular(inner)


def _require_regular(facts: os.stat_result, path: Path) -> None:
    if not (stat.S_ISREG(facts.st_mode) or stat.S_ISDIR(facts.st_mode)):  # the system refuses to read folders anyway
        raise OSError(errno.EINVAL, _NOT_REGULAR, str(path))
