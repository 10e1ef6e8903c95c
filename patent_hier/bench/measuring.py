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
    """

    report: dict[str, Any]
    peak_bytes: int


def run_measured(module: str, arguments: Sequence[str]) -> Measured:
    """Run ``python -m module arguments`` to its end.

    Raises:
        DataError: If it fails.
    """
    command = [sys.executable, "-m", module, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
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
    return Measured(json.loads(printed.splitlines()[-1]), watch.peak_bytes)


class _Watch(threading.Thread):
    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.peak_bytes = 0
        self._pid = pid
        self._ended = threading.Event()

    def run(self) -> None:
        while not self._ended.wait(_EVERY):
            self.peak_bytes = max(self.peak_bytes, tree_bytes(self._pid))

    def stop(self) -> None:
        self._ended.set()
        self.join()


def tree_bytes(pid: int) -> int:
    """Resident memory of a process and its descendants now, as the kernel tells it (Linux only); 0 if it has ended."""
    try:
        pages = int((_PROC / str(pid) / "statm").read_text("ascii").split()[1])
        tasks = list((_PROC / str(pid) / "task").iterdir())
        children = {int(child) for task in tasks for child in (task / "children").read_text("ascii").split()}
    except (OSError, IndexError):  # it has just ended
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE") + sum(map(tree_bytes, children))
