"""What a fault may leave: files by their content, and one line of an error."""

import contextlib
import hashlib
import os
import resource
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.commands import TINY_OF, command

Told = Callable[..., None]  # takes the cases that were tried, and the losses: see conftest.py


def flat_run(model: str, place: Path, *more: str) -> list[str]:
    """The words of a small run that keeps everything in one place."""
    level = [f"model={model}", "level=flat", *TINY_OF[model], *more]
    return ["run", *level, f"runs_dir={place}/runs", f"cache_dir={place}/cache"]


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of all files of a folder that are not hidden, by their names."""
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.rglob("*"))
        if file.is_file() and not any(part.startswith(".") for part in file.relative_to(folder).parts)
    }


def is_one_line(err: str) -> bool:
    """Whether it is one line that somebody has thought about."""
    return err.startswith("error: ") and len(err.splitlines()) == 1 and "unexpected" not in err


def in_child(words: Sequence[str], limit: int) -> int:
    """Exit status of a command that may write no file above so many bytes; it succeeds, or says in one line why not."""
    read, write = os.pipe()
    child = os.fork()
    if not child:  # pragma: no cover
        os.close(read)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        with contextlib.suppress(BaseException):
            done = command(*words)
            os.write(write, done.err.encode())
            os._exit(done.status)
        os._exit(99)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        err = pipe.read().decode()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in (0, 1)
    assert is_one_line(err) if status else err == "", err
    return status
