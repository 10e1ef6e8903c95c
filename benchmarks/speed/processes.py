"""Run a module in a process of its own, and measure the memory of the process and its descendants."""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from patent_hier.errors import ProcessError

_EVERY = 0.01  # seconds between two measurements of memory


def run_measured(module: str, *arguments: str) -> dict[str, Any]:
    """Run ``python -m module arguments`` to its end.

    Returns:
        The JSON object that the module printed last, with ``peak_bytes``, the peak memory of the process and its
        descendants together (shared pages counted for each), and ``peak_own_bytes``, the peak without pages of files,
        which the kernel can reclaim at any time.

    Raises:
        ProcessError: If the module fails; its own output gives the reason.
    """
    resident = own = 0
    with tempfile.TemporaryFile("w+") as printed:
        with subprocess.Popen([sys.executable, "-m", module, *arguments], stdout=printed) as process:  # noqa: S603 - ours
            while process.poll() is None:
                now = tree_memory(process.pid)
                resident, own = max(resident, now[0]), max(own, now[1])
                time.sleep(_EVERY)
        printed.seek(0)
        if process.returncode:
            raise ProcessError(f"python -m {module} {' '.join(arguments)} failed; see the lines above for the reason")
        return {**json.loads(printed.read().splitlines()[-1]), "peak_bytes": resident, "peak_own_bytes": own}


def tree_memory(pid: int) -> tuple[int, int]:
    """Return the current memory of a process and its descendants in bytes, with and without pages of files.

    Both are 0 if the process has ended. The kernel's own peak (``ru_maxrss``) includes mapped files and only the
    largest child. Linux only.
    """
    process, page = Path(f"/proc/{pid}"), os.sysconf("SC_PAGE_SIZE")
    try:
        _, resident, of_files, *_ = map(int, (process / "statm").read_text("ascii").split())
        children = " ".join(task.read_text("ascii") for task in process.glob("task/*/children")).split()
    except OSError:  # it has just ended
        return 0, 0
    every, own = zip(
        (resident * page, (resident - of_files) * page), *map(tree_memory, map(int, children)), strict=True
    )
    return sum(every), sum(own)
