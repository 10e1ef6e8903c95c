"""Facts about machine, code and command for a manifest, to explain differences between runs."""

import datetime
import os
import platform
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import patent_hier
from patent_hier.features.versions import package_version
from patent_hier.models.allocation import give_freed_memory_back

_PACKAGES = (
    "torch",
    "pytorch-lightning",
    "transformers",
    "tokenizers",
    "numpy",
    "scipy",
    "scikit-learn",
    "jieba",
    "gensim",
    "pyarrow",
    "hydra-core",
)
_PROC = Path("/proc/self")


def describe_environment() -> dict[str, Any]:
    """Return date, command, versions, machine and code; callers that have imported torch add facts about it."""
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],  # the program's folder is useless elsewhere
        "python": platform.python_version(),
        "packages": dict(_versions()),
        "patent_hier": patent_hier.__version__,
        "git_commit": _git_commit(Path(patent_hier.__file__).resolve().parent),
        "platform": platform.platform(),
        "processor": platform.machine(),
        "cpus": os.cpu_count(),
    }


class PeakMemory:
    """Peak main memory of this process since the object was created.

    On Linux, freed memory is first returned to the system and the kernel's peak value is reset, so that earlier nodes
    of the same process do not count.
    """

    def __init__(self) -> None:
        give_freed_memory_back()
        try:
            (_PROC / "clear_refs").write_text("5")  # 5 resets VmHWM to the current memory
            self._since_start = False
        except OSError:  # not Linux, or not permitted: only the peak of the whole process is known
            self._since_start = True

    def bytes(self) -> int:
        """Return the peak in bytes, without GPU memory; 0 on Windows, where Python cannot read it."""
        if self._since_start:
            try:
                import resource
            except ImportError:
                return 0
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            return peak if sys.platform == "darwin" else peak * 1024  # macOS counts bytes, Linux kilobytes
        line = next(line for line in (_PROC / "status").read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024


@cache
def _versions() -> dict[str, str | None]:
    return {name: package_version(name) for name in _PACKAGES}


@cache
def _git_commit(folder: Path) -> str | None:
    """Return the checkout's commit, with ``+`` appended if files differ from it; None outside a checkout.

    The result is cached, because this process has not loaded the code of later commits.
    """
    try:
        if Path(_git(folder, "rev-parse", "--show-toplevel")).resolve() != folder.parent:
            return None  # installed inside another project's checkout
        commit = _git(folder, "rev-parse", "HEAD")
        return commit + ("+" if _git(folder, "status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(  # noqa: S603 - fixed arguments, in the checkout of this code
        ("git", *arguments),  # noqa: S607 - git from the user's PATH
        cwd=folder, capture_output=True, text=True, check=True, timeout=10,
    )  # fmt: skip
    return done.stdout.strip()
