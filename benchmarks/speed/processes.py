"""Running a stage in processes of its own: how long it says it took, and the memory that all of them held."""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from patent_hier.errors import ProcessError

_EVERY = 0.01  # seconds between two looks at the memory


def run_measured(module: str, *arguments: str) -> dict[str, Any]:
    """Run ``python -m module arguments`` to its end.

    Returns:
        The JSON object that the module printed last; ``peak_bytes``, the most memory that the process and its
        descendants held together, shared pages counted in each; and ``peak_own_bytes``, the most of it that was not
        pages of files, which the kernel takes back whenever memory is needed.

    Raises:
        ProcessError: If the module fails; it has said why.
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
            raise ProcessError(f"python -m {module} {' '.join(arguments)} failed; the lines above say why")
        return {**json.loads(printed.read().splitlines()[-1]), "peak_bytes": resident, "peak_own_bytes": own}


def tree_memory(pid: int) -> tuple[int, int]:
    """Bytes that a process and its descendants hold now, all and without pages of files; zeros if it has ended.

    The kernel's own peak (``ru_maxrss``) counts mapped files and knows only the largest child, hence this. Linux only.
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
