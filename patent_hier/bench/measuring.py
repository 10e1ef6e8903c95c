"""Running a command in processes of its own: how long it says it took, and the memory that all of them held."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from patent_hier.errors import DataError

_PROC = Path("/proc")
_EVERY = 0.01  # seconds between two looks at the memory
_SHOWN = 300  # characters of a failed command's last line


class Measured(NamedTuple):
    """One run of a command.

    Attributes:
        report: What it printed last, a JSON object; what it measured itself, such as seconds, is in it.
        peak_bytes: The most memory that it and its descendants held together. Pages that several of them share count
            in each, so that this is never too little.
        peak_own_bytes: The most of it that was not pages of files: those of a mapped file, or of a library, the kernel
            takes back whenever memory is needed. The two peaks need not be of the same moment.
    """

    report: dict[str, Any]
    peak_bytes: int
    peak_own_bytes: int


class Memory(NamedTuple):
    """What processes hold at one moment.

    Attributes:
        resident: All pages that are in main memory, in bytes.
        own: Without those that belong to files.
    """

    resident: int
    own: int


def run_measured(module: str, arguments: Sequence[str]) -> Measured:
    """Run ``python -m module arguments`` to its end.

    Raises:
        DataError: If it fails.
    """
    command = [sys.executable, "-m", module, *arguments]
    with subprocess.Popen(  # noqa: S603 - modules of this package, by its own interpreter
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        watch = _Watch(process.pid)
        watch.start()
        try:
            printed, complaint = process.communicate()
        except BaseException:
            process.kill()
            raise
        finally:
            watch.stop()
    if process.returncode:
        last = (complaint.splitlines() or [f"status {process.returncode}"])[-1][:_SHOWN]
        raise DataError(f"{' '.join(command)} failed: {last}; run it by itself to see more")
    return Measured(json.loads(printed.splitlines()[-1]), *watch.peak)


class _Watch(threading.Thread):
    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.peak = Memory(0, 0)
        self._pid = pid
        self._ended = threading.Event()

    def run(self) -> None:
        while not self._ended.wait(_EVERY):
            now = tree_memory(self._pid)
            self.peak = Memory(max(self.peak.resident, now.resident), max(self.peak.own, now.own))

    def stop(self) -> None:
        self._ended.set()
        self.join()


def tree_memory(pid: int) -> Memory:
    """Memory of a process and its descendants now, as the kernel tells it (Linux only); nothing if it has ended."""
    try:
        _, resident, of_files, *_ = map(int, (_PROC / str(pid) / "statm").read_text("ascii").split())
        tasks = list((_PROC / str(pid) / "task").iterdir())
        children = {int(child) for task in tasks for child in (task / "children").read_text("ascii").split()}
    except (OSError, ValueError):  # it has just ended
        return Memory(0, 0)
    page = os.sysconf("SC_PAGE_SIZE")
    below = [tree_memory(child) for child in children]
    return Memory(
        resident * page + sum(one.resident for one in below),
        (resident - of_files) * page + sum(one.own for one in below),
    )
