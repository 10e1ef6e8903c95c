"""Files that may come from others, opened only if they are regular ones, and read no further than they may be.

A pipe without a writer never answers, and a device never ends: whoever opens one by a name that others have chosen
waits for ever. Links are followed, as caches of the hub have them, but only to regular files.
"""

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

_NOT_REGULAR = "a pipe, a device or a socket, not a regular file"
_ONLY_OPEN = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOCTTY", 0)


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file for reading bytes; nothing else is waited for or read.

    Raises:
        OSError: If it cannot be opened, or is a folder, a pipe, a device or a socket; ``strerror`` says which.
    """
    _require_regular(path.stat(), path)  # before it is opened: that alone can set a device going
    file = open(path, "rb", opener=lambda name, flags: os.open(name, flags | _ONLY_OPEN))  # noqa: SIM115
    try:
        _require_regular(os.fstat(file.fileno()), path)  # another may have been put there since
    except BaseException:
        file.close()
        raise
    return file


def read_regular(path: Path, most: int) -> bytes:
    """The bytes of a regular file that may have ``most``.

    Raises:
        OSError: As :func:`open_regular`, or if it has more bytes, whatever size its folder shows.
    """
    with open_regular(path) as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise OSError(errno.EFBIG, f"more than {most:,} bytes, which no such file has", str(path))
    return content


def require_regular(path: Path) -> None:
    """Refuse what a library would wait for: a pipe, a device or a socket at a path, or below it if it is a folder.

    Libraries open files by their names, and choose the names themselves; so the whole folder is looked at before.

    Raises:
        OSError: Naming the first one, or a link to one.
    """
    try:
        facts = path.stat()
    except FileNotFoundError:  # or a link to nothing, which whoever opens it will say
        return
    _require_regular(facts, path)
    if stat.S_ISDIR(facts.st_mode):
        for inner in path.iterdir():
            if not (inner.is_symlink() and inner.is_dir()):  # may lead back here
                require_regular(inner)


def _require_regular(facts: os.stat_result, path: Path) -> None:
    if not (stat.S_ISREG(facts.st_mode) or stat.S_ISDIR(facts.st_mode)):  # folders: the system refuses to read them
        raise OSError(errno.EINVAL, _NOT_REGULAR, str(path))
